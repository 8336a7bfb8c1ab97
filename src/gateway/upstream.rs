//! How services are reached: the clients, their connections, proxies and TLS.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::{FutureExt as _, TryFutureExt as _, future::BoxFuture};
use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{
        Builder, Client,
        connect::{HttpConnector, dns::Name, proxy::Tunnel},
    },
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use parking_lot::RwLock;
use rustls::ClientConfig;
use tokio::net::TcpStream;

use super::{BuildError, Connector, Gateway, Options, Routes, Service, Table, Upload, connection::Observing};
use crate::{
    clock::SharedClock,
    head,
    outage::{NoAddress, addresses},
    proxy::{Proxies, Proxy},
    tls::{self, SystemRoots},
};

/// The clients. A service with settings for its connections (`ca_file`, `h2c`, a `connect` timeout) has its own, so that no
/// other service is called over a connection that counts only for it.
#[derive(Debug)]
pub(super) struct Clients {
    plain: Client<Connector, Upload>,
    /// If a service needs it.
    tls: Option<Client<Connector, Upload>>,
    own: HashMap<String, Client<Connector, Upload>>,
}

/// Opens connections, through a tunnel if a proxy requires one.
#[derive(Clone, Debug)]
pub(super) struct Way {
    http: HttpConnector<Names>,
    proxies: Proxies,
}

/// Looks names up, so that a failure has a type.
#[derive(Clone, Copy, Debug)]
struct Names;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

// === impl Gateway ===

impl Gateway {
    /// A gateway for `routes`, which connects to nothing yet.
    ///
    /// # Errors
    ///
    /// [`BuildError`]: TLS towards a service cannot be set up.
    pub fn new(routes: Routes, options: Options, clock: SharedClock) -> Result<Self, BuildError> {
        let clients = Clients::new(&routes, &options)?;
        Ok(Self {
            table: RwLock::new(Arc::new(Table::new(routes, clients))),
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

// === impl Clients ===

impl Clients {
    fn new(routes: &Routes, options: &Options) -> Result<Self, BuildError> {
        // No certificate authorities are read for services that all speak plain HTTP.
        let plain = tls::client_config(&SystemRoots::none(), None)?;
        let first = Self {
            plain: builder(options).build(connector(plain, options)),
            tls: None,
            own: HashMap::new(),
        };
        first.for_services(routes, options, |_| None)
    }

    /// The clients for `routes`, with those of `former` where nothing has changed.
    pub(super) fn after(former: &Table, routes: &Routes, options: &Options) -> Result<Self, BuildError> {
        let services = former.routes().services();
        former.clients.for_services(routes, options, |service| {
            let same = |other: &&Arc<Service>| other.id() == service.id() && connects_like(other, service);
            services.iter().find(same)?;
            former.clients.own.get(service.id()).cloned()
        })
    }

    fn for_services(
        &self,
        routes: &Routes,
        options: &Options,
        former: impl Fn(&Service) -> Option<Client<Connector, Upload>>,
    ) -> Result<Self, BuildError> {
        let services = routes.services();
        let needs_tls = |service: &Arc<Service>| service.is_https() && !has_own_client(service);
        let tls = match &self.tls {
            None if services.iter().any(needs_tls) => {
                let tls = tls::client_config(&options.roots, None)?;
                Some(builder(options).build(connector(tls, options)))
            }
            tls => tls.clone(),
        };
        let mut own = HashMap::new();
        for service in services.iter().filter(|service| has_own_client(service)) {
            if let Some(client) = former(service) {
                own.insert(service.id().to_owned(), client);
                continue;
            }
            let none = SystemRoots::none();
            let roots = if service.is_https() { &options.roots } else { &none };
            let tls = tls::client_config(roots, service.own_authorities())?;
            let options = Options {
                connect_timeout: service.connect_timeout().unwrap_or(options.connect_timeout),
                ..options.clone()
            };
            let connector = connector(tls, &options).speaking_http2(service.is_h2c());
            let client = builder(&options).http2_only(service.is_h2c()).build(connector);
            own.insert(service.id().to_owned(), client);
        }
        Ok(Self {
            plain: self.plain.clone(),
            tls,
            own,
        })
    }

    pub(super) fn of(&self, service: &Service) -> &Client<Connector, Upload> {
        let usual = self.tls.as_ref().filter(|_| service.is_https());
        self.own.get(service.id()).or(usual).unwrap_or(&self.plain)
    }

    #[cfg(test)]
    pub(super) fn only(plain: Client<Connector, Upload>) -> Self {
        Self {
            plain,
            tls: None,
            own: HashMap::new(),
        }
    }
}

/// Whether the connections to a service differ from those to others.
fn has_own_client(service: &Service) -> bool {
    service.own_authorities().is_some() || service.connect_timeout().is_some() || service.is_h2c()
}

/// Whether a connection to one of them could serve the other.
fn connects_like(one: &Service, other: &Service) -> bool {
    let settings = |service: &Service| (service.connect_timeout(), service.is_h2c());
    settings(one) == settings(other)
        && one.own_authorities() == other.own_authorities()
        && one.origin_text() == other.origin_text()
}

fn builder(options: &Options) -> Builder {
    let mut builder = Client::builder(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(options.keep_idle)
        .http1_max_headers(head::READ_FIELDS)
        .http2_max_header_list_size(u32::try_from(head::READ_BYTES).unwrap_or(u32::MAX));
    builder
}

pub(super) fn connector(tls: ClientConfig, options: &Options) -> Connector {
    let mut http = HttpConnector::new_with_resolver(Names);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(options.connect_timeout));
    http.enforce_http(false);
    let way = Way {
        http,
        proxies: options.proxies.clone(),
    };
    let connector: HttpsConnector<Way> = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_all_versions()
        .wrap_connector(way);
    Observing::new(connector, options.proxies.clone())
}

// === impl Way ===

impl tower::Service<Uri> for Way {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        tower::Service::poll_ready(&mut self.http, cx).map_err(BoxError::from)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Some(proxy) = self.proxies.of_uri(&uri) else {
            return self.http.call(uri).map_err(BoxError::from).boxed();
        };
        if uri.scheme() != Some(&http::uri::Scheme::HTTPS) {
            // The request itself names the service.
            return self
                .http
                .call(proxy.uri().clone())
                .map_err(BoxError::from)
                .boxed();
        }
        let mut tunnel = Tunnel::new(proxy.uri().clone(), self.http.clone());
        if let Some(authorization) = proxy.authorization() {
            tunnel = tunnel.with_auth(authorization.clone());
        }
        tunnel.call(uri).map_err(BoxError::from).boxed()
    }
}

// === impl Names ===

impl tower::Service<Name> for Names {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = NoAddress;
    type Future = BoxFuture<'static, Result<Self::Response, NoAddress>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), NoAddress>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        // The library puts the port of the URL in its place.
        async move { addresses(name.as_str(), 0).await.map(Vec::into_iter) }.boxed()
    }
}

#[cfg(test)]
mod tests;
