//! Which route matches a call, and where it goes.

use http::{Method, StatusCode};

use crate::support::{Browser, Stack};

const ROUTES: &str = r#"
services:
  api:
    base_url: "{api}/base"
    timeout: 5s
routes:
  - id: crud
    path: /api/crud/*
    target_service: api
    upstream_path: /v2/{path}/items
    methods: [GET, POST]
    auth: session
  - id: exact
    path: /api/exact
    target_service: api
    upstream_path: /fixed
    auth: session
  - id: api
    path: /api/*
    target_service: api
    auth: session
  - id: preflight
    path: /open/*
    target_service: api
    methods: [OPTIONS, GET]
    preserve_path: true
    auth: none
  - id: everything
    path: /*
    target_service: api
    preserve_path: true
    auth: none
"#;

async fn stack() -> Stack {
    Stack::builder().routes(ROUTES).start().await
}

#[tokio::test]
async fn a_call_goes_where_its_route_says() {
    let stack = stack().await;
    let ada = stack.browser();
    ada.log_in().await;
    for (path, target) in [
        (
            "/api/crud/7?x=%31&y=/../&z=%c3%28",
            "/base/v2/7/items?x=%31&y=/../&z=%c3%28",
        ),
        ("/api/crud/7/8", "/base/v2/7/8/items"),
        ("/api/crud", "/base/v2/items"),
        ("/api/crudx", "/base/crudx"),
        ("/api/exact", "/base/fixed"),
        ("/api/exact?a&a", "/base/fixed?a&a"),
        ("/api/exact/", "/base/exact/"),
        ("/api/%65xact", "/base/fixed"),
        ("/api", "/base"),
        ("/api/caf%c3%a9", "/base/caf%C3%A9"),
        ("/open/x", "/base/open/x"),
        ("/", "/base/"),
        ("/index.html", "/base/index.html"),
    ] {
        let reply = ada.get(path).await;
        assert_eq!(reply.status, StatusCode::OK, "{path}: {}", reply.body);
        assert_eq!(stack.api.last().target, target, "{path}");
    }
}

/// It is refused.
#[tokio::test]
async fn an_unlisted_method_falls_through_to_no_other_route() {
    let stack = stack().await;
    let ada = stack.browser();
    ada.log_in().await;
    let token = ada.csrf_token().await;
    for (method, path, allow) in [
        ("PUT", "/api/crud/7", "GET, HEAD, POST"),
        ("DELETE", "/api/crud/7", "GET, HEAD, POST"),
        ("OPTIONS", "/api/crud/7", "GET, HEAD, POST"),
        ("TRACE", "/api/exact", "GET, HEAD, POST, PUT, PATCH, DELETE"),
        ("PURGE", "/api/exact", "GET, HEAD, POST, PUT, PATCH, DELETE"),
        ("get", "/api/exact", "GET, HEAD, POST, PUT, PATCH, DELETE"),
        ("POST", "/open/x", "GET, HEAD, OPTIONS"),
    ] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let request = ada
            .request(method.clone(), path)
            .header("x-csrf-token", token.as_str());
        let reply = ada.send(request).await;
        assert_eq!(
            reply.refusal(),
            (405, "method_not_allowed".to_owned()),
            "{method} {path}"
        );
        assert_eq!(reply.header("allow"), Some(allow), "{method} {path}");
    }
    assert!(stack.api.calls().is_empty());
}

#[tokio::test]
async fn head_and_options_pass_where_the_route_takes_them() {
    let stack = stack().await;
    let ada = stack.browser();
    ada.log_in().await;
    let reply = ada.send(ada.request(Method::HEAD, "/api/crud/7")).await;
    assert_eq!((reply.status, reply.body.as_str()), (StatusCode::OK, ""));
    assert_eq!(reply.header("content-length"), Some("11"));
    assert_eq!(stack.api.last().method, Method::HEAD);

    let reply = ada.send(ada.request(Method::OPTIONS, "/open/x")).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(stack.api.last().method, Method::OPTIONS);
}

#[tokio::test]
async fn every_state_changing_method_arrives_as_it_was_sent() {
    let stack = stack().await;
    let ada = stack.browser();
    ada.log_in().await;
    let token = ada.csrf_token().await;
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        let request = ada
            .request(method.clone(), "/api/exact")
            .header("x-csrf-token", token.as_str())
            .header("content-type", "application/merge-patch+json")
            .body("{}");
        assert_eq!(ada.send(request).await.status, StatusCode::OK, "{method}");
        let call = stack.api.last();
        assert_eq!((&call.method, call.target.as_str()), (&method, "/base/fixed"));
        assert_eq!(call.body, "{}");
        assert_eq!(call.header("content-type"), Some("application/merge-patch+json"));
        assert_eq!(call.header("content-length"), Some("2"));
        assert_eq!(call.header("x-csrf-token"), None);
    }
}

/// However wide it is.
#[tokio::test]
async fn own_paths_belong_to_no_route() {
    let stack = stack().await;
    let ada = stack.browser();
    ada.log_in().await;
    for path in [
        "/auth",
        "/auth/",
        "/auth/unknown",
        "/auth/login/",
        "/auth/backchannel-logout/x",
        "/health/unknown",
        "/metrics",
        "/.well-known/jwks.json/",
    ] {
        let reply = ada.get(path).await;
        assert_eq!(reply.refusal(), (404, "not_found".to_owned()), "{path}");
        assert_eq!(reply.header("cache-control"), Some("no-store"), "{path}");
    }
    assert!(stack.api.calls().is_empty());
}

#[tokio::test]
async fn no_route_is_a_404_with_or_without_a_session() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    for _ in 0..2 {
        for path in ["/", "/nothing", "/apix", "/Api/hello"] {
            assert_eq!(
                ada.get(path).await.refusal(),
                (404, "not_found".to_owned()),
                "{path}"
            );
        }
        ada.log_in().await;
    }
    assert!(stack.api.calls().is_empty());
}

#[tokio::test]
async fn attack_18_without_a_session_not_one_byte_of_the_api_is_seen() {
    let stack = Stack::start().await;
    stack.api.answer(|_| {
        let secret = [("x-secret", "of the API")];
        axum::response::IntoResponse::into_response((secret, "secret"))
    });
    let nobody = stack.browser();
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        for cookie in [
            None,
            Some("__Host-Http-bff_session=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
            Some("__Host-Http-bff_session="),
            Some("__Host-Http-bff_session"),
            Some("bff_session=x; session=y"),
        ] {
            let mut request = nobody
                .request(method.clone(), "/api/hello")
                .header("authorization", "Bearer mine");
            if let Some(cookie) = cookie {
                request = request.header("cookie", cookie);
            }
            let reply = nobody.send(request).await;
            assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{method} {cookie:?}");
            if method != Method::HEAD {
                assert_eq!(reply.code(), "unauthenticated");
            }
            assert!(!reply.body.contains("secret") && reply.header("x-secret").is_none());
            assert!(reply.set_cookies().is_empty());
        }
    }
    // A state change without any CSRF check learns only that it is not logged in.
    let foreign = nobody
        .request(Method::DELETE, "/api/hello")
        .header("sec-fetch-site", "cross-site");
    assert_eq!(nobody.send(foreign).await.refusal().0, 401);
    assert!(stack.api.calls().is_empty());
}

#[tokio::test]
async fn attack_18_a_session_that_has_ended_opens_nothing() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    let cookie = ada.session_cookie().unwrap();
    assert_eq!(ada.get("/api/hello").await.status, StatusCode::OK);
    ada.post("/auth/logout").await;
    let thief = Browser::new("grace", &stack.origin(0));
    thief.set_cookie("__Host-Http-bff_session", &cookie);
    assert_eq!(
        thief.get("/api/hello").await.refusal(),
        (401, "unauthenticated".to_owned())
    );
    assert_eq!(stack.api.calls().len(), 1);
}

const PARAMETERS: &str = r#"
services:
  api:
    base_url: "{api}/base"
routes:
  - { id: wide, path: "/api/*", target_service: api, auth: none }
  - { id: order, path: "/api/orders/{order_id}", target_service: api, upstream_path: "/v2/{order_id}/order" }
  - { id: new, path: "/api/orders/new", target_service: api, auth: none, upstream_path: /v2/new }
  - { id: elsewhere, path: "/api/*", host: elsewhere.example, target_service: api, auth: none, upstream_path: "/e/{path}" }
"#;

#[tokio::test]
async fn a_parameter_decides_before_a_star_and_goes_up() {
    let stack = Stack::builder().routes(PARAMETERS).start().await;
    let ada = stack.browser();
    assert_eq!(ada.get("/api/orders/7").await.status, StatusCode::UNAUTHORIZED);
    ada.log_in().await;
    for (path, target) in [
        ("/api/orders/7?a=b", "/base/v2/7/order?a=b"),
        ("/api/orders/caf%c3%a9", "/base/v2/caf%C3%A9/order"),
        ("/api/orders/new", "/base/v2/new"),
        ("/api/orders/7/x", "/base/orders/7/x"),
        ("/api/orders/", "/base/orders/"),
    ] {
        let reply = ada.get(path).await;
        assert_eq!(reply.status, StatusCode::OK, "{path}: {}", reply.body);
        assert_eq!(stack.api.last().target, target, "{path}");
    }
    // Another spelling of the open route.
    assert_eq!(ada.get("/api/orders/NEW").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn attack_1_a_forwarded_host_of_a_stranger_chooses_no_route() {
    let stack = Stack::builder().routes(PARAMETERS).start().await;
    let ada = stack.browser();
    for (name, target) in [("host", "/base/e/x"), ("x-forwarded-host", "/base/x")] {
        let request = ada
            .request(Method::GET, "/api/x")
            .header(name, "elsewhere.example");
        let reply = ada.send(request).await;
        assert_eq!(reply.status, StatusCode::OK, "{name}: {}", reply.body);
        assert_eq!(stack.api.last().target, target, "{name}");
    }
}
