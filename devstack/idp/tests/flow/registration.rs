//! Discovery, the admin API, registration and its management.

use std::time::Duration;

use devstack_idp::{Endpoint, Fault, MintIat, UpdateMethod};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{ADMIN, Harness, JwksServer, Key, TestClient, text};

const IATS: &str = "/api/admin/dcr/initial-access-tokens";

fn metadata(id: &str) -> Value {
    let mut metadata = Harness::metadata(id);
    metadata["jwks"] = json!({ "keys": [Key::generate().jwk] });
    metadata
}

/// The update of a correct client.
fn update_of(client: &TestClient) -> Value {
    let mut metadata = Harness::metadata(&client.id);
    metadata["jwks"] = json!({ "keys": [client.key.jwk] });
    metadata
}

async fn manage(
    harness: &Harness,
    method: Method,
    client: &TestClient,
    token: &str,
    body: Option<&Value>,
) -> crate::support::Answer {
    let url = text(&client.answer, "registration_client_uri");
    let body = body.map(|body| ("application/json", body.to_string()));
    harness.send(method, url, Some(token), body).await
}

#[tokio::test]
async fn discovery_names_every_endpoint_and_the_keys_are_public() {
    let harness = Harness::start().await;
    let document = harness.get("/.well-known/openid-configuration").await.json();
    assert_eq!(
        document,
        harness
            .get("/.well-known/oauth-authorization-server")
            .await
            .json()
    );
    assert_eq!(document["issuer"], harness.issuer);
    for (name, path) in [
        ("authorization_endpoint", "/authorize"),
        ("token_endpoint", "/token"),
        ("jwks_uri", "/jwks"),
        ("registration_endpoint", "/register"),
        ("pushed_authorization_request_endpoint", "/par"),
        ("userinfo_endpoint", "/userinfo"),
        ("revocation_endpoint", "/revoke"),
        ("end_session_endpoint", "/logout"),
    ] {
        assert_eq!(document[name], format!("{}{path}", harness.issuer));
    }
    assert_eq!(document["authorization_response_iss_parameter_supported"], true);
    let keys = harness.get("/jwks").await.json()["keys"]
        .as_array()
        .unwrap()
        .clone();
    assert_eq!(keys.len(), 2);
    assert!(
        keys.iter()
            .all(|key| key.get("d").is_none() && key["use"] == "sig" && key["kid"].is_string())
    );
    assert_eq!(harness.get("/nothing/here").await.status, 404);
}

#[tokio::test]
async fn an_issuer_with_a_path_has_everything_below_it() {
    let harness = Harness::start_below("/realms/dev", |_| {}).await;
    assert_eq!(
        harness.get("/.well-known/openid-configuration").await.json()["issuer"],
        harness.issuer
    );
    let origin = harness.issuer.trim_end_matches("/realms/dev");
    let inserted = format!("{origin}/.well-known/oauth-authorization-server/realms/dev");
    assert_eq!(
        harness.send(Method::GET, &inserted, None, None).await.json()["issuer"],
        harness.issuer
    );
    let client = harness.client().await;
    let tokens = harness.tokens(&client).await;
    assert_eq!(harness.userinfo(text(&tokens, "access_token")).await.status, 200);
    let body = Some(("application/json", "{}".to_owned()));
    assert_eq!(
        harness
            .send(Method::POST, &format!("{origin}{IATS}"), Some(ADMIN), body)
            .await
            .status,
        201
    );
}

#[tokio::test]
async fn the_admin_api_mints_tokens_for_the_admin_only() {
    let harness = Harness::start().await;
    let wish = json!({ "label": "bff", "expires_in": 60, "max_usages": 2 });
    for token in [None, Some("wrong"), Some("")] {
        harness
            .post_json(IATS, token, &wish)
            .await
            .assert_error(401, "invalid_token");
    }
    for bad in [
        json!({"max_uses": 0}),
        json!({"expires_in": 0}),
        json!({"x": 1}),
        json!([]),
    ] {
        harness
            .post_json(IATS, Some(ADMIN), &bad)
            .await
            .assert_error(400, "invalid_request");
    }
    let answer = harness.post_json(IATS, Some(ADMIN), &wish).await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.header("cache-control"), "no-store");
    let minted = answer.json();
    assert_eq!(minted["label"], "bff");
    assert_eq!(minted["max_uses"], 2);
    assert_eq!(minted["expires_at"], harness.now() + 60);
    let iat = text(&minted, "token");
    for id in ["one", "two"] {
        assert_eq!(
            harness
                .post_json("/register", Some(iat), &metadata(id))
                .await
                .status,
            201
        );
    }
    harness
        .post_json("/register", Some(iat), &metadata("three"))
        .await
        .assert_error(401, "invalid_token");
}

#[tokio::test]
async fn a_registration_answers_with_all_that_is_registered() {
    let harness = Harness::start().await;
    let client = harness.client().await;
    let answer = &client.answer;
    assert_eq!(answer["client_id"], "bff-server");
    assert_eq!(answer["client_id_issued_at"], harness.now());
    assert_eq!(
        answer["registration_client_uri"],
        format!("{}/register/bff-server", harness.issuer)
    );
    assert_eq!(answer["client_profile"], "code-flow-pkjwt");
    assert_eq!(answer["jwks"], json!({ "keys": [client.key.jwk] }));
    assert!(answer.get("client_secret").is_none());
    assert!(!answer.to_string().contains("sha256"));
    assert_eq!(
        harness.control.registered_client("bff-server").unwrap()["client_name"],
        "Test BFF"
    );
}

#[tokio::test]
async fn without_a_good_initial_access_token_nobody_registers() {
    let harness = Harness::start().await;
    for token in [None, Some("wrong"), Some(ADMIN)] {
        let answer = harness.post_json("/register", token, &metadata("bff")).await;
        answer.assert_error(401, "invalid_token");
        assert!(answer.header("www-authenticate").starts_with("Bearer "));
    }
    let mint = MintIat {
        expires_in: Duration::from_secs(10),
        ..MintIat::default()
    };
    let iat = harness.control.mint_iat(mint);
    harness.advance(10);
    harness
        .post_json("/register", Some(&iat), &metadata("bff"))
        .await
        .assert_error(401, "invalid_token");
}

#[tokio::test]
async fn a_refused_registration_does_not_spend_the_token() {
    let harness = Harness::start().await;
    let iat = harness.iat();
    for (name, value, code) in [
        ("scope", json!("openid admin"), "invalid_scope"),
        (
            "redirect_uris",
            json!(["http://bff.example/cb"]),
            "invalid_redirect_uri",
        ),
        ("client_profile", json!("nope"), "invalid_client_metadata"),
        (
            "token_endpoint_auth_method",
            json!("client_secret_basic"),
            "invalid_client_metadata",
        ),
        (
            "jwks_uri",
            json!("https://bff.example/jwks"),
            "invalid_client_metadata",
        ),
        ("jwks", json!(null), "invalid_client_metadata"),
        ("client_id", json!("a b"), "invalid_client_metadata"),
        ("redirect_uris", json!("x"), "invalid_client_metadata"),
    ] {
        let mut bad = metadata("bff");
        bad[name] = value;
        harness
            .post_json("/register", Some(&iat), &bad)
            .await
            .assert_error(400, code);
    }
    let url = format!("{}/register", harness.issuer);
    let as_text = Some(("text/plain", metadata("bff").to_string()));
    harness
        .send(Method::POST, &url, Some(&iat), as_text)
        .await
        .assert_error(400, "invalid_request");
    let cut = Some(("application/json", "{\"client_id\":".to_owned()));
    harness
        .send(Method::POST, &url, Some(&iat), cut)
        .await
        .assert_error(400, "invalid_client_metadata");
    let huge = Some(("application/json", "x".repeat(65 * 1024)));
    assert_eq!(
        harness.send(Method::POST, &url, Some(&iat), huge).await.status,
        413
    );
    assert_eq!(
        harness
            .post_json("/register", Some(&iat), &metadata("bff"))
            .await
            .status,
        201
    );
    harness
        .post_json("/register", Some(&iat), &metadata("other"))
        .await
        .assert_error(401, "invalid_token");
}

#[tokio::test]
async fn refused_scopes_and_a_taken_id_are_named() {
    let harness = Harness::start().await;
    harness.client().await;
    let taken = harness
        .post_json("/register", Some(&harness.iat()), &metadata("bff-server"))
        .await;
    taken.assert_error(400, "invalid_client_metadata");
    assert!(taken.text.contains("taken"), "{}", taken.text);
    let mut greedy = metadata("bff");
    greedy["scope"] = json!("openid admin root");
    let refused = harness
        .post_json("/register", Some(&harness.iat()), &greedy)
        .await;
    assert!(refused.text.contains("admin root"), "{}", refused.text);
    harness
        .control
        .change_dcr(|dcr| dcr.policy.allowed_scopes.extend(["admin".into(), "root".into()]));
    assert_eq!(
        harness
            .post_json("/register", Some(&harness.iat()), &greedy)
            .await
            .status,
        201
    );
}

#[tokio::test]
async fn clients_outlive_a_restart_and_stay_manageable() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("clients.yaml");
    let harness = Harness::start_with(|options| options.clients_file = Some(file.clone())).await;
    let client = harness.client().await;
    let token = text(&client.answer, "registration_access_token").to_owned();
    let yaml = std::fs::read_to_string(&file).unwrap();
    for line in [
        "clients:",
        "- client_id: bff-server",
        "  token_endpoint_auth_method: private_key_jwt",
        "  jwks:",
        "    keys:",
        "  redirect_uris:",
        "  - http://bff.localhost:8000/auth/callback",
    ] {
        assert!(
            yaml.lines().any(|known| known == line),
            "{line} is not in\n{yaml}"
        );
    }
    assert!(!yaml.contains(&token));
    drop(harness);
    let harness = Harness::start_with(|options| options.clients_file = Some(file.clone())).await;
    let url = format!("{}/register/bff-server", harness.issuer);
    let answer = harness.send(Method::GET, &url, Some(&token), None).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["redirect_uris"], client.answer["redirect_uris"]);
    assert!(harness.tokens(&client).await["access_token"].is_string());
}

#[tokio::test]
async fn a_client_reads_updates_and_deletes_itself() {
    let harness = Harness::start().await;
    let client = harness.client().await;
    let token = text(&client.answer, "registration_access_token");
    let read = manage(&harness, Method::GET, &client, token, None).await;
    assert_eq!(read.json(), client.answer);
    let mut update = update_of(&client);
    update["redirect_uris"] = json!(["https://new.example/auth/callback"]);
    let updated = manage(&harness, Method::PUT, &client, token, Some(&update)).await;
    assert_eq!(updated.status, 200, "{}", updated.text);
    assert_eq!(updated.json()["redirect_uris"], update["redirect_uris"]);
    assert_eq!(
        updated.json()["client_id_issued_at"],
        client.answer["client_id_issued_at"]
    );
    assert_eq!(
        manage(&harness, Method::DELETE, &client, token, None)
            .await
            .status,
        204
    );
    manage(&harness, Method::GET, &client, token, None)
        .await
        .assert_error(401, "invalid_token");
    assert!(harness.control.registered_client(&client.id).is_none());
}

#[tokio::test]
async fn a_bad_update_changes_nothing() {
    let harness = Harness::start().await;
    let client = harness.client().await;
    let token = text(&client.answer, "registration_access_token");
    for (name, value, code) in [
        ("registration_access_token", json!("x"), "invalid_request"),
        ("registration_client_uri", json!("x"), "invalid_request"),
        ("client_secret_expires_at", json!(0), "invalid_request"),
        ("client_id_issued_at", json!(0), "invalid_request"),
        ("client_id", json!("other"), "invalid_request"),
        ("client_id", json!(null), "invalid_request"),
        ("client_secret", json!("chosen"), "invalid_client_metadata"),
        ("scope", json!("admin"), "invalid_scope"),
        ("redirect_uris", json!([]), "invalid_redirect_uri"),
    ] {
        let mut update = update_of(&client);
        update[name] = value;
        let answer = manage(&harness, Method::PUT, &client, token, Some(&update)).await;
        answer.assert_error(400, code);
    }
    for wrong in ["wrong", ADMIN] {
        let update = update_of(&client);
        let answer = manage(&harness, Method::PUT, &client, wrong, Some(&update)).await;
        answer.assert_error(401, "invalid_token");
        manage(&harness, Method::DELETE, &client, wrong, None)
            .await
            .assert_error(401, "invalid_token");
    }
    let other = harness.client_called("other").await;
    let foreign = text(&other.answer, "registration_access_token");
    manage(&harness, Method::GET, &client, foreign, None)
        .await
        .assert_error(401, "invalid_token");
    assert_eq!(
        manage(&harness, Method::GET, &client, token, None).await.json(),
        client.answer
    );
}

#[tokio::test]
async fn an_update_can_rotate_the_token_and_can_be_a_patch() {
    let harness = Harness::start().await;
    let client = harness.client().await;
    let token = text(&client.answer, "registration_access_token");
    harness.control.rotate_rat_on_update(true);
    let updated = manage(&harness, Method::PUT, &client, token, Some(&update_of(&client)))
        .await
        .json();
    let next = text(&updated, "registration_access_token");
    assert_ne!(next, token);
    manage(&harness, Method::GET, &client, token, None)
        .await
        .assert_error(401, "invalid_token");
    harness.control.rotate_rat_on_update(false);

    let change = json!({ "client_name": "Renamed" });
    let refused = manage(&harness, Method::PATCH, &client, next, Some(&change)).await;
    assert_eq!(
        (refused.status.as_u16(), refused.header("allow")),
        (405, "GET, PUT, DELETE")
    );
    harness.control.update_method(UpdateMethod::Patch);
    assert_eq!(
        manage(&harness, Method::PUT, &client, next, Some(&update_of(&client)))
            .await
            .status,
        405
    );
    let patched = manage(&harness, Method::PATCH, &client, next, Some(&change))
        .await
        .json();
    assert_eq!(patched["client_name"], "Renamed");
    assert_eq!(patched["redirect_uris"], client.answer["redirect_uris"]);
}

#[tokio::test]
async fn a_client_with_a_secret_gets_it_once() {
    let harness = Harness::start().await;
    let mut wish = Harness::metadata("legacy");
    wish["client_profile"] = json!("code-flow-secret");
    wish["token_endpoint_auth_method"] = json!(null);
    wish["token_endpoint_auth_signing_alg"] = json!(null);
    let answer = harness
        .post_json("/register", Some(&harness.iat()), &wish)
        .await
        .json();
    assert_eq!(answer["token_endpoint_auth_method"], "client_secret_basic");
    assert_eq!(answer["client_secret_expires_at"], 0);
    let secret = text(&answer, "client_secret");
    let url = text(&answer, "registration_client_uri");
    let token = text(&answer, "registration_access_token");
    let read = harness.send(Method::GET, url, Some(token), None).await;
    assert!(read.json().get("client_secret").is_none());
    wish["client_secret"] = json!(secret);
    let body = Some(("application/json", wish.to_string()));
    assert_eq!(
        harness.send(Method::PUT, url, Some(token), body).await.status,
        200
    );
}

#[tokio::test]
async fn the_jwks_uri_can_have_to_answer_while_the_client_registers() {
    let harness = Harness::start().await;
    harness.control.fetch_jwks_at_registration(true);
    let mut wish = Harness::metadata("bff");
    wish["jwks_uri"] = json!("http://127.0.0.1:1/jwks.json");
    let iat = harness.iat();
    let refused = harness.post_json("/register", Some(&iat), &wish).await;
    refused.assert_error(400, "invalid_client_metadata");
    let jwks = JwksServer::start(json!({ "keys": [Key::generate().jwk] })).await;
    wish["jwks_uri"] = json!(jwks.uri);
    assert_eq!(
        harness.post_json("/register", Some(&iat), &wish).await.status,
        201
    );
    assert_eq!(jwks.hits(), 1);
}

#[tokio::test]
async fn drift_by_hand_shows_in_what_the_client_reads() {
    let harness = Harness::start().await;
    let client = harness.client().await;
    let token = text(&client.answer, "registration_access_token");
    harness
        .control
        .mutate_client("bff-server", |client| client["scope"] = json!("openid"))
        .unwrap();
    assert_eq!(
        manage(&harness, Method::GET, &client, token, None).await.json()["scope"],
        "openid"
    );
    assert!(harness.control.mutate_client("nobody", |_| {}).is_err());
    assert!(
        harness
            .control
            .mutate_client("bff-server", |client| client["x"] = json!(1))
            .is_err()
    );
    harness.control.on_registration_response(|answer| {
        answer.body["client_id"] = json!("falsified");
        answer.status = 203;
    });
    let read = manage(&harness, Method::GET, &client, token, None).await;
    assert_eq!(
        (read.status.as_u16(), read.json()["client_id"].as_str()),
        (203, Some("falsified"))
    );
    assert!(harness.control.remove_client("bff-server").unwrap());
}

#[tokio::test]
async fn a_lost_answer_to_a_registration_has_spent_the_token() {
    let harness = Harness::start().await;
    let iat = harness.iat();
    harness.control.fail_next(
        Endpoint::Register,
        Fault::RespondAfterProcessing {
            status: 504,
            body: vec![],
        },
    );
    assert_eq!(
        harness
            .post_json("/register", Some(&iat), &metadata("bff"))
            .await
            .status,
        504
    );
    assert!(harness.control.registered_client("bff").is_some());
    harness
        .post_json("/register", Some(&iat), &metadata("bff"))
        .await
        .assert_error(401, "invalid_token");
}
