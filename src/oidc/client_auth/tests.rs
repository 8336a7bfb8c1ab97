use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{StatusCode, header::AUTHORIZATION};
use serde_json::{Value, json};

use super::*;
use crate::{
    clock::Clock as _,
    jose::{Audience, KeySet, Policy, Typ, verify},
    oidc::testing::{Answer, CLIENT_ID, FakeIdp},
};

const REFRESHED: &str = "/token";

fn tokens() -> Value {
    json!({"access_token": "at", "token_type": "Bearer", "expires_in": 60})
}

fn part(assertion: &str, index: usize) -> Value {
    let part = assertion.split('.').nth(index).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[tokio::test]
async fn an_assertion_has_exactly_the_claims_of_the_contract() {
    let provider = FakeIdp::start().await;
    provider.answer(REFRESHED, StatusCode::OK, &tokens());
    let party = provider.party().await;
    party.refresh(&"rt".into()).await.unwrap();
    let seen = &provider.requests_to(REFRESHED)[0];
    assert_eq!(seen.field("client_id"), Some(CLIENT_ID));
    assert_eq!(
        seen.field("client_assertion_type"),
        Some("urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
    );
    assert_eq!(seen.field("client_secret"), None);
    assert!(!seen.headers.contains_key(AUTHORIZATION));

    let assertion = seen.field("client_assertion").unwrap();
    assert_eq!(
        part(assertion, 0),
        json!({"typ": "client-authentication+jwt", "alg": "ES256", "kid": "bff-key-1"})
    );
    let claims = part(assertion, 1);
    let now = provider.clock.now().unix_seconds();
    let jti = claims["jti"].as_str().unwrap();
    assert_eq!(URL_SAFE_NO_PAD.decode(jti).unwrap().len(), 16);
    assert_eq!(
        claims,
        json!({
            "iss": CLIENT_ID, "sub": CLIENT_ID, "aud": provider.issuer(), "jti": jti, "iat": now, "exp": now + 60,
        })
    );

    // Nothing of it would pass for an ID token.
    let (assertion, header) = asserted(AssertionTyp::None, AssertionAudience::Issuer).await;
    assert_eq!(header.get("typ"), None);
    let (assertion, provider) = (assertion.0.as_str(), assertion.1);
    let keys = provider.keys.public_jwks().to_string();
    let policy = Policy {
        algorithms: &[Algorithm::ES256],
        typ: Typ::IdToken,
        issuer: CLIENT_ID,
        audience: Audience::Client {
            id: provider.issuer(),
            trusted: &[],
        },
    };
    let keys = KeySet::parse(keys.as_bytes()).unwrap();
    verify(assertion, &keys, &policy, provider.clock.now()).unwrap();
}

/// An assertion that was sent, with the provider that it was sent to, and its header.
async fn asserted(typ: AssertionTyp, audience: AssertionAudience) -> ((String, FakeIdp), Value) {
    let provider = FakeIdp::start().await;
    provider.answer(REFRESHED, StatusCode::OK, &tokens());
    let mut options = provider.options();
    options.assertion_typ = typ;
    options.assertion_audience = audience;
    let party = provider.party_with(options).await;
    party.refresh(&"rt".into()).await.unwrap();
    let seen = &provider.requests_to(REFRESHED)[0];
    let assertion = seen.field("client_assertion").unwrap().to_owned();
    let header = part(&assertion, 0);
    ((assertion, provider), header)
}

/// `BFF_ASSERTION_TYP=none` removes it.
#[tokio::test]
async fn an_assertion_for_the_issuer_has_a_typ() {
    use AssertionAudience::{Issuer, TokenEndpoint};
    for (typ, audience, expected) in [
        (AssertionTyp::Auto, Issuer, Some("client-authentication+jwt")),
        (AssertionTyp::Auto, TokenEndpoint, Some("JWT")),
        (AssertionTyp::None, Issuer, None),
        (AssertionTyp::None, TokenEndpoint, None),
    ] {
        let (_, header) = asserted(typ, audience).await;
        let found = header.get("typ").and_then(Value::as_str);
        assert_eq!(found, expected, "{typ:?} {audience:?}");
    }
}

#[tokio::test]
async fn the_audience_can_be_the_token_endpoint_in_its_public_form() {
    let provider = FakeIdp::start().await;
    provider.answer(REFRESHED, StatusCode::OK, &tokens());
    provider.change_metadata(|document| {
        document.insert("issuer".to_owned(), json!("https://idp.example"));
        document.insert("token_endpoint".to_owned(), json!("https://idp.example/token"));
    });
    let mut options = provider.options();
    options.provider.issuer = "https://idp.example".to_owned();
    options.provider.base_url = Some(provider.url.clone());
    options.assertion_audience = AssertionAudience::TokenEndpoint;
    let party = provider.party_with(options).await;
    party.refresh(&"rt".into()).await.unwrap();
    let seen = &provider.requests_to(REFRESHED)[0];
    let claims = part(seen.field("client_assertion").unwrap(), 1);
    assert_eq!(claims["aud"], "https://idp.example/token");
}

#[tokio::test]
async fn attack_15_every_retry_carries_an_assertion_with_a_fresh_jti() {
    let provider = FakeIdp::start().await;
    let busy = || Answer::html(StatusCode::SERVICE_UNAVAILABLE);
    let done = Answer::json(StatusCode::OK, &tokens());
    provider.answers(REFRESHED, [busy(), busy(), done]);
    let party = provider.party().await;
    party.refresh(&"rt".into()).await.unwrap();
    let seen = provider.requests_to(REFRESHED);
    assert_eq!(seen.len(), 3);
    let ids: BTreeSet<String> = seen
        .iter()
        .map(|seen| part(seen.field("client_assertion").unwrap(), 1)["jti"].to_string())
        .collect();
    assert_eq!(ids.len(), 3);
}

/// They appear only in their header.
#[tokio::test]
async fn basic_credentials_are_form_encoded() {
    let provider = FakeIdp::start().await;
    provider.answer(REFRESHED, StatusCode::OK, &tokens());
    let party = provider.party().await;
    party.client().set(Client {
        id: "a:b c".to_owned(),
        auth: ClientAuthentication::ClientSecretBasic("p&s:ü".into()),
    });
    party.refresh(&"rt".into()).await.unwrap();
    let seen = &provider.requests_to(REFRESHED)[0];
    // a%3Ab+c:p%26s%3A%C3%BC
    assert_eq!(
        seen.headers[AUTHORIZATION],
        "Basic YSUzQWIrYzpwJTI2cyUzQSVDMyVCQw=="
    );
    for absent in ["client_id", "client_secret", "client_assertion"] {
        assert_eq!(seen.field(absent), None);
    }
}

#[tokio::test]
async fn posted_credentials_are_in_the_body_alone() {
    let provider = FakeIdp::start().await;
    provider.answer(REFRESHED, StatusCode::OK, &tokens());
    let party = provider.party().await;
    party.client().set(Client {
        id: "me".to_owned(),
        auth: ClientAuthentication::ClientSecretPost("p&s".into()),
    });
    party.refresh(&"rt".into()).await.unwrap();
    let seen = &provider.requests_to(REFRESHED)[0];
    assert_eq!(seen.field("client_id"), Some("me"));
    assert_eq!(seen.field("client_secret"), Some("p&s"));
    assert!(!seen.headers.contains_key(AUTHORIZATION));
}

#[tokio::test]
async fn attack_39_encoded_credentials_are_not_shown_either() {
    let provider = FakeIdp::start().await;
    let party = provider.party().await;
    for auth in [
        ClientAuthentication::ClientSecretPost,
        ClientAuthentication::ClientSecretBasic,
    ] {
        party.client().set(Client {
            id: "me".to_owned(),
            auth: auth("p&s: 7".into()),
        });
        let quoted = STANDARD.encode("me:p&s: 7");
        let description = format!("you sent {quoted}");
        let refusal = json!({"error": "invalid_client", "error_description": description});
        provider.answer(REFRESHED, StatusCode::UNAUTHORIZED, &refusal);
        let error = party.refresh(&"rt".into()).await.unwrap_err().told();
        assert!(
            error.contains("you sent") && !error.contains(&quoted[..12]),
            "{error}"
        );
    }
}

#[tokio::test]
async fn an_algorithm_that_the_key_does_not_do_sends_nothing() {
    let provider = FakeIdp::start().await;
    let party = provider.party().await;
    party.client().set(Client {
        id: "me".to_owned(),
        auth: ClientAuthentication::PrivateKeyJwt {
            algorithm: Algorithm::RS256,
        },
    });
    let error = party.refresh(&"rt".into()).await.unwrap_err();
    assert!(matches!(error, crate::oidc::CallError::Signing(_)), "{error:?}");
    assert_eq!(error.meaning(), crate::oidc::Meaning::NotSent);
    assert!(!error.outcome_unknown());
    assert!(provider.requests_to(REFRESHED).is_empty());
}

#[test]
fn the_algorithm_is_negotiated_from_key_and_provider() {
    const RSA: &[Algorithm] = &[Algorithm::PS256, Algorithm::RS256];
    const P256: &[Algorithm] = &[Algorithm::ES256];
    let list = |names: &[&str]| -> Vec<String> { names.iter().map(|name| (*name).to_owned()).collect() };
    let chosen = |key: &[Algorithm], names: &[&str]| negotiate(key, Some(&list(names)), None);
    assert_eq!(chosen(RSA, &["RS256", "PS256"]), Ok(Algorithm::PS256));
    assert_eq!(chosen(RSA, &["RS256", "ES256"]), Ok(Algorithm::RS256));
    assert_eq!(chosen(RSA, &[]), Ok(Algorithm::RS256));
    assert_eq!(negotiate(RSA, None, None), Ok(Algorithm::RS256));
    assert_eq!(negotiate(P256, None, None), Ok(Algorithm::ES256));
    let ed25519 = [Algorithm::EdDSA, Algorithm::Ed25519];
    for (supported, expected) in [
        (vec!["EdDSA"], Algorithm::EdDSA),
        (vec!["Ed25519"], Algorithm::Ed25519),
        (vec!["Ed25519", "EdDSA"], Algorithm::EdDSA),
    ] {
        let supported: Vec<String> = supported.into_iter().map(str::to_owned).collect();
        assert_eq!(negotiate(&ed25519, Some(&supported), None), Ok(expected));
    }
    assert_eq!(negotiate(&[Algorithm::EdDSA], None, None), Ok(Algorithm::EdDSA));
    assert_eq!(negotiate(&[], None, None), Err(NegotiationError::Nothing));

    let nothing = chosen(P256, &["RS256", "PS256"]).unwrap_err();
    assert!(nothing.to_string().contains("RS256, PS256"), "{nothing}");

    let configured = |key, algorithm| negotiate(key, Some(&list(&["PS256"])), Some(algorithm));
    assert_eq!(configured(RSA, Algorithm::RS256), Ok(Algorithm::RS256));
    let wrong = configured(RSA, Algorithm::ES256).unwrap_err();
    assert!(wrong.told().contains("[SigningAlgorithm]"), "{wrong}");
}
