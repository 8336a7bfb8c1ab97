//! The router: one file per endpoint, the middleware in order, problem responses. It has no rules of its own.

mod access;
mod admission;
mod api;
mod auth;
mod bearer;
mod binding;
mod caller;
mod correlation;
mod cors;
mod csrf;
mod dispatch;
mod envelope;
mod form;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod health;
mod host;
mod identity;
mod jwks;
mod limits;
mod measures;
mod middleware;
mod navigation;
mod notices;
mod page;
mod peer;
mod prefetch;
mod problem;
mod query;
mod request_context;
mod revisit;
mod start_page;
mod streams;
mod structured;
mod way_in;

use std::{ops::Deref, sync::Arc};

use axum::{
    Router,
    middleware::from_fn,
    routing::{delete, get, post},
};
use http::HeaderValue;

pub use self::{
    csrf::OwnOrigins,
    middleware::Endpoints,
    page::{Brand, Color, PageOptions, Pages, PagesError},
    peer::{ForwardedFamily, TrustedProxies},
};
use self::{
    dispatch::Dispatch,
    measures::Measures,
    notices::Notices,
    streams::{Kind, Streams},
};
use crate::{
    bearer::Bearers,
    clock::SharedClock,
    gateway::Gateway,
    health::Health,
    instruments::SharedInstruments,
    keys::Keys,
    limits::{Limiter, Rate},
    login::Login,
    own_paths,
    seal::Sealer,
    session::{Binding, CookiePolicy, Sessions},
    tokens::Tokens,
};

/// The services that the endpoints use.
#[derive(Debug)]
pub struct Services {
    /// Published keys.
    pub keys: Keys,
    /// The server's own state.
    pub health: Health,
    /// Logging in and out.
    pub login: Login,
    /// Fresh tokens.
    pub tokens: Tokens,
    /// Sessions.
    pub sessions: Sessions,
    /// Rate limits.
    pub limits: Limiter,
    /// The limit of logins from one address.
    pub login_rate: Option<Rate>,
    /// Routes to the APIs.
    pub gateway: Gateway,
    /// The checks of tokens that callers bring.
    pub bearers: Bearers,
    /// The provider in the names of people if no entry of `idps.yaml` is for their issuer.
    pub provider_alias: String,
    /// The identifier of this server as a resource (RFC 9728): `BFF_BASE_URL`.
    pub resource: Option<String>,
    /// Names and attributes of our cookies.
    pub cookies: CookiePolicy,
    /// CSRF tokens and session references.
    pub sealer: Sealer,
    /// Origins whose pages may change state.
    pub own_origins: OwnOrigins,
    /// Other origins whose pages may call with credentials (CORS).
    pub cors_origins: Vec<HeaderValue>,
    /// Proxies whose forwarded headers are believed.
    pub trusted_proxies: TrustedProxies,
    /// The binding of sessions.
    pub binding: Binding,
    /// The maximum number of connections of the public listener.
    pub connections: usize,
    /// Pages for people.
    pub pages: Pages,
    /// The instruments for its counters.
    pub instruments: SharedInstruments,
    /// Time.
    pub clock: SharedClock,
}

/// The services as every handler holds them.
#[derive(Clone, Debug)]
pub struct Web(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    services: Services,
    notices: Notices,
    measures: Measures,
    /// The sessions for which the log has said that a request did not fit their binding.
    unproven: binding::Told,
    /// The sessions for which the log has said that an API demands a stronger login right after one.
    unsatisfied: binding::Told,
    /// The sessions for which the log has said that the proof of their device was refused.
    refused_devices: binding::Told,
    streams: Streams,
    web_sockets: Streams,
}

/// On which listener a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listener {
    /// The listener for browsers.
    Public,
    /// The listener that is never published (`BFF_INTERNAL_ADDR`).
    Internal,
}

// === impl Web ===

impl Web {
    /// Puts the services together.
    #[must_use]
    pub fn new(services: Services) -> Self {
        Self(Arc::new(Inner {
            measures: Measures::new(&*services.instruments),
            streams: Streams::beside(services.connections, Kind::Events),
            web_sockets: Streams::beside(services.connections, Kind::WebSockets),
            services,
            notices: Notices::default(),
            unproven: binding::Told::default(),
            unsatisfied: binding::Told::default(),
            refused_devices: binding::Told::default(),
        }))
    }

    /// The service for the listener that browsers reach.
    #[must_use]
    pub fn public(&self) -> Endpoints {
        let acting = Router::new()
            .route(own_paths::LOGIN, get(auth::login::handle).post(auth::login::post))
            .route(own_paths::CALLBACK, get(auth::callback::handle))
            .route(
                own_paths::LOGOUT,
                get(auth::logout::ask).post(auth::logout::handle),
            )
            .route(
                own_paths::LOGOUT_ALIAS,
                get(auth::logout::ask).post(auth::logout::handle),
            )
            .route(own_paths::LOGGED_OUT, get(auth::logged_out::handle))
            .route(
                own_paths::FRONTCHANNEL_LOGOUT,
                get(auth::frontchannel_logout::handle),
            )
            .route_layer(from_fn(prefetch::keep_from_acting));
        let telling = Router::new()
            .route(own_paths::SESSION, get(auth::session::handle))
            .route(own_paths::SESSION_ALIAS, get(auth::session::handle))
            .route(own_paths::CSRF, get(auth::csrf::handle))
            .route(own_paths::EVENTS, get(auth::events::handle))
            .route(own_paths::SESSIONS, get(auth::sessions::list))
            .route(own_paths::ONE_SESSION, delete(auth::sessions::end));
        let of_the_browser = Router::new()
            .route(own_paths::DBSC_REGISTER, post(auth::dbsc::register))
            .route(own_paths::DBSC_REFRESH, post(auth::dbsc::refresh));
        let of_the_idp = Router::new().route(
            own_paths::BACKCHANNEL_LOGOUT,
            post(auth::backchannel_logout::handle),
        );
        let endpoints = acting
            .merge(telling)
            .merge(of_the_browser)
            .merge(of_the_idp)
            .merge(Self::common());
        self.assemble(Listener::Public, endpoints)
    }

    /// The service for the listener that is never published.
    #[must_use]
    pub fn internal(&self) -> Endpoints {
        self.assemble(Listener::Internal, Self::common())
    }

    fn common() -> Router<Self> {
        Router::new()
            .route(own_paths::JWKS, get(jwks::handle))
            .route(own_paths::PROTECTED_RESOURCE, get(bearer::metadata))
            .route(own_paths::HEALTH, get(health::ready))
            .route(own_paths::HEALTH_LIVE, get(health::live))
            .route(own_paths::HEALTH_READY, get(health::ready))
            // Names of the original system.
            .route(own_paths::AUTH_HEALTH, get(health::live))
            .route(own_paths::OLD_HEALTH, get(health::ready))
            .route(own_paths::OLD_HEALTH_LIVE, get(health::live))
            .route(own_paths::OLD_HEALTH_READY, get(health::ready))
            .route(own_paths::OLD_HEALTH_STORE, get(health::store))
    }

    fn assemble(&self, listener: Listener, endpoints: Router<Self>) -> Endpoints {
        let router = endpoints
            .fallback(api::nothing_here)
            .method_not_allowed_fallback(middleware::method_not_allowed)
            .with_state(self.clone());
        // Inside the middleware, so that an answer to a preflight has a correlation id and a log line.
        let dispatch = Dispatch::new(self.clone(), router, cors::layer(&self.cors_origins));
        Endpoints::new(self.clone(), listener, dispatch)
    }
}

impl Deref for Web {
    type Target = Services;

    fn deref(&self) -> &Services {
        &self.0.services
    }
}

#[cfg(test)]
mod tests;
