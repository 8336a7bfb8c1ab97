//! Pages of other origins: the listed ones may call and read, all others may not.

use axum::response::IntoResponse as _;
use http::{Method, StatusCode};

use crate::support::{Browser, Reply, Stack};

const APP: &str = "https://app.example";
const EVIL: &str = "https://app.example.evil.example";

async fn stack() -> Stack {
    Stack::builder()
        .set("CORS__ALLOW_ORIGINS", format!("[\"{APP}\"]"))
        .start()
        .await
}

async fn call(ada: &Browser, method: Method, path: &str, headers: &[(&str, &str)]) -> Reply {
    let mut request = ada.request(Method::GET, path).build().unwrap();
    *request.method_mut() = method;
    for (name, value) in headers {
        let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    Reply::read(crate::support::http_client().execute(request).await.unwrap()).await
}

/// All header fields by which a browser would let a page read.
fn allowances(reply: &Reply) -> Vec<&str> {
    reply
        .headers
        .keys()
        .map(http::HeaderName::as_str)
        .filter(|name| {
            matches!(
                *name,
                "access-control-allow-origin" | "access-control-allow-credentials"
            )
        })
        .collect()
}

async fn preflight(stack: &Stack, path: &str, origin: &str) -> Reply {
    let nobody = stack.browser();
    let headers = [
        ("origin", origin),
        ("access-control-request-method", "DELETE"),
        ("access-control-request-headers", "x-csrf-token,content-type"),
    ];
    call(&nobody, Method::OPTIONS, path, &headers).await
}

#[tokio::test]
async fn a_listed_origin_may_ask_call_and_read() {
    let stack = stack().await;
    let ada = stack.browser();
    ada.log_in().await;
    let token = ada.csrf_token().await;
    for path in ["/api/x", "/auth/session", "/public/x"] {
        let reply = preflight(&stack, path, APP).await;
        assert_eq!(reply.status, StatusCode::OK, "{path}");
        assert_eq!(reply.header("access-control-allow-origin"), Some(APP));
        assert_eq!(reply.header("access-control-allow-credentials"), Some("true"));
        assert_eq!(reply.header("access-control-allow-methods"), Some("DELETE"));
        assert_eq!(
            reply.header("access-control-allow-headers"),
            Some("x-csrf-token,content-type")
        );
    }
    assert!(stack.api.calls().is_empty());

    for (method, path) in [
        (Method::GET, "/api/x"),
        (Method::DELETE, "/api/x"),
        (Method::GET, "/auth/session"),
        (Method::GET, "/auth/csrf"),
    ] {
        let headers = [("origin", APP), ("x-csrf-token", &token)];
        let reply = call(&ada, method.clone(), path, &headers).await;
        assert_eq!(reply.status, StatusCode::OK, "{method} {path}: {}", reply.body);
        assert_eq!(reply.header("access-control-allow-origin"), Some(APP), "{path}");
        assert_eq!(reply.header("access-control-allow-credentials"), Some("true"));
        assert_eq!(
            reply.header("access-control-expose-headers"),
            Some("x-correlation-id,retry-after,ratelimit,ratelimit-policy")
        );
        assert!(reply.header("vary").unwrap().contains("origin"));
    }
}

#[tokio::test]
async fn a_listed_origin_may_read_errors_too() {
    let stack = stack().await;
    let nobody = stack.browser();
    for (method, path, status) in [
        (Method::GET, "/api/x", 401),
        (Method::GET, "/auth/csrf", 401),
        (Method::GET, "/nothing", 404),
        (Method::PUT, "/auth/session", 405),
    ] {
        let reply = call(&nobody, method, path, &[("origin", APP)]).await;
        assert_eq!(reply.refusal().0, status, "{path}");
        assert_eq!(reply.header("access-control-allow-origin"), Some(APP), "{path}");
        assert_eq!(reply.header("access-control-allow-credentials"), Some("true"));
    }
}

#[tokio::test]
async fn a_listed_origin_still_needs_the_token_of_the_session() {
    let stack = stack().await;
    let ada = stack.browser();
    ada.log_in().await;
    let reply = call(&ada, Method::POST, "/api/x", &[("origin", APP)]).await;
    assert_eq!(reply.refusal(), (403, "csrf_token".to_owned()));
    assert!(stack.api.calls().is_empty());
}

/// Even if the API would allow it.
#[tokio::test]
async fn a_foreign_origin_gets_nothing() {
    let reflecting = |call: &crate::support::Call| {
        let headers = [
            (
                "access-control-allow-origin",
                call.header("origin").unwrap_or("*").to_owned(),
            ),
            ("access-control-allow-credentials", "true".to_owned()),
        ];
        (headers, "ok").into_response()
    };
    for stack in [stack().await, Stack::start().await] {
        stack.api.answer(reflecting);
        let ada = stack.browser();
        ada.log_in().await;
        let token = ada.csrf_token().await;
        for origin in [EVIL, "null", "http://app.example", "https://APP.example:444"] {
            for path in ["/api/x", "/auth/session"] {
                assert!(
                    allowances(&preflight(&stack, path, origin).await)
                        .iter()
                        .all(|name| *name == "access-control-allow-credentials")
                );
                let reply = call(&ada, Method::GET, path, &[("origin", origin)]).await;
                assert_eq!(reply.status, StatusCode::OK);
                assert_eq!(
                    reply.header("access-control-allow-origin"),
                    None,
                    "{path} {origin}"
                );
            }
            let before = stack.api.calls().len();
            let headers = [("origin", origin), ("x-csrf-token", &token)];
            let reply = call(&ada, Method::POST, "/api/x", &headers).await;
            assert_eq!(reply.refusal(), (403, "csrf_origin".to_owned()));
            assert_eq!(stack.api.calls().len(), before);
        }
    }
}

#[tokio::test]
async fn without_listed_origins_only_an_open_api_sends_cors() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    for path in ["/api/x", "/auth/session", "/nothing"] {
        let reply = call(&ada, Method::GET, path, &[("origin", APP)]).await;
        assert!(allowances(&reply).is_empty(), "{path}");
        let reply = preflight(&stack, path, APP).await;
        assert!(allowances(&reply).is_empty(), "{path}");
        assert!(reply.status.is_client_error(), "{path}: {}", reply.status);
    }
    stack
        .api
        .answer(|_| ([("access-control-allow-origin", "*")], "ok").into_response());
    let reply = call(&ada, Method::GET, "/public/x", &[("origin", APP)]).await;
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
}

/// Its own fields would be read with credentials, because the server allows them for the listed origins.
#[tokio::test]
async fn an_api_says_nothing_where_origins_are_listed() {
    let stack = stack().await;
    stack.api.answer(|call| {
        let origin = call.header("origin").unwrap_or("*").to_owned();
        let headers = [
            ("access-control-allow-origin", origin),
            ("access-control-allow-credentials", "true".to_owned()),
            ("access-control-expose-headers", "x-secret".to_owned()),
        ];
        (headers, "ok").into_response()
    });
    let nobody = stack.browser();
    let reply = call(&nobody, Method::GET, "/public/x", &[("origin", EVIL)]).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.header("access-control-allow-origin"), None);
    let reply = call(&nobody, Method::GET, "/public/x", &[("origin", APP)]).await;
    assert_eq!(reply.header("access-control-allow-origin"), Some(APP));
    let exposed = reply.header("access-control-expose-headers").unwrap();
    assert!(!exposed.contains("x-secret"), "{exposed}");
    let all = reply.headers.get_all("access-control-allow-origin");
    assert_eq!(all.iter().count(), 1);
}

#[tokio::test]
async fn a_preflight_learns_which_methods_a_route_takes() {
    let stack = Stack::builder()
        .set("CORS__ALLOW_ORIGINS", APP)
        .routes(
            "services:\n  api: { base_url: '{api}' }\nroutes:\n\
             - { id: api, path: /api/*, target_service: api, methods: [GET, DELETE] }\n\
             - { id: read, path: /read/*, target_service: api, methods: [GET] }\n",
        )
        .start()
        .await;
    let reply = preflight(&stack, "/api/x", APP).await;
    assert_eq!(reply.header("access-control-allow-methods"), Some("DELETE"));
    let reply = preflight(&stack, "/read/x", APP).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.header("access-control-allow-origin"), Some(APP));
    assert_eq!(reply.header("access-control-allow-methods"), Some("GET, HEAD"));
    assert_eq!(
        reply.header("access-control-allow-headers"),
        Some("x-csrf-token,content-type")
    );
    let reply = preflight(&stack, "/read/x", EVIL).await;
    assert_eq!(reply.header("access-control-allow-origin"), None);
    assert!(stack.api.calls().is_empty());
}

/// Also those that are made before anything else is looked at.
#[tokio::test]
async fn a_listed_origin_may_read_every_refusal() {
    let stack = Stack::builder()
        .set("CORS__ALLOW_ORIGINS", APP)
        .routes(
            "services:\n  api: { base_url: '{api}', max_body: 1 }\n  gone: { base_url: 'http://127.0.0.1:1' }\nroutes:\n\
             - { id: api, path: /api/*, target_service: api, auth: none, rate_limit: { per_route: 1/d } }\n\
             - { id: gone, path: /gone/*, target_service: gone, auth: none }\n\
             - { id: read, path: /read/*, target_service: api, auth: none, methods: [GET] }\n\
             - { id: long, path: /long/*, target_service: api, auth: none }\n",
        )
        .start()
        .await;
    let nobody = stack.browser();
    let get = async |path: &str, name: &str, value: &str| {
        call(&nobody, Method::GET, path, &[("origin", APP), (name, value)]).await
    };
    assert_eq!(get("/api/x", "x-a", "b").await.status, StatusCode::OK);
    let large = "l".repeat(100 * 1024);
    for (reply, status) in [
        (get("/api/x", "x-a", "b").await, 429),
        (get("/gone/x", "x-a", "b").await, 502),
        (get("/api/x//y", "x-a", "b").await, 400),
        (get("/api/x", "x-large", &large).await, 431),
        (
            call(&nobody, Method::DELETE, "/read/x", &[("origin", APP)]).await,
            405,
        ),
    ] {
        assert_eq!(reply.refusal().0, status);
        assert_eq!(reply.header("access-control-allow-origin"), Some(APP), "{status}");
        assert_eq!(
            reply.header("access-control-allow-credentials"),
            Some("true"),
            "{status}"
        );
        let vary: Vec<_> = reply.headers.get_all("vary").iter().collect();
        assert!(
            vary.iter().any(|vary| vary.to_str().unwrap().contains("origin")),
            "{status}"
        );
    }
    let reply = call(
        &nobody,
        Method::GET,
        "/api/x",
        &[("origin", EVIL), ("x-large", &large)],
    )
    .await;
    assert_eq!(reply.refusal().0, 431);
    assert!(allowances(&reply).is_empty());
}
