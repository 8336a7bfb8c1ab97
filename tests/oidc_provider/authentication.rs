//! How the server proves who it is: every kind of key, both secrets, pushed requests or not.

use serde_json::{Value, json};

use crate::support::Stack;

/// Logs in and waits for a renewal, which need the authentication at every endpoint.
async fn works(stack: &Stack) {
    let ada = stack.ada();
    ada.log_in().await;
    let before = ada.renewed_at().await;
    let token = stack.call_api(&ada).await;
    stack.renewed(&ada, &before).await;
    assert_ne!(stack.call_api(&ada).await, token);
    ada.log_out(true).await;
    assert_eq!(stack.provider.errors().await, [] as [Value; 0]);
}

async fn key_works(algorithm: &str, changes: &[(&str, &str)]) {
    let stack = Stack::start(&json!({}), changes).await;
    assert_eq!(stack.client().await["token_endpoint_auth_signing_alg"], algorithm);
    works(&stack).await;
    let assertions = stack.provider.assertions().await;
    assert!(!assertions.is_empty());
    assert!(assertions.iter().all(|assertion| assertion["alg"] == algorithm));
}

#[tokio::test]
async fn an_rsa_key_signs_with_ps256_where_nobody_says_otherwise() {
    key_works("PS256", &[("BFF_KEY_TYPE", "rsa-2048")]).await;
}

#[tokio::test]
async fn an_rsa_key_signs_with_rs256_where_that_is_asked_for() {
    key_works(
        "RS256",
        &[("BFF_KEY_TYPE", "rsa-2048"), ("BFF_JWT_SIGNING_ALG", "RS256")],
    )
    .await;
}

#[tokio::test]
async fn an_ed25519_key_signs_with_eddsa() {
    key_works("EdDSA", &[("BFF_KEY_TYPE", "ed25519")]).await;
}

#[tokio::test]
async fn the_token_endpoint_can_be_the_audience() {
    let stack = Stack::start(&json!({}), &[("BFF_ASSERTION_AUDIENCE", "token_endpoint")]).await;
    works(&stack).await;
    let endpoint = format!("{}/token", stack.provider.issuer);
    let assertions = stack.provider.assertions().await;
    assert!(
        assertions
            .iter()
            .all(|assertion| assertion["aud"] == endpoint.as_str())
    );
}

#[tokio::test]
async fn keys_can_be_registered_inline() {
    let stack = Stack::prepare(&json!({})).await;
    let mut stack = stack.without("BFF_BASE_URL");
    let token = stack.provider.mint().await;
    stack.restart(&[("DCR_IAT", &token)]).await;
    let client = stack.client().await;
    assert_eq!(client["jwks"]["keys"].as_array().unwrap().len(), 1);
    assert_eq!(client["jwks_uri"], Value::Null);
    works(&stack).await;
    stack.restart(&[]).await;
    stack.logs.has_line("INFO", "registration unchanged");
    assert_eq!(stack.provider.jwks_fetches().await, 0);
}

async fn secret_works(method: &str) {
    let mut stack = Stack::start(&json!({}), &[("MS_BFF_TOKEN_AUTH_METHOD", method)]).await;
    assert_eq!(stack.client().await["token_endpoint_auth_method"], method);
    assert!(stack.credentials()["client_secret"].is_string());
    works(&stack).await;

    // An update carries the secret (RFC 7592 section 2.2), and leaves it as it is.
    let before = stack.credentials();
    stack.restart(&[("OIDC_SCOPES", "openid offline_access")]).await;
    stack.logs.has_part("INFO", "registration updated: scope:");
    assert_eq!(stack.credentials()["client_secret"], before["client_secret"]);
    works(&stack).await;
    stack.restart(&[]).await;
    stack.logs.has_line("INFO", "registration unchanged");
    assert_eq!(stack.provider.assertions().await, [] as [Value; 0]);
}

#[tokio::test]
async fn a_secret_goes_into_the_header() {
    secret_works("client_secret_basic").await;
}

#[tokio::test]
async fn a_secret_goes_into_the_form() {
    secret_works("client_secret_post").await;
}

#[tokio::test]
async fn the_method_changes_with_an_update() {
    let mut stack = Stack::start(&json!({}), &[]).await;
    for method in ["client_secret_basic", "client_secret_post", "private_key_jwt"] {
        stack.restart(&[("MS_BFF_TOKEN_AUTH_METHOD", method)]).await;
        stack
            .logs
            .has_part("INFO", "registration updated: token_endpoint_auth_method:");
        assert_eq!(stack.client().await["token_endpoint_auth_method"], method);
        works(&stack).await;
        stack.restart(&[]).await;
        stack.logs.has_line("INFO", "registration unchanged");
    }
}

#[tokio::test]
async fn pushed_requests_are_used_where_they_must_be() {
    let stack = Stack::start(&json!({"requirePushedRequests": true}), &[]).await;
    let started = stack.ada().browser.get("/auth/login").await;
    assert!(started.location().contains("request_uri=urn%3A"), "{started:?}");
    assert!(!started.location().contains("redirect_uri="), "{started:?}");
    works(&stack).await;
}

#[tokio::test]
async fn requests_go_through_the_browser_where_nothing_can_be_pushed_or_shall_be() {
    for (settings, changes) in [
        (json!({"pushedRequests": false}), &[][..]),
        (json!({}), &[("MS_BFF_PAR_ENABLED", "false")][..]),
    ] {
        let stack = Stack::start(&settings, changes).await;
        let started = stack.ada().browser.get("/auth/login").await;
        assert!(started.location().contains("redirect_uri="), "{started:?}");
        works(&stack).await;
        let assertions = stack.provider.assertions().await;
        assert!(
            assertions
                .iter()
                .all(|assertion| !assertion["endpoint"].to_string().contains("pushed"))
        );
    }
}

#[tokio::test]
async fn a_provider_that_does_not_fetch_our_keys_is_explained_to_the_operator() {
    let stack = Stack::start(&json!({"fetchesFromLoopback": false}), &[]).await;
    let started = stack.ada().browser.get("/auth/login").await;
    assert_eq!(started.status, 502, "{}", started.body);
    let line = stack
        .logs
        .has_part("ERROR", "does not accept our client authentication");
    for part in [
        "private_key_jwt",
        "alg ES256",
        "in our JWKS",
        "can fetch the client's jwks_uri",
        &stack.provider.issuer,
    ] {
        assert!(line.contains(part), "{part} in {line}");
    }
}
