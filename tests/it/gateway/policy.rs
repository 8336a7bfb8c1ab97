//! The demands of a route on its callers.

use http::{Method, StatusCode};

use crate::support::{Stack, raw};

const ROUTES: &str = r#"
services:
  api:
    base_url: "{api}"
routes:
  - { id: either, path: /either/*, target_service: api, preserve_path: true, auth: optional }
  - { id: scoped, path: /scoped, target_service: api, preserve_path: true, required_scopes: [openid] }
  - { id: beyond, path: /beyond, target_service: api, preserve_path: true, required_scopes: [openid, orders.write] }
  - { id: admins, path: /admins, target_service: api, preserve_path: true, require: [{ claim: roles, contains: admin }] }
  - { id: token, path: /token, target_service: api, preserve_path: true, require: [{ claim: token.aud, any_of: [bff-server] }] }
  - { id: other, path: /other, target_service: api, preserve_path: true, require: [{ claim: token.aud, any_of: [other] }] }
  - { id: hook, path: /hook, target_service: api, preserve_path: true, auth: none, csrf: false, methods: [POST] }
  - { id: cached, path: /cached, target_service: api, preserve_path: true, cache_control: "max-age=60" }
  - { id: stream, path: /stream, target_service: api, preserve_path: true, streaming: true }
"#;

async fn stack() -> Stack {
    Stack::builder().routes(ROUTES).start().await
}

#[tokio::test]
async fn an_optional_route_takes_a_session_where_there_is_one() {
    let stack = stack().await;
    let ada = stack.browser();
    let reply = ada.get("/either/x").await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.header("vary"), Some("cookie"));
    assert_eq!(stack.api.last().header("authorization"), None);

    ada.log_in().await;
    let reply = ada.get("/either/x").await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.header("cache-control"), Some("private"));
    let call = stack.api.last();
    assert!(call.header("authorization").unwrap().starts_with("Bearer "));
    assert_eq!(call.header("cookie"), None);
}

/// A cookie that names no session is as none.
#[tokio::test]
async fn attack_5_an_optional_route_needs_both_proofs_of_a_session() {
    let stack = stack().await;
    let ada = stack.browser();
    // The harness sends an own origin.
    assert_eq!(ada.post("/either/x").await.status, StatusCode::OK);
    ada.log_in().await;
    let calls = stack.api.calls().len();
    let reply = ada.send(ada.request(Method::POST, "/either/x")).await;
    assert_eq!(reply.refusal(), (403, "csrf_token".to_owned()));
    let foreign = ada
        .request(Method::POST, "/either/x")
        .header("origin", "https://evil.example")
        .header("x-csrf-token", ada.csrf_token().await);
    assert_eq!(ada.send(foreign).await.refusal(), (403, "csrf_origin".to_owned()));
    assert_eq!(stack.api.calls().len(), calls);
    let token = ada.csrf_token().await;
    let request = ada
        .request(Method::POST, "/either/x")
        .header("x-csrf-token", token);
    assert_eq!(ada.send(request).await.status, StatusCode::OK);
    assert!(stack.api.last().header("authorization").is_some());
}

#[tokio::test]
async fn a_session_without_the_scope_is_refused() {
    let stack = stack().await;
    let ada = stack.browser();
    assert_eq!(ada.get("/scoped").await.status, StatusCode::UNAUTHORIZED);
    ada.log_in().await;
    assert_eq!(ada.get("/scoped").await.status, StatusCode::OK);
    let calls = stack.api.calls().len();
    let reply = ada.get("/beyond").await;
    assert_eq!(reply.refusal(), (403, "insufficient_scope".to_owned()));
    assert!(!reply.body.contains("orders.write"), "{}", reply.body);
    assert_eq!(stack.api.calls().len(), calls);
}

#[tokio::test]
async fn attack_21_a_claim_rule_asks_for_the_roles_of_the_person() {
    let stack = stack().await;
    assert!(stack.idp.set_roles("u-ada", &["admin", "user"]));
    let ada = stack.browser();
    ada.log_in().await;
    assert_eq!(ada.get("/admins").await.status, StatusCode::OK);
    assert!(stack.idp.set_roles("u-ada", &["user"]));
    ada.log_in().await;
    let reply = ada.get("/admins").await;
    assert_eq!(reply.refusal(), (403, "claim_required".to_owned()));
    assert!(!reply.body.contains("admin"), "{}", reply.body);
}

#[tokio::test]
async fn a_webhook_needs_no_origin_where_the_route_says_so() {
    let stack = stack().await;
    let host = format!("automate.localhost:{}", stack.address.port());
    let post = |path: &str| {
        format!("POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    };
    let answer = raw(stack.address, &post("/hook")).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let answer = raw(stack.address, &post("/either/x")).await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
}

#[tokio::test]
async fn answers_are_cached_as_the_route_says() {
    let stack = stack().await;
    let ada = stack.browser();
    ada.log_in().await;
    let reply = ada.get("/cached").await;
    assert_eq!(reply.header("cache-control"), Some("private, max-age=60"));
    let reply = ada.get("/stream").await;
    assert_eq!(reply.header("x-accel-buffering"), Some("no"));
}

/// The session keeps the ID token, whose claims are more than those of the person.
#[tokio::test]
async fn a_rule_may_ask_for_a_claim_of_the_id_token() {
    let stack = stack().await;
    let ada = stack.browser();
    ada.log_in().await;
    assert_eq!(ada.get("/token").await.status, StatusCode::OK);
    assert_eq!(
        ada.get("/other").await.refusal(),
        (403, "claim_required".to_owned())
    );
    assert_eq!(stack.api.calls().len(), 1);
}
