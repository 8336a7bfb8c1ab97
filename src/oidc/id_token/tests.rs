use std::sync::Arc;

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use serde_json::{Map, json};

use super::*;
use crate::{
    clock::Clock as _,
    jose::VerifyError,
    oidc::testing::{CLIENT_ID, FakeIdp, signing_key},
    telemetry::testing::Logs,
};

const NONCE: &str = "nonce-1";
const ACCESS_TOKEN: &str = "access-token-1";
const CODE: &str = "code-1";

/// When the login began, a minute before now.
const STARTED_AT: u64 = 1_800_000_000 - 60;

/// A change to claims that are right otherwise.
type Change = fn(&mut Map<String, Value>);

struct Login {
    provider: FakeIdp,
    party: RelyingParty,
}

impl Login {
    async fn start() -> Self {
        let provider = FakeIdp::start().await;
        let party = provider.party().await;
        Self { provider, party }
    }

    async fn check(&self, token: &str, max_age: Option<Duration>) -> Result<IdTokenClaims, IdTokenError> {
        let (nonce, code, access) = (NONCE.into(), CODE.into(), ACCESS_TOKEN.into());
        let facts = LoginFacts {
            nonce: &nonce,
            code: &code,
            started_at: Timestamp::from_unix_seconds(STARTED_AT),
        };
        let expect = Expect::login(facts, &access).max_age(max_age);
        self.party.verify_id_token(&token.into(), expect).await
    }

    async fn with(
        &self,
        change: impl FnOnce(&mut Map<String, Value>),
    ) -> Result<IdTokenClaims, IdTokenError> {
        let mut claims = self.provider.claims();
        change(&mut claims);
        self.check(&self.provider.id_token(&claims), None).await
    }

    /// Logs in as alice, and then gets a refreshed token with this change.
    async fn refreshed(
        &self,
        change: impl FnOnce(&mut Map<String, Value>),
    ) -> Result<IdTokenClaims, IdTokenError> {
        let now = self.provider.clock.now().unix_seconds();
        let first = self
            .with(|claims| set(claims, "auth_time", json!(now - 100)))
            .await
            .unwrap();
        let mut claims = self.provider.claims();
        claims.remove("nonce");
        change(&mut claims);
        self.check_refreshed(&self.provider.id_token(&claims), &first.identity)
            .await
    }

    async fn check_refreshed(&self, token: &str, previous: &Identity) -> Result<IdTokenClaims, IdTokenError> {
        let access = ACCESS_TOKEN.into();
        let expect = Expect::refreshed(previous, &access);
        self.party.verify_id_token(&token.into(), expect).await
    }
}

fn set(claims: &mut Map<String, Value>, name: &str, value: Value) {
    claims.insert(name.to_owned(), value);
}

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// Faults of the first and of a refreshed token; the expected error by its `Debug`.
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
    (
        "no audience in the list",
        |c| set(c, "aud", json!([])),
        "Token(Audience)",
    ),
    (
        "wrong azp",
        |c| set(c, "azp", json!("other")),
        "Token(AuthorizedParty)",
    ),
    ("no expiry", |c| drop(c.remove("exp")), "Token(Expired)"),
    (
        "expired",
        |c| set(c, "exp", json!(1_799_999_940)),
        "Token(Expired)",
    ),
    ("no iat", |c| drop(c.remove("iat")), "Token(NotYetValid)"),
    (
        "iat in the future",
        |c| set(c, "iat", json!(1_800_000_061)),
        "Token(NotYetValid)",
    ),
    ("foreign nonce", |c| set(c, "nonce", json!("nonce-2")), "Nonce"),
    (
        "nonce of another type",
        |c| set(c, "nonce", json!([NONCE])),
        "Nonce",
    ),
    ("no subject", |c| drop(c.remove("sub")), "Subject"),
    ("empty subject", |c| set(c, "sub", json!("")), "Subject"),
    ("numeric subject", |c| set(c, "sub", json!(7)), "Subject"),
    (
        "long subject",
        |c| set(c, "sub", json!("x".repeat(256))),
        "Subject",
    ),
    (
        "subject with a line end",
        |c| set(c, "sub", json!("alice\r\n")),
        "Subject",
    ),
    (
        "subject beyond ASCII",
        |c| set(c, "sub", json!("älice")),
        "Subject",
    ),
    (
        "foreign at_hash",
        |c| set(c, "at_hash", json!("77QmUPtjPfzWtF2AnpK9RQ")),
        "AccessTokenHash",
    ),
    (
        "at_hash of another type",
        |c| set(c, "at_hash", json!(null)),
        "AccessTokenHash",
    ),
    (
        "auth_time in the future",
        |c| set(c, "auth_time", json!(1_800_000_061)),
        r#"Claim("auth_time")"#,
    ),
];

#[tokio::test]
async fn attack_26_an_imperfect_first_id_token_is_refused() {
    let login = Login::start().await;
    for (name, change, expected) in REFUSED {
        let error = login.with(change).await.unwrap_err();
        assert_eq!(format!("{error:?}"), *expected, "{name}");
    }
    let error = login
        .with(|claims| drop(claims.remove("nonce")))
        .await
        .unwrap_err();
    assert_eq!(error, IdTokenError::Nonce);
}

#[tokio::test]
async fn attack_26_refreshed_tokens_are_checked_as_fully_as_the_first() {
    let login = Login::start().await;
    for (name, change, expected) in REFUSED {
        let error = login.refreshed(change).await.unwrap_err();
        assert_eq!(format!("{error:?}"), *expected, "{name}");
    }
    for (token, expected) in forged(&login) {
        let identity = login.with(|_| ()).await.unwrap().identity;
        let error = login.check_refreshed(&token, &identity).await.unwrap_err();
        assert_eq!(error, expected);
    }
}

#[tokio::test]
async fn attack_26_forged_signatures_are_refused() {
    let login = Login::start().await;
    for (token, expected) in forged(&login) {
        let error = login.check(&token, None).await.unwrap_err();
        assert_eq!(error, expected);
    }
}

/// Tokens that were not made with the provider's key.
fn forged(login: &Login) -> Vec<(String, IdTokenError)> {
    let claims = Value::Object(login.provider.claims());
    let real = login.provider.key.public();
    let unsigned = format!("{}.{}.", encoded(&json!({"alg": "none"})), encoded(&claims));

    let symmetric = format!(
        "{}.{}",
        encoded(&json!({"alg": "HS256", "kid": "idp-key-1"})),
        encoded(&claims)
    );
    let public = serde_json::to_vec(real).unwrap();
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &public), symmetric.as_bytes());
    let symmetric = format!("{symmetric}.{}", URL_SAFE_NO_PAD.encode(tag));

    let mut forged = vec![
        (unsigned, VerifyError::Algorithm.into()),
        (symmetric, VerifyError::Algorithm.into()),
    ];
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let mine = signing_key("idp-key-1");
    for (kid, expected) in [
        ("idp-key-1", VerifyError::Signature.into()),
        ("evil", IdTokenError::UnpublishedKey),
    ] {
        let header = json!({
            "alg": "ES256", "kid": kid, "jwk": mine.public(), "jku": "https://evil.example/jwks",
            "x5u": "https://evil.example/cert",
        });
        let signed = format!("{}.{}", encoded(&header), encoded(&claims));
        #[expect(clippy::disallowed_methods, reason = "the forger's own")]
        let signature = pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        forged.push((
            format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)),
            expected,
        ));
    }
    forged
}

#[tokio::test]
async fn a_token_that_is_right_yields_its_claims() {
    let login = Login::start().await;
    let claims = login
        .with(|claims| {
            set(claims, "aud", json!([CLIENT_ID]));
            set(claims, "azp", json!(CLIENT_ID));
            set(claims, "sid", json!("sid-1"));
            set(claims, "acr", json!("gold"));
            set(claims, "auth_time", json!(1_799_999_000));
            set(
                claims,
                "at_hash",
                json!(half_hash(Algorithm::ES256, ACCESS_TOKEN)),
            );
            set(claims, "email", json!("alice@example.org"));
        })
        .await
        .unwrap();
    assert_eq!(claims.identity.subject, "alice");
    assert_eq!(claims.identity.issuer, login.provider.issuer());
    assert_eq!(claims.sid.as_deref(), Some("sid-1"));
    assert_eq!(claims.acr.as_deref(), Some("gold"));
    assert_eq!(
        claims.auth_time,
        Some(Timestamp::from_unix_seconds(1_799_999_000))
    );
    assert_eq!(claims.expires_at, Timestamp::from_unix_seconds(1_800_000_300));
    assert_eq!(claims.all["email"], "alice@example.org");
}

#[tokio::test]
async fn the_end_of_the_session_at_the_provider_is_read() {
    let login = Login::start().await;
    let with = async |value: Value| login.with(|claims| set(claims, "session_expiry", value)).await;
    let claims = with(json!(1_800_000_001)).await.unwrap();
    assert_eq!(
        claims.session_ends,
        Some(Timestamp::from_unix_seconds(1_800_000_001))
    );
    assert_eq!(login.with(|_| ()).await.unwrap().session_ends, None);
    for over in [json!(1_800_000_000), json!(0)] {
        assert_eq!(with(over.clone()).await.unwrap_err(), IdTokenError::SessionOver);
        // A session that lives already ends by it.
        let refreshed = login
            .refreshed(|claims| set(claims, "session_expiry", over))
            .await;
        assert!(refreshed.unwrap().session_ends.is_some());
    }
    for wrong in [json!("1900000000"), json!(1.5), json!(-1), json!(null), json!([])] {
        let error = with(wrong.clone()).await.unwrap_err();
        assert_eq!(error, IdTokenError::Claim("session_expiry"), "{wrong}");
    }
}

#[tokio::test]
async fn an_id_token_that_is_older_than_its_login_is_refused() {
    let login = Login::start().await;
    for (issued, fits) in [
        (STARTED_AT, true),
        (STARTED_AT - 60, true),
        (STARTED_AT - 61, false),
        (0, false),
    ] {
        let outcome = login.with(|claims| set(claims, "iat", json!(issued))).await;
        assert_eq!(outcome.is_ok(), fits, "{issued}");
        assert!(
            fits || matches!(outcome, Err(IdTokenError::Stale)),
            "{issued} {outcome:?}"
        );
    }
    // A refreshed one is dated by the refresh, and may well repeat the first one's time.
    let refreshed = login
        .refreshed(|claims| set(claims, "iat", json!(STARTED_AT - 3600)))
        .await;
    assert!(refreshed.is_ok(), "{refreshed:?}");
}

#[tokio::test]
async fn a_hash_of_the_code_that_is_there_has_to_fit() {
    let login = Login::start().await;
    let right = half_hash(Algorithm::ES256, CODE);
    assert!(
        login
            .with(|claims| set(claims, "c_hash", json!(right)))
            .await
            .is_ok()
    );
    for wrong in [
        json!(half_hash(Algorithm::ES256, "code-2")),
        json!(half_hash(Algorithm::ES256, ACCESS_TOKEN)),
        json!(half_hash(Algorithm::ES384, CODE)),
        json!(""),
        json!(null),
        json!(7),
    ] {
        let error = login
            .with(|claims| set(claims, "c_hash", wrong.clone()))
            .await
            .unwrap_err();
        assert_eq!(error, IdTokenError::CodeHash, "{wrong}");
    }
}

#[tokio::test]
async fn a_trusted_audience_may_stand_beside_us_where_azp_names_us() {
    let provider = FakeIdp::start().await;
    let mut options = provider.options();
    options.trusted_audiences = vec!["api".to_owned(), "urn:other".to_owned()];
    let party = provider.party_with(options).await;
    let login = Login { provider, party };
    let audience = VerifyError::Audience;
    let party = VerifyError::AuthorizedParty;
    for (aud, azp, expected) in [
        (json!(CLIENT_ID), None, None),
        (json!([CLIENT_ID]), None, None),
        (json!([CLIENT_ID, "api"]), Some(CLIENT_ID), None),
        (json!(["urn:other", "api", CLIENT_ID]), Some(CLIENT_ID), None),
        (json!([CLIENT_ID, "api"]), None, Some(party)),
        (json!([CLIENT_ID, "api"]), Some("api"), Some(party)),
        (json!([CLIENT_ID, "evil"]), Some(CLIENT_ID), Some(audience)),
        (json!([CLIENT_ID, "api", "evil"]), Some(CLIENT_ID), Some(audience)),
        (json!(["api"]), Some(CLIENT_ID), Some(audience)),
        (json!("api"), Some(CLIENT_ID), Some(audience)),
        (json!([CLIENT_ID, "API"]), Some(CLIENT_ID), Some(audience)),
    ] {
        let outcome = login
            .with(|claims| {
                set(claims, "aud", aud.clone());
                if let Some(azp) = azp {
                    set(claims, "azp", json!(azp));
                }
            })
            .await;
        let found = outcome.err();
        assert_eq!(found, expected.map(IdTokenError::Token), "{aud} {azp:?}");
    }
}

/// The log says so once.
#[tokio::test]
async fn an_unusable_optional_claim_is_ignored() {
    let logs = Logs::capture();
    let login = Login::start().await;
    for sid in [
        json!({}),
        json!(7),
        json!(null),
        json!(""),
        json!("a\r\nb"),
        json!("x".repeat(2049)),
    ] {
        let claims = login
            .with(|claims| set(claims, "sid", sid.clone()))
            .await
            .unwrap();
        assert_eq!(claims.sid, None, "{sid}");
    }
    for length in [332, 2048] {
        let sid = "x".repeat(length);
        let claims = login.with(|claims| set(claims, "sid", json!(sid))).await.unwrap();
        assert_eq!(claims.sid.unwrap().len(), length);
    }
    for (time, read) in [
        (json!("1799999000"), Some(1_799_999_000)),
        (json!(1_799_999_000.5), Some(1_799_999_000)),
        (json!("yesterday"), None),
        (json!(null), None),
        (json!(-1), None),
        (json!([]), None),
    ] {
        let claims = login
            .with(|claims| set(claims, "auth_time", time.clone()))
            .await
            .unwrap();
        let found = claims.auth_time.map(Timestamp::unix_seconds);
        assert_eq!(found, read, "{time}");
    }
    let claims = login.with(|claims| set(claims, "acr", json!(7))).await.unwrap();
    assert_eq!(claims.acr, None);
    for claim in ["sid", "auth_time", "acr"] {
        assert_eq!(
            logs.count(&format!("is ignored claim=\"{claim}\" size=")),
            1,
            "{}",
            logs.text()
        );
    }

    // A claim that counts as absent is not fresh.
    let mut claims = login.provider.claims();
    set(&mut claims, "auth_time", json!("yesterday"));
    let token = login.provider.id_token(&claims);
    let error = login
        .check(&token, Some(Duration::from_mins(5)))
        .await
        .unwrap_err();
    assert_eq!(error, IdTokenError::TooOld);
}

#[tokio::test]
async fn attack_17_another_person_in_a_refresh_ends_the_session() {
    let login = Login::start().await;
    let error = login
        .refreshed(|claims| set(claims, "sub", json!("mallory")))
        .await
        .unwrap_err();
    assert_eq!(error, IdTokenError::Changed("subject"));
    assert!(error.ends_session());
    let changes: [Change; 2] = [
        |c| set(c, "iss", json!("https://evil.example")),
        |c| set(c, "aud", json!("other")),
    ];
    for change in changes {
        assert!(login.refreshed(change).await.unwrap_err().ends_session());
    }

    // The issuer of the session differs from the configured one.
    let mut identity = login.with(|_| ()).await.unwrap().identity;
    identity.issuer = "https://old.example".to_owned();
    let token = login.provider.id_token(&login.provider.claims());
    let error = login.check_refreshed(&token, &identity).await.unwrap_err();
    assert_eq!(error, IdTokenError::Changed("issuer"));
}

#[tokio::test]
async fn other_faults_discard_the_token_and_keep_the_session() {
    let login = Login::start().await;
    let faults: [Change; 3] = [
        |c| set(c, "auth_time", json!(1_799_999_899)),
        |c| set(c, "nonce", json!("other")),
        |c| set(c, "exp", json!(1)),
    ];
    for fault in faults {
        let error = login.refreshed(fault).await.unwrap_err();
        assert!(!error.ends_session() && !error.is_transient(), "{error:?}");
    }
}

/// A login in the future is refused.
#[tokio::test]
async fn a_refreshed_token_may_name_a_later_login() {
    let login = Login::start().await;
    let later = login
        .refreshed(|claims| set(claims, "auth_time", json!(1_799_999_999)))
        .await
        .unwrap();
    assert_eq!(later.auth_time, Some(Timestamp::from_unix_seconds(1_799_999_999)));
    // The comparison keeps using the value of the login.
    let own = Timestamp::from_unix_seconds(1_799_999_900);
    assert_eq!(later.identity.auth_time, Some(own));
    let error = login
        .refreshed(|claims| set(claims, "auth_time", json!(1_800_000_061)))
        .await
        .unwrap_err();
    assert_eq!(error, IdTokenError::Claim("auth_time"));
}

/// It may repeat them too.
#[tokio::test]
async fn a_refreshed_token_may_omit_nonce_and_auth_time() {
    let login = Login::start().await;
    let identity = login.refreshed(|_| ()).await.unwrap().identity;
    let again = login
        .refreshed(|claims| {
            set(claims, "nonce", json!(NONCE));
            set(claims, "auth_time", json!(1_799_999_900));
        })
        .await
        .unwrap();
    assert_eq!(again.identity, identity);
    assert_eq!(
        identity.auth_time,
        Some(Timestamp::from_unix_seconds(1_799_999_900))
    );
}

#[tokio::test]
async fn an_identity_survives_being_stored() {
    let login = Login::start().await;
    let identity = login.with(|_| ()).await.unwrap().identity;
    let stored = serde_json::to_string(&identity).unwrap();
    assert_eq!(serde_json::from_str::<Identity>(&stored).unwrap(), identity);
    assert!(!format!("{identity:?}").contains(NONCE));
}

#[tokio::test]
async fn an_authentication_must_be_as_fresh_as_was_asked_for() {
    let login = Login::start().await;
    let now = login.provider.clock.now().unix_seconds();
    for (age, max_age, fits) in [
        (Some(0), 0, true),
        (Some(60), 0, true),
        (Some(61), 0, false),
        (Some(360), 300, true),
        (Some(361), 300, false),
        (None, 300, false),
    ] {
        let mut claims = login.provider.claims();
        if let Some(age) = age {
            set(&mut claims, "auth_time", json!(now - age));
        }
        let token = login.provider.id_token(&claims);
        let outcome = login.check(&token, Some(Duration::from_secs(max_age))).await;
        assert_eq!(outcome.is_ok(), fits, "{age:?} {max_age}");
        assert!(outcome.is_ok() || matches!(outcome, Err(IdTokenError::TooOld)),);
    }
}

#[tokio::test]
async fn only_algorithms_that_the_provider_lists_are_accepted() {
    let login = Login::start().await;
    login.provider.change_metadata(|document| {
        set(
            document,
            "id_token_signing_alg_values_supported",
            json!(["RS256"]),
        );
    });
    login.party.provider().discover().await.unwrap();
    let error = login.with(|_| ()).await.unwrap_err();
    assert_eq!(error, IdTokenError::Token(VerifyError::Algorithm));
    login.provider.change_metadata(|document| {
        document.remove("id_token_signing_alg_values_supported");
    });
    login.party.provider().discover().await.unwrap();
    let error = login.with(|_| ()).await.unwrap_err();
    assert_eq!(error, IdTokenError::Token(VerifyError::Algorithm));
}

#[tokio::test]
async fn without_keys_the_token_is_neither_right_nor_wrong() {
    let provider = FakeIdp::start().await;
    provider.answer("/jwks", http::StatusCode::BAD_GATEWAY, &json!({}));
    let party = provider.party().await;
    let login = Login { provider, party };
    let error = login.with(|_| ()).await.unwrap_err();
    assert!(error.is_transient() && !error.ends_session(), "{error:?}");
}

#[tokio::test]
async fn an_unknown_key_differs_from_an_unreadable_jwks() {
    let mut login = Login::start().await;
    let claims = login.provider.claims();
    login.provider.key = Arc::new(signing_key("idp-key-2"));
    let token = login.provider.id_token(&claims);
    let error = login.check(&token, None).await.unwrap_err();
    assert_eq!(error, IdTokenError::UnpublishedKey);
    assert!(error.is_transient() && !error.ends_session());

    // From now on the keys are unreadable, so it is unknown whether this one is published.
    login
        .provider
        .answer("/jwks", http::StatusCode::BAD_GATEWAY, &json!({}));
    login.provider.clock.advance(Duration::from_mins(2));
    let error = login.check(&token, None).await.unwrap_err();
    assert_eq!(error, IdTokenError::Token(VerifyError::UnknownKey));
    assert!(error.is_transient());
}

/// The example of OpenID Connect Core 1.0 appendix A.4.
#[test]
fn the_hash_of_an_access_token_is_that_of_the_specification() {
    let token = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";
    assert_eq!(half_hash(Algorithm::RS256, token), "77QmUPtjPfzWtF2AnpK9RQ");
    assert_eq!(half_hash(Algorithm::ES384, token).len(), 32);
    assert_eq!(half_hash(Algorithm::EdDSA, token).len(), 43);
}
