//! How a connection to a service is opened: names, proxies, TLS.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::{FutureExt as _, TryFutureExt as _, future::BoxFuture};
use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::connect::{Connected, Connection, HttpConnector, dns::Name, proxy::Tunnel},
    rt::TokioIo,
};
use rustls::ClientConfig;
use tokio::net::{TcpStream, UnixStream};

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
    /// Instead of all others: the Unix socket of the service.
    socket: Option<PathBuf>,
}

/// A connection below TLS.
pub(super) enum Socket {
    Tcp(TokioIo<TcpStream>),
    Unix(TokioIo<UnixStream>),
}

/// Looks names up, so that a failure has a type.
#[derive(Clone, Copy, Debug)]
struct Names;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

pub(super) fn connector(tls: ClientConfig, options: &Options, socket: Option<&Path>) -> Connector {
    let builder = HttpsConnectorBuilder::new().with_tls_config(tls);
    let builder = builder.https_or_http().enable_all_versions();
    builder.wrap_connector(way(options, false, socket))
}

/// The same for connections that speak HTTP/1.1, and then another protocol.
pub(super) fn connector_alone(tls: ClientConfig, options: &Options, socket: Option<&Path>) -> Connector {
    let builder = HttpsConnectorBuilder::new().with_tls_config(tls);
    let builder = builder.https_or_http().enable_http1();
    builder.wrap_connector(way(options, true, socket))
}

fn way(options: &Options, always_tunnels: bool, socket: Option<&Path>) -> Way {
    let mut http = HttpConnector::new_with_resolver(Names);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(options.connect_timeout));
    http.enforce_http(false);
    Way {
        http,
        proxies: options.proxies.clone(),
        always_tunnels,
        socket: socket.map(Path::to_owned),
    }
}

// === impl Way ===

impl tower::Service<Uri> for Way {
    type Response = Socket;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        tower::Service::poll_ready(&mut self.http, cx).map_err(BoxError::from)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        if let Some(path) = self.socket.clone() {
            let stream = async move { UnixStream::connect(path).await };
            return stream
                .map_ok(|stream| Socket::Unix(TokioIo::new(stream)))
                .map_err(BoxError::from)
                .boxed();
        }
        let Some(proxy) = self.proxies.of_uri(&uri) else {
            return self
                .http
                .call(uri)
                .map_ok(Socket::Tcp)
                .map_err(BoxError::from)
                .boxed();
        };
        if uri.scheme() != Some(&http::uri::Scheme::HTTPS) && !self.always_tunnels {
            // The request itself names the service.
            return self
                .http
                .call(proxy.uri().clone())
                .map_ok(Socket::Tcp)
                .map_err(BoxError::from)
                .boxed();
        }
        let mut tunnel = Tunnel::new(proxy.uri().clone(), self.http.clone());
        if let Some(authorization) = proxy.authorization() {
            tunnel = tunnel.with_auth(authorization.clone());
        }
        tunnel
            .call(with_port(uri))
            .map_ok(Socket::Tcp)
            .map_err(BoxError::from)
            .boxed()
    }
}

/// The same place with its port written out: without one, the library asks a proxy for port 443, whatever the scheme.
fn with_port(uri: Uri) -> Uri {
    let is_plain = uri.scheme() == Some(&http::uri::Scheme::HTTP);
    let (Some(host), None, true) = (uri.host(), uri.port(), is_plain) else {
        return uri;
    };
    format!("http://{host}:80/").parse().unwrap_or(uri)
}

// === impl Socket ===

impl Connection for Socket {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl Write for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Unix(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
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
