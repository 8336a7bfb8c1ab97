//! Streams belong to a session, and end with it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body, extract::Request, routing::any};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{Method, StatusCode};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::{Browser, Stack, pause, service};

/// Says when it is gone.
struct Guard(Arc<AtomicBool>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// An API with an event stream that never ends, an upload that reads all, and an answer that never begins. Each sets the
/// flag when it is given up.
fn api(gave_up: &Arc<AtomicBool>) -> Router {
    let flag = || Arc::clone(gave_up);
    let (events, upload, late) = (flag(), flag(), flag());
    Router::new()
        .route(
            "/events",
            any(async move || {
                let guard = Guard(events);
                let first = stream::iter([Ok::<_, std::io::Error>(Bytes::from("data: first\n\n"))]);
                let rest = stream::unfold(guard, |guard| async move {
                    std::future::pending::<()>().await;
                    Some((Ok(Bytes::new()), guard))
                });
                Body::from_stream(first.chain(rest))
            }),
        )
        .route(
            "/upload",
            any(async move |request: Request| {
                let _guard = Guard(upload);
                let _ = axum::body::to_bytes(Body::new(request.into_body()), usize::MAX).await;
                "complete"
            }),
        )
        .route(
            "/late",
            any(async move || {
                let _guard = Guard(late);
                std::future::pending::<()>().await;
            }),
        )
}

async fn stack_with(api: Router) -> (Stack, Browser) {
    let url = service(api).await;
    let routes = format!(
        "services:\n  api: {{ base_url: \"{url}\", timeout: 1h }}\nroutes:\n  - {{ id: api, path: /api/*, target_service: api }}\n"
    );
    let stack = Stack::builder()
        .routes(&routes)
        .set("SESSION_IDLE_TIMEOUT", "30m")
        .start()
        .await;
    let ada = stack.browser();
    ada.log_in().await;
    (stack, ada)
}

async fn until_set(flag: &AtomicBool) {
    for _ in 0..2_000 {
        if flag.load(Ordering::SeqCst) {
            return;
        }
        pause().await;
    }
    panic!("the service goes on and on");
}

async fn log_out(ada: &Browser) {
    let request = ada
        .request(Method::POST, "/auth/logout")
        .header("x-csrf-token", ada.csrf_token().await);
    assert!(ada.send(request).await.status.is_redirection());
}

#[tokio::test]
async fn attack_48_an_event_stream_ends_with_its_session() {
    let gave_up = Arc::new(AtomicBool::new(false));
    let (_stack, ada) = stack_with(api(&gave_up)).await;
    let mut events = ada.request(Method::GET, "/api/events").send().await.unwrap();
    assert_eq!(events.chunk().await.unwrap().unwrap(), "data: first\n\n");
    assert!(!gave_up.load(Ordering::SeqCst));
    log_out(&ada).await;
    // Broken off, so that nobody takes it for complete.
    assert!(events.chunk().await.is_err());
    until_set(&gave_up).await;
    assert_eq!(ada.get("/api/events").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn attack_48_an_upload_ends_with_its_session() {
    let gave_up = Arc::new(AtomicBool::new(false));
    let (stack, ada) = stack_with(api(&gave_up)).await;
    let mut upload = TcpStream::connect(stack.address).await.unwrap();
    let head = format!(
        "POST /api/upload HTTP/1.1\r\nHost: automate.localhost:{}\r\nOrigin: {}\r\nCookie: __Host-Http-bff_session={}\r\n\
         X-CSRF-Token: {}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n",
        stack.address.port(),
        ada.origin(),
        ada.session_cookie().unwrap(),
        ada.csrf_token().await,
    );
    upload.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..20 {
        pause().await;
    }
    assert!(!gave_up.load(Ordering::SeqCst));
    log_out(&ada).await;
    until_set(&gave_up).await;
    let mut answer = [0; 13];
    upload.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 401 ");
}

#[tokio::test]
async fn attack_48_a_waiting_call_ends_with_its_session() {
    let gave_up = Arc::new(AtomicBool::new(false));
    let (_stack, ada) = stack_with(api(&gave_up)).await;
    let late = tokio::spawn(ada.request(Method::GET, "/api/late").send());
    for _ in 0..20 {
        pause().await;
    }
    assert!(!late.is_finished());
    log_out(&ada).await;
    assert_eq!(late.await.unwrap().unwrap().status(), StatusCode::UNAUTHORIZED);
    until_set(&gave_up).await;
}

#[tokio::test]
async fn attack_48_a_stream_ends_at_the_idle_limit_too() {
    let gave_up = Arc::new(AtomicBool::new(false));
    let (stack, ada) = stack_with(api(&gave_up)).await;
    let late = tokio::spawn(ada.request(Method::GET, "/api/late").send());
    for _ in 0..20 {
        pause().await;
    }
    // The session of another person, which is used, lives on.
    let grace = Browser::new("grace", ada.origin());
    grace.log_in().await;
    let mut events = grace.request(Method::GET, "/api/events").send().await.unwrap();
    assert!(events.chunk().await.unwrap().is_some());
    stack.advance(Duration::from_mins(25)).await;
    grace.get("/auth/session").await;
    stack.advance(Duration::from_mins(6)).await;
    assert_eq!(late.await.unwrap().unwrap().status(), StatusCode::UNAUTHORIZED);
    assert!(grace.is_logged_in().await);
}
