use serde_json::json;

use super::*;
use crate::{
    diagnostic::Knob,
    oidc::testing::{Answer, FakeIdp},
    telemetry::testing::Logs,
    url_policy::HttpPolicy,
};

const WELL_KNOWN: &str = "/.well-known/openid-configuration";

fn unreachable_url() -> Url {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap()
}

async fn failure(provider: &FakeIdp) -> DiscoveryError {
    let party = provider.undiscovered(provider.options());
    let error = party.provider().discover().await.unwrap_err();
    assert!(party.provider().metadata().is_none());
    error
}

#[tokio::test]
async fn the_document_is_read_below_the_issuer_and_kept() {
    let provider = FakeIdp::start().await;
    let party = provider.undiscovered(provider.options());
    let waiting = party.provider().wait_for_metadata();
    tokio::pin!(waiting);
    assert!(futures_util::poll!(&mut waiting).is_pending());
    let metadata = party.provider().discover().await.unwrap();
    assert_eq!(metadata.issuer, provider.issuer());
    assert!(Arc::ptr_eq(&metadata, &party.provider().metadata().unwrap()));
    assert!(Arc::ptr_eq(&metadata, &waiting.await));
    assert_eq!(provider.requests_to(WELL_KNOWN)[0].method, http::Method::GET);
}

#[tokio::test]
async fn an_issuer_is_compared_to_the_letter() {
    let provider = FakeIdp::start().await;
    let issuer = provider.issuer().to_owned();
    for found in [
        json!(format!("{issuer}/")),
        json!(issuer.to_uppercase()),
        json!(7),
        json!(null),
    ] {
        provider.change_metadata(|document| {
            document.insert("issuer".to_owned(), found.clone());
        });
        let error = failure(&provider).await;
        assert!(
            matches!(&error, DiscoveryError::IssuerMismatch { expected, .. } if *expected == issuer),
            "{found} {error:?}"
        );
        assert!(!error.is_transient());
        assert!(error.told().contains(&issuer));
    }
}

#[tokio::test]
async fn an_issuer_with_its_default_port_is_compared_to_the_letter() {
    let provider = FakeIdp::start().await;
    let issuer = "https://am.example:443/am/oauth2";
    let mut options = provider.options();
    options.provider.issuer = issuer.to_owned();
    options.provider.base_url = Some(provider.url.clone());
    for (found, fits) in [(issuer, true), ("https://am.example/am/oauth2", false)] {
        let mut document = provider.document();
        document.insert("issuer".to_owned(), json!(found));
        document.insert(
            "token_endpoint".to_owned(),
            json!("https://am.example:443/am/oauth2/token"),
        );
        document.insert("jwks_uri".to_owned(), json!("https://am.example/am/oauth2/jwks"));
        let at = format!("/am/oauth2{WELL_KNOWN}");
        provider.answer(&at, StatusCode::OK, &Value::Object(document));
        let outcome = provider.undiscovered(options.clone()).provider().discover().await;
        match outcome {
            Ok(metadata) => {
                assert!(fits, "{found}");
                assert_eq!(metadata.issuer, issuer);
                assert_eq!(
                    metadata.token_endpoint,
                    provider.url.join("/am/oauth2/token").unwrap()
                );
                assert_eq!(
                    metadata.token_endpoint_public,
                    "https://am.example:443/am/oauth2/token"
                );
            }
            Err(error) => assert!(
                !fits && matches!(error, DiscoveryError::IssuerMismatch { .. }),
                "{found} {error:?}"
            ),
        }
    }
}

#[tokio::test]
async fn a_template_in_the_place_of_the_issuer_is_told_as_what_it_is() {
    let provider = FakeIdp::start().await;
    let template = format!("{}/{{tenantid}}/v2.0", provider.issuer());
    provider.change_metadata(|document| {
        document.insert("issuer".to_owned(), json!(template));
    });
    let error = failure(&provider).await;
    assert!(!error.is_transient());
    let text = error.told();
    for part in ["as a template", &template, "[Issuer]", "tenant"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("[Issuer]="), "{text}");
}

/// Only `IDP_BASE_URL` is set.
#[tokio::test]
async fn another_issuer_at_the_base_url_prints_the_line_to_add() {
    let provider = FakeIdp::start().await;
    provider.change_metadata(|document| {
        document.insert("issuer".to_owned(), json!("https://idp.example/realms/x"));
    });
    let mut options = provider.options();
    options.provider.base_url = Some(provider.url.clone());
    let error = provider
        .undiscovered(options)
        .provider()
        .discover()
        .await
        .unwrap_err();
    let text = error.told();
    assert!(text.contains("[Issuer]=https://idp.example/realms/x"), "{text}");

    // A configured issuer appears beside the document's.
    let text = failure(&provider).await.to_string();
    assert!(text.contains("they must be equal to the letter"), "{text}");
}

#[tokio::test]
async fn the_base_url_gets_the_path_of_the_issuer() {
    let provider = FakeIdp::start().await;
    let mut document = provider.document();
    document.insert("issuer".to_owned(), json!("https://idp.example/realms/x"));
    document.insert(
        "token_endpoint".to_owned(),
        json!("https://idp.example/realms/x/token"),
    );
    let at = format!("/realms/x{WELL_KNOWN}");
    provider.answer(&at, StatusCode::OK, &Value::Object(document.clone()));
    let mut options = provider.options();
    options.provider.issuer = "https://idp.example/realms/x".to_owned();
    options.provider.base_url = Some(provider.url.clone());
    let metadata = provider
        .undiscovered(options.clone())
        .provider()
        .discover()
        .await
        .unwrap();
    assert_eq!(
        metadata.token_endpoint,
        provider.url.join("/realms/x/token").unwrap()
    );
    assert_eq!(
        metadata.token_endpoint_public,
        "https://idp.example/realms/x/token"
    );

    // Directly below the base URL, where nothing is there.
    provider.answers(&at, [Answer::json(StatusCode::NOT_FOUND, &json!({}))]);
    provider.answer(WELL_KNOWN, StatusCode::OK, &Value::Object(document));
    assert!(provider.undiscovered(options).provider().discover().await.is_ok());
}

#[tokio::test]
async fn no_answer_names_url_cause_and_variable_and_may_pass() {
    let provider = FakeIdp::start().await;
    let mut options = provider.options();
    let dead = unreachable_url();
    options.provider.issuer = dead.as_str().trim_end_matches('/').to_owned();
    let error = provider
        .undiscovered(options.clone())
        .provider()
        .discover()
        .await
        .unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    let text = error.told();
    assert!(text.contains(WELL_KNOWN) && text.contains("[Issuer]"), "{text}");
    assert!(text.to_lowercase().contains("refused"), "{text}");

    options.provider.base_url = Some(dead);
    let text = provider
        .undiscovered(options)
        .provider()
        .discover()
        .await
        .unwrap_err()
        .told();
    assert!(text.contains("[ProviderBase]"), "{text}");
}

#[tokio::test]
async fn other_answers_are_sorted_by_whether_they_may_pass() {
    let provider = FakeIdp::start().await;
    for (status, transient) in [
        (StatusCode::SERVICE_UNAVAILABLE, true),
        (StatusCode::BAD_GATEWAY, true),
        (StatusCode::TOO_MANY_REQUESTS, true),
        (StatusCode::NOT_FOUND, false),
        (StatusCode::FORBIDDEN, false),
        (StatusCode::NO_CONTENT, false),
    ] {
        provider.answers(WELL_KNOWN, [Answer::html(status)]);
        let error = failure(&provider).await;
        assert!(
            matches!(error, DiscoveryError::Status { status: found, .. } if found == status),
            "{error:?}"
        );
        assert_eq!(error.is_transient(), transient, "{status}");
    }
    provider.answers(WELL_KNOWN, [Answer::html(StatusCode::OK)]);
    let error = failure(&provider).await;
    assert!(matches!(error, DiscoveryError::NotJson { .. }) && error.is_transient());
    provider.answer(WELL_KNOWN, StatusCode::OK, &json!(["issuer"]));
    assert!(matches!(failure(&provider).await, DiscoveryError::NotJson { .. }));
}

/// The other endpoints work.
#[tokio::test]
async fn an_ignored_endpoint_is_logged_once() {
    let provider = FakeIdp::start().await;
    provider.change_metadata(|document| {
        document.insert("userinfo_endpoint".to_owned(), json!(""));
    });
    let logs = Logs::capture();
    let party = provider.party().await;
    assert!(party.provider().metadata().unwrap().userinfo_endpoint.is_none());
    party.provider().discover().await.unwrap();
    let text = logs.text();
    assert_eq!(text.matches("userinfo_endpoint").count(), 1, "{text}");
    assert!(
        text.contains("WARN") && text.contains("[UserinfoEndpoint]"),
        "{text}"
    );
}

#[tokio::test]
async fn attack_36_a_redirect_of_discovery_is_not_followed() {
    let provider = FakeIdp::start().await;
    provider.answer("/elsewhere", StatusCode::OK, &Value::Object(provider.document()));
    provider.answers(WELL_KNOWN, [Answer::redirect("/elsewhere")]);
    let error = failure(&provider).await;
    assert!(error.told().contains("redirects are not followed"), "{error}");
    assert!(provider.requests_to("/elsewhere").is_empty());
}

#[tokio::test]
async fn a_failure_does_not_forget_what_was_known() {
    let provider = FakeIdp::start().await;
    let party = provider.party().await;
    provider.answers(WELL_KNOWN, [Answer::html(StatusCode::BAD_GATEWAY)]);
    assert!(party.provider().discover().await.is_err());
    assert!(party.provider().metadata().is_some());
}

#[tokio::test]
async fn discovery_is_not_needed_if_all_endpoints_are_named() {
    let provider = FakeIdp::start().await;
    provider.answers(WELL_KNOWN, [Answer::html(StatusCode::NOT_FOUND)]);
    let mut options = provider.options();
    let at = |path: &str| Some(provider.url.join(path).unwrap());
    options.provider.overrides.authorization = at("/a");
    options.provider.overrides.token = at("/t");
    assert!(
        provider
            .undiscovered(options.clone())
            .provider()
            .discover()
            .await
            .is_err()
    );
    options.provider.overrides.jwks = at("/k");
    let metadata = provider
        .undiscovered(options)
        .provider()
        .discover()
        .await
        .unwrap();
    assert_eq!(metadata.token_endpoint, provider.url.join("/t").unwrap());
    assert_eq!(metadata.issuer, provider.issuer());
}

#[tokio::test]
async fn an_issuer_that_is_no_identifier_or_not_secure_is_not_asked() {
    let provider = FakeIdp::start().await;
    for issuer in [
        "",
        "idp.example",
        "https://idp.example?x=1",
        "https://idp.example/#x",
        "https://me@idp.example",
    ] {
        let mut options = provider.options();
        options.provider.issuer = issuer.to_owned();
        let error = provider
            .undiscovered(options)
            .provider()
            .discover()
            .await
            .unwrap_err();
        assert!(
            matches!(error, DiscoveryError::InvalidIssuer { .. }),
            "{issuer} {error:?}"
        );
        assert!(!error.is_transient());
    }
    let mut options = provider.options();
    options.provider.issuer = "http://idp.example".to_owned();
    let error = provider
        .undiscovered(options.clone())
        .provider()
        .discover()
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            DiscoveryError::Insecure {
                knob: Knob::Issuer,
                ..
            }
        ),
        "{error:?}"
    );
    options.provider.issuer = "https://idp.example".to_owned();
    options.provider.base_url = Some(Url::parse("http://10.0.0.1").unwrap());
    assert_eq!(options.provider.allow_http, HttpPolicy::LocalOnly);
    let error = provider
        .undiscovered(options)
        .provider()
        .discover()
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            DiscoveryError::Insecure {
                knob: Knob::ProviderBase,
                ..
            }
        ),
        "{error:?}"
    );
}

/// The issuer keeps the name that the provider uses for itself.
#[tokio::test]
async fn browsers_use_the_public_base() {
    let provider = FakeIdp::start().await;
    let mut options = provider.options();
    options.provider.public_base = Some(Url::parse("https://idp.example").unwrap());
    let inside = Url::parse(provider.issuer()).unwrap();
    for issuer in [
        provider.issuer().to_owned(),
        format!("https://idp.example{}", inside.path()),
    ] {
        provider.change_metadata(|document| {
            document.insert("issuer".to_owned(), json!(issuer));
        });
        let metadata = provider
            .undiscovered(options.clone())
            .provider()
            .discover()
            .await
            .unwrap();
        assert_eq!(metadata.issuer, issuer);
        let browsers = &metadata.authorization_endpoint;
        assert_eq!(
            browsers.origin().ascii_serialization(),
            "https://idp.example",
            "{issuer}"
        );
        for reached in [&metadata.token_endpoint, &metadata.jwks_uri] {
            assert_eq!(reached.origin(), inside.origin(), "{issuer}");
        }
    }
    provider.change_metadata(|document| {
        document.insert("issuer".to_owned(), json!("https://other.example"));
    });
    let error = provider
        .undiscovered(options)
        .provider()
        .discover()
        .await
        .unwrap_err();
    assert!(matches!(error, DiscoveryError::IssuerMismatch { .. }), "{error}");
}
