//! The common time of all replicas.
//!
//! Shared data contains times: the end of a lease, the expiry of an access token, the last use of a session. A
//! replica whose clock is ahead would take over leases that are held, and one whose clock is behind would send
//! expired tokens. All replicas therefore use the time of the shared store.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::{
    clock::{AgreedClock, Timestamp},
    shared::Shared,
};

/// An answer that takes longer says too little of the moment.
const PROMPT: Duration = Duration::from_millis(500);

/// A difference that an operator should hear of.
const REMARKABLE: Duration = Duration::from_secs(5);

/// A clock that goes by the time of what replicas share.
#[derive(Debug)]
pub(super) struct Time {
    clock: Arc<AgreedClock>,
    /// Whether the operator knows that this machine's clock is wrong, or Redis' is.
    is_told: AtomicBool,
}

// === impl Time ===

impl Time {
    pub(super) const fn new(clock: Arc<AgreedClock>) -> Self {
        Self {
            clock,
            is_told: AtomicBool::new(false),
        }
    }

    /// Reads the shared time. If that fails, the previous result stays valid.
    pub(super) async fn agree(&self, shared: &dyn Shared) {
        let before = self.clock.own();
        let answer = shared.time().await;
        let took = self.clock.own().duration_since(before);
        match answer {
            Ok(common) if took <= PROMPT => {
                let common = Timestamp::EPOCH.saturating_add(common);
                let ahead = self.clock.agree(common, before.saturating_add(took / 2));
                self.tell(ahead);
            }
            Ok(_) => {}
            Err(error) => tracing::debug!("the common time of the replicas is unknown: {error}"),
        }
    }

    fn tell(&self, ahead: i64) {
        let apart = Duration::from_millis(ahead.unsigned_abs());
        let is_remarkable = apart > REMARKABLE;
        if self.is_told.swap(is_remarkable, Ordering::Relaxed) == is_remarkable {
            return;
        }
        if is_remarkable {
            let direction = if ahead < 0 { "behind" } else { "ahead of" };
            tracing::warn!(
                "this machine's clock is {} s {direction} that of Redis, by which replicas measure what they share: set both \
                 by NTP; up to 5 minutes are made up for",
                apart.as_secs()
            );
        } else {
            tracing::info!("this machine's clock agrees with that of Redis again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::{Clock as _, ManualClock},
        shared::testing::MemoryShared,
        telemetry::testing::Logs,
    };

    #[tokio::test]
    async fn a_clock_that_is_wrong_is_made_up_for_and_told_once() {
        let logs = Logs::capture();
        let right = ManualClock::starting_at(Timestamp::from_unix_seconds(1_000_000));
        let wrong = ManualClock::starting_at(Timestamp::from_unix_seconds(1_000_030));
        let shared = MemoryShared::new(Arc::new(right.clone()));
        let clock = Arc::new(AgreedClock::new(Arc::new(wrong.clone())));
        let time = Time::new(Arc::clone(&clock));
        for _ in 0..3 {
            time.agree(&shared).await;
            assert_eq!(clock.now(), right.now());
        }
        assert_eq!(
            logs.count("this machine's clock is 30 s ahead of that of Redis"),
            1
        );
        // Without an answer it goes on as before.
        shared.set_down(true);
        time.agree(&shared).await;
        assert_eq!(clock.now(), right.now());
        // Somebody sets the other one.
        shared.set_down(false);
        right.advance(Duration::from_secs(30));
        time.agree(&shared).await;
        assert_eq!(clock.now(), wrong.now());
        assert_eq!(logs.count("agrees with that of Redis again"), 1);
    }
}
