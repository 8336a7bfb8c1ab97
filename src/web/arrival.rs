//! What is known of a request before its handler sees it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::{Listener, access::Notes, correlation::CorrelationId};

/// What is known of a request before its handler sees it.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    /// The peer of the connection.
    pub(crate) peer: SocketAddr,
    /// On which listener it came.
    pub(crate) listener: Listener,
    /// Its correlation id.
    pub(crate) correlation: CorrelationId,
    /// What the access line is to say.
    pub(crate) notes: Notes,
}

// === impl Arrival ===

impl Arrival {
    /// The peer of a request that the router has passed on.
    pub(crate) fn peer_of(request: &http::request::Parts) -> SocketAddr {
        request
            .extensions
            .get::<Self>()
            .map_or_else(nobody, |arrival| arrival.peer)
    }
}

/// Where the peer is not known: no listed proxy and not local.
pub(super) const fn nobody() -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0)
}
