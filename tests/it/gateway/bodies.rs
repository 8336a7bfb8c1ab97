//! Bodies of any size are streamed, both ways.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{Router, body::Body, extract::Request, routing::any};
use bytes::Bytes;
use http::{Method, StatusCode};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::{Browser, Stack, pause, raw, service};

const LARGE: usize = 16 * 1024 * 1024;

async fn stack_with(api: Router) -> (Stack, Browser) {
    let url = service(api).await;
    let routes = format!(
        "services:\n  api:\n    base_url: \"{url}\"\n    max_body: 1GiB\nroutes:\n  - id: api\n    path: /api/*\n    target_service: api\n    auth: session\n"
    );
    let stack = Stack::builder().routes(&routes).start().await;
    let ada = stack.browser();
    ada.log_in().await;
    (stack, ada)
}

/// A router that streams its input back.
fn echo() -> Router {
    Router::new().fallback(any(async |request: Request| Body::new(request.into_body())))
}

#[tokio::test]
async fn large_bodies_pass_both_ways() {
    let (_stack, ada) = stack_with(echo()).await;
    let body: Vec<u8> = (0..LARGE).map(|at| u8::try_from(at % 251).unwrap()).collect();
    let request = ada
        .request(Method::POST, "/api/echo")
        .header("x-csrf-token", ada.csrf_token().await)
        .body(body.clone());
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(
        answer.bytes().await.unwrap() == body,
        "the body has changed on its way"
    );
}

#[tokio::test]
async fn the_body_of_a_get_is_not_dropped() {
    let (stack, ada) = stack_with(echo()).await;
    let head = format!(
        "GET /api/search HTTP/1.1\r\nHost: automate.localhost:{}\r\nCookie: __Host-Http-bff_session={}\r\nConnection: close\r\n",
        stack.address.port(),
        ada.session_cookie().unwrap(),
    );
    for body in [
        "Content-Length: 5\r\n\r\nquery",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nquery\r\n0\r\n\r\n",
    ] {
        let answer = raw(stack.address, &format!("{head}{body}")).await;
        assert!(
            answer.starts_with("HTTP/1.1 200 ") && answer.contains("query"),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn a_body_is_answered_while_it_is_still_being_sent() {
    let (stack, ada) = stack_with(echo()).await;
    let mut connection = TcpStream::connect(stack.address).await.unwrap();
    let head = format!(
        "POST /api/echo HTTP/1.1\r\nHost: automate.localhost:{}\r\nOrigin: {}\r\nCookie: __Host-Http-bff_session={}\r\n\
         X-CSRF-Token: {}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
        stack.address.port(),
        ada.origin(),
        ada.session_cookie().unwrap(),
        ada.csrf_token().await,
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    let mut seen = String::new();
    for piece in ["first", "second"] {
        let chunk = format!("{:x}\r\n{piece}\r\n", piece.len());
        connection.write_all(chunk.as_bytes()).await.unwrap();
        let mut buffer = [0; 4096];
        while !seen.contains(piece) {
            let length = connection.read(&mut buffer).await.unwrap();
            assert_ne!(length, 0, "{seen}");
            seen.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
        }
    }
    connection.write_all(b"0\r\n\r\n").await.unwrap();
    connection.read_to_string(&mut seen).await.unwrap();
    assert!(
        seen.starts_with("HTTP/1.1 200 ") && seen.ends_with("0\r\n\r\n"),
        "{seen}"
    );
}

/// Says when it is gone.
struct Guard(Arc<AtomicBool>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn an_answer_without_end_is_given_up_when_the_browser_goes() {
    let is_gone = Arc::new(AtomicBool::new(false));
    let gone = Arc::clone(&is_gone);
    let router = Router::new().fallback(any(async move || {
        let stream = futures_util::stream::unfold(Guard(gone), |guard| async {
            Some((Ok::<_, std::io::Error>(Bytes::from(vec![0; 64 * 1024])), guard))
        });
        Body::from_stream(stream)
    }));
    let (_stack, ada) = stack_with(router).await;
    let mut answer = ada.request(Method::GET, "/api/endless").send().await.unwrap();
    assert!(answer.chunk().await.unwrap().is_some());
    assert!(!is_gone.load(Ordering::SeqCst));
    drop(answer);
    for _ in 0..2_000 {
        if is_gone.load(Ordering::SeqCst) {
            return;
        }
        pause().await;
    }
    panic!("the service goes on and on");
}

#[tokio::test]
async fn a_body_for_a_refused_call_is_not_waited_for() {
    let (stack, ada) = stack_with(echo()).await;
    for (cookie, status) in [
        (String::new(), "401"),
        (
            format!(
                "Cookie: __Host-Http-bff_session={}\r\n",
                ada.session_cookie().unwrap()
            ),
            "403",
        ),
    ] {
        let mut connection = TcpStream::connect(stack.address).await.unwrap();
        let head = format!(
            "POST /api/echo HTTP/1.1\r\nHost: automate.localhost\r\n{cookie}Content-Length: 1000000\r\n\r\n"
        );
        connection.write_all(head.as_bytes()).await.unwrap();
        let mut buffer = [0; 4096];
        let length = connection.read(&mut buffer).await.unwrap();
        let answer = String::from_utf8_lossy(&buffer[..length]);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_not_taken_for_the_whole() {
    let router = Router::new().fallback(any(async || {
        let pieces = futures_util::stream::unfold(0, |at| async move {
            // So that the first half is out before the second one fails.
            pause().await;
            let piece = match at {
                0 => Ok(Bytes::from("half")),
                _ => Err(std::io::Error::other("the disk is gone")),
            };
            Some((piece, at + 1))
        });
        Body::from_stream(pieces)
    }));
    let (_stack, ada) = stack_with(router).await;
    let answer = ada.request(Method::GET, "/api/x").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(answer.bytes().await.is_err());
}
