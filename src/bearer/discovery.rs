//! The metadata of an issuer, read when they are needed.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;

use crate::{
    clock::Timestamp,
    oidc::{DiscoveryError, Metadata, Provider},
};

/// A discovery that failed is not repeated for this long.
const PAUSE: Duration = Duration::from_secs(5);

/// Metadata that are known are read again after this.
const AGAIN: Duration = Duration::from_hours(1);

/// The discovery of one issuer.
pub(super) struct Discovery {
    provider: Provider,
    /// Whether nobody else reads its metadata.
    is_ours: bool,
    /// No discovery before this.
    next: Mutex<Timestamp>,
}

// === impl Discovery ===

impl Discovery {
    /// With `is_ours`, nobody else reads the metadata of `provider`.
    pub(super) const fn new(provider: Provider, is_ours: bool) -> Self {
        Self {
            provider,
            is_ours,
            next: Mutex::new(Timestamp::EPOCH),
        }
    }

    pub(super) const fn provider(&self) -> &Provider {
        &self.provider
    }

    /// The metadata, if they are known: read if they are not, or from time to time.
    pub(super) async fn metadata(&self, now: Timestamp) -> Result<Option<Arc<Metadata>>, DiscoveryError> {
        if !self.is_ours || !self.is_due(now) {
            return Ok(self.provider.metadata());
        }
        match self.provider.discover().await {
            Ok(metadata) => {
                *self.next.lock() = now.saturating_add(AGAIN);
                Ok(Some(metadata))
            }
            Err(error) => match self.provider.metadata() {
                // The former ones still count.
                Some(former) => Ok(Some(former)),
                None => Err(error),
            },
        }
    }

    /// Whether a discovery is due, which is noted.
    fn is_due(&self, now: Timestamp) -> bool {
        let mut next = self.next.lock();
        let is_due = now >= *next;
        if is_due {
            *next = now.saturating_add(PAUSE);
        }
        is_due
    }
}
