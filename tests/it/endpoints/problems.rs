//! The form of a refusal, for programs and for people; properties of all `/auth/*` answers.

use http::Method;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::Stack;

#[tokio::test]
async fn a_problem_has_one_shape() {
    let stack = Stack::start().await;
    let nobody = stack.browser();
    for (method, path, status, code) in [
        (Method::GET, "/api/x", 401, "unauthenticated"),
        (Method::GET, "/auth/verify", 401, "unauthenticated"),
        (Method::GET, "/nothing", 404, "not_found"),
        (Method::GET, "/public//x", 400, "ambiguous_path"),
        (Method::OPTIONS, "/api/x", 405, "method_not_allowed"),
        (Method::PATCH, "/auth/logout", 405, "method_not_allowed"),
        (Method::POST, "/public/x?secret=hunter2", 403, "csrf_origin"),
        (Method::POST, "/auth/logout", 403, "csrf_origin"),
    ] {
        let request = nobody
            .at("http://evil.localhost")
            .request(method.clone(), &format!("{}{path}", stack.origin(0)));
        // The `Accept` of a script changes nothing on endpoints for programs.
        let request = request
            .header("accept", "text/html,*/*;q=0.8")
            .header("sec-fetch-mode", "cors")
            .header("sec-fetch-dest", "empty");
        let reply = nobody.send(request).await;
        assert_eq!(reply.refusal(), (status, code.to_owned()), "{method} {path}");
        let problem = reply.json();
        let mut members: Vec<&str> = problem.as_object().unwrap().keys().map(String::as_str).collect();
        members.sort_unstable();
        assert_eq!(
            members,
            ["code", "correlation_id", "detail", "status", "title", "type"]
        );
        assert_eq!(problem["type"], "about:blank");
        assert_eq!(problem["status"], status);
        assert_eq!(
            problem["correlation_id"].as_str(),
            reply.header("x-correlation-id")
        );
        assert!(!problem["title"].as_str().unwrap().is_empty());
        assert!(!problem["detail"].as_str().unwrap().is_empty());
        assert_eq!(reply.header("cache-control"), Some("no-store"), "{path}");
        assert!(!reply.body.contains("hunter2"));
    }
}

#[tokio::test]
async fn a_person_sees_a_page_and_a_program_sees_json() {
    let stack = Stack::start().await;
    let nobody = stack.browser();
    let path = "/auth/callback?state=%3Cscript%3E&code=x";
    let page = nobody
        .send(
            nobody
                .request(Method::GET, path)
                .header("accept", "text/html,application/json"),
        )
        .await;
    assert_eq!(page.status.as_u16(), 400);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(
        page.header("content-security-policy")
            .unwrap()
            .contains("default-src 'none'")
    );
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert!(page.body.contains("login_unknown"));
    assert!(page.body.contains(page.header("x-correlation-id").unwrap()));
    assert!(!page.body.contains("<script>"));
    let json = nobody
        .send(
            nobody
                .request(Method::GET, path)
                .header("accept", "application/json"),
        )
        .await;
    assert_eq!(json.refusal(), (400, "login_unknown".to_owned()));
}

#[tokio::test]
async fn no_answer_of_an_auth_route_is_stored_or_referred_to() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    for _ in 0..2 {
        for path in [
            "/auth/login",
            "/auth/login?return_to=https://evil.example",
            "/auth/callback",
            "/auth/session",
            "/api/auth/session",
            "/auth/csrf",
            "/auth/verify",
            "/auth/forward",
            "/auth/logout",
            "/api/auth/logout",
            "/auth/logged-out",
            "/auth/unknown",
            "/auth//login",
        ] {
            for method in [Method::GET, Method::DELETE] {
                let reply = ada.send(ada.request(method, path)).await;
                assert_eq!(reply.header("cache-control"), Some("no-store"), "{path}");
                assert_eq!(reply.header("referrer-policy"), Some("no-referrer"), "{path}");
            }
        }
        ada.log_in().await;
    }
}

#[tokio::test]
async fn an_unsupported_method_is_405_with_allow() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    for (path, has) in [
        ("/auth/login", "GET"),
        ("/auth/callback", "GET"),
        ("/auth/csrf", "GET"),
        ("/auth/logout", "POST"),
        ("/auth/logged-out", "GET"),
        ("/health", "GET"),
        ("/health/live", "GET"),
        ("/health/ready", "GET"),
        ("/.well-known/jwks.json", "GET"),
    ] {
        for method in [Method::PUT, Method::DELETE, Method::PATCH, Method::TRACE] {
            let reply = ada.send(ada.request(method.clone(), path)).await;
            assert_eq!(
                reply.refusal(),
                (405, "method_not_allowed".to_owned()),
                "{method} {path}"
            );
            assert!(reply.header("allow").unwrap().contains(has), "{method} {path}");
        }
    }
    assert!(ada.is_logged_in().await);
}

#[tokio::test]
async fn a_form_that_does_not_arrive_is_not_waited_for_without_end() {
    let stack = Stack::start().await;
    let mut connection = TcpStream::connect(stack.address).await.unwrap();
    let head = format!(
        "POST /auth/logout HTTP/1.1\r\nHost: automate.localhost\r\nOrigin: {}\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\ncsrf_token=",
        stack.origin(0)
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    let reading = tokio::spawn(async move {
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.map(|_| answer)
    });
    let answer = stack.advance_until_done(reading).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("\"code\":\"request_timeout\""), "{answer}");
}
