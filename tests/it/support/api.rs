//! An API behind the server: records its requests, with scripted answers.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    response::Response,
};
use http::{HeaderMap, Method};
use parking_lot::Mutex;
use tokio::net::TcpListener;

/// A call that has arrived.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its method.
    pub method: Method,
    /// Path and query in the form of the request line.
    pub target: String,
    /// All header fields.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

type Answer = Arc<dyn Fn(&Call) -> Response + Send + Sync>;

/// A running API.
#[derive(Clone)]
pub struct Api {
    address: SocketAddr,
    state: Arc<Mutex<Inner>>,
}

struct Inner {
    calls: Vec<Call>,
    answer: Answer,
}

// === impl Api ===

impl Api {
    /// Starts on a free port; answers 200 with `{"ok":true}`.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answer: Answer = Arc::new(|_| {
            let json = [("content-type", "application/json")];
            axum::response::IntoResponse::into_response((json, r#"{"ok":true}"#))
        });
        let state = Arc::new(Mutex::new(Inner {
            calls: Vec::new(),
            answer,
        }));
        let router = Router::new().fallback(handle).with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, state }
    }

    /// The address of its listener.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All its requests so far.
    pub fn calls(&self) -> Vec<Call> {
        self.state.lock().calls.clone()
    }

    /// The last call.
    pub fn last(&self) -> Call {
        self.state
            .lock()
            .calls
            .last()
            .cloned()
            .expect("the API was not called")
    }

    /// From now on it answers like this.
    pub fn answer(&self, answer: impl Fn(&Call) -> Response + Send + Sync + 'static) {
        self.state.lock().answer = Arc::new(answer);
    }
}

async fn handle(State(state): State<Arc<Mutex<Inner>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(Body::new(body), usize::MAX)
        .await
        .unwrap_or_default();
    let target = parts
        .uri
        .path_and_query()
        .map(ToString::to_string)
        .unwrap_or_default();
    let call = Call {
        method: parts.method,
        target,
        headers: parts.headers,
        body,
    };
    let answer = Arc::clone(&state.lock().answer);
    let response = answer(&call);
    state.lock().calls.push(call);
    response
}

// === impl Call ===

impl Call {
    /// A header field as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}
