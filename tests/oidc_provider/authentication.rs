//! Client authentication: the audience of assertions, the place of the keys, pushed requests or not.

use serde_json::{Value, json};

use crate::support::Stack;

/// Works with this audience at a provider with these settings; all accepted assertions named `audience` below it.
async fn audience_works(settings: Value, setting: &str, audience: &str) {
    let stack = Stack::start(&settings, &[("BFF_ASSERTION_AUDIENCE", setting)]).await;
    stack.works().await;
    let expected = format!("{}{audience}", stack.provider.issuer);
    let assertions = stack.provider.assertions().await;
    assert!(!assertions.is_empty());
    assert!(
        assertions
            .iter()
            .all(|assertion| assertion["aud"] == expected.as_str())
    );
}

#[tokio::test]
async fn the_issuer_is_the_audience() {
    audience_works(json!({}), "issuer", "").await;
}

#[tokio::test]
async fn the_token_endpoint_can_be_the_audience() {
    audience_works(json!({}), "token_endpoint", "/token").await;
}

/// Before, the log explains the refusal.
#[tokio::test]
async fn a_required_token_endpoint_audience_is_sent() {
    let insists = json!({"audienceIsTokenEndpoint": true});
    let mut stack = Stack::start(&insists, &[]).await;
    let started = stack.ada().browser.get("/auth/login").await;
    assert_eq!(started.status, 502, "{}", started.body);
    let line = stack
        .logs
        .has_part("ERROR", "does not accept our client authentication");
    for part in [
        format!("aud `{}`", stack.provider.issuer),
        "BFF_ASSERTION_AUDIENCE".to_owned(),
    ] {
        assert!(line.contains(&part), "{part} in {line}");
    }
    // Follows the advice of the line. It does not concern the registration.
    stack
        .restart(&[("BFF_ASSERTION_AUDIENCE", "token_endpoint")])
        .await;
    stack.logs.has_line("INFO", "registration unchanged");
    stack.provider.forget_what_was_seen().await;
    stack.works().await;
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
    stack.works().await;
    stack.restart(&[]).await;
    stack.logs.has_line("INFO", "registration unchanged");
    assert_eq!(stack.provider.jwks_fetches().await, 0);
}

#[tokio::test]
async fn pushed_requests_are_used_where_they_must_be() {
    let stack = Stack::start(&json!({"requirePushedRequests": true}), &[]).await;
    let started = stack.ada().browser.get("/auth/login").await;
    assert!(started.location().contains("request_uri=urn%3A"), "{started:?}");
    assert!(!started.location().contains("redirect_uri="), "{started:?}");
    stack.works().await;
}

/// PAR is not offered or is disabled.
#[tokio::test]
async fn without_par_requests_go_through_the_browser() {
    for (settings, changes) in [
        (json!({"pushedRequests": false}), &[][..]),
        (json!({}), &[("MS_BFF_PAR_ENABLED", "false")][..]),
    ] {
        let stack = Stack::start(&settings, changes).await;
        let started = stack.ada().browser.get("/auth/login").await;
        assert!(started.location().contains("redirect_uri="), "{started:?}");
        stack.works().await;
        let assertions = stack.provider.assertions().await;
        assert!(
            assertions
                .iter()
                .all(|assertion| !assertion["endpoint"].to_string().contains("pushed"))
        );
    }
}

#[tokio::test]
async fn a_provider_that_cannot_fetch_our_keys_is_explained() {
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
