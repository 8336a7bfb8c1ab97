//! Listeners and connections, with bounds that a hostile client cannot stretch.
//!
//! A [`Server`] accepts on one listener. It knows each connection (`register.rs`), its state and since when
//! (`connection.rs`, `underway.rs`). The wrappers around the socket and the bodies report this (`stream.rs`,
//! `body.rs`). Once a second it checks all connections and ends those whose time is over. If there is no room for a
//! new one, it ends the one that is worth the least. No code here sets a timer for a request.
//!
//! The server does not know requests and answers: that is the task of the [`Answer`].

mod accept;
mod body;
mod budget;
mod connection;
mod descriptors;
mod handling;
mod moment;
mod notices;
mod register;
mod rest;
mod stay;
mod stream;
mod underway;
mod version;

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{body::Body, response::Response};
use http::Request;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use self::{
    budget::{Budget, Wishes},
    connection::Order,
    descriptors::{LimitError, open_files, open_files_of_a_start, raise_open_files},
    stay::{Stay, Stayed},
};
use crate::clock::SharedClock;

/// Whether there is room for the resources that a request may need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// There is.
    Normal,
    /// All places are taken, and this request arrived on one of the few reserved ones. Only health checks are
    /// answered, everything else gets 503.
    Crowded,
}

/// Answers the requests of a listener.
pub trait Answer: Send + Sync + 'static {
    /// The same for the connection of one peer.
    #[must_use]
    fn for_peer(&self, peer: SocketAddr) -> Self;

    /// Answers one request.
    fn answer(&self, request: Request<Body>, load: Load) -> impl Future<Output = Response> + Send;
}

/// The bounds of one listener.
#[derive(Clone)]
pub struct Options {
    /// The maximum number of connections at a time.
    pub connections: usize,
    /// The maximum per address (an IPv6 network of 64 bits counts as one), for connections and for concurrent
    /// requests; not for listed proxies.
    pub per_address: usize,
    /// An unused connection of a listed proxy is kept this long. Longer than the proxies keep theirs, so that they close
    /// it and never send a request into a connection that is just being closed.
    pub keep_alive: Duration,
    /// Whether a peer is a listed proxy.
    pub is_listed: Arc<dyn Fn(IpAddr) -> bool + Send + Sync>,
    /// Requests have this long to finish after the server is told to stop.
    pub finish: Duration,
}

/// Accepts connections and serves them.
#[derive(Clone, Debug)]
pub struct Server {
    options: Options,
    clock: SharedClock,
}

// === impl Options ===

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("connections", &self.connections)
            .field("per_address", &self.per_address)
            .field("keep_alive", &self.keep_alive)
            .field("finish", &self.finish)
            .finish_non_exhaustive()
    }
}

// === impl Server ===

impl Server {
    /// A server with these bounds; the time that requests have at the stop is `clock`'s.
    #[must_use]
    pub const fn new(options: Options, clock: SharedClock) -> Self {
        Self { options, clock }
    }

    /// Serves `answer` on `listener` until `stop`, then lets the requests under way finish. The outcome is how many of
    /// them did not, and were cut off.
    pub async fn serve<A: Answer>(self, listener: TcpListener, answer: A, stop: CancellationToken) -> usize {
        accept::serve(self.options, self.clock, listener, answer, stop).await
    }
}

#[cfg(test)]
mod tests;
