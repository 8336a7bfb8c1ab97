//! The two CSRF checks of a call that changes state.

use http::{Method, StatusCode};

use crate::support::{Browser, Reply, Stack};

/// Anonymous calls reach it, a session or not.
const OPEN: &str = "/public/x";
const SESSION: &str = "/api/x";

async fn call(browser: &Browser, method: &Method, path: &str, headers: &[(&str, &str)]) -> Reply {
    // Without the `Origin` that the harness adds by itself.
    let mut request = browser.request(Method::GET, path).build().unwrap();
    *request.method_mut() = method.clone();
    for (name, value) in headers {
        let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
        request.headers_mut().append(name, value.parse().unwrap());
    }
    Reply::read(crate::support::http_client().execute(request).await.unwrap()).await
}

fn methods() -> [Method; 4] {
    [Method::POST, Method::PUT, Method::PATCH, Method::DELETE]
}

#[tokio::test]
async fn attack_5_a_state_change_needs_an_own_origin() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    let token = ada.csrf_token().await;
    let own = ada.origin().to_owned();
    let other_port = format!("http://automate.localhost:{}", stack.address.port() - 1);
    let https = own.replace("http://", "https://");
    for method in methods() {
        for path in [SESSION, OPEN] {
            for headers in [
                &[][..],
                &[("origin", "https://evil.example")],
                &[("origin", "null")],
                &[("origin", &other_port)],
                &[("origin", &https)],
                &[("origin", &own), ("origin", "https://evil.example")],
                &[
                    ("origin", "https://evil.example"),
                    ("sec-fetch-site", "same-origin"),
                ],
                &[("sec-fetch-site", "same-site")],
                &[("sec-fetch-site", "cross-site")],
                &[("sec-fetch-site", "none")],
                &[("referer", &own)],
                &[
                    ("x-forwarded-host", "evil.example"),
                    ("origin", "http://evil.example"),
                ],
            ] {
                let mut headers = headers.to_vec();
                headers.push(("x-csrf-token", &token));
                let reply = call(&ada, &method, path, &headers).await;
                assert_eq!(
                    reply.refusal(),
                    (403, "csrf_origin".to_owned()),
                    "{method} {path}"
                );
                assert!(reply.set_cookies().is_empty());
            }
        }
    }
    assert!(stack.api.calls().is_empty());
}

#[tokio::test]
async fn attack_5_a_state_change_needs_the_csrf_token() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    let grace = Browser::new("grace", &stack.origin(0));
    grace.log_in().await;
    let foreign = grace.csrf_token().await;
    let token = ada.csrf_token().await;
    let own = ada.origin().to_owned();
    let longer = format!("{token}A");
    for method in methods() {
        for tokens in [
            &[][..],
            &[("x-csrf-token", "")],
            &[("x-csrf-token", "x")],
            &[("x-csrf-token", foreign.as_str())],
            &[("x-csrf-token", &token[1..])],
            &[("x-csrf-token", &longer)],
            &[("x-csrf-token", &token), ("x-csrf-token", &token)],
            &[("x_csrf_token", &token)],
            &[("cookie2", &token)],
        ] {
            let mut headers = tokens.to_vec();
            headers.push(("origin", &own));
            let reply = call(&ada, &method, SESSION, &headers).await;
            assert_eq!(reply.refusal(), (403, "csrf_token".to_owned()), "{method}");
        }
        // Neither a query nor a form can carry it on a route to an API.
        let path = format!("{SESSION}?csrf_token={token}");
        let reply = call(&ada, &method, &path, &[("origin", &own)]).await;
        assert_eq!(reply.refusal().0, 403);
    }
    assert!(stack.api.calls().is_empty());
}

#[tokio::test]
async fn attack_5_with_both_proofs_it_passes_from_every_own_origin() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    let token = ada.csrf_token().await;
    let base = format!("http://127.0.0.1:{}", stack.address.port());
    let origins = [stack.origin(0), stack.origin(1), stack.origin(2), base];
    for method in methods() {
        for origin in &origins {
            let headers = [("origin", origin.as_str()), ("x-csrf-token", &token)];
            assert_eq!(
                call(&ada, &method, SESSION, &headers).await.status,
                StatusCode::OK
            );
        }
        let headers = [("sec-fetch-site", "same-origin"), ("x-csrf-token", &token)];
        assert_eq!(
            call(&ada, &method, SESSION, &headers).await.status,
            StatusCode::OK
        );
    }
    assert_eq!(stack.api.calls().len(), 4 * 5);
}

#[tokio::test]
async fn attack_5_a_route_without_a_session_asks_for_the_origin_alone() {
    let stack = Stack::start().await;
    let nobody = stack.browser();
    let own = nobody.origin().to_owned();
    for method in methods() {
        assert_eq!(
            call(&nobody, &method, OPEN, &[]).await.refusal(),
            (403, "csrf_origin".to_owned())
        );
        let reply = call(&nobody, &method, OPEN, &[("origin", &own)]).await;
        assert_eq!(reply.status, StatusCode::OK);
    }
    assert_eq!(stack.api.calls().len(), 4);
}

#[tokio::test]
async fn attack_5_a_token_ends_with_its_session() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    let before = ada.csrf_token().await;
    ada.post("/auth/logout").await;
    ada.log_in().await;
    let headers = [("origin", ada.origin()), ("x-csrf-token", &before)];
    assert_eq!(
        call(&ada, &Method::POST, SESSION, &headers).await.refusal(),
        (403, "csrf_token".to_owned())
    );
    assert!(stack.api.calls().is_empty());
}

/// Or makes a read look like one.
#[tokio::test]
async fn attack_2_no_header_hides_a_state_change() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    let own = ada.origin().to_owned();
    for name in [
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
        "x-original-method",
        "x-forwarded-method",
    ] {
        let headers = [("origin", own.as_str()), (name, "GET")];
        let reply = call(&ada, &Method::POST, SESSION, &headers).await;
        assert_eq!(reply.refusal(), (403, "csrf_token".to_owned()), "{name}");
        assert!(stack.api.calls().is_empty());
    }
    for name in ["x-http-method-override", "X-HTTP-Method", "x-method-override"] {
        assert_eq!(
            call(&ada, &Method::GET, SESSION, &[(name, "DELETE")])
                .await
                .status,
            StatusCode::OK
        );
        let call = stack.api.last();
        assert_eq!((call.method.as_str(), call.header(name)), ("GET", None));
    }
}

#[tokio::test]
async fn attack_2_no_header_opens_a_path_without_a_session() {
    let stack = Stack::start().await;
    let nobody = stack.browser();
    for (name, value) in [
        ("user-agent", "kube-probe/1.31"),
        ("user-agent", "GoogleHC/1.0"),
        ("user-agent", "ELB-HealthChecker/2.0"),
        ("user-agent", "Edge Health Probe"),
        ("x-original-url", "/public/x"),
        ("x-rewrite-url", "/public/x"),
        ("x-forwarded-uri", "/public/x"),
        ("x-forwarded-prefix", "/public"),
        ("x-forwarded-user", "root"),
        ("x-user-id", "u-ada"),
        ("x-auth-request-user", "u-ada"),
        ("authorization", "Bearer x"),
        ("x-http-method-override", "OPTIONS"),
        ("upgrade", "websocket"),
    ] {
        let reply = call(&nobody, &Method::GET, SESSION, &[(name, value)]).await;
        assert_eq!(reply.refusal(), (401, "unauthenticated".to_owned()), "{name}");
        let reply = call(&nobody, &Method::GET, "/auth/verify", &[(name, value)]).await;
        assert_eq!(reply.refusal(), (401, "unauthenticated".to_owned()), "{name}");
    }
    assert!(stack.api.calls().is_empty());
}
