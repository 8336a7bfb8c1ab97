//! Trailers, and the calls that live on them: gRPC and gRPC-web. Also ranges, encodings, and answers in between.

use std::{io, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::Request, response::Response, routing::any};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header::HeaderName};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::support::{Browser, Stack, pause, raw, service, web_socket::cookie};

/// The fields of a call, and its trailers.
type Seen = Arc<Mutex<Vec<(HeaderMap, Option<HeaderMap>)>>>;

fn fields(all: &[(&'static str, &'static str)]) -> HeaderMap {
    let field = |(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
    all.iter().copied().map(field).collect()
}

/// A service that answers with trailers, among them some that may not pass.
fn with_trailers(seen: &Seen) -> Router {
    let seen = Arc::clone(seen);
    Router::new().fallback(any(async move |request: Request| {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap();
        seen.lock().push((parts.headers, body.trailers().cloned()));
        let trailers = fields(&[
            ("grpc-status", "0"),
            ("x-checksum", "abc"),
            ("set-cookie", "evil=1"),
            ("content-length", "5"),
        ]);
        let frames = [
            Ok::<_, io::Error>(Frame::data(body.to_bytes())),
            Ok(Frame::trailers(trailers)),
        ];
        let mut answer = Response::new(Body::new(StreamBody::new(stream::iter(frames))));
        *answer.headers_mut() = fields(&[
            ("content-type", "application/grpc+proto"),
            ("trailer", "grpc-status, x-checksum, set-cookie"),
        ]);
        answer
    }))
}

async fn stack_with(url: &str, settings: &str) -> (Stack, Browser) {
    let routes = format!(
        "services:\n  api: {{ base_url: \"{url}\", timeout: 5s, {settings} }}\nroutes:\n  - {{ id: api, path: /api/*, target_service: api }}\n"
    );
    let stack = Stack::builder().routes(&routes).start().await;
    let ada = stack.browser();
    ada.log_in().await;
    (stack, ada)
}

#[tokio::test]
async fn trailers_pass_over_http_1_1_in_both_directions() {
    let seen = Seen::default();
    let (stack, ada) = stack_with(&service(with_trailers(&seen)).await, "h2c: false").await;
    let call = |te: &str, csrf: &str| {
        format!(
            "POST /api/x HTTP/1.1\r\nHost: automate.localhost\r\nConnection: close, TE\r\nOrigin: {}\r\nCookie: {}\r\n\
             X-CSRF-Token: {csrf}\r\n{te}Trailer: X-Checksum, X-User-ID\r\nTransfer-Encoding: chunked\r\n\r\n\
             4\r\ntext\r\n0\r\nX-Checksum: up\r\nX-User-ID: admin\r\nAuthorization: Bearer mine\r\n\r\n",
            ada.origin(),
            cookie(&ada),
        )
    };
    let csrf = ada.csrf_token().await;
    let answer = raw(stack.address, &call("TE: trailers\r\n", &csrf)).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("trailer: grpc-status, x-checksum"), "{head}");
    assert!(!head.contains("set-cookie"), "{head}");
    assert!(body.starts_with("4\r\ntext\r\n0\r\n"), "{body}");
    let body = body.to_lowercase();
    assert!(
        body.contains("grpc-status: 0\r\n") && body.contains("x-checksum: abc\r\n"),
        "{body}"
    );
    assert!(
        !body.contains("cookie") && !body.contains("content-length"),
        "{body}"
    );
    let (headers, trailers) = seen.lock()[0].clone();
    assert_eq!(headers["te"], "trailers");
    assert_eq!(headers["trailer"], "x-checksum");
    assert_eq!(trailers.unwrap(), fields(&[("x-checksum", "up")]));

    // A client that does not ask for trailers gets none.
    let answer = raw(stack.address, &call("", &csrf)).await;
    assert!(answer.ends_with("4\r\ntext\r\n0\r\n\r\n"), "{answer}");
    assert!(!seen.lock()[1].0.contains_key("te"));
}

/// A call of a gRPC client, over HTTP/2 to a service that speaks only that.
#[tokio::test]
async fn grpc_passes_over_http_2() {
    let seen = Seen::default();
    let (stack, ada) = stack_with(&service(with_trailers(&seen)).await, "h2c: true").await;
    let stream = TcpStream::connect(stack.address).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();
    let (csrf, cookie) = (ada.csrf_token().await, cookie(&ada));
    let request = http::Request::post("http://automate.localhost/api/pkg.Service/Method")
        .header("content-type", "application/grpc+proto")
        .header("te", "trailers")
        .header("grpc-timeout", "5S")
        .header("origin", ada.origin())
        .header("x-csrf-token", csrf)
        .header("cookie", cookie);
    let (answer, mut sender) = client.send_request(request.body(()).unwrap(), false).unwrap();
    let message = Bytes::from_static(b"\0\0\0\0\x04text");
    sender.send_data(message.clone(), false).unwrap();
    sender
        .send_trailers(fields(&[("x-checksum", "up"), ("x-user-id", "admin")]))
        .unwrap();
    let (head, mut body) = answer.await.unwrap().into_parts();
    assert_eq!(head.status, StatusCode::OK);
    assert_eq!(head.headers["content-type"], "application/grpc+proto");
    assert_eq!(body.data().await.unwrap().unwrap(), message);
    assert!(body.data().await.is_none());
    let trailers = body.trailers().await.unwrap().unwrap();
    assert_eq!(trailers, fields(&[("grpc-status", "0"), ("x-checksum", "abc")]));
    let (headers, trailers) = seen.lock()[0].clone();
    assert_eq!(headers["te"], "trailers");
    assert_eq!(headers["grpc-timeout"], "5S");
    assert_eq!(headers["content-type"], "application/grpc+proto");
    assert!(headers["authorization"].to_str().unwrap().starts_with("Bearer "));
    assert_eq!(trailers.unwrap(), fields(&[("x-checksum", "up")]));
}

/// gRPC-web has its trailers in the body, and its media type is none of a page.
#[tokio::test]
async fn grpc_web_passes_byte_for_byte() {
    let body: &[u8] = b"\0\0\0\0\x02ok\x80\0\0\0\x0fgrpc-status:0\r\n";
    let router = Router::new().fallback(any(async move |request: Request| {
        let media_type = request.headers()["content-type"].clone();
        ([("content-type", media_type)], body)
    }));
    let (_stack, ada) = stack_with(&service(router).await, "h2c: false").await;
    let request = ada
        .request(Method::POST, "/api/pkg.Service/Method")
        .header("x-csrf-token", ada.csrf_token().await)
        .header("content-type", "application/grpc-web+proto")
        .body(body);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/grpc-web+proto");
    assert_eq!(answer.bytes().await.unwrap(), body);
}

#[tokio::test]
async fn ranges_and_encodings_pass_unchanged() {
    let gzip: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0\0\x03not really";
    let router = Router::new().fallback(any(async move |request: Request| {
        let asked = |name: &str| {
            request
                .headers()
                .get(name)
                .map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(asked("range").as_deref(), Some("bytes=2-5"));
        assert_eq!(asked("if-range").as_deref(), Some("\"v1\""));
        assert_eq!(asked("accept-encoding").as_deref(), Some("gzip"));
        let headers = [
            ("content-range", "bytes 2-5/20"),
            ("content-encoding", "gzip"),
            ("etag", "\"v1\""),
            ("accept-ranges", "bytes"),
        ];
        (StatusCode::PARTIAL_CONTENT, headers, gzip)
    }));
    let (_stack, ada) = stack_with(&service(router).await, "h2c: false").await;
    let request = ada
        .request(Method::GET, "/api/x")
        .header("range", "bytes=2-5")
        .header("if-range", "\"v1\"")
        .header("accept-encoding", "gzip");
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::PARTIAL_CONTENT);
    for (name, value) in [
        ("content-range", "bytes 2-5/20"),
        ("content-encoding", "gzip"),
        ("etag", "\"v1\""),
        ("content-length", "20"),
    ] {
        assert_eq!(answer.headers()[name], value, "{name}");
    }
    assert_eq!(answer.bytes().await.unwrap(), gzip);
}

#[tokio::test]
async fn a_client_that_asks_first_is_told_to_continue() {
    let router = Router::new().fallback(any(async |request: Request| {
        assert!(!request.headers().contains_key("expect"));
        request.into_body().collect().await.unwrap().to_bytes()
    }));
    let (stack, ada) = stack_with(&service(router).await, "h2c: false").await;
    let mut connection = TcpStream::connect(stack.address).await.unwrap();
    let head = format!(
        "PUT /api/x HTTP/1.1\r\nHost: automate.localhost\r\nOrigin: {}\r\nCookie: {}\r\nX-CSRF-Token: {}\r\n\
         Content-Length: 4\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n",
        ada.origin(),
        cookie(&ada),
        ada.csrf_token().await
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    let mut go_on = [0; 25];
    connection.read_exact(&mut go_on).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    connection.write_all(b"text").await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("text"),
        "{answer}"
    );
}

/// A service that gets a head and then says `answer` again and again, until `rest`.
async fn repeating(answer: &'static [u8], times: usize, rest: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            tokio::spawn(async move {
                connection.readable().await.unwrap();
                for _ in 0..times {
                    if connection.write_all(answer).await.is_err() {
                        return;
                    }
                    tokio::task::yield_now().await;
                }
                let _ = connection.write_all(rest).await;
                // Until the other side closes.
                let _ = connection.read_to_end(&mut Vec::new()).await;
            });
        }
    });
    url
}

#[tokio::test]
async fn answers_in_between_are_left_out() {
    let rest = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\ndone";
    let early = b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n";
    let (_stack, ada) = stack_with(&repeating(early, 20, rest).await, "h2c: false").await;
    let reply = ada.get("/api/x").await;
    assert_eq!((reply.status, reply.body.as_str()), (StatusCode::OK, "done"));
    assert_eq!(reply.header("link"), None);
}

#[tokio::test]
async fn answers_in_between_for_ever_are_a_504() {
    let (stack, ada) = stack_with(
        &repeating(b"HTTP/1.1 102 Processing\r\n\r\n", usize::MAX, b"").await,
        "h2c: false",
    )
    .await;
    let flooded = ada.clone();
    let call = tokio::spawn(async move { flooded.get("/api/x").await });
    for _ in 0..50 {
        pause().await;
    }
    assert!(!call.is_finished());
    // Others are served meanwhile.
    assert_eq!(ada.get("/health/live").await.status, StatusCode::OK);
    stack.advance(Duration::from_secs(6)).await;
    assert_eq!(call.await.unwrap().refusal(), (504, "gateway_timeout".to_owned()));
}

#[tokio::test]
async fn a_head_without_end_is_a_502() {
    let (_stack, ada) = stack_with(&repeating(&[b'x'; 16 * 1024], 6_400, b"").await, "h2c: false").await;
    assert_eq!(ada.get("/api/x").await.refusal(), (502, "bad_gateway".to_owned()));
    let field = b"X-Field: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n";
    let (_stack, ada) = stack_with(&repeating(field, 1_000_000, b"\r\n").await, "h2c: false").await;
    assert_eq!(ada.get("/api/x").await.refusal(), (502, "bad_gateway".to_owned()));
}

/// Too little breaks off; too much is the beginning of nothing.
#[tokio::test]
async fn a_length_that_lies_harms_nobody() {
    let short = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\nshort";
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            connection.readable().await.unwrap();
            let _ = connection.write_all(short).await;
        }
    });
    let (_stack, ada) = stack_with(&url, "h2c: false").await;
    // The connection may end before the head of the answer is out.
    if let Ok(answer) = ada.request(Method::GET, "/api/x").send().await {
        assert_eq!(answer.headers()["content-length"], "10");
        assert!(answer.bytes().await.is_err());
    }

    let long =
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
    let (_stack, ada) = stack_with(&repeating(long, 1, b"").await, "h2c: false").await;
    for _ in 0..3 {
        assert_eq!(
            ada.get("/api/x").await.body,
            "ok",
            "the rest is no answer to the next call"
        );
    }
    for both in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!"[..],
        b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok!",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nok!",
    ] {
        let (_stack, ada) = stack_with(&repeating(both, 1, b"").await, "h2c: false").await;
        assert_eq!(ada.get("/api/x").await.refusal(), (502, "bad_gateway".to_owned()));
    }
}
