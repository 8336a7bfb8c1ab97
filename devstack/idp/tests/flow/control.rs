//! The bad days that can be rehearsed.

use std::{sync::Arc, time::Duration};

use devstack_idp::{Endpoint, Fault, IdTokenDraft, Idp, Options, Person, Signer, serve};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Value, json};
use tokio::{sync::Notify, time::timeout};

use crate::support::{Harness, TestClient, param, peek, text};

const SOON: Duration = Duration::from_millis(300);

/// The ID token of a login, falsified.
async fn id_token(
    harness: &Harness,
    client: &TestClient,
    change: impl Fn(&mut IdTokenDraft) + Send + Sync + 'static,
) -> String {
    harness.control.on_next_id_token(change);
    text(&harness.tokens(client).await, "id_token").to_owned()
}

fn verifies(token: &str, jwk: &Value) -> bool {
    let key = DecodingKey::from_jwk(&serde_json::from_value(jwk.clone()).unwrap()).unwrap();
    let (input, signature) = token.rsplit_once('.').unwrap();
    jsonwebtoken::crypto::verify(signature, input.as_bytes(), &key, Algorithm::RS256).unwrap()
}

#[tokio::test]
async fn faults_strike_once_or_until_healed() {
    let harness = Harness::start().await;
    let path = "/.well-known/openid-configuration";
    let control = &harness.control;
    control.fail_next(Endpoint::Discovery, Fault::status(503));
    control.fail_next(Endpoint::Discovery, Fault::redirect(302, "http://evil.example/"));
    assert_eq!(harness.get(path).await.status, 503);
    let redirected = harness.get(path).await;
    assert_eq!(
        (redirected.status.as_u16(), redirected.header("location")),
        (302, "http://evil.example/")
    );
    assert_eq!(harness.get(path).await.status, 200);
    control.fail_always(Endpoint::Discovery, Fault::html(502));
    for _ in 0..3 {
        let page = harness.get(path).await;
        assert_eq!(
            (page.status.as_u16(), page.header("content-type")),
            (502, "text/html")
        );
    }
    assert_eq!(harness.get("/jwks").await.status, 200, "the others are well");
    control.heal(Endpoint::Discovery);
    assert_eq!(harness.get(path).await.status, 200);
    control.fail_always(Endpoint::Jwks, Fault::oauth_error(400, "invalid_grant"));
    harness.get("/jwks").await.assert_error(400, "invalid_grant");
    control.heal_all();
    assert_eq!(harness.get("/jwks").await.status, 200);
    assert_eq!(control.count(Endpoint::Discovery), 7);
}

#[tokio::test]
async fn a_connection_can_close_with_and_without_processing() {
    let harness = Harness::start().await;
    let client = harness.client().await;
    let tokens = harness.tokens(&client).await;
    let refresh = text(&tokens, "refresh_token");
    let send = async || {
        let form = [("grant_type", "refresh_token"), ("refresh_token", refresh)];
        let assertion = harness.assertion(&client);
        let body = crate::support::encode(&[
            form[0],
            form[1],
            (
                "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            ),
            ("client_assertion", &assertion),
        ]);
        let request = harness.http.post(format!("{}/token", harness.issuer));
        request
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body)
            .send()
            .await
    };
    harness
        .control
        .fail_next(Endpoint::Token, Fault::CloseWithoutAnswer);
    assert!(send().await.is_err());
    assert!(harness.control.is_refresh_token_live(refresh), "not processed");
    harness
        .control
        .fail_next(Endpoint::Token, Fault::CloseAfterProcessing);
    assert!(send().await.is_err());
    assert!(
        !harness.control.is_refresh_token_live(refresh),
        "processed, and the answer lost"
    );
}

#[tokio::test]
async fn a_body_can_be_cut() {
    let harness = Harness::start().await;
    harness.control.fail_next(Endpoint::Jwks, Fault::CutBody);
    let response = harness
        .http
        .get(format!("{}/jwks", harness.issuer))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    let promised = response.content_length().unwrap();
    assert!(promised > 100);
    assert!(response.text().await.is_err());
    assert_eq!(harness.get("/jwks").await.status, 200);
}

#[tokio::test]
async fn a_request_can_hang_until_it_is_healed() {
    let harness = Arc::new(Harness::start().await);
    harness.control.fail_always(Endpoint::Jwks, Fault::Hang);
    assert!(timeout(SOON, harness.get("/jwks")).await.is_err());
    let waiting = tokio::spawn({
        let harness = Arc::clone(&harness);
        async move { harness.get("/jwks").await.status }
    });
    while harness.control.count(Endpoint::Jwks) < 2 {
        tokio::task::yield_now().await;
    }
    harness.control.heal(Endpoint::Jwks);
    assert_eq!(waiting.await.unwrap(), 200);
}

#[tokio::test]
async fn a_request_or_its_answer_can_be_held() {
    let harness = Arc::new(Harness::start().await);
    let notify = Arc::new(Notify::new());
    for fault in [
        Fault::HoldUntil(Arc::clone(&notify)),
        Fault::HoldAnswerUntil(Arc::clone(&notify)),
    ] {
        harness.control.fail_next(Endpoint::Jwks, fault);
        let waiting = tokio::spawn({
            let harness = Arc::clone(&harness);
            async move { harness.get("/jwks").await.status }
        });
        tokio::time::sleep(SOON).await;
        assert!(!waiting.is_finished());
        notify.notify_one();
        assert_eq!(waiting.await.unwrap(), 200);
    }
}

#[tokio::test]
async fn every_false_signature_can_be_had() {
    let harness = Harness::start().await;
    let client = harness.client().await;
    let ours = harness.get("/jwks").await.json()["keys"][0].clone();
    let other = harness.control.other_jwk().unwrap();
    let kid = harness.control.signing_kid();

    let good = text(&harness.tokens(&client).await, "id_token").to_owned();
    assert!(verifies(&good, &ours) && !verifies(&good, &other));
    let broken = id_token(&harness, &client, |draft| draft.signer = Signer::BrokenSignature).await;
    assert!(!verifies(&broken, &ours));
    let foreign = id_token(&harness, &client, |draft| draft.signer = Signer::OtherKeySameKid).await;
    assert!(verifies(&foreign, &other) && !verifies(&foreign, &ours));
    assert_eq!(peek(&foreign).0["kid"], kid.as_str());
    let embedded = id_token(&harness, &client, |draft| draft.signer = Signer::EmbeddedJwk).await;
    assert_eq!(peek(&embedded).0["jwk"], other);
    let none = id_token(&harness, &client, |draft| draft.signer = Signer::None).await;
    assert!(none.ends_with('.') && peek(&none).0["alg"] == "none");
    for signer in [
        Signer::Hs256WithPublicKey,
        Signer::Hs256WithPublicJwk,
        Signer::Hs256WithSecret(b"bff-server".to_vec()),
    ] {
        let token = id_token(&harness, &client, move |draft| draft.signer = signer.clone()).await;
        assert_eq!(peek(&token).0["alg"], "HS256");
    }
    let crit = id_token(&harness, &client, |draft| {
        draft.header.insert("crit".to_owned(), json!(["x"]));
        draft.claims.insert("nonce".to_owned(), json!("foreign"));
        draft.claims.remove("at_hash");
    });
    let crit = crit.await;
    let (header, claims) = peek(&crit);
    assert!(verifies(&crit, &ours), "the lie is signed properly");
    assert_eq!(
        (&header["crit"], &claims["nonce"]),
        (&json!(["x"]), &json!("foreign"))
    );
    assert!(claims.get("at_hash").is_none());
}

#[tokio::test]
async fn hooks_see_every_answer_until_they_are_cleared() {
    let harness = Harness::start().await;
    let client = harness.client().await;
    harness.control.on_id_token(|draft| {
        if draft.refreshed {
            draft.claims.insert("sub".to_owned(), json!("u-grace"));
        }
    });
    harness
        .control
        .on_userinfo(|claims| claims["sub"] = json!("u-grace"));
    harness
        .control
        .on_token_response(|answer| drop(answer.as_object_mut().unwrap().remove("expires_in")));
    harness
        .control
        .on_discovery(|document| document["issuer"] = json!("http://other.example"));
    harness.control.on_jwks(|jwks| jwks["keys"] = json!([]));
    harness
        .control
        .on_authorize_response(|params| params.retain(|(name, _)| name != "iss"));
    let tokens = harness.tokens(&client).await;
    assert!(tokens.get("expires_in").is_none());
    assert_eq!(peek(text(&tokens, "id_token")).1["sub"], "u-ada");
    let refreshed = harness
        .refresh(&client, text(&tokens, "refresh_token"))
        .await
        .json();
    assert_eq!(peek(text(&refreshed, "id_token")).1["sub"], "u-grace");
    assert_eq!(
        harness.userinfo(text(&tokens, "access_token")).await.json()["sub"],
        "u-grace"
    );
    let document = harness.get("/.well-known/openid-configuration").await.json();
    assert_eq!(document["issuer"], "http://other.example");
    assert_eq!(harness.get("/jwks").await.json(), json!({ "keys": [] }));
    let ada = Person::new("ada", "ada").unwrap();
    let back = ada.authorize(&harness.authorize_url(&client, &[])).await.unwrap();
    assert!(param(&back, "iss").is_none() && param(&back, "code").is_some());
    harness.control.clear_hooks();
    assert_eq!(
        harness.get("/.well-known/openid-configuration").await.json()["issuer"],
        harness.issuer
    );
}

#[tokio::test]
async fn keys_rotate_with_an_overlap() {
    let harness = Harness::start().await;
    let client = harness.client().await;
    let before = harness.tokens(&client).await;
    let kids = async || -> Vec<String> {
        let jwks = harness.get("/jwks").await.json();
        jwks["keys"]
            .as_array()
            .unwrap()
            .iter()
            .map(|key| text(key, "kid").to_owned())
            .collect()
    };
    let first = kids().await;
    harness.control.rotate_keys().unwrap();
    let overlap = kids().await;
    assert_eq!(overlap.len(), 4);
    assert!(first.iter().all(|kid| overlap.contains(kid)));
    assert_eq!(harness.userinfo(text(&before, "access_token")).await.status, 200);
    let after = harness.tokens(&client).await;
    assert_eq!(
        peek(text(&after, "id_token")).0["kid"],
        harness.control.signing_kid()
    );
    harness.control.drop_previous_keys();
    let last = kids().await;
    assert!(last.len() == 2 && first.iter().all(|kid| !last.contains(kid)));
    assert_eq!(harness.userinfo(text(&before, "access_token")).await.status, 401);
}

#[tokio::test]
async fn good_idps_differ() {
    let harness = Harness::start().await;
    let client = harness.client().await;
    harness.control.rotate_refresh_tokens(false);
    harness.control.id_token_on_refresh(false);
    harness.control.set_access_token_lifetime(Duration::from_secs(7));
    let tokens = harness.tokens(&client).await;
    assert_eq!(tokens["expires_in"], 7);
    for _ in 0..2 {
        let again = harness
            .refresh(&client, text(&tokens, "refresh_token"))
            .await
            .json();
        assert!(again.get("refresh_token").is_none() && again.get("id_token").is_none());
    }
    harness.control.issue_refresh_tokens(false);
    let tokens = harness.tokens(&client).await;
    assert!(tokens.get("refresh_token").is_none());
    assert!(text(&tokens, "scope").contains("offline_access"));
}

#[tokio::test]
async fn shutdown_does_not_wait_for_what_hangs() {
    devstack_idp::install_crypto();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = format!("http://{}", listener.local_addr().unwrap());
    let idp = Idp::new(Options::sample(issuer.clone(), "admin").unwrap()).unwrap();
    let control = idp.control().clone();
    control.fail_always(Endpoint::Jwks, Fault::Hang);
    let stop = Arc::new(Notify::new());
    let server = tokio::spawn({
        let stop = Arc::clone(&stop);
        async move { serve(listener, idp, stop.notified()).await }
    });
    let hanging = tokio::spawn(reqwest::get(format!("{issuer}/jwks")));
    while control.count(Endpoint::Jwks) < 1 {
        tokio::task::yield_now().await;
    }
    stop.notify_one();
    timeout(Duration::from_secs(5), server)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert!(hanging.await.unwrap().is_err());
}
