//! Bounds of services: bodies, the circuit breaker, calls at a time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body, extract::Request, routing::any};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use http::{Method, StatusCode};
use http_body_util::StreamBody;
use hyper::body::Frame;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::support::{Browser, Reply, Stack, pause, service};

const LIMIT: usize = 1024;

/// An API that counts the calls that have begun, and those whose body arrived whole.
fn counting(begun: &Arc<AtomicUsize>, whole: &Arc<AtomicUsize>) -> Router {
    let (begun, whole) = (Arc::clone(begun), Arc::clone(whole));
    Router::new().fallback(any(async move |request: Request| {
        begun.fetch_add(1, Ordering::SeqCst);
        let body = axum::body::to_bytes(Body::new(request.into_body()), usize::MAX).await;
        if body.is_ok() {
            whole.fetch_add(1, Ordering::SeqCst);
        }
        "ok"
    }))
}

async fn logged_in(routes: &str) -> (Stack, Browser) {
    let stack = Stack::builder().routes(routes).start().await;
    let ada = stack.browser();
    ada.log_in().await;
    (stack, ada)
}

async fn post(ada: &Browser, path: &str, body: impl Into<reqwest::Body>) -> Reply {
    let request = ada
        .request(Method::POST, path)
        .header("x-csrf-token", ada.csrf_token().await)
        .body(body);
    ada.send(request).await
}

fn streamed(
    pieces: impl Stream<Item = Result<Bytes, std::io::Error>> + Send + Sync + 'static,
) -> reqwest::Body {
    reqwest::Body::wrap(StreamBody::new(pieces.map_ok(Frame::data)))
}

/// A body of unknown length.
fn pieces(sizes: &[usize]) -> reqwest::Body {
    let pieces: Vec<_> = sizes
        .iter()
        .map(|size| Ok(Bytes::from(vec![b'x'; *size])))
        .collect();
    streamed(futures_util::stream::iter(pieces))
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_a_413() {
    let (begun, whole) = (Arc::default(), Arc::default());
    let url = service(counting(&begun, &whole)).await;
    let routes = format!(
        "services:\n  api: {{ base_url: '{url}', max_body: {LIMIT} }}\n  free: {{ base_url: '{url}' }}\nroutes:\n\
         - {{ id: api, path: /api/*, target_service: api }}\n\
         - {{ id: more, path: /api/more/*, target_service: api, max_body: 2KiB }}\n\
         - {{ id: any, path: /api/any/*, target_service: api, max_body: unlimited }}\n\
         - {{ id: none, path: /api/none/*, target_service: api, max_body: 0 }}\n\
         - {{ id: free, path: /free/*, target_service: free }}\n\
         - {{ id: stream, path: /stream/*, target_service: free, streaming: true }}\n",
    );
    let stack = Stack::builder()
        .routes(&routes)
        .set("REQUEST_MAX_BODY_SIZE", "3KiB")
        .start()
        .await;
    let ada = stack.browser();
    ada.log_in().await;
    let too_long = (413, "body_too_large".to_owned());
    for (path, limit) in [
        ("/api/x", LIMIT),
        ("/api/more/x", 2 * LIMIT),
        ("/free/x", 3 * LIMIT),
        ("/api/none/x", 0),
    ] {
        let before = begun.load(Ordering::SeqCst);
        // The length is stated: nothing is sent.
        assert_eq!(
            post(&ada, path, vec![b'x'; limit + 1]).await.refusal(),
            too_long,
            "{path}"
        );
        assert_eq!(begun.load(Ordering::SeqCst), before, "{path}");
        assert_eq!(
            post(&ada, path, vec![b'x'; limit]).await.status,
            StatusCode::OK,
            "{path}"
        );
        // It is not: the call to the service breaks off.
        let before = whole.load(Ordering::SeqCst);
        assert_eq!(
            post(&ada, path, pieces(&[limit / 2, limit / 2 + 2]))
                .await
                .refusal(),
            too_long,
            "{path}"
        );
        assert_eq!(whole.load(Ordering::SeqCst), before, "{path}");
        let fits = pieces(&[limit / 2, limit / 2]);
        assert_eq!(post(&ada, path, fits).await.status, StatusCode::OK, "{path}");
    }
    for path in ["/api/any/x", "/stream/x"] {
        for body in [reqwest::Body::from(vec![b'x'; 64 * LIMIT]), pieces(&[64 * LIMIT])] {
            assert_eq!(post(&ada, path, body).await.status, StatusCode::OK, "{path}");
        }
    }
    assert!(ada.is_logged_in().await);
}

/// The answer is on its way when the body turns out too long: only the connection can say so.
#[tokio::test]
async fn a_body_that_is_too_long_later_ends_the_call() {
    let ended = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&ended);
    let echo = Router::new().fallback(any(async move |request: Request| {
        let body = request.into_body().into_data_stream();
        Body::from_stream(body.inspect(move |piece| {
            if piece.is_err() {
                flag.store(true, Ordering::SeqCst);
            }
        }))
    }));
    let url = service(echo).await;
    let (stack, ada) = logged_in(&format!(
        "services:\n  api: {{ base_url: '{url}', max_body: 8 }}\nroutes:\n- {{ id: api, path: /api/*, target_service: api }}\n"
    ))
    .await;
    let mut connection = TcpStream::connect(stack.address).await.unwrap();
    let head = format!(
        "POST /api/echo HTTP/1.1\r\nHost: automate.localhost:{}\r\nOrigin: {}\r\nCookie: __Host-Http-bff_session={}\r\n\
         X-CSRF-Token: {}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nfirst\r\n",
        stack.address.port(),
        ada.origin(),
        ada.session_cookie().unwrap(),
        ada.csrf_token().await,
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    let mut seen = String::new();
    let mut buffer = [0; 4096];
    while !seen.contains("first") {
        let length = connection.read(&mut buffer).await.unwrap();
        assert_ne!(length, 0, "{seen}");
        seen.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
    }
    connection.write_all(b"6\r\nsecond\r\n0\r\n\r\n").await.unwrap();
    let mut rest = Vec::new();
    let _ = connection.read_to_end(&mut rest).await;
    seen.push_str(std::str::from_utf8(&rest).unwrap());
    assert!(
        seen.starts_with("HTTP/1.1 200 ") && !seen.contains("second"),
        "{seen}"
    );
    assert!(!seen.ends_with("0\r\n\r\n"), "{seen}");
    for _ in 0..2_000 {
        if ended.load(Ordering::SeqCst) {
            return;
        }
        pause().await;
    }
    panic!("the service waits for the rest");
}

/// A service that hangs up without an answer while it is down; the number of connections.
async fn moody() -> (String, Arc<AtomicBool>, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (down, calls) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let (is_down, count) = (Arc::clone(&down), Arc::clone(&calls));
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            let mut head = [0; 4096];
            let _ = connection.read(&mut head).await;
            if !is_down.load(Ordering::SeqCst) {
                let answer = b"HTTP/1.1 500 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                let _ = connection.write_all(answer).await;
            }
        }
    });
    (url, down, calls)
}

fn broken(url: &str, breaker: &str) -> String {
    format!(
        "services:\n  api: {{ base_url: '{url}', timeout: 5s, breaker: {breaker} }}\nroutes:\n\
         - {{ id: api, path: /api/*, target_service: api }}\n"
    )
}

fn is_open(reply: &Reply, seconds: &str) -> bool {
    reply.refusal() == (503, "circuit_open".to_owned()) && reply.header("retry-after") == Some(seconds)
}

#[tokio::test]
async fn a_service_that_gives_no_answer_is_spared() {
    let (url, down, calls) = moody().await;
    let (stack, ada) = logged_in(&broken(&url, "{ threshold: 3, reset: 20s }")).await;
    let call = async || ada.get("/api/x").await;
    for _ in 0..3 {
        assert_eq!(call().await.refusal(), (502, "bad_gateway".to_owned()));
    }
    let asked = calls.load(Ordering::SeqCst);
    assert!(is_open(&call().await, "20"));
    stack.advance(Duration::from_secs(10)).await;
    assert!(is_open(&call().await, "10"));
    assert_eq!(calls.load(Ordering::SeqCst), asked);
    // A trial that fails opens it for as long again.
    stack.advance(Duration::from_secs(10)).await;
    assert_eq!(call().await.refusal(), (502, "bad_gateway".to_owned()));
    assert!(is_open(&call().await, "20"));
    // Any answer closes it, also a 500: the service is there.
    down.store(false, Ordering::SeqCst);
    stack.advance(Duration::from_secs(20)).await;
    for _ in 0..10 {
        assert_eq!(call().await.status, StatusCode::INTERNAL_SERVER_ERROR);
    }
    // Not three in a row.
    for _ in 0..3 {
        down.store(true, Ordering::SeqCst);
        for _ in 0..2 {
            assert_eq!(call().await.refusal(), (502, "bad_gateway".to_owned()));
        }
        down.store(false, Ordering::SeqCst);
        assert_eq!(call().await.status, StatusCode::INTERNAL_SERVER_ERROR);
    }
}

#[tokio::test]
async fn one_call_tries_whether_a_service_is_back() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (stack, ada) = logged_in(&broken(&url, "{ threshold: 1, reset: 30s }")).await;
    let start = || {
        let ada = ada.clone();
        tokio::spawn(async move { ada.get("/api/x").await })
    };
    // Too late is a failure too.
    let late = start();
    let (first, _) = listener.accept().await.unwrap();
    first.readable().await.unwrap();
    stack.advance(Duration::from_secs(5)).await;
    assert_eq!(late.await.unwrap().refusal(), (504, "gateway_timeout".to_owned()));
    assert!(is_open(&ada.get("/api/x").await, "30"));
    stack.advance(Duration::from_secs(30)).await;
    let trial = start();
    let (second, _) = listener.accept().await.unwrap();
    second.readable().await.unwrap();
    assert!(is_open(&ada.get("/api/x").await, "5"));
    // A browser that goes away during a trial leaves it to the next call.
    trial.abort();
    let _ = trial.await;
    let mut rest = Vec::new();
    let mut second = second;
    let _ = second.read_to_end(&mut rest).await;
    let next = start();
    let (mut third, _) = listener.accept().await.unwrap();
    third.readable().await.unwrap();
    third
        .write_all(b"HTTP/1.1 204 X\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(next.await.unwrap().status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_slow_client_opens_no_breaker() {
    let (begun, whole) = (Arc::default(), Arc::default());
    let url = service(counting(&begun, &whole)).await;
    let routes = format!(
        "services:\n  api: {{ base_url: '{url}', timeout: {{ total: 5s }}, breaker: {{ threshold: 1 }} }}\nroutes:\n\
         - {{ id: api, path: /api/*, target_service: api }}\n"
    );
    let (stack, ada) = logged_in(&routes).await;
    let body = futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"half"))])
        .chain(futures_util::stream::pending());
    let slow = {
        let ada = ada.clone();
        tokio::spawn(async move { post(&ada, "/api/x", streamed(body)).await })
    };
    while begun.load(Ordering::SeqCst) == 0 {
        pause().await;
    }
    stack.advance(Duration::from_secs(6)).await;
    assert_eq!(slow.await.unwrap().refusal(), (504, "gateway_timeout".to_owned()));
    assert_eq!(ada.get("/api/x").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_reload_closes_no_breaker_whose_settings_stay() {
    let (url, _down, _calls) = moody().await;
    let routes = broken(&url, "{ threshold: 1 }");
    let (stack, ada) = logged_in(&routes).await;
    assert_eq!(ada.get("/api/x").await.refusal().0, 502);
    let file = stack.folder().join("config/routes.yaml");
    let more = format!("{routes}- {{ id: more, path: /more, target_service: api }}\n");
    std::fs::write(&file, &more).unwrap();
    for _ in 0..100 {
        stack.advance(Duration::from_secs(1)).await;
        let reply = ada.get("/more").await;
        if reply.status != StatusCode::NOT_FOUND {
            assert_eq!(reply.refusal(), (503, "circuit_open".to_owned()));
            break;
        }
    }
    std::fs::write(&file, more.replace("threshold: 1", "threshold: 2")).unwrap();
    for _ in 0..100 {
        stack.advance(Duration::from_secs(1)).await;
        if ada.get("/api/x").await.refusal().0 == 502 {
            return;
        }
    }
    panic!("new settings begin with a closed breaker");
}

#[tokio::test]
async fn a_full_service_gets_no_further_call() {
    let (release, wait) = tokio::sync::watch::channel(false);
    let under_way = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&under_way);
    let slow = Router::new().fallback(any(async move || {
        count.fetch_add(1, Ordering::SeqCst);
        let mut wait = wait.clone();
        // The head is there at once: a call ends with its body.
        Body::from_stream(futures_util::stream::once(async move {
            let _ = wait.wait_for(|go| *go).await;
            Ok::<_, std::io::Error>(Bytes::from_static(b"done"))
        }))
    }));
    let url = service(slow).await;
    let (_stack, ada) = logged_in(&format!(
        "services:\n  api: {{ base_url: '{url}', concurrency: 2 }}\nroutes:\n- {{ id: api, path: /api/*, target_service: api }}\n"
    ))
    .await;
    let first = ada.request(Method::GET, "/api/x").send().await.unwrap();
    let second = ada.request(Method::GET, "/api/x").send().await.unwrap();
    let reply = ada.get("/api/x").await;
    assert_eq!(reply.refusal(), (503, "service_busy".to_owned()));
    assert_eq!(reply.header("retry-after"), Some("1"));
    assert_eq!(under_way.load(Ordering::SeqCst), 2);
    // A browser that goes away makes room, and so does the end of an answer.
    drop(first);
    let mut third = ada.request(Method::GET, "/api/x").send().await.unwrap();
    for _ in 0..2_000 {
        if third.status() == StatusCode::OK {
            break;
        }
        pause().await;
        third = ada.request(Method::GET, "/api/x").send().await.unwrap();
    }
    assert_eq!(third.status(), StatusCode::OK);
    release.send(true).unwrap();
    assert_eq!(second.text().await.unwrap(), "done");
    assert_eq!(third.text().await.unwrap(), "done");
    assert_eq!(ada.get("/api/x").await.body, "done");
}
