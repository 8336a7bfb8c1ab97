//! Where a request goes: what is asked all the time straight to its handler, everything else through the router.
//!
//! A router boxes, clones and looks up for every request, which costs about as much as `/auth/verify` itself. So forward
//! authentication and the calls that are passed on stand before it.

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
use http::Method;
use tower::{Layer as _, Service, ServiceExt as _};
use tower_http::cors::{Cors, CorsLayer};

use super::{
    Listener, Web, api,
    arrival::Arrival,
    auth::{backchannel_logout, dbsc, verify},
};
use crate::{
    gateway::{Found, NormalPath},
    own_paths,
};

/// The ways of one listener.
#[derive(Clone, Debug)]
pub(super) struct Ways {
    choice: Choice,
    /// Around the choice, where other origins are listed.
    cors: Option<Cors<Choice>>,
}

#[derive(Clone, Debug)]
struct Choice {
    web: Web,
    router: Router,
}

// === impl Ways ===

impl Ways {
    pub(super) fn new(web: Web, router: Router, cors: Option<CorsLayer>) -> Self {
        let choice = Choice { web, router };
        Self {
            cors: cors.map(|layer| layer.layer(choice.clone())),
            choice,
        }
    }

    pub(super) async fn answer(&self, arrival: Arrival, mut request: Request) -> Response {
        match &self.cors {
            Some(cors) if is_for_pages(request.uri().path()) => {
                request.extensions_mut().insert(arrival);
                never_fails(cors.clone().oneshot(request).await)
            }
            Some(_) | None => self.choice.answer(arrival, request).await,
        }
    }
}

/// No page calls what the IdP or the browser itself calls, so no page is told that it may.
fn is_for_pages(path: &str) -> bool {
    ![backchannel_logout::PATH, dbsc::REGISTER, dbsc::REFRESH].contains(&path)
}

// === impl Choice ===

impl Choice {
    async fn answer(&self, arrival: Arrival, mut request: Request) -> Response {
        match request.uri().path() {
            path if verify::is_path(path) => {
                let (request, _) = request.into_parts();
                verify::handle(&self.web, &arrival, &request)
                    .await
                    .into_response()
            }
            path if arrival.listener == Listener::Public
                && !own_paths::is_own(path)
                && (!own_paths::yields_to_routes(path) || self.has_route(path, request.method())) =>
            {
                api::handle(&self.web, &arrival, request).await.into_response()
            }
            _ => {
                request.extensions_mut().insert(arrival);
                never_fails(self.router.clone().oneshot(request).await)
            }
        }
    }
}

impl Choice {
    fn has_route(&self, path: &str, method: &Method) -> bool {
        NormalPath::parse(path)
            .is_ok_and(|path| !matches!(self.web.gateway.find(&path, method), Found::NotFound))
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
        let arrival = request.extensions_mut().remove::<Arrival>();
        let choice = self.clone();
        Box::pin(async move {
            Ok(match arrival {
                Some(arrival) => choice.answer(arrival, request).await,
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
