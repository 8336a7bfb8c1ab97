//! How a connection to a service is opened: names, proxies, TLS.

use std::{
    net::SocketAddr,
    task::{Context, Poll},
};

use futures_util::{FutureExt as _, TryFutureExt as _, future::BoxFuture};
use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::connect::{HttpConnector, dns::Name, proxy::Tunnel},
    rt::TokioIo,
};
use rustls::ClientConfig;
use tokio::net::TcpStream;

use crate::{
    gateway::Options,
    outage::{NoAddress, addresses},
    proxy::Proxies,
};

/// Opens connections, over TLS for `https`.
pub(super) type Connector = HttpsConnector<Way>;

/// Opens connections, through a tunnel if a proxy requires one.
#[derive(Clone, Debug)]
pub(super) struct Way {
    http: HttpConnector<Names>,
    proxies: Proxies,
    /// A proxy also gets a tunnel for plain HTTP, because the connection will not stay HTTP.
    always_tunnels: bool,
}

/// Looks names up, so that a failure has a type.
#[derive(Clone, Copy, Debug)]
struct Names;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

pub(super) fn connector(tls: ClientConfig, options: &Options) -> Connector {
    let builder = HttpsConnectorBuilder::new().with_tls_config(tls);
    let builder = builder.https_or_http().enable_all_versions();
    builder.wrap_connector(way(options, false))
}

/// The same for connections that speak HTTP/1.1, and then another protocol.
pub(super) fn connector_alone(tls: ClientConfig, options: &Options) -> Connector {
    let builder = HttpsConnectorBuilder::new().with_tls_config(tls);
    let builder = builder.https_or_http().enable_http1();
    builder.wrap_connector(way(options, true))
}

fn way(options: &Options, always_tunnels: bool) -> Way {
    let mut http = HttpConnector::new_with_resolver(Names);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(options.connect_timeout));
    http.enforce_http(false);
    Way {
        http,
        proxies: options.proxies.clone(),
        always_tunnels,
    }
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
        if uri.scheme() != Some(&http::uri::Scheme::HTTPS) && !self.always_tunnels {
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
