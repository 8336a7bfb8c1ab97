use http::StatusCode;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    oidc::testing::{Answer, FakeIdp},
    telemetry::testing::Logs,
};

fn parsed(value: &Value) -> Result<TokenResponse, MemberError> {
    TokenResponse::from_object(value.as_object().unwrap(), |_| ())
}

fn with(member: &str, value: Value) -> Value {
    let mut object = json!({"access_token": "at", "token_type": "Bearer"});
    object[member] = value;
    object
}

#[tokio::test]
async fn a_code_is_exchanged_with_verifier_and_redirect_uri() {
    let provider = FakeIdp::start().await;
    provider.answer(
        "/token",
        StatusCode::OK,
        &json!({
            "access_token": "at", "token_type": "bearer", "expires_in": 60, "refresh_token": "rt", "id_token": "a.b.c",
            "scope": "openid email",
        }),
    );
    let party = provider.party().await;
    let tokens = party
        .exchange_code(
            &"code-1".into(),
            "https://app.example/auth/callback",
            &"verifier-1".into(),
        )
        .await
        .unwrap();
    assert_eq!(tokens.access_token, "at".into());
    assert_eq!(tokens.refresh_token, Some("rt".into()));
    assert_eq!(tokens.id_token, Some("a.b.c".into()));
    assert_eq!(tokens.scope.as_deref(), Some("openid email"));
    assert_eq!(tokens.expires_in, Duration::from_mins(1));
    let debug = format!("{tokens:?}");
    assert!(!debug.contains("\"at\"") && !debug.contains("\"rt\""), "{debug}");

    let seen = &provider.requests_to("/token")[0];
    assert_eq!(seen.method, http::Method::POST);
    assert_eq!(seen.field("grant_type"), Some("authorization_code"));
    assert_eq!(seen.field("code"), Some("code-1"));
    assert_eq!(
        seen.field("redirect_uri"),
        Some("https://app.example/auth/callback")
    );
    assert_eq!(seen.field("code_verifier"), Some("verifier-1"));
}

/// Members that the answer lacks stay absent.
#[tokio::test]
async fn a_refresh_sends_the_refresh_token() {
    let provider = FakeIdp::start().await;
    provider.answer("/token", StatusCode::OK, &with("refresh_token", json!("")));
    let tokens = provider.party().await.refresh(&"rt-1".into()).await.unwrap();
    assert_eq!(tokens.refresh_token, None);
    assert_eq!(tokens.id_token, None);
    let seen = &provider.requests_to("/token")[0];
    assert_eq!(seen.field("grant_type"), Some("refresh_token"));
    assert_eq!(seen.field("refresh_token"), Some("rt-1"));
    assert_eq!(seen.field("scope"), None);
}

/// Zero means unknown.
#[test]
fn the_refresh_token_lifetime_has_two_names() {
    let now = Timestamp::from_unix_seconds(1_000);
    let ends = |members: Value| {
        let mut answer = with("refresh_token", json!("rt"));
        for (name, value) in members.as_object().unwrap() {
            answer[name] = value.clone();
        }
        let tokens = parsed(&answer).unwrap();
        tokens.refresh_ends(now).map(Timestamp::unix_seconds)
    };
    for (members, expected) in [
        (json!({}), None),
        (json!({"refresh_token_expires_in": 60}), Some(1_060)),
        (json!({"refresh_expires_in": 60}), Some(1_060)),
        (json!({"refresh_expires_in": "60"}), Some(1_060)),
        (
            json!({"refresh_token_expires_in": 50, "refresh_expires_in": 60}),
            Some(1_050),
        ),
        (
            json!({"refresh_token_expires_in": 0, "refresh_expires_in": 60}),
            Some(1_060),
        ),
        (json!({"refresh_expires_in": 0}), None),
        (json!({"refresh_expires_in": "0"}), None),
        (json!({"refresh_expires_in": null}), None),
        // None of these should fail a login.
        (json!({"refresh_expires_in": -1}), None),
        (json!({"refresh_expires_in": "soon"}), None),
        (json!({"refresh_expires_in": [60]}), None),
    ] {
        assert_eq!(ends(members.clone()), expected, "{members}");
    }
    assert!(ends(json!({"refresh_expires_in": 1e300})) > Some(1_000_000));
    // Without the token, its life says nothing.
    let tokens = parsed(&with("refresh_expires_in", json!(60))).unwrap();
    assert_eq!(tokens.refresh_ends(now), None);
}

#[tokio::test]
async fn an_error_says_nothing_of_what_was_sent() {
    let provider = FakeIdp::start().await;
    let answers = [
        Answer::html(StatusCode::OK),
        Answer::html(StatusCode::BAD_REQUEST),
        Answer::json(StatusCode::UNAUTHORIZED, &json!({"error": "invalid_client"})),
    ];
    for answer in answers {
        provider.answers("/token", [answer]);
        let party = provider.party().await;
        let error = party
            .exchange_code(&"hunter1".into(), "https://app.example/cb", &"hunter2".into())
            .await
            .unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(!text.contains("hunter"), "{text}");
    }
}

#[test]
fn a_token_is_a_bearer_token_in_any_case() {
    for kind in ["Bearer", "bearer", "BEARER"] {
        assert!(parsed(&with("token_type", json!(kind))).is_ok());
    }
    for kind in [
        json!("DPoP"),
        json!("mac"),
        json!(""),
        json!(null),
        json!(7),
        json!("Bearer "),
    ] {
        assert!(parsed(&with("token_type", kind.clone())).is_err(), "{kind}");
    }
    assert!(parsed(&json!({"access_token": "at"})).is_err());
}

#[test]
fn tokens_that_could_break_a_header_or_the_bounds_are_refused() {
    for token in [
        json!(null),
        json!(""),
        json!(7),
        json!(["at"]),
        json!("a b"),
        json!("a\r\nx-evil: 1"),
        json!("ä"),
        json!("x".repeat(MAX_TOKEN + 1)),
    ] {
        assert!(parsed(&with("access_token", token.clone())).is_err(), "{token}");
    }
    for member in ["access_token", "refresh_token", "id_token"] {
        let error = |value| parsed(&with(member, value)).unwrap_err().to_string();
        assert!(parsed(&with(member, json!("x".repeat(64 * 1024)))).is_ok());
        let long = error(json!("x".repeat(64 * 1024 + 1)));
        assert_eq!(
            long,
            format!("`{member}` has 65537 bytes; at most 65536 are accepted")
        );
        assert!(error(json!("a\u{0}")).contains(member));
        assert!(error(json!({})).contains(member));
    }
    assert!(parsed(&with("refresh_token", json!(null))).is_ok());
    assert!(parsed(&with("id_token", json!(null))).is_ok());
}

#[tokio::test]
async fn a_scope_that_makes_no_sense_is_ignored_and_told_once() {
    let scope = |value| parsed(&with("scope", value)).unwrap().scope;
    assert_eq!(scope(json!("x y")).as_deref(), Some("x y"));
    assert_eq!(scope(json!(["x", "y"])).as_deref(), Some("x y"));
    for nonsense in [
        json!(7),
        json!({}),
        json!([7]),
        json!("a\u{0}"),
        json!("x".repeat(MAX_SCOPE + 1)),
    ] {
        assert_eq!(scope(nonsense.clone()), None, "{nonsense}");
    }

    let logs = Logs::capture();
    let provider = FakeIdp::start().await;
    provider.answer("/token", StatusCode::OK, &with("scope", json!(7)));
    let party = provider.party().await;
    for _ in 0..2 {
        assert_eq!(party.refresh(&"rt".into()).await.unwrap().scope, None);
    }
    logs.has("`scope` is not text");
    assert_eq!(logs.count("WARN"), 1, "{}", logs.text());
}

#[test]
fn lifetimes_are_read_from_numbers_and_text_and_bounded() {
    let mut told = Vec::new();
    for value in [json!("soon"), json!(-1), json!(null), json!(60)] {
        let answer = with("expires_in", value);
        let read =
            TokenResponse::from_object(answer.as_object().unwrap(), |error| told.push(error.to_string()));
        assert!(read.is_ok());
    }
    assert_eq!(told, ["`expires_in` is not a number of seconds from 1"; 2]);
    let seconds = |value: Value| parsed(&with("expires_in", value)).unwrap().expires_in.as_secs();
    assert_eq!(
        parsed(&with("scope", json!("x"))).unwrap().expires_in.as_secs(),
        300
    );
    assert_eq!(seconds(json!(60)), 60);
    assert_eq!(seconds(json!("3600")), 3600);
    assert_eq!(seconds(json!(59.9)), 59);
    for nonsense in [
        json!(null),
        json!(0),
        json!(-1),
        json!("soon"),
        json!("NaN"),
        json!([]),
        json!(true),
    ] {
        assert_eq!(seconds(nonsense.clone()), 300, "{nonsense}");
    }
    for huge in [json!(u64::MAX), json!(1e300), json!("1e300"), json!("inf")] {
        assert_eq!(seconds(huge.clone()), MAX_LIFETIME.as_secs(), "{huge}");
    }
}

proptest! {
    #[test]
    fn hostile_documents_never_panic_and_never_exceed_the_bounds(
        access in ".{0,30}", kind in "(Bearer|.{0,10})", expires in prop_oneof![
            any::<f64>().prop_map(Value::from), any::<i64>().prop_map(Value::from), ".{0,10}".prop_map(Value::from),
        ],
        refresh in proptest::option::of(".{0,30}"),
    ) {
        let document = json!({
            "access_token": access, "token_type": kind, "expires_in": expires, "refresh_token": refresh,
        });
        if let Ok(tokens) = parsed(&document) {
            prop_assert!(tokens.expires_in >= Duration::from_secs(1) && tokens.expires_in <= MAX_LIFETIME);
            prop_assert!(http::HeaderValue::from_str(tokens.access_token.expose()).is_ok());
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn nothing_stays_in_memory_of_the_members_of_an_answer() {
    use crate::secret::testing::{holds, memory};

    const TOKEN: &str = "a-token-that-nobody-else-may-have-in-memory-";
    let long = TOKEN.repeat(20);
    let Value::Object(object) = json!({"access_token": long, "more": {"tokens": [long]}}) else {
        panic!("an object")
    };
    let members = Members(object);
    let texts = [&members.0["access_token"], &members.0["more"]["tokens"][0]];
    let places = texts.map(|text| text.as_str().unwrap().as_ptr() as usize);
    for place in places {
        assert!(holds(&memory(place, long.len()), TOKEN.as_bytes()));
    }
    drop(members);
    for place in places {
        assert!(!holds(&memory(place, long.len()), TOKEN.as_bytes()));
    }
}
