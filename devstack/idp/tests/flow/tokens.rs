//! Codes, refresh tokens, ID tokens, access tokens, UserInfo and revocation.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, jwk::JwkSet};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Harness, JwksServer, Key, REDIRECT_URI, TestClient, VERIFIER, peek, text};

/// Verifies a token with the published keys; the claims.
pub(crate) async fn verified(harness: &Harness, token: &str, alg: Algorithm, audience: &str) -> Value {
    let set: JwkSet = serde_json::from_value(harness.get("/jwks").await.json()).unwrap();
    let (header, _) = peek(token);
    let key = DecodingKey::from_jwk(set.find(text(&header, "kid")).unwrap()).unwrap();
    let mut validation = Validation::new(alg);
    validation.set_audience(&[audience]);
    validation.set_issuer(&[&harness.issuer]);
    validation.validate_exp = false;
    jsonwebtoken::decode::<Value>(token, &key, &validation)
        .unwrap()
        .claims
}

#[tokio::test]
async fn a_whole_login_with_keys_at_a_jwks_uri() {
    let harness = Harness::start().await;
    let key = Key::generate();
    let jwks = JwksServer::start(json!({ "keys": [key.jwk] })).await;
    let mut metadata = Harness::metadata("bff-server");
    metadata["jwks_uri"] = json!(jwks.uri);
    let answer = harness
        .post_json("/register", Some(&harness.iat()), &metadata)
        .await;
    let client = TestClient {
        id: "bff-server".to_owned(),
        key,
        answer: answer.json(),
    };
    let tokens = harness.tokens(&client).await;
    assert_eq!(tokens["token_type"], "Bearer");
    assert_eq!(tokens["expires_in"], 60);
    assert_eq!(tokens["scope"], "openid profile email offline_access");

    let access = text(&tokens, "access_token");
    let claims = verified(&harness, access, Algorithm::RS256, "sample-api").await;
    assert_eq!(peek(access).0["typ"], "at+jwt");
    assert_eq!(claims["sub"], "u-ada");
    assert_eq!(claims["client_id"], "bff-server");
    assert_eq!(claims["exp"], harness.now() + 60);
    assert_eq!(claims["roles"], json!(["admin", "user"]));

    let id = verified(
        &harness,
        text(&tokens, "id_token"),
        Algorithm::RS256,
        "bff-server",
    )
    .await;
    let hash = digest(&SHA256, access.as_bytes());
    assert_eq!(id["at_hash"], URL_SAFE_NO_PAD.encode(&hash.as_ref()[..16]));
    assert_eq!(id["aud"], "bff-server");
    assert_eq!(id["nonce"], "the-nonce");
    assert_eq!(id["auth_time"], harness.now());
    assert_eq!(id["name"], "Ada Lovelace");
    assert_eq!(id["email"], "ada@example.test");
    assert!(id["sid"].is_string() && id["acr"].is_string());

    let info = harness.userinfo(access).await.json();
    assert_eq!(info["sub"], "u-ada");
    assert_eq!(info["email"], "ada@example.test");
    assert_eq!(jwks.hits(), 1, "the keys are kept for a while");
}

#[tokio::test]
async fn an_id_token_can_be_signed_with_es256() {
    let harness = Harness::start().await;
    let client = harness.client().await;
    let change = |client: &mut Value| client["id_token_signed_response_alg"] = json!("ES256");
    harness.control.mutate_client(&client.id, change).unwrap();
    let tokens = harness.tokens(&client).await;
    verified(
        &harness,
        text(&tokens, "id_token"),
        Algorithm::ES256,
        "bff-server",
    )
    .await;
}

/// This prevents code injection.
#[tokio::test]
async fn a_code_is_bound_to_client_verifier_and_redirect_uri() {
    let harness = Harness::start().await;
    let client = harness.client().await;
    let other = harness.client_called("other").await;
    let good = [
        ("grant_type", "authorization_code"),
        ("redirect_uri", REDIRECT_URI),
        ("code_verifier", VERIFIER),
    ];
    for (name, value, code) in [
        (
            "code_verifier",
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
            "invalid_grant",
        ),
        ("code_verifier", "short", "invalid_grant"),
        ("code_verifier", "", "invalid_request"),
        ("redirect_uri", "http://bff.localhost:8000/other", "invalid_grant"),
        ("redirect_uri", "", "invalid_request"),
        ("grant_type", "password", "unsupported_grant_type"),
        ("grant_type", "", "invalid_request"),
    ] {
        let issued = harness.code(&client, &[]).await;
        let mut pairs = good.to_vec();
        pairs.retain(|(known, _)| *known != name);
        pairs.push((name, value));
        pairs.push(("code", &issued));
        harness
            .post_as(&client, "/token", &pairs)
            .await
            .assert_error(400, code);
    }
    let issued = harness.code(&client, &[]).await;
    harness
        .redeem(&other, &issued)
        .await
        .assert_error(400, "invalid_grant");
    assert_eq!(
        harness.redeem(&client, &issued).await.status,
        200,
        "the other one has not used it up"
    );
    harness
        .redeem(&client, "invented")
        .await
        .assert_error(400, "invalid_grant");
    let late = harness.code(&client, &[]).await;
    harness.advance(60);
    harness
        .redeem(&client, &late)
        .await
        .assert_error(400, "invalid_grant");
}

#[tokio::test]
async fn code_replay_revokes_what_the_first_use_gave() {
    let harness = Harness::start().await;
    let client = harness.client().await;
    let code = harness.code(&client, &[]).await;
    let tokens = harness.redeem(&client, &code).await.json();
    assert_eq!(harness.userinfo(text(&tokens, "access_token")).await.status, 200);
    harness
        .redeem(&client, &code)
        .await
        .assert_error(400, "invalid_grant");
    assert_eq!(harness.userinfo(text(&tokens, "access_token")).await.status, 401);
    harness
        .refresh(&client, text(&tokens, "refresh_token"))
        .await
        .assert_error(400, "invalid_grant");
}

#[tokio::test]
async fn duplicate_parameters_are_refused() {
    let harness = Harness::start().await;
    let client = harness.client().await;
    let code = harness.code(&client, &[]).await;
    let pairs = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("code", code.as_str()),
        ("redirect_uri", REDIRECT_URI),
        ("code_verifier", VERIFIER),
    ];
    harness
        .post_as(&client, "/token", &pairs)
        .await
        .assert_error(400, "invalid_request");
    assert_eq!(harness.redeem(&client, &code).await.status, 200);
}

#[tokio::test]
async fn a_refresh_rotates_and_keeps_who_and_when() {
    let harness = Harness::start().await;
    let client = harness.client().await;
    let first = harness.tokens(&client).await;
    harness.advance(50);
    assert!(harness.control.set_roles("u-ada", &["reader"]));
    let second = harness
        .refresh(&client, text(&first, "refresh_token"))
        .await
        .json();
    assert_ne!(second["refresh_token"], first["refresh_token"]);
    assert_ne!(second["access_token"], first["access_token"]);
    let (before, after) = (
        peek(text(&first, "id_token")).1,
        peek(text(&second, "id_token")).1,
    );
    for same in ["sub", "sid", "auth_time", "aud", "iss"] {
        assert_eq!(before[same], after[same], "{same}");
    }
    assert!(after.get("nonce").is_none());
    assert_eq!(after["iat"], harness.now());
    assert_eq!(after["roles"], json!(["reader"]));
    assert!(
        harness
            .control
            .is_refresh_token_live(text(&second, "refresh_token"))
    );
    assert!(
        !harness
            .control
            .is_refresh_token_live(text(&first, "refresh_token"))
    );
    assert_eq!(harness.control.issued_refresh_tokens_live("u-ada"), 1);
}

#[tokio::test]
async fn refresh_token_reuse_ends_the_whole_family() {
    let harness = Harness::start().await;
    let client = harness.client().await;
    let first = harness.tokens(&client).await;
    let second = harness
        .refresh(&client, text(&first, "refresh_token"))
        .await
        .json();
    harness
        .refresh(&client, text(&first, "refresh_token"))
        .await
        .assert_error(400, "invalid_grant");
    harness
        .refresh(&client, text(&second, "refresh_token"))
        .await
        .assert_error(400, "invalid_grant");
    assert_eq!(harness.userinfo(text(&second, "access_token")).await.status, 401);
    assert_eq!(harness.control.issued_refresh_tokens_live("u-ada"), 0);
}

#[tokio::test]
async fn a_refresh_is_refused_to_others_for_more_and_too_late() {
    let harness =
        Harness::start_with(|options| options.refresh_token_lifetime = Duration::from_secs(100)).await;
    let client = harness.client().await;
    let other = harness.client_called("other").await;
    let tokens = harness.tokens(&client).await;
    let refresh = text(&tokens, "refresh_token");
    harness
        .refresh(&other, refresh)
        .await
        .assert_error(400, "invalid_grant");
    let ask = |scope: &'static str| {
        [
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh),
            ("scope", scope),
        ]
    };
    harness
        .post_as(&client, "/token", &ask("openid admin"))
        .await
        .assert_error(400, "invalid_scope");
    let narrow = harness.post_as(&client, "/token", &ask("openid")).await.json();
    assert_eq!(narrow["scope"], "openid");
    assert!(peek(text(&narrow, "id_token")).1.get("email").is_none());
    let full = harness
        .refresh(&client, text(&narrow, "refresh_token"))
        .await
        .json();
    assert_eq!(
        full["scope"], tokens["scope"],
        "the refresh token keeps what was granted"
    );
    harness.advance(100);
    harness
        .refresh(&client, text(&full, "refresh_token"))
        .await
        .assert_error(400, "invalid_grant");
}

/// And the prompt, if the provider demands it.
#[tokio::test]
async fn a_refresh_token_needs_offline_access_and_the_grant() {
    let harness = Harness::start().await;
    let client = harness.client().await;
    harness.tokens(&client).await;
    let code = harness.code(&client, &[("prompt", "")]).await;
    let answer = harness.redeem(&client, &code).await.json();
    assert!(
        answer.get("refresh_token").is_some(),
        "consent that was given before is enough"
    );
    harness.control.offline_access_wants_prompt(true);
    for change in [("prompt", ""), ("scope", "openid")] {
        let code = harness.code(&client, &[change]).await;
        let answer = harness.redeem(&client, &code).await.json();
        assert!(answer.get("refresh_token").is_none(), "{change:?}");
        assert!(!text(&answer, "scope").contains("offline"), "{change:?}");
    }
    let change = |client: &mut Value| client["grant_types"] = json!(["authorization_code"]);
    let tokens = harness.tokens(&client).await;
    harness.control.mutate_client(&client.id, change).unwrap();
    assert!(harness.tokens(&client).await.get("refresh_token").is_none());
    let refused = harness.refresh(&client, text(&tokens, "refresh_token")).await;
    refused.assert_error(400, "unauthorized_client");
}

#[tokio::test]
async fn without_openid_there_is_no_id_token() {
    let harness = Harness::start().await;
    let client = harness.client().await;
    let code = harness.code(&client, &[("scope", "profile")]).await;
    let tokens = harness.redeem(&client, &code).await.json();
    assert!(tokens.get("id_token").is_none());
    assert_eq!(harness.userinfo(text(&tokens, "access_token")).await.status, 403);
}

#[tokio::test]
async fn userinfo_wants_a_live_access_token() {
    let harness = Harness::start().await;
    let client = harness.client().await;
    let tokens = harness.tokens(&client).await;
    let access = text(&tokens, "access_token");
    let bare = harness.get("/userinfo").await;
    assert_eq!(
        (bare.status.as_u16(), bare.header("www-authenticate")),
        (401, "Bearer realm=\"idp\"")
    );
    for bad in [text(&tokens, "id_token"), text(&tokens, "refresh_token"), "a.b.c"] {
        let answer = harness.userinfo(bad).await;
        answer.assert_error(401, "invalid_token");
        assert!(
            answer
                .header("www-authenticate")
                .contains("error=\"invalid_token\"")
        );
    }
    assert_eq!(
        harness
            .post_form("/userinfo", &[("access_token", access)])
            .await
            .status,
        200
    );
    let url = format!("{}/userinfo", harness.issuer);
    let body = Some((
        "application/x-www-form-urlencoded",
        format!("access_token={access}"),
    ));
    let twice = harness.send(Method::POST, &url, Some(access), body).await;
    twice.assert_error(400, "invalid_request");
    harness.advance(60);
    harness.userinfo(access).await.assert_error(401, "invalid_token");
}

#[tokio::test]
async fn revocation_ends_tokens_and_says_nothing_about_unknown_ones() {
    let harness = Harness::start().await;
    let client = harness.client().await;
    let other = harness.client_called("other").await;
    let tokens = harness.tokens(&client).await;
    let (access, refresh) = (text(&tokens, "access_token"), text(&tokens, "refresh_token"));
    for token in [access, refresh] {
        harness
            .post_as(&other, "/revoke", &[("token", token)])
            .await
            .assert_error(400, "unauthorized_client");
    }
    harness
        .post_form("/revoke", &[("token", refresh)])
        .await
        .assert_error(401, "invalid_client");
    harness
        .post_as(&client, "/revoke", &[])
        .await
        .assert_error(400, "invalid_request");
    assert_eq!(
        harness
            .post_as(&client, "/revoke", &[("token", "unknown")])
            .await
            .status,
        200
    );
    assert_eq!(
        harness
            .post_as(&client, "/revoke", &[("token", access)])
            .await
            .status,
        200
    );
    assert_eq!(harness.userinfo(access).await.status, 401);
    assert!(harness.control.is_refresh_token_live(refresh));

    let tokens = harness.refresh(&client, refresh).await.json();
    let (access, refresh) = (text(&tokens, "access_token"), text(&tokens, "refresh_token"));
    let pairs = [("token", refresh), ("token_type_hint", "access_token")];
    assert_eq!(harness.post_as(&client, "/revoke", &pairs).await.status, 200);
    assert!(!harness.control.is_refresh_token_live(refresh));
    assert_eq!(
        harness.userinfo(access).await.status,
        401,
        "the whole family ends"
    );
}

#[tokio::test]
async fn introspection_tells_clients_of_live_tokens() {
    let harness = Harness::start().await;
    let client = harness.client().await;
    let tokens = harness.tokens(&client).await;
    let access = text(&tokens, "access_token");
    let asked = |token: String| {
        let (harness, client) = (&harness, &client);
        async move {
            let pairs = [("token", token.as_str())];
            harness.post_as(client, "/introspect", &pairs).await.json()
        }
    };
    let answer = asked(access.to_owned()).await;
    assert_eq!(
        (&answer["active"], &answer["sub"]),
        (&json!(true), &json!("u-ada"))
    );
    assert_eq!(answer["aud"], "sample-api");
    for other in [
        "unknown",
        text(&tokens, "refresh_token"),
        text(&tokens, "id_token"),
    ] {
        assert_eq!(asked(other.to_owned()).await, json!({"active": false}));
    }
    harness
        .post_form("/introspect", &[("token", access)])
        .await
        .assert_error(401, "invalid_client");
    harness
        .post_as(&client, "/introspect", &[])
        .await
        .assert_error(400, "invalid_request");
    harness.control.revoke_refresh_tokens("u-ada");
    assert_eq!(asked(access.to_owned()).await, json!({"active": false}));
}

#[tokio::test]
async fn a_person_or_a_client_that_is_gone_gets_no_tokens() {
    let harness = Harness::start().await;
    let client = harness.client().await;
    let tokens = harness.tokens(&client).await;
    harness.control.revoke_refresh_tokens("u-ada");
    harness
        .refresh(&client, text(&tokens, "refresh_token"))
        .await
        .assert_error(400, "invalid_grant");
    let tokens = harness.tokens(&client).await;
    harness.control.remove_user("u-ada");
    harness
        .refresh(&client, text(&tokens, "refresh_token"))
        .await
        .assert_error(400, "invalid_grant");
    assert_eq!(harness.userinfo(text(&tokens, "access_token")).await.status, 401);
    harness.control.remove_client(&client.id).unwrap();
    harness
        .refresh(&client, text(&tokens, "refresh_token"))
        .await
        .assert_error(401, "invalid_client");
}
