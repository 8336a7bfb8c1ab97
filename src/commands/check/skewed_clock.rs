//! A clock skewed to match the IdP's. If authentication succeeds with it, clock skew is the cause.

use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::clock::{Clock, SharedClock, Timestamp};

/// A clock that is put forward or back.
#[derive(Debug)]
pub(super) struct SkewedClock {
    /// Ours.
    pub(super) clock: SharedClock,
    /// How far ours is ahead, in seconds.
    pub(super) ahead: i64,
}

// === impl SkewedClock ===

impl SkewedClock {
    fn moved(&self, time: Timestamp, ahead: bool) -> Timestamp {
        let difference = Duration::from_secs(self.ahead.unsigned_abs());
        if ahead {
            time.saturating_sub(difference)
        } else {
            time.saturating_add(difference)
        }
    }
}

impl Clock for SkewedClock {
    fn now(&self) -> Timestamp {
        self.moved(self.clock.now(), self.ahead > 0)
    }

    fn wall(&self) -> Timestamp {
        self.moved(self.clock.wall(), self.ahead > 0)
    }

    fn sleep_until(&self, deadline: Timestamp) -> BoxFuture<'static, ()> {
        self.clock.sleep_until(self.moved(deadline, self.ahead < 0))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::ManualClock;

    #[tokio::test]
    async fn it_shows_what_the_other_clock_shows_and_waits_as_long() {
        let clock = ManualClock::starting_at(Timestamp::from_unix_seconds(1000));
        for (ahead, shows) in [(10, 990), (-10, 1010)] {
            let skewed = SkewedClock {
                clock: Arc::new(clock.clone()),
                ahead,
            };
            assert_eq!(skewed.now(), Timestamp::from_unix_seconds(shows));
            skewed.sleep_until(skewed.now()).await;
        }
    }
}
