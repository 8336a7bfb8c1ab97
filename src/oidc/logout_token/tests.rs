use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};
use serde_json::{Map, json};

use super::*;
use crate::{
    jose::Algorithm,
    oidc::{
        Expect, IdTokenError, Identity, LoginFacts,
        testing::{CLIENT_ID, FakeIdp, signing_key},
    },
};

const NOW: u64 = 1_800_000_000;

/// A change to claims that are right otherwise.
type Change = fn(&mut Map<String, Value>);

fn claims(provider: &FakeIdp) -> Map<String, Value> {
    let claims = json!({
        "iss": provider.issuer(), "aud": CLIENT_ID, "iat": NOW, "exp": NOW + 120, "jti": "jti-1",
        "sub": "alice", "sid": "sid-1", "events": { EVENT: {} },
    });
    claims.as_object().unwrap().clone()
}

fn signed(provider: &FakeIdp, typ: &str, claims: &Map<String, Value>) -> String {
    let token = provider.key.sign(Algorithm::ES256, typ, claims).unwrap();
    token.expose().to_owned()
}

async fn check(party: &RelyingParty, token: &str) -> Result<LogoutToken, LogoutTokenError> {
    party.verify_logout_token(&token.into()).await
}

fn set(claims: &mut Map<String, Value>, name: &str, value: Value) {
    claims.insert(name.to_owned(), value);
}

/// Faults of a logout token; the expected error by its `Debug`.
const REFUSED: &[(&str, Change, &str)] = &[
    ("no issuer", |c| drop(c.remove("iss")), "Token(Issuer)"),
    (
        "foreign issuer",
        |c| set(c, "iss", json!("https://evil.example")),
        "Token(Issuer)",
    ),
    ("no audience", |c| drop(c.remove("aud")), "Token(Audience)"),
    (
        "foreign audience",
        |c| set(c, "aud", json!("other")),
        "Token(Audience)",
    ),
    (
        "extra audience",
        |c| set(c, "aud", json!([CLIENT_ID, "other"])),
        "Token(Audience)",
    ),
    ("no expiry", |c| drop(c.remove("exp")), "Token(Expired)"),
    ("expired", |c| set(c, "exp", json!(NOW - 60)), "Token(Expired)"),
    (
        "expiry of another type",
        |c| set(c, "exp", json!("1900000000")),
        "Token(Expired)",
    ),
    ("no iat", |c| drop(c.remove("iat")), "Token(NotYetValid)"),
    (
        "iat in the future",
        |c| set(c, "iat", json!(NOW + 61)),
        "Token(NotYetValid)",
    ),
    ("old iat", |c| set(c, "iat", json!(NOW - 360)), "TooOld"),
    (
        "old iat and an expiry far away",
        |c| {
            set(c, "iat", json!(0));
            set(c, "exp", json!(NOW + 1_000_000));
        },
        "TooOld",
    ),
    ("no jti", |c| drop(c.remove("jti")), r#"Claim("jti")"#),
    ("empty jti", |c| set(c, "jti", json!("")), r#"Claim("jti")"#),
    ("numeric jti", |c| set(c, "jti", json!(7)), r#"Claim("jti")"#),
    (
        "long jti",
        |c| set(c, "jti", json!("x".repeat(1025))),
        r#"Claim("jti")"#,
    ),
    ("no events", |c| drop(c.remove("events")), "Event"),
    ("events as a list", |c| set(c, "events", json!([EVENT])), "Event"),
    ("events as text", |c| set(c, "events", json!(EVENT)), "Event"),
    ("no event", |c| set(c, "events", json!({})), "Event"),
    (
        "another event",
        |c| {
            set(
                c,
                "events",
                json!({ "https://schemas.openid.net/secevent/risc/event-type/account-disabled": {} }),
            );
        },
        "Event",
    ),
    (
        "event as null",
        |c| set(c, "events", json!({ EVENT: null })),
        "Event",
    ),
    (
        "event as true",
        |c| set(c, "events", json!({ EVENT: true })),
        "Event",
    ),
    (
        "event as a list",
        |c| set(c, "events", json!({ EVENT: [] })),
        "Event",
    ),
    ("a nonce", |c| set(c, "nonce", json!("nonce-1")), "Nonce"),
    ("an empty nonce", |c| set(c, "nonce", json!("")), "Nonce"),
    ("a nonce of null", |c| set(c, "nonce", json!(null)), "Nonce"),
    (
        "nobody",
        |c| {
            c.remove("sub");
            c.remove("sid");
        },
        "Nobody",
    ),
    ("numeric sub", |c| set(c, "sub", json!(7)), r#"Claim("sub")"#),
    ("empty sub", |c| set(c, "sub", json!("")), r#"Claim("sub")"#),
    // Left out, the token would be for all sessions of the person.
    ("numeric sid", |c| set(c, "sid", json!(7)), r#"Claim("sid")"#),
    ("sid of null", |c| set(c, "sid", json!(null)), r#"Claim("sid")"#),
    ("empty sid", |c| set(c, "sid", json!("")), r#"Claim("sid")"#),
    (
        "long sid",
        |c| set(c, "sid", json!("x".repeat(2049))),
        r#"Claim("sid")"#,
    ),
];

#[tokio::test]
async fn attack_13_an_imperfect_logout_token_is_refused() {
    let provider = FakeIdp::start().await;
    let party = provider.party().await;
    for (name, change, expected) in REFUSED {
        let mut claims = claims(&provider);
        change(&mut claims);
        let error = check(&party, &signed(&provider, "logout+jwt", &claims))
            .await
            .unwrap_err();
        assert_eq!(format!("{error:?}"), *expected, "{name}");
        assert!(error.is_signed(), "{name}");
    }
}

#[tokio::test]
async fn attack_13_a_logout_token_says_what_it_is_or_nothing() {
    let provider = FakeIdp::start().await;
    let party = provider.party().await;
    let claims = claims(&provider);
    for typ in ["logout+jwt", "Logout+JWT", "JWT", "jwt"] {
        assert!(
            check(&party, &signed(&provider, typ, &claims)).await.is_ok(),
            "{typ}"
        );
    }
    for typ in [
        "",
        "at+jwt",
        "secevent+jwt",
        "application/at+jwt",
        "id+jwt",
        "logout",
    ] {
        let error = check(&party, &signed(&provider, typ, &claims)).await.unwrap_err();
        assert_eq!(error, VerifyError::Type.into(), "{typ}");
    }
}

#[tokio::test]
async fn attack_13_forged_signatures_are_refused() {
    let provider = FakeIdp::start().await;
    let party = provider.party().await;
    let claims = claims(&provider);
    let encoded = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let body = encoded(&Value::Object(claims.clone()));
    let unsigned = format!("{}.{body}.", encoded(&json!({ "alg": "none" })));
    let symmetric = format!(
        "{}.{body}",
        encoded(&json!({ "alg": "HS256", "kid": "idp-key-1" }))
    );
    let public = serde_json::to_vec(provider.key.public()).unwrap();
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &public), symmetric.as_bytes());
    let symmetric = format!("{symmetric}.{}", URL_SAFE_NO_PAD.encode(tag));
    let by = |kid: &str| {
        let token = signing_key(kid)
            .sign(Algorithm::ES256, "logout+jwt", &claims)
            .unwrap();
        token.expose().to_owned()
    };
    for (token, expected) in [
        (unsigned, VerifyError::Algorithm.into()),
        (symmetric, VerifyError::Algorithm.into()),
        (by("idp-key-1"), VerifyError::Signature.into()),
        (by("evil"), LogoutTokenError::UnpublishedKey),
        (String::new(), VerifyError::Malformed.into()),
        ("a.b.c.d.e".to_owned(), VerifyError::Encrypted.into()),
        ("x".repeat(70_000), VerifyError::TooLong.into()),
    ] {
        let error = check(&party, &token).await.unwrap_err();
        assert!(!error.is_signed());
        assert_eq!(error, expected);
    }
}

#[tokio::test]
async fn attack_13_neither_kind_of_token_passes_for_the_other() {
    let provider = FakeIdp::start().await;
    let party = provider.party().await;
    // An ID token as a logout token: it has no event and a nonce.
    let id_token = provider.id_token(&provider.claims());
    assert_eq!(
        check(&party, &id_token).await.unwrap_err(),
        LogoutTokenError::Event
    );
    // A logout token without its own `typ`, used as the ID token of a login and as a refreshed one, which needs no
    // nonce.
    let logout = signed(&provider, "JWT", &claims(&provider)).as_str().into();
    let (nonce, code, access) = ("nonce-1".into(), "code-1".into(), "access-1".into());
    let facts = LoginFacts {
        nonce: &nonce,
        code: &code,
        started_at: Timestamp::from_unix_seconds(NOW),
    };
    let previous = Identity {
        issuer: provider.issuer().to_owned(),
        subject: "alice".to_owned(),
        nonce: nonce.clone(),
        auth_time: None,
    };
    for expect in [
        Expect::login(facts, &access),
        Expect::refreshed(&previous, &access),
    ] {
        let error = party.verify_id_token(&logout, expect).await.unwrap_err();
        assert_eq!(error, IdTokenError::Claim("events"));
    }
}

#[tokio::test]
async fn a_logout_token_that_is_right_says_whom_it_is_about() {
    let provider = FakeIdp::start().await;
    let party = provider.party().await;
    let at = Timestamp::from_unix_seconds;
    let token = check(&party, &signed(&provider, "logout+jwt", &claims(&provider))).await;
    let expected = LogoutToken {
        issuer: provider.issuer().to_owned(),
        subject: Some("alice".to_owned()),
        sid: Some("sid-1".to_owned()),
        id: "jti-1".to_owned(),
        issued_at: at(NOW),
        refused_from: at(NOW + 180),
    };
    assert_eq!(token.unwrap(), expected);
    for (name, left) in [("sub", "sid"), ("sid", "sub")] {
        let mut claims = claims(&provider);
        claims.remove(name);
        // Other claims, and other members of the event, mean nothing.
        set(&mut claims, "events", json!({ EVENT: { "x": 1 }, "other": {} }));
        set(&mut claims, "x", json!([1]));
        set(&mut claims, "exp", json!(NOW + 100_000));
        let token = check(&party, &signed(&provider, "JWT", &claims)).await.unwrap();
        assert_eq!(token.subject.is_some(), left == "sub");
        assert_eq!(token.sid.is_some(), left == "sid");
        // It is too old long before it expires.
        assert_eq!(token.refused_from, at(NOW + 360));
    }
}

#[tokio::test]
async fn the_times_have_their_leeway() {
    let provider = FakeIdp::start().await;
    let party = provider.party().await;
    for (issued, expires) in [(NOW + 60, NOW + 180), (NOW - 359, NOW + 1), (NOW - 100, NOW - 59)] {
        let mut claims = claims(&provider);
        set(&mut claims, "iat", json!(issued));
        set(&mut claims, "exp", json!(expires));
        let token = check(&party, &signed(&provider, "logout+jwt", &claims))
            .await
            .unwrap();
        assert!(token.refused_from > at_now(), "{issued} {expires}");
    }
}

fn at_now() -> Timestamp {
    Timestamp::from_unix_seconds(NOW)
}

#[tokio::test]
async fn a_rotated_key_of_the_provider_is_read() {
    let provider = FakeIdp::start().await;
    let party = provider.party().await;
    let next = signing_key("idp-key-2");
    let token = next
        .sign(Algorithm::ES256, "logout+jwt", &claims(&provider))
        .unwrap();
    // The keys are known before they change.
    party.provider().keys().await.unwrap();
    provider.publish(&[&provider.key, &next]);
    assert!(check(&party, token.expose()).await.is_ok());
}

#[tokio::test]
async fn any_text_as_a_token_is_refused_without_a_panic() {
    let provider = FakeIdp::start().await;
    let party = provider.party().await;
    let good = signed(&provider, "logout+jwt", &claims(&provider));
    let mut runner = TestRunner::deterministic();
    let sent = prop_oneof![
        ".{0,200}",
        "[A-Za-z0-9_=.-]{0,400}",
        // One that is right, with some of it lost or something else in its place.
        (0..good.len(), 0..9_usize, "[ -~]{0,9}").prop_map(move |(at, length, text)| {
            let end = (at + length).min(good.len());
            format!("{}{text}{}", &good[..at], &good[end..])
        }),
    ];
    for _ in 0..600 {
        let token = sent.new_tree(&mut runner).unwrap().current();
        let outcome = check(&party, &token).await;
        // Nothing may have been changed.
        assert!(outcome.is_err() || outcome.is_ok_and(|token| token.id == "jti-1"));
    }
}

proptest! {
    #[test]
    fn no_claims_panic(events: Option<bool>, iat: Option<f64>, exp: Option<u64>, jti: Option<String>, sub: Option<String>, sid: Option<String>) {
        let mut claims: Map<String, Value> = Map::new();
        for (name, value) in [
            ("iat", json!(iat)), ("exp", json!(exp)), ("jti", json!(jti)), ("sub", json!(sub)), ("sid", json!(sid)),
            ("iss", json!("https://idp.test")),
            ("events", events.map_or(json!(null), |good| if good { json!({ EVENT: {} }) } else { json!({ EVENT: 1 }) })),
        ] {
            if !value.is_null() {
                set(&mut claims, name, value);
            }
        }
        if let Ok(token) = LogoutToken::read(&claims, at_now()) {
            prop_assert!(token.refused_from > at_now() || exp.is_some_and(|exp| exp < NOW));
            prop_assert!(token.subject.is_some() || token.sid.is_some());
            prop_assert!(!token.id.is_empty());
        }
    }
}
