//! When a session was last used.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Timestamp;

/// The state that all versions of a session share.
#[derive(Debug, Default)]
pub(super) struct Life(AtomicU64);

// === impl Life ===

impl Life {
    pub(super) fn new(now: Timestamp) -> Self {
        Self(AtomicU64::new(now.unix_millis()))
    }

    pub(super) fn last_seen(&self) -> Timestamp {
        // Nothing else is published through this number, so no ordering is needed.
        Timestamp::from_unix_millis(self.0.load(Ordering::Relaxed))
    }

    pub(super) fn touch(&self, at: Timestamp) {
        self.0.fetch_max(at.unix_millis(), Ordering::Relaxed);
    }
}
