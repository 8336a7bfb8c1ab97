//! The provider's influence on sessions, and its limits.

use http::StatusCode;
use serde_json::{Value, json};

use crate::support::{Person, Stack, until};

/// Waits until a person is no longer logged in, without acting for them.
async fn ends(person: &Person) {
    until("the session has ended", async || {
        !person.browser.is_logged_in().await
    })
    .await;
    assert_eq!(
        person.browser.get("/api/hello").await.status,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn a_grant_that_was_taken_away_ends_the_session() {
    let stack = Stack::start(&json!({}), &[]).await;
    let ada = stack.ada();
    ada.log_in().await;
    stack.provider.revoke_grants().await;
    ends(&ada).await;
    stack.logs.has_part("INFO", "reason=\"invalid_grant\"");
    ada.log_in().await;
}

#[tokio::test]
async fn a_refresh_token_that_somebody_uses_again_ends_the_session() {
    let method = ("MS_BFF_TOKEN_AUTH_METHOD", "client_secret_post");
    let stack = Stack::start(&json!({}), &[method]).await;
    let ada = stack.ada();
    ada.log_in().await;
    let before = ada.renewed_at().await;
    stack.renewed(&ada, &before).await;

    // A thief with everything that the server has, and a token that was exchanged already.
    let tokens = stack.provider.refresh_tokens().await;
    let used = tokens.iter().find(|token| token.consumed).unwrap();
    let credentials = stack.credentials();
    let reply = stack
        .provider
        .post(
            "/token",
            &[
                ("grant_type", "refresh_token"),
                ("refresh_token", &used.token),
                ("client_id", credentials["client_id"].as_str().unwrap()),
                ("client_secret", credentials["client_secret"].as_str().unwrap()),
            ],
        )
        .await;
    assert_eq!(
        (reply.status, &reply.json()["error"]),
        (StatusCode::BAD_REQUEST, &json!("invalid_grant"))
    );
    assert_eq!(stack.provider.refresh_tokens().await, []);
    ends(&ada).await;
}

#[tokio::test]
async fn a_refresh_token_that_stays_serves_again_and_again() {
    let stack = Stack::start(&json!({"rotateRefreshTokens": false}), &[]).await;
    let ada = stack.ada();
    ada.log_in().await;
    let tokens = stack.provider.refresh_tokens().await;
    for _ in 0..2 {
        let before = ada.renewed_at().await;
        stack.renewed(&ada, &before).await;
    }
    assert_eq!(stack.provider.refresh_tokens().await, tokens);
    ada.log_out(true).await;
    assert_eq!(stack.provider.errors().await, [] as [Value; 0]);
}

#[tokio::test]
async fn logging_in_again_keeps_the_new_session_alive() {
    let stack = Stack::start(&json!({}), &[]).await;
    let ada = stack.ada();
    ada.log_in().await;
    // The provider puts both logins into one grant, and revoking any token of it would end them all.
    ada.log_in().await;
    let mut before = ada.renewed_at().await;
    for _ in 0..2 {
        stack.renewed(&ada, &before).await;
        before = ada.renewed_at().await;
    }
    assert_eq!(stack.provider.errors().await, [] as [Value; 0]);
}

#[tokio::test]
async fn an_idle_end_leaves_other_sessions_of_the_person() {
    let stack = Stack::start(&json!({}), &[("SESSION_IDLE_TIMEOUT", "5s")]).await;
    let ada = stack.ada();
    let elsewhere = ada.at(&stack.origin(1));
    elsewhere.log_in().await;
    ada.log_in().await;
    // Only one of the two is used from now on. Its renewals are some two seconds apart; the other is swept meanwhile.
    for _ in 0..6 {
        let before = ada.renewed_at().await;
        until("the access token is renewed", async || {
            stack.call_api(&ada).await;
            ada.renewed_at().await != before
        })
        .await;
    }
    assert!(!elsewhere.browser.is_logged_in().await);
    assert_eq!(stack.provider.errors().await, [] as [Value; 0]);
}

#[tokio::test]
async fn an_idle_end_of_the_last_session_revokes_the_tokens() {
    let stack = Stack::start(&json!({}), &[("SESSION_IDLE_TIMEOUT", "1s")]).await;
    stack.ada().log_in().await;
    assert_ne!(stack.provider.refresh_tokens().await, []);
    until("the tokens are revoked", async || {
        stack.provider.refresh_tokens().await.is_empty()
    })
    .await;
}

/// In the same browser.
#[tokio::test]
async fn the_tokens_of_the_previous_person_are_revoked() {
    let stack = Stack::start(&json!({}), &[]).await;
    let ada = stack.ada();
    ada.log_in().await;
    let grace = ada.makes_room_for("grace");
    let reply = grace.log_in_by("/auth/login?prompt=login%20consent").await;
    reply.leads_on();
    assert_eq!(grace.browser.session().await["user"]["sub"], "grace");
    until("the tokens are revoked", async || {
        let tokens = stack.provider.refresh_tokens().await;
        tokens.iter().all(|token| token.person == "grace")
    })
    .await;
    let before = grace.renewed_at().await;
    stack.renewed(&grace, &before).await;
}

#[tokio::test]
async fn new_signing_keys_of_the_provider_are_taken_up() {
    let stack = Stack::start(&json!({}), &[]).await;
    let ada = stack.ada();
    ada.log_in().await;
    let before = ada.renewed_at().await;
    stack.provider.rotate_keys().await;
    stack.renewed(&ada, &before).await;
    Person::new("grace", &stack.provider, &stack.origin(1))
        .log_in()
        .await;
    // Its newest ID token is the hint.
    ada.log_out(true).await;
    assert_eq!(stack.provider.errors().await, [] as [Value; 0]);
}

#[tokio::test]
async fn a_person_who_does_not_consent_is_told_what_happened() {
    let stack = Stack::start(&json!({}), &[]).await;
    let ada = stack.ada();
    let started = ada.browser.get("/auth/login").await;
    let callback = ada.refuse(started.location()).await;
    let page = ada.browser.get(&callback).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN, "{}", page.body);
    assert!(page.body.contains("Log in again"), "{}", page.body);
    assert!(!ada.browser.is_logged_in().await);
    ada.log_in().await;
}

/// `prompt=none`.
#[tokio::test]
async fn a_silent_login_works_during_a_provider_session() {
    let stack = Stack::start(&json!({}), &[]).await;
    let ada = stack.ada();
    let silent = "/auth/login?prompt=none&return_to=/start";
    let reply = ada.log_in_by(silent).await;
    assert_eq!(reply.status, StatusCode::FOUND);
    assert_eq!(
        reply.location(),
        format!("{}/start?error=login_required", stack.origin(0))
    );

    ada.log_in().await;
    let elsewhere = ada.at(&stack.origin(1));
    let reply = elsewhere.log_in_by(silent).await;
    assert_eq!(reply.leads_on(), format!("{}/start", stack.origin(1)));
    assert!(elsewhere.browser.is_logged_in().await);
}

/// The log says so.
#[tokio::test]
async fn without_consent_there_is_no_refresh_token() {
    let stack = Stack::start(&json!({}), &[("OIDC_PROMPT", "")]).await;
    let ada = stack.ada();
    ada.log_in().await;
    stack.logs.has_part("WARN", "OIDC_PROMPT=consent");
    ends(&ada).await;
    assert_eq!(stack.provider.errors().await, [] as [Value; 0]);
}

#[tokio::test]
async fn by_default_consent_is_asked_for_from_the_second_login_on() {
    let stack = Stack::start(&json!({}), &[("OIDC_PROMPT", "auto")]).await;
    let ada = stack.ada();
    ada.log_in().await;
    stack.logs.has_part("WARN", "the next logins ask for consent");
    ends(&ada).await;
    ada.log_in().await;
    let session = ada.browser.session().await;
    assert_ne!(session["expires_at"], session["token_expires_at"]);
    assert_eq!(stack.provider.errors().await, [] as [Value; 0]);
}

#[tokio::test]
async fn a_person_can_be_made_to_log_in_afresh() {
    let stack = Stack::start(&json!({}), &[]).await;
    let ada = stack.ada();
    ada.log_in().await;
    for login in ["/auth/login?prompt=login%20consent", "/auth/login?max_age=0"] {
        let reply = ada.log_in_by(login).await;
        reply.leads_on();
        assert!(ada.browser.is_logged_in().await);
    }
    assert_eq!(stack.provider.errors().await, [] as [Value; 0]);
}
