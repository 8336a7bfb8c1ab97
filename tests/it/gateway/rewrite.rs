//! The URLs of an API reach the browser as public ones; the prefix reaches the API.

use axum::response::IntoResponse as _;
use http::StatusCode;

use crate::support::Stack;

const ROUTES: &str = "services:
  api: { base_url: \"{api}/v1\" }
  plain: { base_url: \"{api}\", rewrite: false }
routes:
  - { id: crud, path: /api/crud/*, target_service: api, auth: none }
  - { id: plain, path: /plain/*, target_service: plain, auth: none }
  - { id: whole, path: /whole/*, target_service: plain, preserve_path: true, auth: none }
  - { id: files, path: /files/*, target_service: plain, encoded_path: pass, auth: none }
";

/// Unless its service disables that.
#[tokio::test]
async fn redirects_and_cookies_of_an_api_are_mapped() {
    let stack = Stack::builder().routes(ROUTES).start().await;
    let url = stack.api.url();
    let location = format!("{url}/v1/orders/7?a=b");
    let said = location.clone();
    stack.api.answer(move |_| {
        let headers = [
            ("location", said.as_str()),
            ("content-location", "/v1/orders/7"),
            ("set-cookie", "seen=1; Path=/v1; Domain=127.0.0.1; HttpOnly"),
        ];
        (StatusCode::FOUND, headers).into_response()
    });
    let ada = stack.browser();
    let reply = ada.get("/api/crud/x").await;
    assert_eq!(reply.header("location"), Some("/api/crud/orders/7?a=b"));
    assert_eq!(reply.header("content-location"), Some("/api/crud/orders/7"));
    assert_eq!(reply.set_cookies(), ["seen=1; Path=/api/crud; HttpOnly"]);
    assert_eq!(stack.api.last().header("x-forwarded-prefix"), Some("/api/crud"));

    let reply = ada.get("/plain/x").await;
    assert_eq!(reply.header("location"), Some(location.as_str()));
    assert_eq!(reply.header("content-location"), Some("/v1/orders/7"));
    assert_eq!(
        reply.set_cookies(),
        ["seen=1; Path=/v1; Domain=127.0.0.1; HttpOnly"]
    );
    assert_eq!(stack.api.last().header("x-forwarded-prefix"), Some("/plain"));
    ada.get("/whole/x").await;
    assert_eq!(stack.api.last().header("x-forwarded-prefix"), None);
}

#[tokio::test]
async fn an_allowed_encoded_slash_is_forwarded_unchanged() {
    let stack = Stack::builder().routes(ROUTES).start().await;
    let ada = stack.browser();
    for (path, target) in [("/files/a%2fb%23c/d", "/a%2Fb%23c/d"), ("/files/a%2F", "/a%2F")] {
        assert_eq!(ada.get(path).await.status, StatusCode::OK, "{path}");
        assert_eq!(stack.api.last().target, target);
    }
    let calls = stack.api.calls().len();
    for path in [
        "/plain/a%2fb",
        "/files/a%2f%2fb",
        "/files/a%2f%2e%2e%2fb",
        "/files/a%5cb",
        "/files%2fx",
    ] {
        let reply = ada.get(path).await;
        assert_eq!(reply.refusal(), (400, "ambiguous_path".to_owned()), "{path}");
    }
    assert_eq!(stack.api.calls().len(), calls);
}
