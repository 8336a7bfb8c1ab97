//! The connections that wait for their next call.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::StreamBody;
use hyper::body::Frame;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use super::*;
use crate::clock::{ManualClock, Timestamp};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A service whose connections the test handles itself.
struct Service(TcpListener);

impl Service {
    async fn start() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    fn gateway(&self, clock: SharedClock) -> Arc<Gateway> {
        let address = self.0.local_addr().unwrap();
        let yaml = format!(
            "services:\n  api: {{ base_url: 'http://{address}' }}\nroutes:\n  - {{ id: all, path: /*, target_service: api }}\n"
        );
        let routes = Routes::parse(&yaml).unwrap();
        Arc::new(Gateway::new(routes, Options::default(), clock).unwrap())
    }

    async fn accept(&self) -> TcpStream {
        self.0.accept().await.unwrap().0
    }
}

/// Reads a head.
async fn head(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    while !read.windows(4).any(|end| end == b"\r\n\r\n") {
        assert_ne!(stream.read_buf(&mut read).await.unwrap(), 0);
    }
    String::from_utf8(read).unwrap()
}

async fn send(gateway: &Gateway, method: Method, body: Body) -> Result<Response<Body>, GatewayError> {
    let table = gateway.table();
    let path = NormalPath::parse("/x").unwrap();
    let Found::Match(matched) = table.find("", &path, &method) else {
        panic!();
    };
    let request = Request::builder().method(method).uri("/x").body(body).unwrap();
    let mut call = gateway.call(&table, matched, request, logged_in()).unwrap();
    call.send().await
}

async fn complete(gateway: &Gateway, method: Method) -> Bytes {
    let answer = send(gateway, method, Body::empty()).await.unwrap();
    to_bytes(answer.into_body(), 1024).await.unwrap()
}

/// A call that `stream` answers.
async fn answered_by(gateway: &Arc<Gateway>, method: Method, stream: &mut TcpStream) {
    let calling = Arc::clone(gateway);
    let call = tokio::spawn(async move { complete(&calling, method).await });
    head(stream).await;
    stream.write_all(ANSWER).await.unwrap();
    assert_eq!(call.await.unwrap(), "ok");
}

/// The first call, and its connection.
async fn first(service: &Service, gateway: &Arc<Gateway>) -> TcpStream {
    let calling = Arc::clone(gateway);
    let call = tokio::spawn(async move { complete(&calling, Method::GET).await });
    let mut stream = service.accept().await;
    head(&mut stream).await;
    stream.write_all(ANSWER).await.unwrap();
    assert_eq!(call.await.unwrap(), "ok");
    stream
}

#[tokio::test]
async fn a_connection_serves_one_call_after_the_other() {
    let service = Service::start().await;
    let gateway = service.gateway(system_clock());
    let mut stream = first(&service, &gateway).await;
    for method in [Method::GET, Method::POST, Method::HEAD] {
        let calling = Arc::clone(&gateway);
        let sent = method.clone();
        let call = tokio::spawn(async move { complete(&calling, sent).await });
        let read = head(&mut stream).await;
        assert!(read.starts_with(&format!("{method} /x HTTP/1.1\r\n")), "{read}");
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            .await
            .unwrap();
        assert_eq!(call.await.unwrap(), "");
    }
}

/// Also a call that could act twice: nothing of it was sent.
#[tokio::test]
async fn a_closed_connection_is_not_used_again() {
    let service = Service::start().await;
    let gateway = service.gateway(system_clock());
    drop(first(&service, &gateway).await);
    // The end arrives.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let calling = Arc::clone(&gateway);
    let call = tokio::spawn(async move { complete(&calling, Method::POST).await });
    let mut stream = service.accept().await;
    head(&mut stream).await;
    stream.write_all(ANSWER).await.unwrap();
    assert_eq!(call.await.unwrap(), "ok");
}

#[tokio::test]
async fn a_service_that_says_close_gets_another_connection() {
    let service = Service::start().await;
    let gateway = service.gateway(system_clock());
    for _ in 0..2 {
        let calling = Arc::clone(&gateway);
        let call = tokio::spawn(async move { complete(&calling, Method::GET).await });
        let mut stream = service.accept().await;
        head(&mut stream).await;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
            .await
            .unwrap();
        assert_eq!(call.await.unwrap(), "ok");
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
    }
}

#[tokio::test]
async fn an_unused_connection_is_closed_after_its_time() {
    let clock = Arc::new(ManualClock::starting_at(Timestamp::from_unix_millis(1_000_000)));
    let service = Service::start().await;
    let gateway = service.gateway(clock.clone());
    let mut stream = first(&service, &gateway).await;
    clock.advance(Duration::from_secs(20));
    answered_by(&gateway, Method::GET, &mut stream).await;
    // Since its last use.
    clock.advance(Duration::from_secs(20));
    answered_by(&gateway, Method::GET, &mut stream).await;
    let mut rest = Vec::new();
    let end = stream.read_to_end(&mut rest);
    tokio::pin!(end);
    loop {
        tokio::select! {
            biased;
            _ = &mut end => break,
            () = tokio::task::yield_now() => clock.advance(Duration::from_secs(1)),
        }
    }
    assert!(rest.is_empty());
}

/// A person who goes away ends the work of the service.
#[tokio::test]
async fn a_call_that_is_given_up_closes_its_connection() {
    let service = Service::start().await;
    let gateway = service.gateway(system_clock());
    for answer in [&b""[..], b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart"] {
        let calling = Arc::clone(&gateway);
        let call = tokio::spawn(async move {
            let answer = send(&calling, Method::GET, Body::empty()).await.unwrap();
            to_bytes(answer.into_body(), 1024).await
        });
        let mut stream = service.accept().await;
        head(&mut stream).await;
        stream.write_all(answer).await.unwrap();
        call.abort();
        let mut rest = Vec::new();
        // A reset, where the rest of the answer was not read.
        let _ = stream.read_to_end(&mut rest).await;
        assert!(rest.is_empty());
    }
}

/// A service may answer early and still read.
#[tokio::test]
async fn an_upload_ends_after_an_early_answer() {
    let service = Service::start().await;
    let gateway = service.gateway(system_clock());
    let (sender, receiver) = mpsc::channel::<Result<Frame<Bytes>, std::convert::Infallible>>(1);
    let stream = futures_util::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|frame| (frame, receiver))
    });
    let body = Body::new(StreamBody::new(stream));
    let calling = Arc::clone(&gateway);
    let call = tokio::spawn(async move {
        let answer = send(&calling, Method::POST, body).await.unwrap();
        to_bytes(answer.into_body(), 1024).await.unwrap()
    });
    let mut connection = service.accept().await;
    head(&mut connection).await;
    connection.write_all(ANSWER).await.unwrap();
    assert_eq!(call.await.unwrap(), "ok");
    for _ in 0..3 {
        sender
            .send(Ok(Frame::data(Bytes::from_static(b"piece"))))
            .await
            .unwrap();
    }
    drop(sender);
    let mut read = Vec::new();
    while !read.ends_with(b"0\r\n\r\n") {
        assert_ne!(connection.read_buf(&mut read).await.unwrap(), 0);
    }
    assert_eq!(String::from_utf8(read).unwrap().matches("piece").count(), 3);
}
