//! Tokens for single APIs, over two replicas that share their sessions.

use super::*;
use crate::credential::{Credential, Mode, Target, TokenPolicy};

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const TYPE: &str = "urn:ietf:params:oauth:token-type:access_token";
const ORDERS: &str = "https://orders.example";

fn policy(mode: Mode) -> TokenPolicy {
    TokenPolicy::new(
        mode,
        "orders",
        Target::new(Some(ORDERS.to_owned()), Vec::new()),
        None,
    )
}

/// A replica, and another one with the same sessions.
async fn replicas() -> (Harness, Tokens) {
    let idp = FakeIdp::start().await;
    idp.change_metadata(|document| {
        document.remove("userinfo_endpoint");
        document.insert("protected_resources".to_owned(), json!([ORDERS]));
        document.insert("grant_types_supported".to_owned(), json!([EXCHANGE]));
    });
    let harness = Harness::at(idp, 4).await;
    let options = Options {
        lease: LEASE,
        ..Options::default()
    };
    let other = Tokens::new(
        options,
        harness.idp.party().await,
        harness.sessions.clone(),
        Arc::new(harness.clock.clone()),
        Arc::new(SystemRandom),
        &Tally::default(),
    );
    (harness, other)
}

fn tokens_answer(access: &str, refresh: Option<&str>) -> Answer {
    let mut answer = json!({"access_token": access, "token_type": "Bearer", "expires_in": 300});
    if let Some(refresh) = refresh {
        answer["refresh_token"] = json!(refresh);
    } else {
        answer["issued_token_type"] = json!(TYPE);
    }
    Answer::json(StatusCode::OK, &answer)
}

fn is(credential: &Credential, token: &str) -> bool {
    let value = http::HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
    credential.is(Some(&value))
}

async fn ask(
    tokens: &Tokens,
    harness: &Harness,
    key: &SessionKey,
    mode: Mode,
) -> Result<Credential, CredentialError> {
    let stored = harness.sessions.get(key).await.unwrap().unwrap();
    tokens.credential_for(key, &stored, &policy(mode)).await
}

#[tokio::test]
async fn two_replicas_use_a_refresh_token_one_after_the_other() {
    let (harness, other) = replicas().await;
    let key = harness.login().await;
    harness.idp.answers(
        "/token",
        [
            tokens_answer("for-orders", Some("rotated-1")),
            tokens_answer("second", Some("rotated-2")),
        ],
    );
    let (here, there) = tokio::join!(
        ask(&harness.tokens, &harness, &key, Mode::SessionPassthrough),
        ask(&other, &harness, &key, Mode::SessionPassthrough),
    );
    assert!(is(&here.unwrap(), "for-orders") && is(&there.unwrap(), "for-orders"));
    // The session is renewed with the token that came with it.
    assert_eq!(harness.refresh(&key).await, Outcome::Refreshed);
    let seen = harness.idp.requests_to("/token");
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].field("resource"), Some(ORDERS));
    assert_eq!(seen[1].field("refresh_token"), Some("rotated-1"));
    assert_eq!(seen[1].field("resource"), None);
    let session = harness.stored(&key).await;
    assert_eq!(session.tokens.access.expose(), "second");
    assert_eq!(session.tokens.refresh_token().unwrap().expose(), "rotated-2");
    // It did not come from an exchange: a renewal of the session changes nothing.
    assert!(is(
        &ask(&other, &harness, &key, Mode::SessionPassthrough)
            .await
            .unwrap(),
        "for-orders"
    ));
}

#[tokio::test]
async fn attack_32_a_token_for_an_ended_session_is_revoked() {
    let (harness, _) = replicas().await;
    let key = harness.login().await;
    harness.idp.answer("/revoke", StatusCode::OK, &json!({}));
    harness.idp.answers("/token", [tokens_answer("for-orders", None)]);
    harness.store.before_replace.close();
    let asked = ask(&harness.tokens, &harness, &key, Mode::OnBehalfOf);
    let ended = async {
        while harness.idp.requests_to("/token").is_empty() {
            tokio::task::yield_now().await;
        }
        harness.sessions.end(&key, EndReason::Logout).await.unwrap();
        harness.store.before_replace.open();
    };
    let (asked, ()) = tokio::join!(asked, ended);
    assert!(matches!(asked, Err(CredentialError::Ended)));
    harness.tokens.drain().await;
    let revoked = harness.idp.requests_to("/revoke");
    assert!(
        revoked
            .iter()
            .any(|request| request.field("token") == Some("for-orders"))
    );
}

/// The same target in two modes, and another session: three tokens.
#[tokio::test]
async fn attack_58_sessions_and_modes_have_tokens_of_their_own() {
    let (harness, _) = replicas().await;
    let (ada, grace) = (harness.login().await, harness.login().await);
    harness.idp.answers(
        "/token",
        [
            tokens_answer("exchanged", None),
            tokens_answer("by-refresh", Some("rotated")),
            tokens_answer("of-grace", None),
        ],
    );
    let tokens = &harness.tokens;
    for _ in 0..2 {
        assert!(is(
            &ask(tokens, &harness, &ada, Mode::OnBehalfOf).await.unwrap(),
            "exchanged"
        ));
        assert!(is(
            &ask(tokens, &harness, &ada, Mode::SessionPassthrough)
                .await
                .unwrap(),
            "by-refresh"
        ));
        assert!(is(
            &ask(tokens, &harness, &grace, Mode::OnBehalfOf).await.unwrap(),
            "of-grace"
        ));
    }
    assert_eq!(harness.idp.requests_to("/token").len(), 3);
}

#[tokio::test]
async fn an_invalid_grant_ends_the_session_also_for_an_api() {
    let (harness, _) = replicas().await;
    let key = harness.login().await;
    let refused = json!({"error": "invalid_grant"});
    harness.idp.answer("/token", StatusCode::BAD_REQUEST, &refused);
    let asked = ask(&harness.tokens, &harness, &key, Mode::SessionPassthrough).await;
    assert!(matches!(asked, Err(CredentialError::Ended)));
    assert!(harness.sessions.get(&key).await.unwrap().is_none());
}

/// An API that is refused says nothing about the session.
#[tokio::test]
async fn a_refused_api_is_no_strike_against_the_session() {
    let (harness, _) = replicas().await;
    let key = harness.login().await;
    let refused = json!({"error": "invalid_target"});
    harness.idp.answer("/token", StatusCode::BAD_REQUEST, &refused);
    for _ in 0..10 {
        let asked = ask(&harness.tokens, &harness, &key, Mode::SessionPassthrough).await;
        assert!(matches!(asked, Err(CredentialError::Refused("invalid_target"))));
        harness.clock.advance(Duration::from_secs(6));
    }
    assert_eq!(harness.idp.requests_to("/token").len(), 10);
    let session = harness.stored(&key).await;
    assert!(session.tokens.strikes.is_none() && !session.tokens.uncertain);
}
