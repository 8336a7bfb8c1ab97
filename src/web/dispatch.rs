//! Dispatch: the hot endpoints go straight to their handlers, every other request goes through the router.
//!
//! The router boxes, clones and looks up for every request, which costs about as much as `/auth/verify` itself.
//! Therefore forward authentication and the calls to APIs bypass it.

use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use axum::{
    Router,
    extract::Request,
    response::{IntoResponse as _, Response},
};
use futures_util::future::BoxFuture;
use http::HeaderValue;
use tower::{Layer as _, Service, ServiceExt as _};
use tower_http::cors::{Cors, CorsLayer};

use super::{Listener, Web, api, auth::verify, cors, envelope::Envelope, request_context::RequestContext};
use crate::{
    gateway::{Found, NormalPath},
    own_paths,
};

/// Sends the requests of one listener to their handlers.
#[derive(Clone, Debug)]
pub(super) struct Dispatch {
    choice: Choice,
    /// Around the choice, where other origins are listed.
    cors: Option<Cors<Choice>>,
}

#[derive(Clone, Debug)]
struct Choice {
    web: Web,
    router: Router,
}

// === impl Dispatch ===

impl Dispatch {
    pub(super) fn new(web: Web, router: Router, cors: Option<CorsLayer>) -> Self {
        let choice = Choice { web, router };
        Self {
            cors: cors.map(|layer| layer.layer(choice.clone())),
            choice,
        }
    }

    /// Whether other origins are listed.
    pub(super) const fn has_cors(&self) -> bool {
        self.cors.is_some()
    }

    /// The request is boxed, since it passes through several futures, of which each would have room for it.
    pub(super) async fn answer(&self, context: RequestContext, mut request: Box<Request>) -> Response {
        match &self.cors {
            Some(cors) if is_for_pages(request.uri().path()) => {
                let taken = self.choice.methods_instead(&context, &request);
                request.extensions_mut().insert(context);
                let mut answer = never_fails(cors.clone().oneshot(*request).await);
                if let Some(methods) = taken {
                    cors::restrict(answer.headers_mut(), &methods);
                }
                answer
            }
            Some(_) | None => self.choice.answer(context, request).await,
        }
    }
}

/// Pages do not call the endpoints of the IdP or of the browser itself, so CORS does not apply to them.
pub(super) fn is_for_pages(path: &str) -> bool {
    ![
        own_paths::BACKCHANNEL_LOGOUT,
        own_paths::DBSC_REGISTER,
        own_paths::DBSC_REFRESH,
    ]
    .contains(&path)
}

// === impl Choice ===

impl Choice {
    async fn answer(&self, context: RequestContext, mut request: Box<Request>) -> Response {
        let mut answer = match request.uri().path() {
            path if verify::is_path(path) => {
                let (request, _) = (*request).into_parts();
                verify::handle(&self.web, &context, &request)
                    .await
                    .into_response()
            }
            path if context.listener == Listener::Public
                && !own_paths::is_own(path)
                && (!own_paths::yields_to_routes(path) || self.has_route(&context, &request)) =>
            {
                api::handle(&self.web, &context, request).await.into_response()
            }
            _ => {
                request.extensions_mut().insert(context);
                return never_fails(self.router.clone().oneshot(*request).await);
            }
        };
        if let Some(told) = context.limits.get() {
            told.apply(answer.headers_mut());
        }
        answer
    }
}

impl Choice {
    /// The methods of the routes of a preflight's path, if the one that it asks for is not among them.
    fn methods_instead(&self, context: &RequestContext, request: &Request) -> Option<HeaderValue> {
        let method = cors::asked_method(request)?;
        let table = self.web.gateway.table();
        let host = self.web.route_host(&table, &Envelope::of(context, request));
        let path = NormalPath::parse_encoded(request.uri().path()).ok()?;
        match table.find(&host, &path, &method) {
            Found::MethodNotAllowed { allow } => Some(allow.clone()),
            Found::Match(_) | Found::NotFound | Found::Refused(_) => None,
        }
    }

    fn has_route(&self, context: &RequestContext, request: &Request) -> bool {
        let table = self.web.gateway.table();
        let host = self.web.route_host(&table, &Envelope::of(context, request));
        NormalPath::parse(request.uri().path()).is_ok_and(|path| {
            let found = table.find(&host, &path, request.method());
            !matches!(found, Found::NotFound)
        })
    }
}

impl Service<Request> for Choice {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let context = request.extensions_mut().remove::<RequestContext>();
        let choice = self.clone();
        Box::pin(async move {
            Ok(match context {
                Some(context) => {
                    let mut answer = choice.answer(context, Box::new(request)).await;
                    cors::take_over(answer.headers_mut());
                    answer
                }
                None => super::problem::Problem::internal().into_response(),
            })
        })
    }
}

fn never_fails(answer: Result<Response, Infallible>) -> Response {
    match answer {
        Ok(response) => response,
        Err(never) => match never {},
    }
}
