use http::StatusCode;
use serde_json::json;

use super::*;
use crate::{
    oidc::testing::{Answer, FakeIdp},
    telemetry::testing::Logs,
};

const TYPE: &str = "urn:ietf:params:oauth:token-type:access_token";

fn orders() -> Target {
    Target::new(
        Some("https://orders.example".to_owned()),
        vec!["orders.read".to_owned()],
    )
}

fn token() -> Value {
    json!({"access_token": "at-1", "token_type": "Bearer", "expires_in": 60})
}

/// A provider with the grant, which lists `resources`.
async fn idp(resources: &[&str]) -> FakeIdp {
    let idp = FakeIdp::start().await;
    idp.change_metadata(|document| {
        document.insert("grant_types_supported".to_owned(), json!([TOKEN_EXCHANGE]));
        document.insert("protected_resources".to_owned(), json!(resources));
        document.remove("pushed_authorization_request_endpoint");
    });
    idp
}

#[tokio::test]
async fn a_service_token_is_asked_for_with_our_assertion() {
    let idp = idp(&[]).await;
    idp.answer("/token", StatusCode::OK, &token());
    let issued = idp.party().await.service_token(&orders()).await.unwrap();
    assert_eq!(issued.access_token.expose(), "at-1");
    assert_eq!(issued.expires_in, Duration::from_mins(1));
    let seen = &idp.requests_to("/token")[0];
    assert_eq!(seen.field("grant_type"), Some("client_credentials"));
    assert_eq!(seen.field("audience"), Some("https://orders.example"));
    assert_eq!(seen.field("resource"), None);
    assert_eq!(seen.field("scope"), Some("orders.read"));
    assert!(seen.field("client_assertion").is_some());
}

#[tokio::test]
async fn an_exchange_names_subject_and_types() {
    let idp = idp(&["https://orders.example"]).await;
    let mut answer = token();
    answer["issued_token_type"] = json!(TYPE);
    answer["refresh_token"] = json!("dropped");
    idp.answer("/token", StatusCode::OK, &answer);
    let party = idp.party().await;
    let issued = party.exchange_token(&"subject".into(), &orders()).await.unwrap();
    assert_eq!(issued.access_token.expose(), "at-1");
    let seen = &idp.requests_to("/token")[0];
    assert_eq!(seen.field("grant_type"), Some(TOKEN_EXCHANGE));
    assert_eq!(seen.field("subject_token"), Some("subject"));
    assert_eq!(seen.field("subject_token_type"), Some(TYPE));
    assert_eq!(seen.field("requested_token_type"), Some(TYPE));
    // The provider lists it.
    assert_eq!(seen.field("resource"), Some("https://orders.example"));
    assert_eq!(seen.field("audience"), None);
}

#[tokio::test]
async fn an_exchange_for_another_kind_of_token_is_refused() {
    let idp = idp(&[]).await;
    let party = idp.party().await;
    for (member, value) in [
        ("issued_token_type", json!(null)),
        (
            "issued_token_type",
            json!("urn:ietf:params:oauth:token-type:id_token"),
        ),
        ("token_type", json!("N_A")),
        ("token_type", json!("DPoP")),
    ] {
        let mut answer = token();
        answer["issued_token_type"] = json!(TYPE);
        answer[member] = value.clone();
        idp.answers("/token", [Answer::json(StatusCode::OK, &answer)]);
        let error = party
            .exchange_token(&"subject".into(), &orders())
            .await
            .unwrap_err();
        assert_eq!(error.reason(), "unusable_answer", "{member} {value}");
        assert!(!error.may_pass());
    }
}

#[tokio::test]
async fn less_scope_than_asked_for_is_no_token() {
    let idp = idp(&[]).await;
    let party = idp.party().await;
    for (scope, is_enough) in [("orders.read more", true), ("orders", false), ("", true)] {
        let mut answer = token();
        answer["scope"] = json!(scope);
        idp.answers("/token", [Answer::json(StatusCode::OK, &answer)]);
        let issued = party.service_token(&orders()).await;
        assert_eq!(issued.is_ok(), is_enough, "{scope}");
        assert!(issued.is_ok() || issued.unwrap_err().reason() == "invalid_scope");
    }
}

#[tokio::test]
async fn every_failure_has_a_reason_and_no_token_in_it() {
    let logs = Logs::capture();
    let idp = idp(&[]).await;
    let party = idp.party().await;
    for (status, body, reason, may_pass) in [
        (400, json!({"error": "invalid_target"}), "invalid_target", false),
        (400, json!({"error": "invalid_scope"}), "invalid_scope", false),
        (
            400,
            json!({"error": "unauthorized_client"}),
            "unauthorized_client",
            false,
        ),
        (
            400,
            json!({"error": "unsupported_grant_type"}),
            "unsupported_grant_type",
            false,
        ),
        (401, json!({"error": "invalid_client"}), "invalid_client", false),
        (400, json!({"error": "planted-subject"}), "refused", false),
        (502, json!({}), "unreachable", true),
        (200, json!({}), "unusable_answer", false),
    ] {
        let answer = Answer::json(StatusCode::from_u16(status).unwrap(), &body);
        idp.answers("/token", [answer]);
        let error = party
            .exchange_token(&"planted-subject".into(), &orders())
            .await
            .unwrap_err();
        assert_eq!((error.reason(), error.may_pass()), (reason, may_pass), "{body}");
        assert!(
            !format!("{error} {error:?} {}", error.told()).contains("planted"),
            "{error}"
        );
    }
    assert!(!logs.text().contains("planted"));
}

#[tokio::test]
async fn the_way_to_a_token_follows_from_the_metadata() {
    let idp = idp(&["https://orders.example"]).await;
    let party = idp.party().await;
    assert_eq!(party.way_to(&orders()).unwrap(), Way::Resource);
    let other = Target::new(Some("https://other.example".to_owned()), Vec::new());
    assert_eq!(party.way_to(&other).unwrap(), Way::Exchange);
    let idp = FakeIdp::start().await;
    let error = idp.party().await.way_to(&orders()).unwrap_err();
    assert_eq!(error.reason(), "unsupported");
    assert!(
        error.told().contains("[ResourceIndicators]=always"),
        "{}",
        error.told()
    );
}

#[tokio::test]
async fn a_login_names_the_apis_of_its_routes() {
    let idp = idp(&["https://orders.example", "https://bills.example"]).await;
    let party = idp.party().await;
    let audiences = [
        "https://orders.example",
        "https://bills.example",
        "urn:not-listed",
    ];
    party.ask_for(audiences.map(str::to_owned).to_vec());
    let request = crate::oidc::testing::authorization_request();
    let url = party.authorization_url(&request).await.unwrap();
    let resources: Vec<_> = url
        .query_pairs()
        .filter(|(name, _)| name == "resource")
        .map(|(_, value)| value.into_owned())
        .collect();
    assert_eq!(resources, ["https://orders.example", "https://bills.example"]);
}

#[test]
fn a_resource_is_a_uri_without_a_fragment() {
    for (audience, expected) in [
        ("https://orders.example/v1?x=y", true),
        ("urn:orders", true),
        ("orders", false),
        ("https://orders.example#x", false),
    ] {
        assert_eq!(is_resource(audience), expected, "{audience}");
    }
}
