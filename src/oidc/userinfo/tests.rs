use http::header::AUTHORIZATION;
use serde_json::json;

use super::*;
use crate::{
    oidc::testing::{Answer, FakeIdp},
    telemetry::testing::Logs,
};

async fn asked(provider: &FakeIdp, answer: Answer) -> Result<Option<Claims>, UserInfoError> {
    provider.answers("/userinfo", [answer]);
    let party = provider.party().await;
    party.user_info(&"at".into(), "alice").await
}

#[tokio::test]
async fn the_claims_of_the_same_person_come_back() {
    let provider = FakeIdp::start().await;
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
    let provider = FakeIdp::start().await;
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
    let provider = FakeIdp::start().await;
    let mut answer = Answer::html(StatusCode::OK);
    answer.headers[0].1 = "application/jwt".to_owned();
    let error = asked(&provider, answer).await.unwrap_err();
    assert!(error.told().contains("userinfo_signed_response_alg"), "{error}");

    for answer in [
        Answer::html(StatusCode::OK),
        Answer::json(StatusCode::OK, &json!(["sub"])),
    ] {
        let error = asked(&provider, answer).await.unwrap_err();
        assert!(matches!(error, UserInfoError::Malformed(_)), "{error:?}");
    }
}

#[tokio::test]
async fn a_document_may_have_256_kib() {
    let provider = FakeIdp::start().await;
    let sized = |size: usize| {
        let empty = json!({"sub": "alice", "x": ""}).to_string().len();
        Answer::json(
            StatusCode::OK,
            &json!({"sub": "alice", "x": "x".repeat(size - empty)}),
        )
    };
    assert!(asked(&provider, sized(256 * 1024)).await.is_ok());
    let error = asked(&provider, sized(256 * 1024 + 1)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "UserInfo has 262145 bytes; at most 262144 are accepted"
    );
}

#[tokio::test]
async fn a_subject_that_became_a_number_is_the_same() {
    let provider = FakeIdp::start().await;
    let answer = Answer::json(StatusCode::OK, &json!({"sub": 1234}));
    provider.answers("/userinfo", [answer]);
    let party = provider.party().await;
    assert!(party.user_info(&"at".into(), "1234").await.is_ok());
    for other in ["123", "1234.0", "01234"] {
        let error = party.user_info(&"at".into(), other).await.unwrap_err();
        assert!(matches!(error, UserInfoError::Subject), "{other} {error:?}");
    }
}

/// The log names each cause once.
#[tokio::test]
async fn a_login_continues_without_userinfo() {
    let logs = Logs::capture();
    let provider = FakeIdp::start().await;
    let party = provider.party().await;
    let mut warnings = 0;
    for status in [401, 403, 404, 500, 503].map(|code| StatusCode::from_u16(code).unwrap()) {
        provider.answers("/userinfo", [Answer::html(status)]);
        for _ in 0..3 {
            assert_eq!(
                party.user_info_at_login(&"at".into(), "alice").await.unwrap(),
                None
            );
        }
        warnings += 1;
        assert_eq!(logs.count("WARN"), warnings, "{}", logs.text());
    }
    logs.has("[UserinfoEndpoint]=none");
    // It worked meanwhile, so that a failure is news again.
    provider.answer("/userinfo", StatusCode::OK, &json!({"sub": "alice"}));
    assert!(
        party
            .user_info_at_login(&"at".into(), "alice")
            .await
            .unwrap()
            .is_some()
    );
    provider.answers("/userinfo", [Answer::html(StatusCode::SERVICE_UNAVAILABLE)]);
    assert!(
        party
            .user_info_at_login(&"at".into(), "alice")
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(logs.count("WARN"), warnings + 1);

    // A renewal does not repeat the log line of a login, and the other way round.
    let renewal = |status: StatusCode| {
        provider.answers("/userinfo", [Answer::html(status)]);
        async {
            let wait = Duration::from_secs(5);
            party.user_info_after_refresh(&"at".into(), "alice", wait).await
        }
    };
    assert_eq!(renewal(StatusCode::SERVICE_UNAVAILABLE).await.unwrap(), None);
    assert_eq!(logs.count("WARN"), warnings + 1);
    for _ in 0..3 {
        assert_eq!(renewal(StatusCode::NOT_FOUND).await.unwrap(), None);
    }
    assert_eq!(logs.count("WARN"), warnings + 2);

    for foreign in [json!({"sub": "mallory"}), json!({"sub": null}), json!({})] {
        provider.answer("/userinfo", StatusCode::OK, &foreign);
        assert!(
            party.user_info_at_login(&"at".into(), "alice").await.is_err(),
            "{foreign}"
        );
    }
}

#[tokio::test]
async fn other_answers_are_sorted_by_whether_they_may_pass() {
    let provider = FakeIdp::start().await;
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
    let provider = FakeIdp::start().await;
    provider.change_metadata(|document| {
        document.remove("userinfo_endpoint");
    });
    let party = provider.party().await;
    assert_eq!(party.user_info(&"at".into(), "alice").await.unwrap(), None);
}
