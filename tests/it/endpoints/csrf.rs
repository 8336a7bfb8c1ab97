//! `/auth/csrf`: the token that state changes carry.

use http::{Method, StatusCode};
use serde_json::json;

use crate::support::Stack;

#[tokio::test]
async fn it_is_the_token_of_the_session_and_nobody_elses() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    assert_eq!(
        ada.get("/auth/csrf").await.refusal(),
        (401, "unauthenticated".to_owned())
    );
    ada.log_in().await;
    let reply = ada.get("/auth/csrf").await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let token = ada.csrf_token().await;
    assert!(reply.json() == json!({ "csrf_token": token }), "another token");

    let request = ada
        .request(Method::POST, "/api/x")
        .header("x-csrf-token", reply.json()["csrf_token"].as_str().unwrap());
    assert_eq!(ada.send(request).await.status, StatusCode::OK);

    let other = stack.browser();
    other.log_in().await;
    assert!(other.csrf_token().await != token, "two sessions share a token");
}
