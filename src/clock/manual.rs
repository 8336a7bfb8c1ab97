//! A clock that moves only on demand.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::{Clock, Timestamp};

/// A clock for tests: stands still until [`advance`](Self::advance) is called, and wakes the sleepers whose time has
/// come. Clones share the time.
#[derive(Clone, Debug)]
pub struct ManualClock {
    now: Arc<watch::Sender<Timestamp>>,
    /// How far it has been set back, in milliseconds.
    back: Arc<AtomicU64>,
}

// === impl ManualClock ===

impl ManualClock {
    /// A clock that shows `now`.
    #[must_use]
    pub fn starting_at(now: Timestamp) -> Self {
        Self {
            now: Arc::new(watch::Sender::new(now)),
            back: Arc::default(),
        }
    }

    /// Moves the clock forward by `duration`.
    pub fn advance(&self, duration: Duration) {
        self.now.send_modify(|now| *now = now.saturating_add(duration));
    }
}

impl ManualClock {
    /// Sets the clock back by `duration`, like the clock of a machine: [`now`](Clock::now) continues.
    pub fn set_back(&self, duration: Duration) {
        self.back.fetch_add(super::millis(duration), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn wall(&self) -> Timestamp {
        let back = Duration::from_millis(self.back.load(Ordering::SeqCst));
        self.now().saturating_sub(back)
    }

    fn now(&self) -> Timestamp {
        *self.now.borrow()
    }

    fn sleep_until(&self, deadline: Timestamp) -> BoxFuture<'static, ()> {
        let mut now = self.now.subscribe();
        Box::pin(async move {
            if now.wait_for(|now| *now >= deadline).await.is_err() {
                // The clock is gone, and with it the moment that was waited for.
                std::future::pending::<()>().await;
            }
        })
    }
}
