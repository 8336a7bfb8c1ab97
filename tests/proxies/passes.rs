//! The proxy passes everything on.

use std::{convert::Infallible, sync::Mutex};

use axum::{body::Body, response::IntoResponse as _};
use bytes::Bytes;
use futures_util::stream;
use http::{Method, StatusCode};
use tokio::sync::mpsc;

use crate::{
    harness::{Harness, Kind, PAGE, send},
    support::{Events, web_socket::Frame},
};

#[tokio::test]
async fn nginx_passes_everything_on() {
    everything_passes(Kind::Nginx).await;
}

#[tokio::test]
async fn caddy_passes_everything_on() {
    everything_passes(Kind::Caddy).await;
}

#[tokio::test]
async fn haproxy_passes_everything_on() {
    everything_passes(Kind::Haproxy).await;
}

async fn everything_passes(kind: Kind) {
    let harness = Harness::passes(kind, str::to_owned).await;
    a_person_logs_in_and_out(&harness).await;
    a_browser_cannot_write_for_the_proxy(&harness).await;
    a_websocket_passes(&harness).await;
    streams_pass_without_buffers(&harness).await;
}

async fn a_person_logs_in_and_out(harness: &Harness) {
    let ada = harness.browser();
    // Near the longest that is allowed: the answer carries it in a cookie.
    let address = format!("/api/x?a=b&c=%20{}", "d".repeat(1_800));
    let reply = send(&ada, Method::GET, &address, &PAGE).await;
    assert_eq!(reply.status, StatusCode::FOUND, "{}", reply.body);
    let callback = ada.log_in_by(reply.location()).await;
    assert_eq!(callback.leads_on(), format!("{}{address}", harness.origin));
    assert_eq!(ada.get(&address).await.status, StatusCode::OK);
    assert_eq!(
        harness.stack.api.last().header("x-forwarded-for"),
        Some("127.0.0.1")
    );
    assert_eq!(ada.post("/api/x").await.status, StatusCode::OK);
    let reply = ada.post("/auth/logout").await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER, "{}", reply.body);
    assert!(!ada.is_logged_in().await);
}

/// The proxy replaces or extends what a browser says of hosts and addresses.
async fn a_browser_cannot_write_for_the_proxy(harness: &Harness) {
    const SPOOFED: [(&str, &str); 4] = [
        ("x-forwarded-for", "203.0.113.9"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "ftp"),
        ("forwarded", "for=203.0.113.9;host=evil.example"),
    ];
    let ada = harness.browser();
    ada.log_in().await;
    let reply = send(&ada, Method::GET, "/api/x", &SPOOFED).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    let call = harness.stack.api.last();
    let host = harness.origin.strip_prefix("http://");
    assert_eq!(call.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(call.header("x-forwarded-host"), host);
    assert_eq!(call.header("x-forwarded-proto"), Some("http"));
    assert_eq!(call.header("forwarded"), None);
}

async fn a_websocket_passes(harness: &Harness) {
    let ada = harness.browser();
    ada.log_in().await;
    let mut socket = harness.web_socket(&ada, "/live/room/7").await;
    assert_eq!(socket.status, StatusCode::SWITCHING_PROTOCOLS);
    socket.echo("hello").await;
    socket.say(&Frame(0x88, 1000_u16.to_be_bytes().to_vec())).await;
    assert_eq!(socket.hear().await.unwrap().status(), 1000);
    let head = harness.echo.heads().pop().unwrap();
    assert!(head.field("authorization").unwrap().starts_with("Bearer "));
}

/// Each event reaches the browser before the next one exists.
async fn streams_pass_without_buffers(harness: &Harness) {
    let (sender, receiver) = mpsc::unbounded_channel::<Bytes>();
    let receiver = Mutex::new(Some(receiver));
    harness.stack.api.answer(move |_| {
        let receiver = receiver.lock().unwrap().take().expect("one call");
        let events = stream::unfold(receiver, async |mut receiver| {
            let event = receiver.recv().await?;
            Some((Ok::<_, Infallible>(event), receiver))
        });
        let head = [("content-type", "text/event-stream")];
        (head, Body::from_stream(events)).into_response()
    });
    let ada = harness.browser();
    ada.log_in().await;
    let event = |number: usize| Bytes::from(format!("data: {number}\n\n"));
    sender.send(event(0)).unwrap();
    let mut answer = ada.request(Method::GET, "/stream/news").send().await.unwrap();
    for number in 0..5 {
        assert_eq!(answer.chunk().await.unwrap(), Some(event(number)));
        sender.send(event(number + 1)).unwrap();
    }
    let mut events = Events::open(&ada).await;
    assert!(events.more().await.is_some());
}

/// Without the lines of the recipe that raise limits.
fn with_the_limits_of_nginx(recipe: &str) -> String {
    let raised = [
        "large_client_header_buffers",
        "proxy_buffer_size",
        "proxy_buffers",
    ];
    let lines: Vec<&str> = recipe
        .lines()
        .filter(|line| !raised.iter().any(|raised| line.contains(raised)))
        .collect();
    lines.join("\n")
}

#[tokio::test]
async fn attack_14_twenty_tabs_pass_the_default_limits_of_nginx() {
    let harness = Harness::passes(Kind::Nginx, with_the_limits_of_nginx).await;
    let ada = harness.browser();
    let mut tabs = Vec::new();
    for number in 0..20 {
        let address = format!("/api/x?tab={number}&{}", "y".repeat(400));
        let reply = send(&ada, Method::GET, &address, &PAGE).await;
        assert_eq!(reply.status, StatusCode::FOUND, "{number}: {}", reply.body);
        tabs.push((address, ada.authorize(reply.location()).await));
    }
    // The newest five come back to their pages. Those whose attempt made room end on the start page, or begin again.
    let (mut back, start_page) = (0, format!("{}/", harness.origin));
    for (address, callback) in tabs.into_iter().rev() {
        let reply = ada.get(&callback).await;
        assert!(
            !reply.body.contains("Header Or Cookie Too Large"),
            "{}",
            reply.body
        );
        match reply.target() {
            Some(target) if target == start_page => {}
            Some(target) => {
                assert_eq!(target, format!("{}{address}", harness.origin));
                back += 1;
            }
            None => assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{}", reply.body),
        }
    }
    assert_eq!(back, 5);
    assert!(ada.is_logged_in().await);
}
