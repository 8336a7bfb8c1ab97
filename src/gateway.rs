//! Passing calls on to APIs.
//!
//! The order of one call: [`NormalPath::parse`] normalises the path, [`Table::find`] matches it, and the caller
//! checks the demands of the route's [`Auth`]. Then [`Gateway::call`] prepares a [`Call`] of exactly the matched
//! path, with the header policy of [`headers`], and streams the bodies in both directions. A service may also be a
//! folder, whose files [`Gateway::file`] sends ([`files`]). The gateway knows no
//! session: its caller passes the token, the cookies and the client's address.
//!
//! A WebSocket has a connection to its service of its own, and a [`tunnel`] between the two.

mod body;
mod call;
mod failure;
mod files;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod guard;
pub mod headers;
mod path;
mod rewrite;
mod routes;
mod table;
mod trailers;
mod tunnel;
mod upload;
mod upstream;
mod websocket;

use std::{net::IpAddr, sync::Arc, time::Duration};

use futures_util::future::{BoxFuture, Shared};
use http::{HeaderMap, HeaderValue};
use parking_lot::RwLock;

use self::{body::Download, upload::Upload};
use crate::{
    clock::SharedClock,
    credential::Credential,
    proxy::Proxies,
    random::{SharedRandom, SystemRandom},
    tls::SystemRoots,
};

pub use self::{
    call::Call,
    files::{FileError, FileRequest, Private},
    path::{MAX_PATH_LENGTH, NormalPath, PathError},
    routes::{
        Around, Auth, Denied, Facts, Found, MAX_FILE_SIZE, Match, Mistake, Policy, RateLimits, Route, Routes,
        RoutesError, Service, TokenDefaults, Unauthenticated, WebSockets, same_host, schema as routes_schema,
    },
    table::Table,
    tunnel::Stop,
    websocket::Upgrade,
};

/// The routing table and the connections to the services behind it.
#[derive(Debug)]
pub struct Gateway {
    /// Replaced as a whole.
    table: RwLock<Arc<Table>>,
    options: Options,
    clock: SharedClock,
}

/// How the gateway reaches services, and how long it waits. The time for the beginning of an answer is a setting of
/// each service.
#[derive(Clone, Debug)]
pub struct Options {
    /// Of the keys and masks of WebSockets.
    pub random: SharedRandom,
    /// For a connection to a service.
    pub connect_timeout: Duration,
    /// For the next piece of a client's body.
    pub upload_idle: Duration,
    /// For the next piece of a service's body. Long, because events may be rare.
    pub download_idle: Duration,
    /// The same on a route with `streaming: true`.
    pub stream_idle: Duration,
    /// The longest body of a request, in bytes, unless the route or its service says otherwise.
    pub max_body: u64,
    /// How long an unused connection is kept.
    pub keep_idle: Duration,
    /// The certificate authorities of the system.
    pub roots: SystemRoots,
    /// Proxies on the way.
    pub proxies: Proxies,
}

/// The additions to a call.
pub struct Outgoing<'a> {
    /// The caller's credential. A route that needs a session sends nothing without it; a route without sessions
    /// never sends it.
    pub credential: Option<Credential>,
    /// The cookies that the API may see: the caller has taken its own out.
    pub cookies: Option<HeaderValue>,
    /// Who called.
    pub client: ClientInfo,
    /// Fields that say who the caller is, for a service that wants them.
    pub identity: HeaderMap,
    /// For `X-Correlation-ID`.
    pub correlation_id: HeaderValue,
    /// The end of the session, which ends the call too: bodies break off in both directions. `None` on a route without
    /// one.
    pub session_end: Option<SessionEnd>,
    /// For a WebSocket. Without it the request can open none.
    pub tunnel: Option<Attended>,
    /// Whether a `Set-Cookie` of the API may reach the browser.
    pub keep_set_cookie: &'a (dyn Fn(&HeaderValue) -> bool + Send + Sync),
}

/// The caller's part in a WebSocket, which outlives the request.
pub struct Attended {
    /// Resolves when it has to end, beside the end of its session.
    pub stop: BoxFuture<'static, Stop>,
    /// Kept until it has ended.
    pub kept: Box<dyn Send>,
}

/// Resolves when the session that a call belongs to has ended.
pub type SessionEnd = Shared<BoxFuture<'static, ()>>;

/// Who called, as the caller believes it: from the connection, or from a proxy that it trusts.
#[derive(Clone, Debug)]
pub struct ClientInfo {
    /// The client's address, for `X-Forwarded-For`.
    pub address: Option<IpAddr>,
    /// For `X-Forwarded-Proto`.
    pub proto: Proto,
    /// The host that the browser named, if it is one of our own, for `X-Forwarded-Host`.
    pub host: Option<HeaderValue>,
}

/// How the browser spoke to us or to the proxy before us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the schemes")]
pub enum Proto {
    Http,
    Https,
}

/// Why no gateway could be made.
#[derive(Debug, thiserror::Error)]
#[error("TLS towards services cannot be set up: {0}")]
pub struct BuildError(#[from] rustls::Error);

/// Why a call has no answer of the API. The cause is in the log; this text reveals nothing about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GatewayError {
    /// The route needs a session and the call has no credential, so nothing was sent; or the session has ended before
    /// the service began its answer.
    #[error("not logged in")]
    Unauthenticated,
    /// The client's request cannot be passed on, or its body broke off.
    #[error("the request cannot be passed on")]
    BadRequest,
    /// The client stopped sending its body.
    #[error("the request's body did not arrive in time")]
    RequestTimeout,
    /// The body is longer than the route takes.
    #[error("the body is longer than this path takes")]
    BodyTooLarge,
    /// The client requested a WebSocket, and the route takes none, or it requested another protocol.
    #[error("this path takes no WebSocket, and no other protocol")]
    Upgrade,
    /// The handshake of a WebSocket is malformed.
    #[error("the handshake of the WebSocket is malformed")]
    Handshake,
    /// The handshake names another version than 13.
    #[error("WebSockets have the version 13")]
    WebSocketVersion,
    /// The service cannot be reached, or its answer is not HTTP.
    #[error("the service gave no usable answer")]
    BadGateway,
    /// The server itself has no means left to call the service.
    #[error("the service cannot be called at the moment")]
    ServiceUnavailable,
    /// The circuit breaker of the service is open; when to come again.
    #[error("the service gave no answer several times in a row")]
    CircuitOpen(Duration),
    /// The service has as many calls as it takes at a time.
    #[error("the service has too many calls at the moment")]
    Full,
    /// The service did not begin its answer in time.
    #[error("the service did not answer in time")]
    GatewayTimeout,
}

// === impl Options ===

impl Default for Options {
    fn default() -> Self {
        Self {
            random: Arc::new(SystemRandom),
            connect_timeout: Duration::from_secs(5),
            upload_idle: Duration::from_mins(1),
            download_idle: Duration::from_mins(5),
            stream_idle: Duration::from_hours(24),
            max_body: 10 * 1024 * 1024,
            // Shorter than the keep-alive time of most servers, so that a call seldom meets a connection that is just
            // being closed.
            keep_idle: Duration::from_secs(30),
            roots: SystemRoots::default(),
            proxies: Proxies::default(),
        }
    }
}

// === impl Proto ===

impl Proto {
    /// The scheme's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

#[cfg(test)]
mod loopback;
