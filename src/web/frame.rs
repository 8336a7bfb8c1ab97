//! What every request passes through: the correlation id, the rendering of problems, headers of the auth routes, the
//! access log. A service around the router rather than one of its layers: the router boxes and clones each layer for
//! each request.

use std::{
    any::Any,
    convert::Infallible,
    net::SocketAddr,
    panic::AssertUnwindSafe,
    task::{Context, Poll},
};

use axum::{
    Router,
    extract::Request,
    response::{IntoResponse as _, Response},
};
use futures_util::{FutureExt as _, future::BoxFuture};
use http::{
    HeaderValue, Method, StatusCode,
    header::{CACHE_CONTROL, CONTENT_LENGTH, REFERRER_POLICY},
};
use tower::Service;
use tracing::Level;

use super::{
    Listener, Web,
    correlation::{self, CorrelationId},
    problem::{Problem, wants_json},
};

/// All endpoints of one listener, as the accept loop serves them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Endpoints {
    web: Web,
    listener: Listener,
    router: Router,
    /// The peer of the connection that this clone serves. Without one nobody is a listed proxy and nobody is local.
    peer: SocketAddr,
}

/// What is known of a request before its handler sees it.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    /// The peer of the connection.
    pub(crate) peer: SocketAddr,
    /// On which listener it came.
    pub(crate) listener: Listener,
    /// Its correlation id.
    pub(crate) correlation: CorrelationId,
}

// === impl Arrival ===

impl Arrival {
    /// The arrival of a request that has come through [`Endpoints`].
    pub(crate) fn peer_of(request: &http::request::Parts) -> SocketAddr {
        request
            .extensions
            .get::<Self>()
            .map_or_else(nobody, |arrival| arrival.peer)
    }
}

fn nobody() -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0], 0))
}

// === impl Endpoints ===

impl Endpoints {
    pub(super) fn new(web: Web, listener: Listener, router: Router) -> Self {
        Self {
            web,
            listener,
            router,
            peer: nobody(),
        }
    }

    /// The same endpoints for a connection from `peer`.
    #[must_use]
    pub fn for_peer(&self, peer: SocketAddr) -> Self {
        Self { peer, ..self.clone() }
    }
}

impl Service<Request> for Endpoints {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<Request>::poll_ready(&mut self.router, cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let web = self.web.clone();
        let started = web.clock.now();
        let correlation = CorrelationId::of(request.headers(), &*web.random);
        let method = request.method().clone();
        let path = request.uri().path().to_owned();
        let json = wants_json(request.headers());
        request.extensions_mut().insert(Arrival {
            peer: self.peer,
            listener: self.listener,
            correlation: correlation.clone(),
        });
        let answer = AssertUnwindSafe(self.router.call(request)).catch_unwind();
        Box::pin(async move {
            let mut response = match answer.await {
                Ok(Ok(response)) => response,
                Err(panic) => panicked(&*panic),
            };
            render(&mut response, json, &correlation);
            if is_auth(&path) {
                let answer = response.headers_mut();
                answer.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
                answer.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
            }
            response
                .headers_mut()
                .insert(correlation::HEADER, correlation.header().clone());
            // Never the query: on the routes of a login it holds a code and a state.
            tracing::info!(
                target: "bff::access",
                %method,
                path,
                status = response.status().as_u16(),
                milliseconds = web.clock.now().unix_millis().saturating_sub(started.unix_millis()),
                correlation_id = correlation.as_str(),
            );
            Ok(response)
        })
    }
}

/// Turns a problem that a handler has returned into the answer.
fn render(response: &mut Response, json: bool, correlation: &CorrelationId) {
    let Some(problem) = response.extensions_mut().remove::<Problem>() else {
        return;
    };
    let (head, body) = problem.render(json, correlation).into_parts();
    // What handler and layers have added stays (cookies, `Allow`, what CORS says: a page of a listed origin may read
    // errors too); the problem's own fields win, and the size is that of its body.
    response.headers_mut().remove(CONTENT_LENGTH);
    response.headers_mut().extend(head.headers);
    *response.body_mut() = body;
    problem.log(correlation);
}

fn is_auth(path: &str) -> bool {
    path.starts_with("/auth/") || path.starts_with("/api/auth/")
}

/// 405 for a route that exists.
pub(super) async fn method_not_allowed(method: Method) -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "This method is not possible here",
        format!("The method {method} is not possible for this path."),
    )
}

/// The answer where a handler panicked: that is a bug of ours, told to the log and not to the client. What the panic
/// says may hold anything, also a secret.
fn panicked(_panic: &(dyn Any + Send)) -> Response {
    let place = "the place is in the panic's own message on standard error";
    Problem::internal()
        .because(Level::ERROR, "a request handler panicked", &place)
        .into_response()
}
