mod again;
mod service;

use std::{fmt::Write as _, io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderName, HeaderValue, Method};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use proptest::prelude::*;
use tokio::sync::mpsc;

use super::*;
use crate::{
    clock::{ManualClock, SharedClock, Timestamp},
    gateway::{
        Found, NormalPath, Options, Routes,
        loopback::{
            Api, front, gateway, gateway_over_http2, http2_client, logged_in, raw, raw_service, serve,
            system_clock,
        },
    },
    telemetry::testing::Logs,
};

const PIECE: usize = 64 * 1024;
static ZEROES: [u8; PIECE] = [0; PIECE];

fn request(method: Method, target: &str, body: Body) -> Request<Body> {
    Request::builder().method(method).uri(target).body(body).unwrap()
}

/// Matches and forwards.
async fn call(
    gateway: &Gateway,
    request: Request<Body>,
    outgoing: Outgoing<'_>,
) -> Result<Response<Body>, GatewayError> {
    let path = NormalPath::parse(request.uri().path()).unwrap();
    let table = gateway.table();
    let Found::Match(matched) = table.find("", &path, request.method()) else {
        panic!("no route for {path}");
    };
    gateway.call(&table, matched, request, outgoing)?.send().await
}

async fn text(response: Response<Body>) -> String {
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

/// A body that the test writes piece by piece; it ends with the sender, or breaks off with an error that is sent.
fn channel() -> (mpsc::Sender<Result<Bytes, io::Error>>, Body) {
    let (sender, receiver) = mpsc::channel(1);
    let pieces = stream::unfold(receiver, |mut receiver| async {
        let piece = receiver.recv().await?;
        Some((piece, receiver))
    });
    (sender, Body::from_stream(pieces))
}

/// A body that the receiver waits for: polled twice, because the first poll only says that it was not polled before.
async fn assert_waits<F: Future + Unpin>(mut frame: F) {
    for _ in 0..2 {
        assert!(futures_util::poll!(&mut frame).is_pending());
    }
}

fn manual() -> (ManualClock, SharedClock) {
    let clock = ManualClock::starting_at(Timestamp::from_unix_seconds(1_000_000));
    let shared = Arc::new(clock.clone());
    (clock, shared)
}

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

async fn echo() -> SocketAddr {
    serve(|request: Request<Body>| async { Response::new(request.into_body()) }).await
}

#[tokio::test]
async fn a_call_arrives_with_our_header_and_comes_back() {
    let api = Api::start().await;
    let gateway = gateway(api.address, system_clock());
    let mut request = request(Method::POST, "/api/notes?x=%20/..//&a;b", Body::from("text"));
    request
        .headers_mut()
        .insert("accept", HeaderValue::from_static("text/plain"));
    let response = call(&gateway, request, logged_in()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-length"], "25");
    assert_eq!(text(response).await, "/api/notes?x=%20/..//&a;b");
    let seen = api.only();
    assert_eq!(
        (seen.method.as_str(), seen.target.as_str()),
        ("POST", "/api/notes?x=%20/..//&a;b")
    );
    for (name, value) in [
        ("host", api.address.to_string().as_str()),
        ("authorization", "Bearer our-token"),
        ("content-length", "4"),
        ("accept", "text/plain"),
        ("x-correlation-id", "c-1"),
        ("x-forwarded-for", "192.0.2.7"),
        ("x-forwarded-host", "app.example"),
        ("x-forwarded-proto", "https"),
    ] {
        assert_eq!(seen.headers[name], value, "{name}");
    }
    assert_eq!(seen.headers.len(), 8, "{seen:?}");
}

#[tokio::test]
async fn a_post_without_a_body_says_so_and_a_get_does_not() {
    let api = Api::start().await;
    let gateway = gateway(api.address, system_clock());
    for method in [Method::POST, Method::GET] {
        call(&gateway, request(method, "/api/x", Body::empty()), logged_in())
            .await
            .unwrap();
    }
    let seen = api.seen();
    assert_eq!(seen[0].headers["content-length"], "0");
    assert!(!seen[1].headers.contains_key("content-length"));
}

#[tokio::test]
async fn the_body_of_a_get_arrives_whether_its_size_is_known_or_not() {
    let gateway = gateway(echo().await, system_clock());
    let pieces = || stream::iter([Ok::<_, io::Error>(Bytes::from_static(b"query"))]);
    for method in [Method::GET, Method::POST, Method::DELETE] {
        for body in [Body::from("query"), Body::from_stream(pieces())] {
            let request = request(method.clone(), "/api/search", body);
            let response = call(&gateway, request, logged_in()).await.unwrap();
            assert_eq!(text(response).await, "query", "{method}");
        }
    }
}

/// The route requires a session.
#[tokio::test]
async fn attack_18_no_call_leaves_without_a_credential() {
    let api = Api::start().await;
    let gateway = gateway(api.address, system_clock());
    let mut request = request(Method::GET, "/api/secret", Body::empty());
    request
        .headers_mut()
        .insert("authorization", HeaderValue::from_static("Bearer guess"));
    let outgoing = Outgoing {
        credential: None,
        ..logged_in()
    };
    let error = call(&gateway, request, outgoing).await.unwrap_err();
    assert_eq!(error, GatewayError::Unauthenticated);
    assert_eq!(api.seen().len(), 0);
}

#[tokio::test]
async fn attack_34_our_token_never_goes_to_a_route_without_a_session() {
    let api = Api::start().await;
    let gateway = gateway(api.address, system_clock());
    call(
        &gateway,
        request(Method::GET, "/public/x", Body::empty()),
        logged_in(),
    )
    .await
    .unwrap();
    assert!(!api.only().headers.contains_key("authorization"));
}

#[tokio::test]
async fn attack_28_and_29_our_cookies_and_shared_caches_are_removed() {
    let address = serve(|_| async {
        Response::builder()
            .header("set-cookie", "ours=1")
            .header("set-cookie", "theirs=1")
            .header("cache-control", "max-age=60")
            .header("x-api", "yes")
            .body(Body::from("x"))
            .unwrap()
    })
    .await;
    let gateway = gateway(address, system_clock());
    let outgoing = Outgoing {
        keep_set_cookie: &|cookie| cookie != "ours=1",
        ..logged_in()
    };
    let response = call(&gateway, request(Method::GET, "/api/x", Body::empty()), outgoing)
        .await
        .unwrap();
    let header = |name: &str| -> Vec<_> { response.headers().get_all(name).iter().cloned().collect() };
    assert_eq!(header("set-cookie"), ["theirs=1"]);
    assert_eq!(header("cache-control"), ["private, max-age=60"]);
    assert_eq!(header("x-api"), ["yes"]);
}

#[tokio::test]
async fn attack_4_trailers_smuggle_no_identity() {
    let (address, _close, service) = raw_service(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let gateway = gateway(address, system_clock());
    let trailers = HeaderMap::from_iter([(
        HeaderName::from_static("x-user-id"),
        HeaderValue::from_static("admin"),
    )]);
    let frames = stream::iter([
        Ok::<_, io::Error>(Frame::data(Bytes::from_static(b"text"))),
        Ok(Frame::trailers(trailers)),
    ]);
    let mut request = request(Method::POST, "/api/x", Body::new(StreamBody::new(frames)));
    request
        .headers_mut()
        .insert("trailer", HeaderValue::from_static("x-user-id"));
    call(&gateway, request, logged_in()).await.unwrap();
    drop(gateway);
    let read = String::from_utf8(service.await.unwrap()).unwrap();
    assert!(read.contains("4\r\ntext\r\n0\r\n\r\n"), "{read}");
    assert!(!read.contains("x-user-id") && !read.contains("trailer"), "{read}");
}

/// HTTP/2 has trailers without a field that announces them.
#[tokio::test]
async fn trailers_pass_over_http_2_in_both_directions() {
    let (told, mut trailers_seen) = mpsc::channel(2);
    let address = serve(move |request: Request<Body>| async move {
        let takes = request.headers().get("te").cloned();
        let collected = request.into_body().collect().await.unwrap();
        told.send((takes, collected.trailers().cloned())).await.unwrap();
        Response::new(with_trailers(collected.to_bytes()))
    })
    .await;
    let gateway = gateway_over_http2(address, system_clock());
    let mut request = request(Method::POST, "/api/x", with_trailers(Bytes::from_static(b"text")));
    request
        .headers_mut()
        .insert("te", HeaderValue::from_static("trailers"));
    let response = call(&gateway, request, logged_in()).await.unwrap();
    let answer = response.into_body().collect().await.unwrap();
    // An identity is one only on the way to the service.
    assert_eq!(answer.trailers().unwrap()["grpc-status"], "0");
    assert!(!answer.trailers().unwrap().contains_key("set-cookie"));
    assert_eq!(answer.to_bytes(), "text");
    let (takes, seen) = trailers_seen.recv().await.unwrap();
    assert_eq!(takes.unwrap(), "trailers");
    let seen = seen.unwrap();
    assert_eq!(
        (seen.len(), &seen["grpc-status"]),
        (1, &HeaderValue::from_static("0"))
    );

    // The same without the gateway: this would show them all.
    let request = Request::post(format!("http://{address}/"))
        .body(with_trailers(Bytes::from_static(b"text")))
        .unwrap();
    let answer = http2_client().request(request).await.unwrap();
    let answer = answer.into_body().collect().await.unwrap();
    assert!(answer.trailers().unwrap().contains_key("x-user-id"));
    assert!(trailers_seen.recv().await.unwrap().1.is_some());
}

/// A body that ends with an identity, a cookie and a status.
fn with_trailers(data: Bytes) -> Body {
    let trailers = [
        ("x-user-id", "admin"),
        ("set-cookie", "a=b"),
        ("grpc-status", "0"),
    ];
    let field = |(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
    let trailers = HeaderMap::from_iter(trailers.map(field));
    Body::new(StreamBody::new(stream::iter([
        Ok::<_, io::Error>(Frame::data(data)),
        Ok(Frame::trailers(trailers)),
    ])))
}

#[tokio::test]
async fn a_websocket_is_refused_and_any_other_upgrade_ignored() {
    let api = Api::start().await;
    let gateway = gateway(api.address, system_clock());
    for (upgrade, expected) in [
        ("websocket", Err(GatewayError::Upgrade)),
        ("h2c, WebSocket", Err(GatewayError::Upgrade)),
        ("h2c", Ok(StatusCode::OK)),
    ] {
        let mut request = request(Method::GET, "/api/x", Body::empty());
        request
            .headers_mut()
            .insert("connection", HeaderValue::from_static("upgrade"));
        request
            .headers_mut()
            .insert("upgrade", HeaderValue::from_static(upgrade));
        let answer = call(&gateway, request, logged_in())
            .await
            .map(|answer| answer.status());
        assert_eq!(answer, expected, "{upgrade}");
    }
    assert!(!api.only().headers.contains_key("upgrade"));
}

#[tokio::test]
async fn bodies_are_streamed_both_ways_at_once() {
    let gateway = gateway(echo().await, system_clock());
    let (sender, body) = channel();
    sender.send(Ok(Bytes::from_static(b"first"))).await.unwrap();
    let response = call(&gateway, request(Method::POST, "/api/x", body), logged_in())
        .await
        .unwrap();
    let mut answer = response.into_body();
    // The answer begins during the upload.
    let frame = answer.frame().await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), "first");
    sender.send(Ok(Bytes::from_static(b"second"))).await.unwrap();
    let frame = answer.frame().await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), "second");
    drop(sender);
    assert!(answer.frame().await.is_none());
}

#[tokio::test]
async fn a_large_body_passes_in_bounded_memory() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    const PIECES: usize = 1024;
    // Far less than the body, and far more than the socket buffers of the system.
    const BOUND: usize = PIECES * PIECE / 2;
    let gateway = gateway(echo().await, system_clock());
    let produced = Arc::new(AtomicUsize::new(0));
    let pieces = stream::iter(0..PIECES).map_to({
        let produced = Arc::clone(&produced);
        move || {
            produced.fetch_add(PIECE, Ordering::Relaxed);
            Bytes::from_static(&ZEROES)
        }
    });
    let request = request(Method::POST, "/api/x", Body::from_stream(pieces));
    let mut answer = call(&gateway, request, logged_in()).await.unwrap().into_body();
    let (mut consumed, mut most) = (0, 0);
    while let Some(frame) = answer.frame().await {
        consumed += frame.unwrap().into_data().unwrap().len();
        most = most.max(produced.load(Ordering::Relaxed) - consumed);
    }
    assert_eq!(consumed, PIECES * PIECE);
    assert!(most < BOUND, "{most}");
}

/// A stream of pieces from a stream of anything.
trait MapTo: futures_util::Stream + Sized {
    fn map_to(
        self,
        mut piece: impl FnMut() -> Bytes,
    ) -> impl futures_util::Stream<Item = Result<Bytes, io::Error>> {
        futures_util::StreamExt::map(self, move |_| Ok(piece()))
    }
}

impl<S: futures_util::Stream> MapTo for S {}

#[tokio::test]
async fn a_service_that_does_not_read_slows_the_upload_down() {
    let (arrived, mut arrivals) = mpsc::channel(1);
    let address = serve(move |request: Request<Body>| async move {
        arrived.send(()).await.unwrap();
        // Keeps the body without reading it.
        std::future::pending::<()>().await;
        Response::new(request.into_body())
    })
    .await;
    let (clock, shared) = manual();
    let gateway = gateway(address, shared);
    let pieces = stream::repeat(()).map_to(|| Bytes::from_static(&ZEROES));
    let request = request(Method::POST, "/api/x", Body::from_stream(pieces));
    let answer = call(&gateway, request, logged_in());
    tokio::pin!(answer);
    tokio::select! {
        _ = &mut answer => panic!("answered"),
        _ = arrivals.recv() => {}
    }
    // An endless body. The call ends only because the upload stalls, so that the service's time runs.
    let ticks = async {
        loop {
            clock.advance(secs(1));
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        answer = &mut answer => assert_eq!(answer.unwrap_err(), GatewayError::GatewayTimeout),
        () = ticks => {}
    }
}

#[tokio::test]
async fn a_service_that_breaks_off_breaks_the_answer_off() {
    let (address, close, service) =
        raw_service(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this").await;
    let gateway = gateway(address, system_clock());
    let response = call(
        &gateway,
        request(Method::GET, "/api/x", Body::empty()),
        logged_in(),
    )
    .await
    .unwrap();
    close.send(()).unwrap();
    service.await.unwrap();
    assert!(response.into_body().collect().await.is_err());
}

#[tokio::test]
async fn a_browser_sees_that_an_answer_broke_off() {
    for head in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this"[..],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n",
    ] {
        let (address, close, _service) = raw_service(head).await;
        close.send(()).unwrap();
        let front = front(Arc::new(gateway(address, system_clock()))).await;
        let answer = raw(
            front,
            b"GET /public/x HTTP/1.1\r\nHost: app.example\r\nConnection: close\r\n\r\n",
        )
        .await;
        assert!(answer.contains("only this") || answer.is_empty(), "{answer}");
        assert!(!answer.ends_with("0\r\n\r\n"), "{answer}");
    }
}

/// In both directions.
#[tokio::test]
async fn a_realistic_head_passes_and_a_larger_one_does_not() {
    let fields = |count: usize| -> Vec<(String, String)> {
        (0..count)
            .map(|at| (format!("x-{at:03}"), "x".repeat(300)))
            .collect()
    };
    for (count, passes, told) in [
        (200, true, ""),
        (300, false, "field=\"x-"),
        (500, false, "max_fields=400"),
    ] {
        let logs = Logs::capture();
        let mut head = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n".to_owned();
        for (name, value) in fields(count) {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        head.push_str("\r\n");
        let (address, _close, service) = raw_service(Box::leak(head.into_bytes().into_boxed_slice())).await;
        let gateway = gateway(address, system_clock());
        let mut request = request(Method::GET, "/api/x", Body::empty());
        for (name, value) in fields(200) {
            let name = HeaderName::try_from(name).unwrap();
            request
                .headers_mut()
                .insert(name, HeaderValue::try_from(value).unwrap());
        }
        let answer = call(&gateway, request, logged_in()).await;
        drop(gateway);
        assert!(service.await.unwrap().len() > 60_000);
        match answer {
            Ok(answer) => {
                assert!(passes);
                assert!(answer.headers().len() >= count);
            }
            Err(error) => assert_eq!((error, passes), (GatewayError::BadGateway, false)),
        }
        if !passes {
            logs.has("the answer of a service was refused");
            logs.has(told);
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_no_http_is_a_bad_gateway() {
    for answer in [
        &b"220 smtp.example ready\r\n\r\n"[..],
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"",
    ] {
        let (address, close, _service) = raw_service(answer).await;
        close.send(()).unwrap();
        let gateway = gateway(address, system_clock());
        let error = call(
            &gateway,
            request(Method::GET, "/api/x", Body::empty()),
            logged_in(),
        )
        .await
        .unwrap_err();
        assert_eq!(error, GatewayError::BadGateway, "{answer:?}");
    }
}

#[tokio::test]
async fn a_service_that_is_not_there_is_a_bad_gateway() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let gateway = gateway(address, system_clock());
    let error = call(
        &gateway,
        request(Method::GET, "/api/x", Body::empty()),
        logged_in(),
    )
    .await
    .unwrap_err();
    assert_eq!(error, GatewayError::BadGateway);
}

#[tokio::test]
async fn a_service_that_does_not_answer_is_a_gateway_timeout() {
    let (arrived, mut arrivals) = mpsc::channel(1);
    let address = serve(move |_| async move {
        arrived.send(()).await.unwrap();
        std::future::pending::<Response<Body>>().await
    })
    .await;
    let (clock, shared) = manual();
    let gateway = gateway(address, shared);
    for body in [Body::empty(), Body::from("text")] {
        let answer = call(&gateway, request(Method::POST, "/api/x", body), logged_in());
        tokio::pin!(answer);
        tokio::select! {
            _ = &mut answer => panic!("answered"),
            _ = arrivals.recv() => {}
        }
        clock.advance(secs(29));
        assert!(futures_util::poll!(&mut answer).is_pending());
        clock.advance(secs(1));
        assert_eq!(answer.await.unwrap_err(), GatewayError::GatewayTimeout);
    }
}

#[tokio::test]
async fn the_time_of_an_upload_is_not_the_services() {
    let (arrived, mut arrivals) = mpsc::channel(1);
    let address = serve(move |request: Request<Body>| async move {
        let mut body = request.into_body();
        while let Some(Ok(_)) = body.frame().await {
            arrived.send(()).await.unwrap();
        }
        Response::new(Body::from("read"))
    })
    .await;
    let (clock, shared) = manual();
    let gateway = gateway(address, shared);
    let (sender, body) = channel();
    let answer = call(&gateway, request(Method::POST, "/api/x", body), logged_in());
    let upload = async {
        for _ in 0..5 {
            sender.send(Ok(Bytes::from_static(b"piece"))).await.unwrap();
            arrivals.recv().await.unwrap();
            clock.advance(secs(25));
        }
        drop(sender);
    };
    let (answer, ()) = tokio::join!(answer, upload);
    assert_eq!(text(answer.unwrap()).await, "read");
}

#[tokio::test]
async fn a_client_that_stops_sending_is_cut_off() {
    let (arrived, mut arrivals) = mpsc::channel(1);
    let address = serve(move |request: Request<Body>| async move {
        arrived.send(()).await.unwrap();
        let _ = request.into_body().collect().await;
        Response::new(Body::empty())
    })
    .await;
    let (clock, shared) = manual();
    let gateway = gateway(address, shared);
    let (_sender, body) = channel();
    let answer = call(&gateway, request(Method::POST, "/api/x", body), logged_in());
    let time = async {
        arrivals.recv().await.unwrap();
        clock.advance(secs(60));
    };
    let (answer, ()) = tokio::join!(answer, time);
    assert_eq!(answer.unwrap_err(), GatewayError::RequestTimeout);
}

#[tokio::test]
async fn a_client_that_breaks_off_is_a_bad_request() {
    let gateway = gateway(
        serve(|request: Request<Body>| async {
            let _ = request.into_body().collect().await;
            Response::new(Body::empty())
        })
        .await,
        system_clock(),
    );
    let (sender, body) = channel();
    sender.send(Err(io::Error::other("gone"))).await.unwrap();
    let error = call(&gateway, request(Method::POST, "/api/x", body), logged_in())
        .await
        .unwrap_err();
    assert_eq!(error, GatewayError::BadRequest);
}

#[tokio::test]
async fn a_service_that_stops_sending_is_cut_off_but_may_be_slow() {
    let (sender, body) = channel();
    let body = parking_lot::Mutex::new(Some(body));
    let body = Arc::new(body);
    let address = serve(move |_| async move { Response::new(body.lock().take().unwrap()) }).await;
    let (clock, shared) = manual();
    let gateway = gateway(address, shared);
    let response = call(
        &gateway,
        request(Method::GET, "/api/x", Body::empty()),
        logged_in(),
    )
    .await
    .unwrap();
    let mut answer = response.into_body();
    for _ in 0..3 {
        let frame = answer.frame();
        tokio::pin!(frame);
        assert_waits(&mut frame).await;
        clock.advance(secs(299));
        sender.send(Ok(Bytes::from_static(b"event"))).await.unwrap();
        assert_eq!(frame.await.unwrap().unwrap().into_data().unwrap(), "event");
    }
    let frame = answer.frame();
    tokio::pin!(frame);
    assert_waits(&mut frame).await;
    clock.advance(secs(300));
    assert!(frame.await.unwrap().is_err());
}

/// The route names https.
#[tokio::test]
async fn a_service_without_tls_is_a_bad_gateway() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").await
    });
    let routes = format!(
        "services: {{ api: {{ base_url: 'https://{address}' }} }}
routes: [ {{ id: api, path: /api/*, target_service: api }} ]"
    );
    let routes = Routes::parse(&routes).unwrap();
    let gateway = Gateway::new(routes, Options::default(), system_clock()).unwrap();
    let error = call(
        &gateway,
        request(Method::GET, "/api/x", Body::empty()),
        logged_in(),
    )
    .await
    .unwrap_err();
    assert_eq!(error, GatewayError::BadGateway);
}

#[test]
fn a_cause_decides_what_a_failure_is() {
    let routes = Routes::parse("services: { api: { base_url: 'http://api.test' } }").unwrap();
    let service = &routes.services()[0];
    for (number, expected) in [
        (24, GatewayError::ServiceUnavailable),
        (99, GatewayError::ServiceUnavailable),
        (110, GatewayError::GatewayTimeout),
        (111, GatewayError::BadGateway),
    ] {
        assert_eq!(
            report(service, None, "id", &io::Error::from_raw_os_error(number)),
            expected
        );
    }
}

#[tokio::test]
async fn attack_3_the_wire_shows_each_spelling_refused_or_kept_apart() {
    let api = Api::start().await;
    let front = front(Arc::new(gateway(api.address, system_clock()))).await;
    for (target, status) in [
        ("/public/x", "200"),
        ("/public/%61", "200"),
        ("/public/x?y=/api/../", "200"),
        // The text after a fragment's sign never gets further than the parser, for the match as for the API.
        ("/public#/../api/secret", "200"),
        ("/api/secret#/public", "401"),
        ("/api/secret?x=/public", "401"),
        ("/%61pi/secret", "401"),
        ("/public/%2e%2e/api/secret", "400"),
        ("/public/../api/secret", "400"),
        ("/public//api/secret", "400"),
        ("//api/secret", "400"),
        ("/public%2f..%2fapi/secret", "400"),
        ("/public;/api", "400"),
        ("/api%23/public", "400"),
        ("/public/%00", "400"),
        ("/PUBLIC/x", "404"),
        ("/publicx", "404"),
        ("http://other.example/api/secret", "401"),
        ("http://other.example/public/x", "200"),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: app.example\r\nConnection: close\r\n\r\n");
        let answer = raw(front, request.as_bytes()).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{target}: {answer}"
        );
    }
    let seen: Vec<String> = api.seen().into_iter().map(|seen| seen.target).collect();
    assert_eq!(
        seen,
        [
            "/public/x",
            "/public/a",
            "/public/x?y=/api/../",
            "/public",
            "/public/x"
        ]
    );
    assert!(
        api.seen()
            .iter()
            .all(|seen| seen.headers["host"] == api.address.to_string().as_str())
    );
}

/// The value of a header in a raw answer.
fn raw_header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let head = answer.split("\r\n\r\n").next()?;
    head.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[test]
fn the_authorised_path_is_the_forwarded_path() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let front = runtime.block_on(async {
        let api = Api::start().await;
        front(Arc::new(gateway(api.address, system_clock()))).await
    });
    // Half of the paths are unusual but unambiguous; half contain something forbidden.
    let clear = "/(public|api|%61pi|publi%63)(/([a-z0-9]|%2[eE][a-z]|%20|%c3%A9|[!$&'()*+,:@|^\\[\\]{}\"<>`_-]){1,4}){0,4}/?(\\?[!-~]{0,12})?";
    let hostile = "/(public|api|%61pi|publi%63)(/|//|[a-z0-9]|%2[eEfF]|%5[cC]|%2[35]|%3[bBfF]|%[0-9a-fA-F]{2}|\\.\\.?|[~;#\\\\]){0,10}(\\?[!-~]{0,12})?";
    let targets = prop_oneof![clear, hostile];
    let passed = std::cell::Cell::new(0);
    proptest::test_runner::TestRunner::default()
        .run(&targets, |target: String| {
            let request = format!(
                "GET {target} HTTP/1.1\r\nHost: app.example\r\nTest-Session: 1\r\nConnection: close\r\n\r\n"
            );
            let answer = runtime.block_on(raw(front, request.as_bytes()));
            if !answer.starts_with("HTTP/1.1 200 ") {
                // Refused for the intended reason.
                prop_assert!(!answer.starts_with("HTTP/1.1 5"), "{answer}");
                return Ok(());
            }
            passed.set(passed.get() + 1);
            let authorised = raw_header(&answer, "x-authorised").unwrap();
            let received = answer.split("\r\n\r\n").nth(1).unwrap();
            let (path, query) = match received.split_once('?') {
                Some((path, query)) => (path, Some(query)),
                None => (received, None),
            };
            prop_assert_eq!(path, authorised);
            let sent = target.split('#').next().unwrap();
            prop_assert_eq!(query, sent.split_once('?').map(|(_, query)| query));
            // A parser that normalises the path once more still sees the part that the rule is for.
            let again = url::Url::parse(&format!("http://api{path}")).unwrap();
            let first = again.path_segments().unwrap().next().unwrap().to_owned();
            prop_assert_eq!(raw_header(&answer, "x-route").unwrap(), first.as_str());
            Ok(())
        })
        .unwrap();
    // Else the test would show nothing.
    assert!(passed.get() > 20, "{}", passed.get());
}
