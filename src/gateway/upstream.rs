//! How services are reached: each has a connector with its TLS and timeouts, and a pool of connections.

mod alone;
mod connector;
mod http1;
mod http2;
mod pool;
mod story;

use std::{collections::HashMap, fmt, sync::Arc};

use http::{HeaderValue, Request, Response, Uri, Version};
use hyper_rustls::MaybeHttpsStream;
use hyper_util::{client::legacy::connect::Connection as _, rt::TokioIo};
use parking_lot::RwLock;
use tower::ServiceExt as _;

use self::{
    connector::{Connector, Socket, connector, connector_alone},
    http1::{Failure, Http1, in_origin_form, name_host},
    http2::Http2,
    pool::Pool,
    story::Observed,
};
use super::{BuildError, Gateway, Options, Routes, Service, Table, Upload};
use crate::{
    clock::SharedClock,
    proxy::Proxy,
    tls::{self, SystemRoots},
};

pub(super) use self::http1::Arriving;

/// The ways to all services, by the service's id.
pub(super) struct Upstreams(HashMap<String, Arc<Upstream>>);

/// The way to one service.
pub(super) struct Upstream {
    connector: Connector,
    /// For connections that no pool gets.
    alone: Connector,
    origin: Uri,
    /// For the field `Host`.
    host: HeaderValue,
    /// Without a negotiation.
    speaks_http2: bool,
    /// The request itself names the service to a proxy.
    passes_proxy: bool,
    pool: Arc<Pool>,
}

/// A connection, as the library of HTTP uses it.
type Io = TokioIo<Observed<MaybeHttpsStream<Socket>>>;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    /// No connection was opened.
    #[error("no connection")]
    Connect(#[source] BoxError),
    /// The connection, or the exchange on it, failed.
    #[error("the exchange failed")]
    Broken {
        #[source]
        error: hyper::Error,
        /// The connection had been used before and has delivered nothing of an answer.
        is_repeatable: bool,
    },
    /// The connection ended, and the library does not say why.
    #[error("the connection ended")]
    Ended,
}

// === impl Gateway ===

impl Gateway {
    /// A gateway for `routes`, which connects to nothing yet.
    ///
    /// # Errors
    ///
    /// [`BuildError`]: TLS towards a service cannot be set up.
    pub fn new(routes: Routes, options: Options, clock: SharedClock) -> Result<Self, BuildError> {
        let upstreams = Upstreams::new(&routes, &options, &clock, |_| None)?;
        Ok(Self {
            table: RwLock::new(Arc::new(Table::new(routes, upstreams, None))),
            options,
            clock,
        })
    }

    /// The proxy that calls to `service` pass.
    #[must_use]
    pub fn proxy_of(&self, service: &Service) -> Option<&Proxy> {
        // Most servers have none.
        if self.options.proxies.is_empty() {
            return None;
        }
        self.options.proxies.of_uri(&service.origin()?)
    }
}

// === impl Upstreams ===

impl Upstreams {
    /// The ways for `routes`, with those of `former` where nothing has changed.
    pub(super) fn after(
        former: &Table,
        routes: &Routes,
        options: &Options,
        clock: &SharedClock,
    ) -> Result<Self, BuildError> {
        let services = former.routes().services();
        Self::new(routes, options, clock, |service| {
            let same = |other: &&Arc<Service>| other.id() == service.id() && connects_like(other, service);
            services.iter().find(same)?;
            former.upstreams.0.get(service.id()).cloned()
        })
    }

    fn new(
        routes: &Routes,
        options: &Options,
        clock: &SharedClock,
        former: impl Fn(&Service) -> Option<Arc<Upstream>>,
    ) -> Result<Self, BuildError> {
        // The certificate authorities of the system are read once, and only for a service that needs them.
        let mut usual = None;
        let mut upstreams = HashMap::new();
        for service in routes.services() {
            let upstream = match former(service) {
                Some(upstream) => upstream,
                None => Arc::new(Upstream::new(service, options, clock, &mut usual)?),
            };
            upstreams.insert(service.id().to_owned(), upstream);
        }
        Ok(Self(upstreams))
    }

    /// The way to a service of the table.
    pub(super) fn of(&self, service: &Service) -> Option<&Upstream> {
        self.0.get(service.id()).map(Arc::as_ref)
    }
}

impl fmt::Debug for Upstreams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Whether a connection to one of them could serve the other.
fn connects_like(one: &Service, other: &Service) -> bool {
    let settings = |service: &Service| (service.connect_timeout(), service.is_h2c());
    settings(one) == settings(other)
        && one.own_authorities() == other.own_authorities()
        && one.identity() == other.identity()
        && one.origin_text() == other.origin_text()
}

// === impl Upstream ===

impl Upstream {
    fn new(
        service: &Service,
        options: &Options,
        clock: &SharedClock,
        usual: &mut Option<rustls::ClientConfig>,
    ) -> Result<Self, BuildError> {
        let tls = match (service.own_authorities(), service.identity()) {
            _ if !service.is_https() => tls::client_config(&SystemRoots::none(), None, None)?,
            (None, None) => match usual {
                Some(usual) => usual.clone(),
                None => usual
                    .insert(tls::client_config(&options.roots, None, None)?)
                    .clone(),
            },
            (own, identity) => tls::client_config(&options.roots, own, identity)?,
        };
        let own = Options {
            connect_timeout: service.connect_timeout().unwrap_or(options.connect_timeout),
            ..options.clone()
        };
        // A scheme and an authority always make one.
        let origin = service.origin().unwrap_or_default();
        Ok(Self {
            alone: connector_alone(tls.clone(), &own, service.socket()),
            connector: connector(tls, &own, service.socket()),
            host: service.host(),
            speaks_http2: service.is_h2c(),
            passes_proxy: !service.is_https()
                && service.socket().is_none()
                && options.proxies.of_uri(&origin).is_some(),
            origin,
            pool: Pool::new(options.keep_idle, clock),
        })
    }

    /// Sends `request`, whose URI names the service, and returns its answer as soon as the head has arrived. A
    /// request of which nothing was written is sent over another connection. It is boxed, since it passes through several
    /// futures, of which each would have room for it.
    ///
    /// # Errors
    ///
    /// [`SendError`].
    pub(super) async fn send(
        &self,
        mut request: Box<Request<Upload>>,
    ) -> Result<Response<Arriving>, SendError> {
        loop {
            let sent = if let Some(connection) = self.pool.shared() {
                connection.send(request).await
            } else if let Some(connection) = self.pool.take() {
                self.send_over(connection, request).await
            } else {
                // Rare, and large.
                return Box::pin(self.send_over_new(request)).await;
            };
            match sent {
                Ok(answer) => return Ok(answer),
                Err(Failure::Unsent(unsent, _)) => {
                    // A connection that takes no request is not asked again.
                    self.pool.forget_shared();
                    request = unsent;
                    self.readdress(&mut request);
                }
                Err(Failure::Sent(error)) => return Err(error),
            }
        }
    }

    async fn send_over_new(&self, request: Box<Request<Upload>>) -> Result<Response<Arriving>, SendError> {
        let stream = self.connector.clone().oneshot(self.origin.clone()).await;
        let stream = stream.map_err(SendError::Connect)?;
        let speaks_http2 = self.speaks_http2 || stream.connected().is_negotiated_h2();
        let (io, story) = Observed::new(stream);
        let sent = if speaks_http2 {
            let connection = Http2::open(io).await?;
            self.pool.share(connection.clone());
            connection.send(request).await
        } else {
            self.send_over(Http1::open(io, story).await?, request).await
        };
        sent.map_err(|failure| match failure {
            Failure::Unsent(_, error) | Failure::Sent(error) => error,
        })
    }

    /// Makes the URI what it was, for a connection that may speak another version.
    fn readdress(&self, request: &mut Request<Upload>) {
        let mut parts = self.origin.clone().into_parts();
        parts.path_and_query = request.uri().path_and_query().cloned();
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }

    async fn send_over(
        &self,
        connection: Box<Http1>,
        mut request: Box<Request<Upload>>,
    ) -> Result<Response<Arriving>, Failure> {
        // The protocol of the browser says nothing about the service.
        *request.version_mut() = Version::HTTP_11;
        if self.passes_proxy {
            name_host(&mut request, &self.host);
        } else {
            in_origin_form(&mut request, &self.host);
        }
        connection.send(request, &self.pool).await
    }
}

// === impl SendError ===

impl SendError {
    pub(super) const fn is_connect(&self) -> bool {
        matches!(self, Self::Connect(_))
    }

    /// Whether an idempotent call may be sent once more.
    pub(super) const fn is_repeatable(&self) -> bool {
        matches!(
            self,
            Self::Broken {
                is_repeatable: true,
                ..
            }
        )
    }
}

impl From<hyper::Error> for SendError {
    fn from(error: hyper::Error) -> Self {
        Self::Broken {
            error,
            is_repeatable: false,
        }
    }
}

#[cfg(test)]
mod tests;
