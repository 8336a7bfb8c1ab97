//! The three methods of client authentication, and the switch from each of them to each other by the environment and an
//! update of the registration: the recipe in docs/registration.md.

use http::StatusCode;
use serde_json::{Value, json};

use crate::support::Stack;

async fn secret_works(method: &str) {
    let mut stack = Stack::start(&json!({}), &[("MS_BFF_TOKEN_AUTH_METHOD", method)]).await;
    assert_eq!(stack.client().await["token_endpoint_auth_method"], method);
    assert!(stack.credentials()["client_secret"].is_string());
    stack.works().await;

    // An update contains the secret (RFC 7592 section 2.2), and does not change it.
    let before = stack.credentials();
    stack.restart(&[("OIDC_SCOPES", "openid offline_access")]).await;
    stack.logs.has_part("INFO", "registration updated: scope:");
    assert_eq!(stack.credentials()["client_secret"], before["client_secret"]);
    stack.works().await;
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

/// Switches from method to method in this order, and works with each; `rotates` is whether each update gives another
/// registration access token.
async fn switches(methods: &[&str], rotates: bool) {
    let settings = json!({"rotateRegistrationAccessToken": rotates});
    let (first, others) = methods.split_first().unwrap();
    let mut stack = Stack::start(&settings, &[("MS_BFF_TOKEN_AUTH_METHOD", first)]).await;
    let id = stack.client_id();
    for method in others {
        let before = stack.credentials();
        stack.restart(&[("MS_BFF_TOKEN_AUTH_METHOD", method)]).await;
        stack
            .logs
            .has_part("INFO", "registration updated: token_endpoint_auth_method:");
        let client = stack.client().await;
        assert_eq!(client["token_endpoint_auth_method"], *method);
        // This provider keeps the secret of a client that no longer uses one, and says so: the next update carries it.
        let secret = &stack.credentials()["client_secret"];
        assert_eq!(secret, &client["client_secret"]);
        if *method == "private_key_jwt" {
            assert_eq!(client["token_endpoint_auth_signing_alg"], "ES256");
            // It opens nothing any more.
            let given_up = before["client_secret"].as_str().unwrap();
            let status = stack.refresh_with(&id, given_up).await;
            assert_eq!(status, (StatusCode::UNAUTHORIZED, "invalid_client".to_owned()));
            stack.provider.forget_what_was_seen().await;
        } else {
            assert!(secret.is_string());
            assert_eq!(client["token_endpoint_auth_signing_alg"], Value::Null);
        }
        stack.works().await;
        stack.restart(&[]).await;
        stack.logs.has_line("INFO", "registration unchanged");
    }
    assert_eq!(stack.provider.clients().await, [id], "one client all the way");
}

#[tokio::test]
async fn methods_switch_from_key_to_basic_to_post_and_back() {
    let way = [
        "private_key_jwt",
        "client_secret_basic",
        "client_secret_post",
        "private_key_jwt",
    ];
    switches(&way, true).await;
}

#[tokio::test]
async fn methods_switch_from_key_to_post_to_basic_and_back() {
    let way = [
        "private_key_jwt",
        "client_secret_post",
        "client_secret_basic",
        "private_key_jwt",
    ];
    switches(&way, false).await;
}

#[tokio::test]
async fn a_client_that_began_with_a_secret_goes_over_to_the_key() {
    switches(&["client_secret_basic", "private_key_jwt"], true).await;
}

#[tokio::test]
async fn an_unsupported_method_keeps_the_registered_one() {
    for (allowed, wanted) in [
        ("private_key_jwt", "client_secret_basic"),
        ("client_secret_post", "private_key_jwt"),
    ] {
        let settings = json!({"clientAuthMethods": [allowed]});
        let mut stack = Stack::start(&settings, &[("MS_BFF_TOKEN_AUTH_METHOD", allowed)]).await;
        stack.restart(&[("MS_BFF_TOKEN_AUTH_METHOD", wanted)]).await;
        let line = stack
            .logs
            .has_part("ERROR", "the stored registration stays in use");
        for part in ["invalid_client_metadata", "MS_BFF_TOKEN_AUTH_METHOD"] {
            assert!(line.contains(part), "{part} in {line}");
        }
        stack.logs.has_part(
            "WARN",
            &format!("is registered with {allowed}, not with {wanted} as configured"),
        );
        assert_eq!(stack.client().await["token_endpoint_auth_method"], allowed);
        stack.provider.forget_what_was_seen().await;
        stack.works().await;
    }
}
