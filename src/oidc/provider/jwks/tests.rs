use futures_util::future::join_all;
use serde_json::json;

use super::*;
use crate::{
    clock::Clock as _,
    jose::{Algorithm, SigningKey},
    oidc::{
        Expect, LoginFacts, RelyingParty,
        testing::{Answer, FakeIdp, signing_key},
    },
};

async fn accepts(party: &RelyingParty, provider: &FakeIdp, key: &SigningKey) -> bool {
    let token = key.sign(Algorithm::ES256, "JWT", &provider.claims()).unwrap();
    let (nonce, code, access) = ("nonce-1".into(), "code-1".into(), "at".into());
    let facts = LoginFacts {
        nonce: &nonce,
        code: &code,
        started_at: provider.clock.now(),
    };
    party
        .verify_id_token(&token, Expect::login(facts, &access))
        .await
        .is_ok()
}

fn fetches(provider: &FakeIdp) -> usize {
    provider.requests_to("/jwks").len()
}

#[tokio::test]
async fn attack_16_a_rotation_works_without_a_restart() {
    let provider = FakeIdp::start().await;
    let party = provider.party().await;
    let (old, new) = (&provider.key, signing_key("idp-key-2"));
    assert!(accepts(&party, &provider, old).await);
    provider.publish(&[&new, old]);
    assert!(accepts(&party, &provider, &new).await);
    assert!(accepts(&party, &provider, old).await);
    assert_eq!(fetches(&provider), 2);
}

#[tokio::test]
async fn attack_16_a_flood_of_random_kids_fetches_once_per_cool_down() {
    let provider = FakeIdp::start().await;
    let party = provider.party().await;
    assert!(accepts(&party, &provider, &provider.key).await);
    for index in 0..20 {
        let foreign = signing_key(&format!("random-{index}"));
        assert!(!accepts(&party, &provider, &foreign).await);
    }
    assert_eq!(fetches(&provider), 2);
    provider.clock.advance(Duration::from_secs(59));
    assert!(!accepts(&party, &provider, &signing_key("random")).await);
    assert_eq!(fetches(&provider), 2);
    provider.clock.advance(Duration::from_secs(1));
    assert!(!accepts(&party, &provider, &signing_key("random")).await);
    assert!(!accepts(&party, &provider, &signing_key("random")).await);
    assert_eq!(fetches(&provider), 3);
    assert!(accepts(&party, &provider, &provider.key).await);
}

#[tokio::test]
async fn attack_16_one_unusable_key_does_not_spoil_the_others() {
    let provider = FakeIdp::start().await;
    let good = provider.key.public();
    let keys = json!([
        {"kty": "RSA", "kid": "broken"}, 7, {"kty": "oct", "kid": "x", "k": "AAAA"}, {"kty": "EC", "crv": "P-999"}, good
    ]);
    provider.answer("/jwks", StatusCode::OK, &json!({ "keys": keys }));
    let party = provider.party().await;
    assert!(accepts(&party, &provider, &provider.key).await);
}

/// The cool-down starts after a failure too.
#[tokio::test]
async fn attack_16_a_failed_fetch_keeps_the_known_keys() {
    let provider = FakeIdp::start().await;
    let party = provider.party().await;
    assert!(accepts(&party, &provider, &provider.key).await);
    let empty = Answer::json(StatusCode::OK, &json!({"keys": []}));
    for answer in [
        Answer::html(StatusCode::BAD_GATEWAY),
        Answer::html(StatusCode::OK),
        empty,
        Answer::redirect("/elsewhere"),
    ] {
        let before = fetches(&provider);
        provider.answers("/jwks", [answer]);
        provider.clock.advance(Duration::from_mins(1));
        assert!(!accepts(&party, &provider, &signing_key("unknown")).await);
        assert!(!accepts(&party, &provider, &signing_key("unknown")).await);
        assert!(accepts(&party, &provider, &provider.key).await);
        assert_eq!(fetches(&provider), before + 1);
    }
    assert!(provider.requests_to("/elsewhere").is_empty());
}

#[tokio::test]
async fn attack_36_a_redirect_from_the_jwks_endpoint_is_not_followed() {
    let provider = FakeIdp::start().await;
    provider.answers("/jwks", [Answer::redirect("/elsewhere")]);
    provider.answer(
        "/elsewhere",
        StatusCode::OK,
        &json!({"keys": [provider.key.public()]}),
    );
    let party = provider.party().await;
    let error = party.provider().keys().await.unwrap_err();
    assert!(matches!(error, JwksError::Status { .. }), "{error:?}");
    assert!(error.told().contains("[ProviderKeys]"));
    assert!(provider.requests_to("/elsewhere").is_empty());
}

#[tokio::test]
async fn all_who_wait_share_one_fetch() {
    let provider = FakeIdp::start().await;
    let party = provider.party().await;
    let first = join_all((0..20).map(|_| party.provider().keys())).await;
    let first: Vec<_> = first.into_iter().map(Result::unwrap).collect();
    assert!(first.iter().all(|keys| Arc::ptr_eq(keys, &first[0])));
    assert_eq!(fetches(&provider), 1);

    let newer = join_all((0..20).map(|_| party.provider().keys_after(&first[0]))).await;
    assert!(newer.iter().all(|keys| Arc::ptr_eq(keys, &newer[0])));
    assert!(!Arc::ptr_eq(&newer[0], &first[0]));
    assert_eq!(fetches(&provider), 2);
    // A caller that still holds the old ones gets the new ones without a fetch.
    let late = party.provider().keys_after(&first[0]).await;
    assert!(Arc::ptr_eq(&late, &newer[0]));
    assert_eq!(fetches(&provider), 2);
}

#[tokio::test]
async fn a_caller_who_goes_away_does_not_stop_the_fetch() {
    let provider = FakeIdp::start().await;
    let party = provider.party().await;
    {
        let gone = party.provider().keys();
        tokio::pin!(gone);
        assert!(futures_util::poll!(&mut gone).is_pending());
    }
    assert!(party.provider().keys().await.is_ok());
    assert_eq!(fetches(&provider), 1);
}

#[tokio::test]
async fn without_any_keys_the_next_try_comes_soon() {
    let provider = FakeIdp::start().await;
    provider.answers("/jwks", [Answer::html(StatusCode::BAD_GATEWAY)]);
    let party = provider.party().await;
    assert!(matches!(
        party.provider().keys().await,
        Err(JwksError::Status { .. })
    ));
    provider.publish(&[&provider.key]);
    assert!(matches!(
        party.provider().keys().await,
        Err(JwksError::Status { .. })
    ));
    assert_eq!(fetches(&provider), 1);
    provider.clock.advance(Duration::from_secs(5));
    assert!(party.provider().keys().await.is_ok());
}

#[tokio::test]
async fn a_withdrawn_key_is_not_trusted_after_the_next_fetch() {
    let provider = FakeIdp::start().await;
    let party = provider.party().await;
    assert!(accepts(&party, &provider, &provider.key).await);
    provider.publish(&[&signing_key("idp-key-2")]);
    assert!(accepts(&party, &provider, &provider.key).await);
    provider.clock.advance(Duration::from_hours(1));
    assert!(!accepts(&party, &provider, &provider.key).await);
}

#[tokio::test]
async fn no_keys_are_asked_for_before_discovery() {
    let provider = FakeIdp::start().await;
    let party = provider.undiscovered(provider.options());
    let error = party.provider().keys().await.unwrap_err();
    assert_eq!(error, JwksError::NotDiscovered(NotDiscovered));
}
