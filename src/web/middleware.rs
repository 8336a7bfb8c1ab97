//! The middleware around all endpoints: correlation id, rendering of problems, headers of the auth routes, access log.
//!
//! It is a plain function instead of a stack of router layers, because the router boxes and clones each layer for each
//! request.

use std::{
    any::Any,
    net::SocketAddr,
    panic::AssertUnwindSafe,
    sync::{Arc, OnceLock},
};

use axum::{
    extract::Request,
    response::{IntoResponse as _, Response},
};
use futures_util::FutureExt as _;
use http::{
    HeaderValue, Method,
    header::{CACHE_CONTROL, CONTENT_LENGTH, ORIGIN},
};
use tracing::Level;

use super::{
    Listener, Web,
    access::{Access, Notes},
    auth::verify,
    correlation::{self, CorrelationId, CorrelationIds},
    cors,
    dispatch::{Dispatch, is_for_pages},
    host,
    page::Pages,
    problem::{Code, Preferences, Problem},
    request_context::{RequestContext, nobody},
};
use crate::{
    head, own_paths,
    protection::Protection,
    server::{Answer, Load},
};

/// All endpoints of one listener, as the accept loop serves them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Endpoints {
    web: Web,
    listener: Listener,
    dispatch: Dispatch,
    correlation: Arc<CorrelationIds>,
    /// The peer of the connection that this clone serves. An unknown peer is neither a trusted proxy nor local.
    peer: SocketAddr,
}

// === impl Endpoints ===

impl Endpoints {
    pub(super) fn new(web: Web, listener: Listener, dispatch: Dispatch) -> Self {
        Self {
            web,
            listener,
            dispatch,
            correlation: Arc::default(),
            peer: nobody(),
        }
    }

    async fn handle(&self, request: Box<Request>, load: Load) -> Response {
        let mut context = RequestContext {
            peer: self.peer,
            listener: self.listener,
            correlation: self.correlation.of(request.headers()),
            notes: Notes::default(),
            limits: OnceLock::new(),
        };
        let access = Access::begin(&self.web, &mut context, &request);
        let correlation = context.correlation.clone();
        // Only references to the received request.
        let target = request.uri().path_and_query().cloned();
        let strict = self.web.demands_https(self.peer, &request);
        let preferences = Preferences::of(request.headers());
        let origin = self
            .dispatch
            .has_cors()
            .then(|| request.headers().get(ORIGIN).cloned());
        let answer = async {
            if let Err(error) = head::check(request.headers()) {
                self.web.notice_large_head(&error);
                return Problem::header_too_large().into_response();
            }
            if let Err(problem) = host::check(&request) {
                return problem.into_response();
            }
            if load == Load::Crowded && !own_paths::is_health(request.uri().path()) {
                return Problem::unavailable(Code::Overloaded).into_response();
            }
            self.dispatch.answer(context, request).await
        };
        let answer = AssertUnwindSafe(answer).catch_unwind();
        let mut response = answer.await.unwrap_or_else(|panic| panicked(&*panic));

        render(&mut response, &preferences, &self.web.pages, &correlation);
        let path = target.as_ref().map_or("", |target| target.path());
        if let Some(origin) = origin
            && is_for_pages(path)
        {
            cors::mark(&self.web.cors_origins, origin.as_ref(), response.headers_mut());
        }
        if own_paths::is_auth(path) {
            let answer = response.headers_mut();
            answer.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            Protection::of_auth(strict).apply(answer, strict);
        }
        response
            .headers_mut()
            .insert(correlation::HEADER, correlation.header().clone());
        if let Some(access) = access {
            access.end(&self.web, &response, correlation.as_str());
        }
        response
    }
}

impl Answer for Endpoints {
    fn for_peer(&self, peer: SocketAddr) -> Self {
        Self { peer, ..self.clone() }
    }

    fn answer(&self, request: Request, load: Load) -> impl Future<Output = Response> + Send {
        self.handle(Box::new(request), load)
    }
}

// === impl Web ===

impl Web {
    /// Whether a request of a browser to an own endpoint came to a host of ours that is https, so that no browser should use
    /// plain http there. Not the local machine, on which other servers may listen at other ports.
    fn demands_https(&self, peer: SocketAddr, request: &Request) -> bool {
        let path = request.uri().path();
        if !own_paths::is_auth(path) || verify::is_path(path) {
            return false;
        }
        let client = self
            .trusted_proxies
            .client(peer, request.uri(), request.headers());
        self.login.hosts().own(&client.host).is_some_and(|host| {
            let origin = host.origin();
            let is_local = origin
                .domain()
                .is_none_or(|name| name == "localhost" || name.ends_with(".localhost"));
            origin.scheme() == "https" && !is_local
        })
    }
}

/// Turns a problem that a handler has returned into the answer.
fn render(response: &mut Response, preferences: &Preferences, pages: &Pages, correlation: &CorrelationId) {
    let Some(problem) = response.extensions_mut().remove::<Problem>() else {
        return;
    };
    let (head, body) = problem.render(preferences, pages, correlation).into_parts();
    // Headers of handler and layers stay (cookies, `Allow`, CORS: a page of a listed origin may read errors too). The
    // problem's own fields win, and the size is that of its body.
    response.headers_mut().remove(CONTENT_LENGTH);
    response.headers_mut().extend(head.headers);
    *response.body_mut() = body;
    problem.log(correlation);
}

/// 405 for a route that exists.
pub(super) async fn method_not_allowed(method: Method) -> Problem {
    Problem::new(
        Code::MethodNotAllowed,
        format!("The method {method} is not possible for this path."),
    )
}

/// The answer after a panic of a handler: that is our bug, for the log and not for the client. The panic message may
/// contain anything, also a secret.
fn panicked(_panic: &(dyn Any + Send)) -> Response {
    let place = "its place is in the line before and on standard error";
    Problem::internal()
        .because(Level::ERROR, "a request handler panicked", &place)
        .into_response()
}
