use http::header::AUTHORIZATION;
use serde_json::json;

use super::*;
use crate::oidc::testing::{Answer, Provider};

async fn asked(provider: &Provider, answer: Answer) -> Result<Option<Claims>, UserInfoError> {
    provider.answers("/userinfo", [answer]);
    let party = provider.party().await;
    party.user_info(&"at".into(), "alice").await
}

#[tokio::test]
async fn the_claims_of_the_same_person_come_back() {
    let provider = Provider::start().await;
    let answer = Answer::json(
        StatusCode::OK,
        &json!({"sub": "alice", "email": "alice@example.org"}),
    );
    let claims = asked(&provider, answer).await.unwrap().unwrap();
    assert_eq!(claims["email"], "alice@example.org");
    let seen = &provider.requests_to("/userinfo")[0];
    assert_eq!(seen.method, http::Method::GET);
    assert_eq!(seen.headers[AUTHORIZATION], "Bearer at");
}

#[tokio::test]
async fn another_or_no_subject_is_refused() {
    let provider = Provider::start().await;
    for (body, another) in [
        (json!({"sub": "mallory"}), true),
        (json!({"email": "x"}), false),
        (json!({"sub": ["alice"]}), false),
        (json!({"sub": "Alice"}), true),
    ] {
        let error = asked(&provider, Answer::json(StatusCode::OK, &body))
            .await
            .unwrap_err();
        let as_expected = match error {
            UserInfoError::Subject => another,
            UserInfoError::NoSubject => !another,
            _ => false,
        };
        assert!(as_expected, "{body} {error:?}");
        assert!(!error.is_transient());
    }
}

#[tokio::test]
async fn signed_answers_are_told_apart_from_garbage() {
    let provider = Provider::start().await;
    let mut answer = Answer::html(StatusCode::OK);
    answer.headers[0].1 = "application/jwt".to_owned();
    let error = asked(&provider, answer).await.unwrap_err();
    assert!(
        error.to_string().contains("userinfo_signed_response_alg"),
        "{error}"
    );

    let large = json!({"sub": "alice", "x": "x".repeat(MAX_DOCUMENT)});
    for answer in [
        Answer::html(StatusCode::OK),
        Answer::json(StatusCode::OK, &json!(["sub"])),
        Answer::json(StatusCode::OK, &large),
    ] {
        let error = asked(&provider, answer).await.unwrap_err();
        assert!(matches!(error, UserInfoError::Malformed), "{error:?}");
    }
}

#[tokio::test]
async fn other_answers_are_sorted_by_whether_they_may_pass() {
    let provider = Provider::start().await;
    for (answer, transient) in [
        (Answer::html(StatusCode::UNAUTHORIZED), false),
        (Answer::redirect("/elsewhere"), false),
        (Answer::html(StatusCode::TOO_MANY_REQUESTS), true),
        (Answer::html(StatusCode::BAD_GATEWAY), true),
    ] {
        let error = asked(&provider, answer).await.unwrap_err();
        assert!(matches!(error, UserInfoError::Status(_)), "{error:?}");
        assert_eq!(error.is_transient(), transient, "{error}");
    }
    assert!(provider.requests_to("/elsewhere").is_empty());
}

#[tokio::test]
async fn a_provider_without_the_endpoint_has_no_claims() {
    let provider = Provider::start().await;
    provider.change_metadata(|document| {
        document.remove("userinfo_endpoint");
    });
    let party = provider.party().await;
    assert_eq!(party.user_info(&"at".into(), "alice").await.unwrap(), None);
}
