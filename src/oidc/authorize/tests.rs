use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::json;

use super::*;
use crate::{
    diagnostic::Explain as _,
    oidc::testing::{CLIENT_ID, FakeIdp, authorization_request as request},
    random::SystemRandom,
};

fn query(url: &Url) -> BTreeMap<String, String> {
    let query: BTreeMap<_, _> = url.query_pairs().into_owned().collect();
    assert_eq!(
        query.len(),
        url.query_pairs().count(),
        "a parameter appears twice"
    );
    query
}

#[test]
fn the_challenge_is_that_of_rfc_7636_appendix_b() {
    let pkce = Pkce::from_verifier("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".into());
    assert_eq!(pkce.challenge, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
}

/// RFC 7636 section 4.1.
#[test]
fn verifiers_are_random_and_have_the_recommended_length() {
    let (one, two) = (Pkce::generate(&SystemRandom), Pkce::generate(&SystemRandom));
    assert_ne!(one.verifier, two.verifier);
    assert_eq!(one.verifier.expose().len(), 43);
    assert!(!format!("{one:?}").contains(one.verifier.expose()));
}

#[tokio::test]
async fn the_url_has_every_parameter_once_and_no_empty_one() {
    let provider = FakeIdp::start().await;
    provider.change_metadata(|document| {
        document.remove("pushed_authorization_request_endpoint");
    });
    let party = provider.party().await;
    let url = party.authorization_url(&request()).await.unwrap();
    assert!(
        url.as_str()
            .starts_with(&format!("{}/authorize?", provider.issuer()))
    );
    let expected = [
        ("response_type", "code"),
        ("client_id", CLIENT_ID),
        ("redirect_uri", "https://app.example/auth/callback"),
        ("scope", "openid profile"),
        ("state", "state-1"),
        ("nonce", "nonce-1"),
        ("code_challenge", "challenge-1"),
        ("code_challenge_method", "S256"),
        ("prompt", "consent"),
        ("login_hint", "alice & bob+c@example.org"),
        ("max_age", "0"),
    ];
    let expected: BTreeMap<_, _> = expected
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    assert_eq!(query(&url), expected);
}

#[tokio::test]
async fn the_endpoints_own_query_stays_but_cannot_double_a_parameter() {
    let provider = FakeIdp::start().await;
    provider.change_metadata(|document| {
        let endpoint = format!("{}/authorize?tenant=a%20b&client_id=evil", provider.issuer());
        document.insert("authorization_endpoint".to_owned(), json!(endpoint));
    });
    let mut options = provider.options();
    options.par = ParMode::Never;
    let party = provider.party_with(options).await;
    let url = party.authorization_url(&request()).await.unwrap();
    assert_eq!(query(&url)["tenant"], "a b");
    assert_eq!(query(&url)["client_id"], CLIENT_ID);
    assert!(provider.requests_to("/par").is_empty());
}

#[tokio::test]
async fn a_pushed_request_leaves_nothing_but_its_reference_in_the_url() {
    let provider = FakeIdp::start().await;
    let reference = "urn:ietf:params:oauth:request_uri:6esc_11ACC5bwc014ltc14eY22c";
    provider.answer(
        "/par",
        StatusCode::CREATED,
        &json!({"request_uri": reference, "expires_in": 60}),
    );
    let url = provider
        .party()
        .await
        .authorization_url(&request())
        .await
        .unwrap();
    let query = query(&url);
    assert_eq!(query.len(), 2);
    assert_eq!(query["client_id"], CLIENT_ID);
    assert_eq!(query["request_uri"], reference);
}

#[tokio::test]
async fn par_that_must_be_and_cannot_is_told() {
    let provider = FakeIdp::start().await;
    provider.change_metadata(|document| {
        document.remove("pushed_authorization_request_endpoint");
    });
    let mut options = provider.options();
    options.par = ParMode::Always;
    let error = provider
        .party_with(options)
        .await
        .authorization_url(&request())
        .await
        .unwrap_err();
    assert!(error.told().contains("[Par]"), "{error}");
}

#[test]
fn debug_shows_neither_state_nor_nonce_nor_hint() {
    let debug = format!("{:?}", request());
    for secret in ["state-1", "nonce-1", "alice"] {
        assert!(!debug.contains(secret), "{debug}");
    }
}
