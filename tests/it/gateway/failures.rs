//! A failing service gives 502 or 504, never 500, and the answer reveals nothing about it.

use std::time::Duration;

use http::{Method, StatusCode};
use tokio::{io::AsyncWriteExt as _, net::TcpListener};

use crate::support::Stack;

const PROBLEM: &str = "application/problem+json";

fn routes(url: &str) -> String {
    format!(
        "services:\n  api:\n    base_url: \"{url}\"\n    timeout: 5s\nroutes:\n  - id: api\n    path: /api/*\n    target_service: api\n    auth: session\n"
    )
}

/// A service that says `answer` to every connection and closes it.
async fn saying(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            connection.readable().await.unwrap();
            let _ = connection.write_all(answer).await;
        }
    });
    url
}

#[tokio::test]
async fn a_service_that_gives_no_usable_answer_is_a_502() {
    let gone = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    for url in [
        gone,
        saying(b"").await,
        saying(b"not http\r\n\r\n").await,
        saying(b"HTTP/1.1 200 OK\r\nContent-Le").await,
        saying(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
            .await,
    ] {
        let stack = Stack::builder().routes(&routes(&url)).start().await;
        let ada = stack.browser();
        ada.log_in().await;
        let reply = ada.get("/api/x").await;
        assert_eq!(reply.refusal(), (502, "bad_gateway".to_owned()));
        assert!(!reply.body.contains("127.0.0.1") && !reply.body.contains("refused"));
        assert!(ada.is_logged_in().await);
    }
}

#[tokio::test]
async fn a_service_that_does_not_answer_in_time_is_a_504() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let stack = Stack::builder().routes(&routes(&url)).start().await;
    let ada = stack.browser();
    ada.log_in().await;
    let call = tokio::spawn(async move { ada.get("/api/x").await });
    let (connection, _) = listener.accept().await.unwrap();
    connection.readable().await.unwrap();
    stack.advance(Duration::from_secs(4)).await;
    assert!(!call.is_finished());
    stack.advance(Duration::from_secs(2)).await;
    let reply = call.await.unwrap();
    assert_eq!(reply.refusal(), (504, "gateway_timeout".to_owned()));
}

#[tokio::test]
async fn what_a_service_answers_passes_whatever_its_status() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    for status in [200, 204, 301, 304, 400, 401, 403, 404, 418, 429, 500, 503, 599] {
        let status = StatusCode::from_u16(status).unwrap();
        stack.api.answer(move |_| {
            let headers = [("location", "https://elsewhere.example/"), ("retry-after", "7")];
            axum::response::IntoResponse::into_response((status, headers))
        });
        let reply = ada.get("/api/x").await;
        assert_eq!(reply.status, status);
        assert_eq!(reply.location(), "https://elsewhere.example/");
        assert_eq!(reply.header("retry-after"), Some("7"));
        assert_ne!(reply.header("content-type"), Some(PROBLEM));
    }
    assert!(ada.is_logged_in().await, "a 401 of an API ends no session");
}

#[tokio::test]
async fn a_websocket_is_refused_before_anything_is_sent() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    let request = ada
        .request(Method::GET, "/api/x")
        .header("connection", "upgrade")
        .header("upgrade", "WebSocket");
    assert_eq!(
        ada.send(request).await.refusal(),
        (501, "upgrade_not_supported".to_owned())
    );
    assert!(stack.api.calls().is_empty());
}

#[tokio::test]
async fn a_browser_that_stops_sending_gets_408() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    let token = ada.csrf_token().await;
    let mut connection = tokio::net::TcpStream::connect(stack.address).await.unwrap();
    let head = format!(
        "POST /api/x HTTP/1.1\r\nHost: automate.localhost\r\nOrigin: {}\r\nCookie: __Host-Http-bff_session={}\r\n\
         X-CSRF-Token: {token}\r\nContent-Length: 100\r\nConnection: close\r\n\r\nhalf",
        ada.origin(),
        ada.session_cookie().unwrap(),
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    let reading = tokio::spawn(async move {
        let mut answer = String::new();
        tokio::io::AsyncReadExt::read_to_string(&mut connection, &mut answer)
            .await
            .map(|_| answer)
    });
    let answer = stack.advance_until_done(reading).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("\"request_timeout\""), "{answer}");
    assert!(stack.api.calls().iter().all(|call| call.body != "half"));
}
