//! Finding the IdP, and finding it again.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Ports;
use crate::{
    diagnostic::Explain as _,
    health::{Component, Health},
    oidc::RelyingParty,
    retry::Backoff,
};

/// The longest pause is how late the server notices that the IdP is there.
const PAUSES: Backoff = Backoff {
    first: Duration::from_secs(1),
    longest: Duration::from_secs(30),
};
/// How often the metadata are read again once they are known.
const AGAIN: Duration = Duration::from_hours(1);

/// Until `stop`: reads the IdP's metadata until it works, then from time to time again, because endpoints move.
pub(super) async fn keep_discovered(
    relying_party: RelyingParty,
    health: Health,
    ports: Ports,
    stop: CancellationToken,
) {
    let mut failures: u32 = 0;
    let mut told = String::new();
    loop {
        let discovered = tokio::select! {
            () = stop.cancelled() => return,
            discovered = relying_party.provider().discover() => discovered,
        };
        let wait = match discovered {
            Ok(metadata) => {
                if failures > 0 || relying_party_is_new(&health) {
                    tracing::info!(issuer = metadata.issuer, "the identity provider was found");
                }
                failures = 0;
                told.clear();
                health.ok(Component::Discovery);
                AGAIN
            }
            Err(error) => {
                let message = error.told();
                // The same reason is logged rarely; another one at once, because an operator may be working on it.
                if message != told || failures.is_multiple_of(20) {
                    tracing::warn!("{message}");
                    told.clone_from(&message);
                } else {
                    tracing::debug!("{message}");
                }
                health.failing(Component::Discovery, message);
                let pause = PAUSES.jittered(failures, &*ports.random);
                failures = failures.saturating_add(1);
                pause
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = ports.clock.sleep(wait) => {}
        }
    }
}

fn relying_party_is_new(health: &Health) -> bool {
    !health.report().ready
}
