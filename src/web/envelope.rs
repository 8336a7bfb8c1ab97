//! The facts about the sender of a request, independent of its purpose.

use std::net::SocketAddr;

use axum::extract::Request;
use http::{HeaderMap, Uri, request::Parts};

use super::{Web, request_context::RequestContext};
use crate::{gateway::Table, session::Seen};

/// The facts about the sender of a request.
#[derive(Clone, Copy)]
pub(crate) struct Envelope<'a> {
    /// The peer of its connection.
    pub(crate) peer: SocketAddr,
    /// Its target.
    pub(crate) uri: &'a Uri,
    /// Its header.
    pub(crate) headers: &'a HeaderMap,
}

// === impl Envelope ===

impl<'a> Envelope<'a> {
    /// That of a request which came by `context`.
    pub(crate) fn of(context: &RequestContext, request: &'a Request) -> Self {
        Self {
            peer: context.peer,
            uri: request.uri(),
            headers: request.headers(),
        }
    }
}

impl<'a> From<&'a Parts> for Envelope<'a> {
    /// That of a request which the router has passed on.
    fn from(request: &'a Parts) -> Self {
        Self {
            peer: RequestContext::peer_of(request),
            uri: &request.uri,
            headers: &request.headers,
        }
    }
}

// === impl Web ===

impl Web {
    /// The features to which a session can be bound.
    pub(super) fn seen<'a>(&self, request: &Envelope<'a>) -> Seen<'a> {
        let client = self
            .trusted_proxies
            .client(request.peer, request.uri, request.headers);
        Seen {
            headers: request.headers,
            address: client.address,
        }
    }

    /// The host by which routes are distinguished; empty if no route names one.
    pub(super) fn route_host(&self, table: &Table, request: &Envelope<'_>) -> String {
        if !table.routes().has_hosts() {
            return String::new();
        }
        self.trusted_proxies
            .client(request.peer, request.uri, request.headers)
            .host
    }
}
