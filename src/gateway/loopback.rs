//! Real sockets for tests: scripted services, and a front that does what the server does around the gateway.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::{Auth, ClientInfo, Found, Gateway, GatewayError, NormalPath, Options, Outgoing, Proto, Routes};
use crate::{
    clock::{SharedClock, SystemClock},
    credential::Credential,
};

/// A request as a service received it.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) headers: HeaderMap,
}

/// A service that records its requests and answers with the received target.
pub(super) struct Api {
    pub(super) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

// === impl Api ===

impl Api {
    pub(super) async fn start() -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&seen);
        let address = serve(move |request: Request<Body>| {
            let target = request.uri().to_string();
            notes.lock().push(Seen {
                method: request.method().to_string(),
                target: target.clone(),
                headers: request.headers().clone(),
            });
            async move { Response::new(Body::from(target)) }
        })
        .await;
        Self { address, seen }
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }

    /// The one request that came.
    pub(super) fn only(&self) -> Seen {
        let seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen[0].clone()
    }
}

/// Serves `handler` for all paths on a free port.
pub(super) async fn serve<H, F>(handler: H) -> SocketAddr
where
    H: FnOnce(Request<Body>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(handler)).await });
    address
}

/// A service that reads the head of one request and writes `answer`. It keeps the connection open while the sender of
/// the channel lives, and returns all bytes that it has read.
pub(super) async fn raw_service(
    answer: &'static [u8],
) -> (
    SocketAddr,
    tokio::sync::oneshot::Sender<()>,
    tokio::task::JoinHandle<Vec<u8>>,
) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (close, closed) = tokio::sync::oneshot::channel();
    let service = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut read = Vec::new();
        while !read.windows(4).any(|end| end == b"\r\n\r\n") {
            assert_ne!(stream.read_buf(&mut read).await.unwrap(), 0);
        }
        stream.write_all(answer).await.unwrap();
        tokio::select! {
            _ = stream.read_to_end(&mut read) => {}
            _ = closed => {}
        }
        read
    });
    (address, close, service)
}

/// A gateway with one service at `address` under `/api/*` (session) and `/public/*` (none), whole paths kept.
pub(super) fn gateway(address: SocketAddr, clock: SharedClock) -> Gateway {
    gateway_with(address, "", clock)
}

/// The same for a service that speaks HTTP/2 from the first byte.
pub(super) fn gateway_over_http2(address: SocketAddr, clock: SharedClock) -> Gateway {
    gateway_with(address, ", h2c: true", clock)
}

fn gateway_with(address: SocketAddr, more: &str, clock: SharedClock) -> Gateway {
    let routes = format!(
        "services:
  api: {{ base_url: 'http://{address}', timeout: 30s, max_body: unlimited{more} }}
routes:
  - {{ id: api, path: /api/*, target_service: api, preserve_path: true }}
  - {{ id: public, path: /public/*, target_service: api, preserve_path: true, auth: none }}
"
    );
    let options = Options {
        connect_timeout: Duration::from_secs(2),
        ..Options::default()
    };
    Gateway::new(Routes::parse(&routes).unwrap(), options, clock).unwrap()
}

/// A client that speaks HTTP/2 from the first byte.
pub(super) fn http2_client<B>() -> Client<HttpConnector, B>
where
    B: hyper::body::Body<Data: Send> + Send,
{
    Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http()
}

pub(super) fn system_clock() -> SharedClock {
    Arc::new(SystemClock)
}

pub(super) fn client() -> ClientInfo {
    ClientInfo {
        address: Some([192, 0, 2, 7].into()),
        proto: Proto::Https,
        host: Some(HeaderValue::from_static("app.example")),
    }
}

pub(super) fn credential() -> Credential {
    Credential::bearer(HeaderValue::from_static("Bearer our-token"))
}

/// The additions to a logged-in person's call.
pub(super) fn logged_in() -> Outgoing<'static> {
    Outgoing {
        credential: Some(credential()),
        cookies: None,
        client: client(),
        identity: HeaderMap::new(),
        correlation_id: HeaderValue::from_static("c-1"),
        session_end: None,
        tunnel: None,
        keep_set_cookie: &|_| true,
    }
}

/// Serves the gateway as the server does: one form of the path, match, forward. Its answers name the path that was
/// authorised in `x-authorised`, and the route in `x-route`.
pub(super) async fn front(gateway: Arc<Gateway>) -> SocketAddr {
    serve(move |request: Request<Body>| async move {
        let status = |status: StatusCode| {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = status;
            response
        };
        let Ok(path) = NormalPath::parse(request.uri().path()) else {
            return status(StatusCode::BAD_REQUEST);
        };
        let table = gateway.table();
        let matched = match table.find("", &path, request.method()) {
            Found::Match(matched) => matched,
            Found::NotFound => return status(StatusCode::NOT_FOUND),
            Found::MethodNotAllowed { .. } => return status(StatusCode::METHOD_NOT_ALLOWED),
            Found::Refused(_) => return status(StatusCode::BAD_REQUEST),
        };
        let session = matched.route.auth() == Auth::Session;
        let outgoing = Outgoing {
            credential: (session && request.headers().contains_key("test-session")).then(credential),
            ..logged_in()
        };
        let answer = async { gateway.call(&table, matched, request, outgoing)?.send().await };
        match answer.await {
            Ok(mut response) => {
                let headers = response.headers_mut();
                headers.insert("x-authorised", path.as_str().parse().unwrap());
                headers.insert("x-route", matched.route.id().parse().unwrap());
                response
            }
            Err(error) => status(status_of(error)),
        }
    })
    .await
}

/// The stand-in for `error`; `web` has the real answers.
fn status_of(error: GatewayError) -> StatusCode {
    match error {
        GatewayError::Unauthenticated => StatusCode::UNAUTHORIZED,
        GatewayError::BadRequest | GatewayError::Handshake => StatusCode::BAD_REQUEST,
        GatewayError::WebSocketVersion => StatusCode::UPGRADE_REQUIRED,
        GatewayError::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
        GatewayError::Upgrade => StatusCode::NOT_IMPLEMENTED,
        GatewayError::BadGateway => StatusCode::BAD_GATEWAY,
        GatewayError::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        GatewayError::ServiceUnavailable | GatewayError::CircuitOpen(_) | GatewayError::Full => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        GatewayError::GatewayTimeout => StatusCode::GATEWAY_TIMEOUT,
    }
}

/// Sends `request` unchanged and returns the whole answer.
pub(super) async fn raw(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    // A server that refuses may close before it has read all.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}
