//! The header fields that an API receives, and those that it cannot send to a browser.

use axum::response::IntoResponse as _;
use http::{Method, StatusCode};

use crate::support::{Browser, HOSTS, Reply, Stack, http2_client, raw};

async fn get(ada: &Browser, path: &str, headers: &[(&str, &str)]) -> Reply {
    let mut request = ada.request(Method::GET, path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    ada.send(request).await
}

#[tokio::test]
async fn attack_4_identity_headers_of_the_client_never_reach_an_api() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    for path in ["/api/x", "/public/x"] {
        // As bytes: a client library would not write these names.
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}:{}\r\nCookie: __Host-Http-bff_session={}\r\n\
             X-USER-ID: root\r\nx-user-id: root\r\nX_User_Id: root\r\nX-User_Email: root\r\nX-Forwarded-User: root\r\n\
             x-auth-request-email: root\r\nRemote-User: root\r\nX-Remote-User: root\r\nX-Session-ID: root\r\n\
             X-Real-IP: 203.0.113.9\r\nTrue-Client-IP: 203.0.113.9\r\nForwarded: for=203.0.113.9\r\n\
             X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-For: 203.0.113.10\r\nX-Forwarded-Host: evil.example\r\n\
             X-Forwarded-Proto: gopher\r\nX-Original-URL: /admin\r\nX-Roles: root\r\nX-Groups: root\r\n\
             X-Named: root\r\nConnection: close, X-Named, X-Forwarded-For, Authorization, Cookie, X-Correlation-ID\r\n\
             X-Application: stays\r\n\r\n",
            HOSTS[0],
            stack.address.port(),
            ada.session_cookie().unwrap(),
        );
        let answer = raw(stack.address, &request).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{path}: {answer}");
        let call = stack.api.last();
        for (name, value) in &call.headers {
            let value = value.to_str().unwrap();
            let lie = value.contains("root") || value.contains("203.0.113") || value.contains("evil");
            assert!(!lie && value != "gopher" && value != "/admin", "{path}: {name}");
            assert!(!name.as_str().contains('_'), "{path}: {name}");
        }
        assert_eq!(call.header("x-application"), Some("stays"));
        // The client cannot name the gateway's additions in `Connection`.
        assert_eq!(call.header("x-forwarded-for"), Some("127.0.0.1"));
        assert!(call.header("x-correlation-id").is_some());
        assert_eq!(call.headers.contains_key("authorization"), path == "/api/x");
    }
}

#[tokio::test]
async fn an_api_is_told_where_a_call_came_from() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    get(
        &ada,
        "/api/x",
        &[("accept-language", "de"), ("if-none-match", "\"1\"")],
    )
    .await;
    let call = stack.api.last();
    let host = format!("{}:{}", HOSTS[0], stack.address.port());
    assert_eq!(call.header("x-forwarded-host"), Some(host.as_str()));
    assert_eq!(call.header("x-forwarded-proto"), Some("http"));
    assert_eq!(call.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(call.header("host"), stack.api.url().strip_prefix("http://"));
    assert_eq!(call.header("accept-language"), Some("de"));
    assert_eq!(call.header("if-none-match"), Some("\"1\""));
}

/// On every listener.
#[tokio::test]
async fn a_request_has_exactly_one_host() {
    let stack = Stack::builder().with_internal_listener().start().await;
    let own = format!("{}:{}", HOSTS[0], stack.address.port());
    for listener in [stack.address, stack.internal.unwrap()] {
        for path in [
            "/public/x",
            "/auth/session",
            "/health/live",
            "/.well-known/jwks.json",
        ] {
            for (target, hosts) in [
                (path.to_owned(), String::new()),
                (path.to_owned(), format!("Host: {own}\r\nHost: b.example\r\n")),
                (path.to_owned(), format!("Host: {own}\r\nHost: {own}\r\n")),
                (path.to_owned(), "Host:\r\n".to_owned()),
                (path.to_owned(), "Host: a.example, b.example\r\n".to_owned()),
                (format!("http://{own}{path}"), "Host: b.example\r\n".to_owned()),
                (format!("http://b.example{path}"), format!("Host: {own}\r\n")),
            ] {
                let request = format!("GET {target} HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n");
                let answer = raw(listener, &request).await;
                assert!(answer.starts_with("HTTP/1.1 400 "), "{target} {hosts}: {answer}");
                assert!(answer.contains("\"code\":\"invalid_host\""), "{answer}");
            }
        }
        // RFC 9112 section 3.2.2: both may be there if they agree.
        let request =
            format!("GET http://{own}/health/live HTTP/1.1\r\nHost: {own}\r\nConnection: close\r\n\r\n");
        let answer = raw(listener, &request).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        // A load balancer's check in a version that knows no `Host`.
        let answer = raw(listener, "GET /health/live HTTP/1.0\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.0 200 "), "{answer}");
    }
    assert!(stack.api.calls().is_empty());
}

#[tokio::test]
async fn an_authority_of_http_2_and_another_host_are_refused() {
    let stack = Stack::start().await;
    let request = http2_client().get(format!("http://{}/public/x", stack.address));
    let answer = request.header("host", "evil.example").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    assert!(stack.api.calls().is_empty());
}

#[tokio::test]
async fn the_host_that_an_api_is_told_is_one_of_ours_or_none() {
    let stack = Stack::start().await;
    let port = stack.address.port();
    let own = format!("{}:{port}", HOSTS[0]);
    for (host, told) in [
        (own.to_ascii_uppercase(), Some(own.as_str())),
        ("evil.example".to_owned(), None),
        (format!("evil.example:{port}"), None),
        (HOSTS[0].to_owned(), None),
    ] {
        let request = format!("GET /public/x HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let answer = raw(stack.address, &request).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert_eq!(stack.api.last().header("x-forwarded-host"), told, "{host}");
    }
}

/// It removes more headers or lets some pass.
#[tokio::test]
async fn attack_40_and_49_a_service_extends_the_header_policy() {
    let routes = "services:
  api:
    base_url: \"{api}\"
    headers: { remove: [X-Tenant, X-Internal-*], allow: [X-Accel-Buffering] }
routes:
  - { id: public, path: /public/*, target_service: api, auth: none }
";
    let stack = Stack::builder().routes(routes).start().await;
    stack.api.answer(|_| {
        let headers = [
            ("clear-site-data", "\"*\""),
            ("strict-transport-security", "max-age=1"),
            ("alt-svc", "clear"),
            ("x-accel-redirect", "/x"),
            ("x-accel-buffering", "no"),
        ];
        (headers, "ok").into_response()
    });
    let request = format!(
        "GET /public/x HTTP/1.1\r\nHost: {}:{}\r\nX-Tenant: root\r\nX-Internal-Role: root\r\nX.User.ID: root\r\n\
         Impersonate-User: root\r\nProxy: root\r\nX-Kept: stays\r\nConnection: close\r\n\r\n",
        HOSTS[0],
        stack.address.port()
    );
    let answer = raw(stack.address, &request).await.to_ascii_lowercase();
    assert!(answer.contains("x-accel-buffering: no"), "{answer}");
    for withheld in [
        "clear-site-data",
        "strict-transport",
        "alt-svc",
        "x-accel-redirect",
    ] {
        assert!(!answer.contains(withheld), "{withheld}: {answer}");
    }
    let call = stack.api.last();
    assert!(call.headers.values().all(|value| value != "root"), "{call:?}");
    assert_eq!(call.header("x-kept"), Some("stays"));
}

/// Ours or that of the browser, never both.
#[tokio::test]
async fn attack_34_only_one_authorization_leaves() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    get(&ada, "/api/x", &[("authorization", "Bearer mine")]).await;
    let call = stack.api.last();
    let values: Vec<_> = call.headers.get_all("authorization").iter().collect();
    assert_eq!(values.len(), 1);
    let token = call.header("authorization").unwrap().to_owned();
    assert!(token.starts_with("Bearer ") && !token.contains("mine"));

    get(&ada, "/public/x", &[]).await;
    assert_eq!(stack.api.last().header("authorization"), None);
    get(&ada, "/public/x", &[("authorization", "Basic bWluZQ==")]).await;
    assert_eq!(stack.api.last().header("authorization"), Some("Basic bWluZQ=="));
}

#[tokio::test]
async fn attack_29_what_belongs_to_a_session_is_for_no_shared_cache() {
    let stack = Stack::start().await;
    stack.api.answer(|_| {
        let headers = [
            ("cache-control", "public, max-age=60, s-maxage=600"),
            ("cdn-cache-control", "max-age=600"),
            ("surrogate-control", "max-age=600"),
            ("x-accel-expires", "600"),
        ];
        (headers, "ok").into_response()
    });
    let ada = stack.browser();
    ada.log_in().await;
    let reply = ada.get("/api/x").await;
    assert_eq!(reply.header("cache-control"), Some("private, max-age=60"));
    for name in ["cdn-cache-control", "surrogate-control", "x-accel-expires"] {
        assert_eq!(reply.header(name), None, "{name}");
    }
    let reply = ada.get("/public/x").await;
    assert_eq!(
        reply.header("cache-control"),
        Some("public, max-age=60, s-maxage=600")
    );

    stack.api.answer(|_| "ok".into_response());
    assert_eq!(ada.get("/api/x").await.header("cache-control"), Some("private"));
}

/// Nor does the correlation id of the API.
#[tokio::test]
async fn hop_by_hop_fields_do_not_reach_the_browser() {
    let stack = Stack::start().await;
    stack.api.answer(|_| {
        let headers = [
            ("connection", "x-internal"),
            ("x-internal", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-authenticate", "Basic"),
            ("x-correlation-id", "theirs"),
            ("x-application", "stays"),
        ];
        (StatusCode::IM_A_TEAPOT, headers, "ok").into_response()
    });
    let ada = stack.browser();
    ada.log_in().await;
    let reply = get(&ada, "/api/x", &[("x-correlation-id", "mine")]).await;
    assert_eq!(reply.status, StatusCode::IM_A_TEAPOT);
    for name in ["x-internal", "keep-alive", "proxy-authenticate"] {
        assert_eq!(reply.header(name), None, "{name}");
    }
    assert_eq!(reply.header("x-correlation-id"), Some("mine"));
    assert_eq!(reply.header("x-application"), Some("stays"));
}

#[tokio::test]
async fn attack_30_the_correlation_id_is_accepted_made_and_replaced() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    let longest = "a".repeat(128);
    let too_long = "a".repeat(129);
    for good in ["a", "order-7.retry_2", &longest] {
        for path in ["/api/x", "/auth/session", "/health", "/nothing"] {
            let reply = get(&ada, path, &[("x-correlation-id", good)]).await;
            assert_eq!(reply.header("x-correlation-id"), Some(good), "{path}");
        }
        assert_eq!(stack.api.last().header("x-correlation-id"), Some(good));
    }
    for bad in ["", "a b", "a\u{fc}", "a;b", "<script>", "a/b", &too_long] {
        let reply = get(&ada, "/api/x", &[("x-correlation-id", bad)]).await;
        let made = reply.header("x-correlation-id").unwrap().to_owned();
        assert_ne!(made, bad);
        let well_formed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        assert!(!made.is_empty() && made.bytes().all(well_formed));
        assert_eq!(stack.api.last().header("x-correlation-id"), Some(made.as_str()));
        let problem = get(&ada, "/nothing", &[("x-correlation-id", bad)]).await;
        assert_eq!(
            problem.json()["correlation_id"].as_str(),
            problem.header("x-correlation-id")
        );
        assert!(!problem.body.contains("<script>"));
    }
    let twice = get(
        &ada,
        "/api/x",
        &[("x-correlation-id", "one"), ("x-correlation-id", "two")],
    )
    .await;
    assert!(!["one", "two"].contains(&twice.header("x-correlation-id").unwrap()));
}
