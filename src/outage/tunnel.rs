//! A tunnel through a proxy (CONNECT, RFC 9110 section 9.3.6) that was not opened.

use std::error::Error;

use http::Uri;
use hyper_util::client::legacy::connect::{HttpConnector, proxy::Tunnel};
use tower::Service;

use super::chain;

/// The library exports its error only as this associated type.
type Library = <Tunnel<HttpConnector> as Service<Uri>>::Error;

/// Why there is no tunnel.
#[derive(Debug)]
pub enum TunnelFailure<'a> {
    /// The proxy wants other credentials (407).
    Unauthorised,
    /// There is no connection to the proxy, or it broke.
    NoProxy(&'a (dyn Error + 'static)),
    /// The proxy does not connect to the target.
    Refused,
}

// === impl TunnelFailure ===

impl<'a> TunnelFailure<'a> {
    /// The failure, if `error` is that of a tunnel.
    #[must_use]
    pub fn of(error: &'a (dyn Error + 'static)) -> Option<Self> {
        let failure = chain(error).find_map(|cause| cause.downcast_ref::<Library>())?;
        Some(match failure {
            Library::ProxyAuthRequired => Self::Unauthorised,
            Library::ConnectFailed(cause) => Self::NoProxy(&**cause),
            Library::Io(cause) => Self::NoProxy(cause),
            Library::MissingHost
            | Library::ProxyHeadersTooLong
            | Library::TunnelUnexpectedEof
            | Library::TunnelUnsuccessful => Self::Refused,
        })
    }
}
