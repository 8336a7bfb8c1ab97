//! What every request passes through: the correlation id, the rendering of problems, headers of the auth routes, the
//! access log.

use std::{any::Any, net::SocketAddr};

use axum::{
    extract::{ConnectInfo, Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http::{
    HeaderValue, Method, StatusCode,
    header::{CACHE_CONTROL, CONTENT_LENGTH, REFERRER_POLICY},
};
use tower_http::catch_panic::ResponseForPanic;
use tracing::Level;

use super::{
    Listener, Web,
    correlation::{self, CorrelationId},
    problem::{Problem, wants_json},
};

/// The peer of a connection, as handlers find it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Outermost layer.
pub(super) async fn frame(
    State((web, listener)): State<(Web, Listener)>,
    mut request: Request,
    next: Next,
) -> Response {
    let started = web.clock.now();
    let correlation = CorrelationId::of(request.headers(), &*web.random);
    let peer = request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .map(|info| info.0);
    // Without a known peer nobody is a listed proxy and nobody is local.
    let peer = peer.unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)));
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let json = wants_json(request.headers());
    request.extensions_mut().insert(correlation.clone());
    request.extensions_mut().insert(Peer(peer));
    request.extensions_mut().insert(listener);

    let mut response = next.run(request).await;

    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let (head, body) = problem.render(json, &correlation).into_parts();
        // What handler and layers have added stays (cookies, `Allow`, what CORS says: a page of a listed origin may
        // read errors too); the problem's own fields win, and the size is that of its body.
        response.headers_mut().remove(CONTENT_LENGTH);
        response.headers_mut().extend(head.headers);
        *response.body_mut() = body;
        problem.log(&correlation);
    }
    if is_auth(&path) {
        let answer = response.headers_mut();
        answer.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        answer.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    }
    response
        .headers_mut()
        .insert(correlation::HEADER, correlation.header().clone());
    let elapsed = web
        .clock
        .now()
        .unix_millis()
        .saturating_sub(started.unix_millis());
    // Never the query: on the routes of a login it holds a code and a state.
    tracing::info!(
        target: "bff::access",
        %method,
        path,
        status = response.status().as_u16(),
        milliseconds = elapsed,
        correlation_id = correlation.as_str(),
    );
    response
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

/// Answers where a handler panicked: that is a bug of ours, told to the log and not to the client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Panicked;

impl ResponseForPanic for Panicked {
    type ResponseBody = axum::body::Body;

    fn response_for_panic(&mut self, _panic: Box<dyn Any + Send + 'static>) -> Response {
        // What it says may hold anything, also a secret.
        let place = "the place is in the panic's own message on standard error";
        Problem::internal()
            .because(Level::ERROR, "a request handler panicked", &place)
            .into_response()
    }
}
