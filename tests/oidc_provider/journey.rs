//! The whole way: registered, logged in on several hosts, renewed, logged out.

use serde_json::json;

use crate::support::{HOSTS, Person, Stack, until};

/// Login, fresh tokens, logout.
#[tokio::test]
async fn a_person_uses_several_hosts() {
    let stack = Stack::start(&json!({"honourClientId": true, "accessTokenLifetime": 8}), &[]).await;
    stack.logs.has_line("INFO", "201 Created");
    stack.logs.has_line("INFO", "Client registered: bff-server");
    // Plain http is a warning of the configuration, which the command logs and this harness does not.
    assert!(stack.logs.lines("WARN").is_empty(), "{}", stack.logs.text());
    assert_eq!(stack.provider.unused_initial_access_tokens().await, 0);

    let client = stack.client().await;
    assert_eq!(client["token_endpoint_auth_method"], "private_key_jwt");
    assert_eq!(client["token_endpoint_auth_signing_alg"], "ES256");
    assert_eq!(
        client["grant_types"],
        json!(["authorization_code", "refresh_token"])
    );
    assert_eq!(client["scope"], "openid profile email offline_access");
    assert_eq!(client["redirect_uris"].as_array().unwrap().len(), HOSTS.len());
    assert!(
        client["jwks_uri"]
            .as_str()
            .unwrap()
            .ends_with("/.well-known/jwks.json")
    );

    // One browser, one login at the provider, three hosts.
    let ada = stack.ada();
    for host in 0..HOSTS.len() {
        ada.at(&stack.origin(host)).log_in().await;
    }
    assert_eq!(stack.provider.sessions().await, 1);
    assert_eq!(stack.provider.jwks_fetches().await, 1);
    assert_eq!(ada.browser.session().await["user"]["name"], "Ada Lovelace");
    let grace = Person::new("grace", &stack.provider, &stack.origin(1));
    grace.log_in().await;

    // The provider itself knows the token that the API gets.
    let renewed_at = ada.renewed_at().await;
    let token = stack.call_api(&ada).await;
    let info = stack.provider.call("/me", &token).await;
    assert_eq!(info.json()["email"], "ada@example.com", "{}", info.body);

    // No person acts; the background renews.
    stack.renewed(&ada, &renewed_at).await;
    let renewed = stack.call_api(&ada).await;
    assert_ne!(renewed, token);
    assert_eq!(stack.provider.call("/me", &renewed).await.status, 200);
    let assertions = stack.provider.assertions().await;
    let refreshes = assertions
        .iter()
        .filter(|assertion| assertion["grant"] == "refresh_token");
    for refresh in refreshes.clone() {
        assert_eq!(refresh["aud"], stack.provider.issuer.as_str());
        assert_eq!(refresh["alg"], "ES256");
        assert!(refresh["kid"].is_string());
    }
    assert!(refreshes.count() >= 1);
    assert!(
        assertions
            .iter()
            .any(|assertion| assertion["endpoint"] == "pushed_authorization_request")
    );
    let tokens = stack.provider.refresh_tokens().await;
    assert!(tokens.iter().any(|token| token.consumed), "{tokens:?}");

    let after = ada.log_out(true).await;
    assert_eq!(after.status, 200, "{}", after.body);
    assert!(after.body.contains("You are logged out"), "{}", after.body);
    assert!(!ada.browser.is_logged_in().await);
    assert_eq!(ada.browser.get("/api/hello").await.status, 401);
    assert_eq!(stack.provider.sessions().await, 1, "grace stays logged in");
    until("the refresh tokens are revoked", async || {
        let tokens = stack.provider.refresh_tokens().await;
        tokens.iter().all(|token| token.person == "grace")
    })
    .await;
    assert!(grace.browser.is_logged_in().await);
    assert_eq!(stack.provider.errors().await, [] as [serde_json::Value; 0]);
    // The logins of one browser are one grant there: the other hosts notice when they renew.
    let elsewhere = ada.at(&stack.origin(1));
    until("the session on another host has ended", async || {
        !elsewhere.browser.is_logged_in().await
    })
    .await;
}

#[tokio::test]
async fn a_person_can_stay_logged_in_at_the_provider() {
    let stack = Stack::start(&json!({}), &[]).await;
    let ada = stack.ada();
    ada.log_in().await;
    ada.log_out(false).await;
    assert!(!ada.browser.is_logged_in().await);
    assert_eq!(stack.provider.sessions().await, 1);
    ada.log_in().await;
    assert_eq!(stack.provider.errors().await, [] as [serde_json::Value; 0]);
}

#[tokio::test]
async fn a_logout_works_after_one_at_the_provider() {
    let stack = Stack::start(&json!({}), &[]).await;
    let ada = stack.ada();
    ada.log_in().await;
    stack.provider.end_sessions().await;
    ada.log_out(true).await;
    assert!(!ada.browser.is_logged_in().await);
}
