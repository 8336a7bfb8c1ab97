//! The operator's socket: for commands on the same machine that need the running server (`bff sessions`, `bff check`).
//!
//! HTTP over a Unix socket that only the user of the server can reach. It tells of the server and its sessions, and ends
//! sessions; no token and no cookie ever leaves it.

mod sessions;
mod socket;
mod status;

use std::{ops::Deref, sync::Arc, time::Duration};

use axum::{Router, routing::get};
use tokio_util::sync::CancellationToken;

pub use self::{
    sessions::{Counted, EndedSessions, Entry, Page, Refusal, Statistics},
    socket::{Socket, SocketError},
    status::{ServerStatus, Trouble, Warned},
};
use crate::{
    clock::{SharedClock, Timestamp},
    health::Health,
    instruments::SharedInstruments,
    login::Login,
    replicas::Replicas,
    session::Sessions,
    telemetry::recent::Recent,
};

/// Requests that are under way at the stop have this long.
const FINISH: Duration = Duration::from_secs(5);

/// The dependencies of the socket.
#[derive(Clone, Debug)]
pub struct Services {
    /// The sessions that it tells of.
    pub sessions: Sessions,
    /// Ends them, with logins that are under way.
    pub login: Login,
    /// The issuer of the people whom `user` and `sid` name.
    pub issuer: Arc<str>,
    /// The counters.
    pub instruments: SharedInstruments,
    /// The server's own state.
    pub health: Health,
    /// The other replicas, where there can be some.
    pub replicas: Option<Replicas>,
    /// The recent warnings.
    pub recent: Recent,
    /// The time.
    pub clock: SharedClock,
}

/// Answers requests on the socket. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Admin {
    services: Arc<Services>,
    since: Timestamp,
}

// === impl Admin ===

impl Admin {
    /// Tells of `services`, which begin now.
    #[must_use]
    pub fn new(services: Services) -> Self {
        Self {
            since: services.clock.now(),
            services: Arc::new(services),
        }
    }

    /// Answers on `socket` until `stop`.
    pub async fn serve(self, socket: Socket, stop: CancellationToken) {
        let clock = Arc::clone(&self.clock);
        let router = Router::new()
            .route("/sessions", get(sessions::list).delete(sessions::end))
            .route("/stats", get(sessions::stats))
            .route("/status", get(status::status))
            .with_state(self);
        let serve = axum::serve(socket, router).with_graceful_shutdown(stop.clone().cancelled_owned());
        tokio::select! {
            // Only `stop` ends it: a failure concerns a single connection.
            _ = serve => {}
            () = async { stop.cancelled().await; clock.sleep(FINISH).await } => {}
        }
    }
}

impl Deref for Admin {
    type Target = Services;

    fn deref(&self) -> &Services {
        &self.services
    }
}
