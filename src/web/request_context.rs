//! Facts about a request that the middleware collects for the handler.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::OnceLock,
};

use super::{Listener, access::Notes, correlation::CorrelationId, limits::Told};

/// Facts about a request that the middleware collects for the handler.
#[derive(Clone, Debug)]
pub(crate) struct RequestContext {
    /// The peer of the connection.
    pub(crate) peer: SocketAddr,
    /// The listener that received it.
    pub(crate) listener: Listener,
    /// Its correlation id.
    pub(crate) correlation: CorrelationId,
    /// Notes for the access log line.
    pub(crate) notes: Notes,
    /// The limits that its answer names.
    pub(crate) limits: OnceLock<Told>,
}

// === impl RequestContext ===

impl RequestContext {
    /// The peer of a request that the router has passed on.
    pub(crate) fn peer_of(request: &http::request::Parts) -> SocketAddr {
        request
            .extensions
            .get::<Self>()
            .map_or_else(nobody, |context| context.peer)
    }
}

/// For an unknown peer: neither a listed proxy nor local.
pub(super) const fn nobody() -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0)
}
