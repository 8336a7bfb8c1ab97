//! A provider that does no more than a renewal of tokens needs.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    extract::State,
    routing::{get, post},
};
use bff::clock::{Clock as _, SystemClock, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::Result;

/// The counts of the endpoint.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Counts {
    /// Requests that were answered.
    pub(super) answered: u64,
    /// From the first request to the last answer.
    pub(super) millis: u64,
    /// As many requests as were there at a time.
    pub(super) most_at_once: u32,
}

struct Stub {
    issuer: String,
    latency: Duration,
    answered: AtomicU64,
    at_once: AtomicU32,
    most_at_once: AtomicU32,
    /// Milliseconds since the start of this process.
    first: AtomicU64,
    last: AtomicU64,
    begun: Timestamp,
}

// === impl Counts ===

impl Counts {
    /// Answers per second.
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    pub(super) fn rate(self) -> f64 {
        self.answered as f64 * 1e3 / self.millis.max(1) as f64
    }
}

// === impl Stub ===

impl Stub {
    fn millis(&self) -> u64 {
        u64::try_from(SystemClock.now().duration_since(self.begun).as_millis()).unwrap_or(u64::MAX)
    }

    async fn token(&self) -> Value {
        let _ = self
            .first
            .compare_exchange(u64::MAX, self.millis(), Ordering::Relaxed, Ordering::Relaxed);
        let at_once = self.at_once.fetch_add(1, Ordering::Relaxed) + 1;
        self.most_at_once.fetch_max(at_once, Ordering::Relaxed);
        if !self.latency.is_zero() {
            SystemClock.sleep(self.latency).await;
        }
        self.at_once.fetch_sub(1, Ordering::Relaxed);
        self.last.store(self.millis(), Ordering::Relaxed);
        let number = self.answered.fetch_add(1, Ordering::Relaxed);
        json!({
            "access_token": format!("{number:0>900}"),
            "refresh_token": format!("{number:0>200}"),
            "token_type": "Bearer",
            "expires_in": 3600,
        })
    }

    fn counts(&self) -> Counts {
        Counts {
            answered: self.answered.load(Ordering::Relaxed),
            millis: self
                .last
                .load(Ordering::Relaxed)
                .saturating_sub(self.first.load(Ordering::Relaxed)),
            most_at_once: self.most_at_once.load(Ordering::Relaxed),
        }
    }

    fn metadata(&self) -> Value {
        let issuer = &self.issuer;
        json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "jwks_uri": format!("{issuer}/jwks"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "ES256"],
            "token_endpoint_auth_methods_supported": ["private_key_jwt"],
            "token_endpoint_auth_signing_alg_values_supported": ["RS256", "ES256"],
            "code_challenge_methods_supported": ["S256"],
        })
    }
}

/// Serves until the process ends. Every answer takes `latency`.
pub(crate) async fn serve(port: u16, latency: Duration) -> Result<()> {
    let keys = bff::keys::Keys::throwaway(bff::keys::KeyKind::P256)?;
    let jwks = json!({ "keys": [keys.signing().public()] });
    let stub = Arc::new(Stub {
        issuer: format!("http://127.0.0.1:{port}"),
        latency,
        answered: AtomicU64::new(0),
        at_once: AtomicU32::new(0),
        most_at_once: AtomicU32::new(0),
        first: AtomicU64::new(u64::MAX),
        last: AtomicU64::new(0),
        begun: SystemClock.now(),
    });
    let router = Router::new()
        .route(
            "/.well-known/openid-configuration",
            get(async |State(stub): State<Arc<Stub>>| Json(stub.metadata())),
        )
        .route("/jwks", get(async move || Json(jwks.clone())))
        .route(
            "/token",
            post(async |State(stub): State<Arc<Stub>>| Json(stub.token().await)),
        )
        .route(
            "/counts",
            get(async |State(stub): State<Arc<Stub>>| Json(stub.counts())),
        )
        .with_state(stub);
    axum::serve(TcpListener::bind(("127.0.0.1", port)).await?, router).await?;
    Ok(())
}
