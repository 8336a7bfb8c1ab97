//! The data that only the running server has about itself.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};

use super::Admin;
use crate::{
    clock::Timestamp,
    instruments::{JWKS_FETCHED, JWKS_FETCHES, REFRESHED},
    telemetry::recent::Noticed,
};

/// The state of the server. Times are RFC 3339 in UTC.
#[derive(Debug, Serialize, Deserialize)]
pub struct ServerStatus {
    /// Its version.
    pub version: String,
    /// When it started.
    pub since: String,
    /// Whether it takes requests.
    pub ready: bool,
    /// The failing components, each with its reason.
    pub troubles: Vec<Trouble>,
    /// When tokens were renewed last.
    pub refreshed_at: Option<String>,
    /// The time of the last fetch of its JWK Set, except by commands of this server.
    pub jwks_fetched_at: Option<String>,
    /// How often its JWK Set was fetched since it started, except by commands of this server; a server of an older
    /// version does not say.
    #[serde(default)]
    pub jwks_fetches: Option<u64>,
    /// The other replicas that it sees; `None` where it asks for none.
    pub replicas: Option<Vec<String>>,
    /// Its warnings, the latest one first.
    pub warnings: Vec<Warned>,
}

/// A component that does not work.
#[derive(Debug, Serialize, Deserialize)]
pub struct Trouble {
    /// Which.
    pub component: String,
    /// Why.
    pub reason: String,
}

/// The warnings of the server.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warned {
    /// `warning` or `error`.
    pub level: String,
    /// The last text.
    pub text: String,
    /// How often.
    pub count: u64,
    /// When first.
    pub first: String,
    /// When last.
    pub last: String,
}

/// `GET /status`.
pub(super) async fn status(State(admin): State<Admin>) -> Json<ServerStatus> {
    let report = admin.health.report();
    let replicas = match &admin.replicas {
        Some(replicas) => replicas.names().await.ok(),
        None => None,
    };
    let last = |series| Some(admin.shown(admin.instruments.moment(series).get()?));
    Json(ServerStatus {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        since: admin.shown(admin.since),
        ready: report.ready,
        troubles: report
            .troubles()
            .map(|(component, reason)| Trouble {
                component: component.as_str().to_owned(),
                reason: reason.to_owned(),
            })
            .collect(),
        refreshed_at: last(REFRESHED),
        jwks_fetched_at: last(JWKS_FETCHED),
        jwks_fetches: Some(admin.instruments.counter(JWKS_FETCHES).get()),
        replicas,
        warnings: admin
            .recent
            .read()
            .into_iter()
            .map(|noticed| admin.warned(noticed))
            .collect(),
    })
}

// === impl Admin ===

impl Admin {
    fn shown(&self, time: Timestamp) -> String {
        self.clock.shown(time).rfc3339()
    }

    fn warned(&self, noticed: Noticed) -> Warned {
        Warned {
            level: if noticed.is_error { "error" } else { "warning" }.to_owned(),
            text: noticed.text,
            count: noticed.count,
            first: self.shown(noticed.first),
            last: self.shown(noticed.last),
        }
    }
}
