//! What all versions of a session share: when it was last used, and whether it has ended.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::Notify;

use crate::clock::Timestamp;

/// The life of one session.
#[derive(Debug)]
pub(super) struct Life {
    last_seen: AtomicU64,
    over: AtomicBool,
    waiting: Notify,
}

// === impl Life ===

impl Life {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            last_seen: AtomicU64::new(now.unix_millis()),
            over: AtomicBool::new(false),
            waiting: Notify::new(),
        }
    }

    pub(super) fn last_seen(&self) -> Timestamp {
        // Nothing else is published through this number, so no ordering is needed.
        Timestamp::from_unix_millis(self.last_seen.load(Ordering::Relaxed))
    }

    pub(super) fn touch(&self, now: Timestamp) {
        self.last_seen.fetch_max(now.unix_millis(), Ordering::Relaxed);
    }

    /// Wakes all who wait for the end.
    pub(super) fn end(&self) {
        self.over.store(true, Ordering::Release);
        self.waiting.notify_waiters();
    }

    /// Resolves when [`end`](Self::end) was called.
    pub(super) async fn ended(&self) {
        // Made before the flag is looked at: it is woken by every end from here on.
        let woken = self.waiting.notified();
        if !self.over.load(Ordering::Acquire) {
            woken.await;
        }
    }
}
