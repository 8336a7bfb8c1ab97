//! The ways to be a client: secrets instead of keys, and a client that was registered by hand.

use devstack_idp::{AssertionAudience, Endpoint};
use http::StatusCode;

use crate::support::{Builder, Logs, Stack};

fn with_secret(method: &str, profile: &str) -> Builder {
    Stack::builder()
        .set("MS_BFF_TOKEN_AUTH_METHOD", method)
        .set("DCR_CLIENT_PROFILE", profile)
}

fn secret_of(stack: &Stack) -> String {
    let file = std::fs::read_to_string(stack.credentials()).unwrap();
    let file: serde_json::Value = serde_json::from_str(&file).unwrap();
    file["client_secret"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_login_with_client_secret_basic() {
    let stack = with_secret("client_secret_basic", "code-flow-secret")
        .start()
        .await;
    let ada = stack.browser();
    ada.log_in().await;
    ada.post("/auth/logout").await;
    let secret = secret_of(&stack);
    for endpoint in [Endpoint::Par, Endpoint::Token] {
        for request in stack.idp.requests(endpoint) {
            assert!(request.header("authorization").unwrap().starts_with("Basic "));
            for name in ["client_assertion", "client_assertion_type", "client_secret"] {
                assert_eq!(request.field(name), None, "{endpoint:?}");
            }
        }
    }
    assert!(!secret.is_empty());
}

#[tokio::test]
async fn a_login_with_client_secret_post() {
    let stack = with_secret("client_secret_post", "code-flow-secret-post")
        .start()
        .await;
    stack.browser().log_in().await;
    let secret = secret_of(&stack);
    for endpoint in [Endpoint::Par, Endpoint::Token] {
        for request in stack.idp.requests(endpoint) {
            assert_eq!(request.field("client_secret"), Some(secret.as_str()));
            assert_eq!(request.field("client_id"), Some("bff-server"));
            assert_eq!(request.header("authorization"), None);
            assert_eq!(request.field("client_assertion"), None);
        }
    }
}

#[tokio::test]
async fn a_wrong_secret_is_told_to_the_operator_without_it() {
    let mut stack = with_secret("client_secret_basic", "code-flow-secret")
        .start()
        .await;
    let wrong = "a-wrong-secret-of-some-length";
    stack
        .restart_with(&[
            ("DCR_ENABLED", "false"),
            ("DCR_IAT", ""),
            ("DCR_CLIENT_ID", ""),
            ("DCR_CLIENT_PROFILE", ""),
            ("AUTH_CLIENT_ID", "bff-server"),
            ("AUTH_CLIENT_SECRET", wrong),
        ])
        .await;
    let logs = Logs::capture();
    let ada = stack.browser();
    let reply = ada.get_json("/auth/login").await;
    super::is_problem(&reply, StatusCode::BAD_GATEWAY, "idp_refused");
    assert!(reply.set_cookies().is_empty());
    let line = logs.lines_with("a login could not be started").pop().unwrap();
    for part in ["invalid_client", "client_secret_basic", "AUTH_CLIENT_SECRET"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(!logs.text().contains(wrong));
}

#[tokio::test]
async fn a_client_that_was_registered_by_hand_needs_no_registration() {
    let mut stack = Stack::start().await;
    stack
        .restart_with(&[
            ("DCR_ENABLED", "false"),
            ("DCR_IAT", ""),
            ("DCR_CLIENT_ID", ""),
            ("DCR_CLIENT_PROFILE", ""),
            ("AUTH_CLIENT_ID", "bff-server"),
        ])
        .await;
    std::fs::remove_file(stack.credentials()).unwrap();
    stack.idp.clear_requests();
    stack.restart_with(&[]).await;
    let ada = stack.browser();
    ada.log_in().await;
    assert_eq!(stack.idp.count(Endpoint::Register), 0);
    assert_eq!(stack.idp.count(Endpoint::RegistrationManagement), 0);
    let (_, claims) = stack.idp.requests(Endpoint::Token)[0].assertion().unwrap();
    assert_eq!(claims["iss"], "bff-server");
    assert_eq!(claims["sub"], "bff-server");
    assert_eq!(claims["aud"], stack.issuer.as_str());
    assert_eq!(ada.get("/api/x").await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_audience_of_assertions_can_be_the_token_endpoint() {
    let stack = Stack::builder()
        .set("BFF_ASSERTION_AUDIENCE", "token_endpoint")
        .start()
        .await;
    stack.browser().log_in().await;
    let (_, claims) = stack.idp.requests(Endpoint::Token)[0].assertion().unwrap();
    assert_eq!(claims["aud"], format!("{}/token", stack.issuer));
}

/// Before, the log explains the refusal.
#[tokio::test]
async fn the_configured_audience_is_sent_to_every_endpoint() {
    for (insists, right, wrong) in [
        (AssertionAudience::TokenEndpoint, "token_endpoint", "issuer"),
        (AssertionAudience::Issuer, "issuer", "token_endpoint"),
    ] {
        let logs = Logs::capture();
        let mut stack = Stack::builder()
            .prepare(move |idp| idp.require_assertion_audience(insists))
            .set("BFF_ASSERTION_AUDIENCE", wrong)
            .start()
            .await;
        let reply = stack.browser().get_json("/auth/login").await;
        super::is_problem(&reply, StatusCode::BAD_GATEWAY, "idp_refused");
        let line = logs.has_part("ERROR", "a login could not be started");
        for part in ["the aud of the assertion must be", "BFF_ASSERTION_AUDIENCE"] {
            assert!(line.contains(part), "{part}: {line}");
        }
        let changes = [("DCR_IAT", ""), ("BFF_ASSERTION_AUDIENCE", right)];
        stack.restart_with(&changes).await;
        let ada = stack.browser();
        ada.log_in().await;
        ada.post("/auth/logout").await;
        stack
            .until("the tokens are revoked", |stack| {
                stack.idp.count(Endpoint::Revoke) > 0
            })
            .await;
        assert_eq!(logs.lines("ERROR").len(), 1, "{}", logs.text());
    }
}
