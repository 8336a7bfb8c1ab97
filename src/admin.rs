//! The operator's socket: for commands on the same machine that need the running server (`bff sessions`).
//!
//! HTTP over a Unix socket that only the user of the server can reach. It shows and ends sessions; no token and no
//! cookie ever leaves it.

mod sessions;
mod socket;

use std::{sync::Arc, time::Duration};

use axum::{Router, routing::get};
use tokio_util::sync::CancellationToken;

pub use self::{
    sessions::{Counted, EndedSessions, Entry, Page, Refusal, Statistics},
    socket::{Socket, SocketError},
};
use crate::{clock::SharedClock, instruments::SharedInstruments, login::Login, session::Sessions};

/// Requests that are under way at the stop have this long.
const FINISH: Duration = Duration::from_secs(5);

/// The services that the socket uses. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Admin {
    sessions: Sessions,
    login: Login,
    /// The issuer of the people that `user` and `sid` name.
    issuer: Arc<str>,
    instruments: SharedInstruments,
    clock: SharedClock,
}

// === impl Admin ===

impl Admin {
    /// Shows `sessions` of people of `issuer`, ends them through `login`, and shows the counters of `instruments`.
    #[must_use]
    pub fn new(
        sessions: Sessions,
        login: Login,
        issuer: &str,
        instruments: SharedInstruments,
        clock: SharedClock,
    ) -> Self {
        Self {
            sessions,
            login,
            issuer: issuer.into(),
            instruments,
            clock,
        }
    }

    /// Answers on `socket` until `stop`.
    pub async fn serve(self, socket: Socket, stop: CancellationToken) {
        let clock = Arc::clone(&self.clock);
        let router = Router::new()
            .route("/sessions", get(sessions::list).delete(sessions::end))
            .route("/stats", get(sessions::stats))
            .with_state(self);
        let serve = axum::serve(socket, router).with_graceful_shutdown(stop.clone().cancelled_owned());
        tokio::select! {
            // Only `stop` ends it: a failure concerns a single connection.
            _ = serve => {}
            () = async { stop.cancelled().await; clock.sleep(FINISH).await } => {}
        }
    }
}
