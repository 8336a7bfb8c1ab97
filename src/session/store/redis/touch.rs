//! Until when it is certain that what other processes change is heard.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use crate::clock::Timestamp;

/// Ends by itself, also in a process that stood still and has not noticed yet.
#[derive(Debug, Default)]
pub(super) struct Touch {
    /// In milliseconds.
    until: AtomicU64,
}

// === impl Touch ===

impl Touch {
    /// At `now` all changes have been heard, and will be for `duration` at least.
    pub(super) fn holds_for(&self, duration: Duration, now: Timestamp) {
        let until = now.saturating_add(duration).unix_millis();
        self.until.store(until, Ordering::Relaxed);
    }

    pub(super) fn lasts(&self, now: Timestamp) -> bool {
        now.unix_millis() < self.until.load(Ordering::Relaxed)
    }
}
