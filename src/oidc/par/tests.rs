use http::StatusCode;
use serde_json::json;

use super::*;
use crate::oidc::{
    OAuthError,
    testing::{Answer, CLIENT_ID, FakeIdp, authorization_request as request},
};

async fn pushed(provider: &FakeIdp, answer: Answer) -> Result<Url, CallError> {
    provider.answers("/par", [answer]);
    provider.party().await.authorization_url(&request()).await
}

#[tokio::test]
async fn the_whole_request_is_pushed_with_authentication() {
    let provider = FakeIdp::start().await;
    let answer = Answer::json(
        StatusCode::CREATED,
        &json!({"request_uri": "urn:x:1", "expires_in": 60}),
    );
    pushed(&provider, answer).await.unwrap();
    let seen = provider.requests_to("/par");
    assert_eq!(seen.len(), 1);
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", CLIENT_ID),
        ("redirect_uri", "https://app.example/auth/callback"),
        ("state", "state-1"),
        ("nonce", "nonce-1"),
        ("code_challenge_method", "S256"),
        ("max_age", "0"),
    ] {
        assert_eq!(seen[0].field(name), Some(value));
    }
    assert!(seen[0].field("client_assertion").is_some());
    assert_eq!(seen[0].field("ui_locales"), None);
}

/// They do not fit into a URL or make no sense.
#[tokio::test]
async fn unusable_answers_are_refused() {
    let provider = FakeIdp::start().await;
    for body in [
        json!({}),
        json!([]),
        json!({"expires_in": 60}),
        json!({"request_uri": "", "expires_in": 60}),
        json!({"request_uri": 7, "expires_in": 60}),
        json!({"request_uri": "urn:x y", "expires_in": 60}),
        json!({"request_uri": "urn:x\n", "expires_in": 60}),
        json!({"request_uri": "x".repeat(MAX_REQUEST_URI + 1), "expires_in": 60}),
    ] {
        let error = pushed(&provider, Answer::json(StatusCode::CREATED, &body))
            .await
            .unwrap_err();
        assert!(matches!(error, CallError::Malformed(_)), "{body} {error:?}");
        assert!(
            !body.is_object() || error.to_string().contains("`request_uri`"),
            "{error}"
        );
    }
    let error = pushed(&provider, Answer::html(StatusCode::OK)).await.unwrap_err();
    assert!(matches!(error, CallError::Malformed(_)), "{error:?}");
}

#[tokio::test]
async fn an_expiry_that_makes_no_sense_costs_nobody_the_login() {
    let provider = FakeIdp::start().await;
    for expiry in [
        json!(60),
        json!("60"),
        json!(60.5),
        json!(0),
        json!(-5),
        json!("soon"),
        json!(null),
        json!([]),
    ] {
        let body = json!({"request_uri": "urn:x", "expires_in": expiry});
        let url = pushed(&provider, Answer::json(StatusCode::CREATED, &body)).await;
        assert!(url.is_ok(), "{expiry} {url:?}");
    }
}

#[tokio::test]
async fn refusals_come_through_as_they_are() {
    let provider = FakeIdp::start().await;
    let answer = Answer::json(
        StatusCode::BAD_REQUEST,
        &json!({"error": "invalid_scope", "error_description": "no"}),
    );
    let error = pushed(&provider, answer).await.unwrap_err();
    assert!(
        matches!(&error, CallError::Rejected(error) if *error == OAuthError::new("invalid_scope", Some("no"))),
        "{error:?}"
    );
    let error = pushed(&provider, Answer::html(StatusCode::BAD_GATEWAY))
        .await
        .unwrap_err();
    assert!(matches!(error, CallError::Unavailable { .. }), "{error:?}");
}

#[tokio::test]
async fn attack_36_a_redirect_from_the_par_endpoint_is_not_followed() {
    let provider = FakeIdp::start().await;
    let error = pushed(&provider, Answer::redirect("/elsewhere"))
        .await
        .unwrap_err();
    assert!(matches!(error, CallError::Unexpected { .. }), "{error:?}");
    assert!(provider.requests_to("/elsewhere").is_empty());
}

#[test]
fn debug_does_not_show_the_reference() {
    let pushed = PushedRequest {
        request_uri: "urn:secret".to_owned(),
        expires_in: None,
    };
    assert!(!format!("{pushed:?}").contains("secret"));
}
