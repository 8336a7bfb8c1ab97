//! A clock that several machines agree on.

use std::{
    sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    time::Duration,
};

use futures_util::future::BoxFuture;

use super::{Clock, SharedClock, Timestamp, millis};

/// A clock that is further away is followed no further: one that is wrong by hours must not end everybody's session.
const MOST: Duration = Duration::from_mins(5);

/// Our own clock, moved to what a clock shows that others go by as well.
///
/// Only [`now`](Clock::now) moves. What is compared with somebody else's clock still goes by the machine's.
#[derive(Debug)]
pub struct AgreedClock {
    own: SharedClock,
    /// How far the common clock is ahead of ours, in milliseconds.
    ahead: AtomicI64,
    /// Whether the common clock is known. Nothing that lasts was measured before.
    has_agreed: AtomicBool,
    /// The latest time that was shown.
    latest: AtomicU64,
}

// === impl AgreedClock ===

impl AgreedClock {
    /// Shows what `own` does, until it [agrees](Self::agree).
    #[must_use]
    pub fn new(own: SharedClock) -> Self {
        Self {
            own,
            ahead: AtomicI64::new(0),
            has_agreed: AtomicBool::new(false),
            latest: AtomicU64::new(0),
        }
    }

    /// The time of our own clock, for a comparison with the common one.
    #[must_use]
    pub fn own(&self) -> Timestamp {
        self.own.now()
    }

    /// The common clock showed `common` when our own showed `own`. How far ours is ahead, in milliseconds; negative where it
    /// is behind.
    pub fn agree(&self, common: Timestamp, own: Timestamp) -> i64 {
        let ahead = signed(common.0).saturating_sub(signed(own.0));
        let most = signed(millis(MOST));
        self.ahead.store(ahead.clamp(-most, most), Ordering::Relaxed);
        if !self.has_agreed.swap(true, Ordering::Relaxed) {
            self.latest.store(0, Ordering::Relaxed);
        }
        ahead.saturating_neg()
    }
}

impl Clock for AgreedClock {
    fn now(&self) -> Timestamp {
        let own = signed(self.own.now().0);
        let now = own.saturating_add(self.ahead.load(Ordering::Relaxed));
        let now = u64::try_from(now).unwrap_or_default();
        Timestamp(self.latest.fetch_max(now, Ordering::Relaxed).max(now))
    }

    fn wall(&self) -> Timestamp {
        self.own.wall()
    }

    fn stopwatch(&self) -> Duration {
        self.own.stopwatch()
    }

    fn sleep_until(&self, deadline: Timestamp) -> BoxFuture<'static, ()> {
        self.own.sleep(deadline.duration_since(self.now()))
    }
}

fn signed(millis: u64) -> i64 {
    i64::try_from(millis).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::ManualClock;

    const NOON: Timestamp = Timestamp::from_unix_seconds(1_000_000);
    const SECOND: Duration = Duration::from_secs(1);

    fn clock(shows: Timestamp) -> (ManualClock, AgreedClock) {
        let own = ManualClock::starting_at(shows);
        (own.clone(), AgreedClock::new(Arc::new(own)))
    }

    #[test]
    fn clocks_that_are_apart_show_the_same() {
        let (fast, one) = clock(NOON.saturating_add(15 * SECOND));
        let (slow, two) = clock(NOON.saturating_sub(15 * SECOND));
        assert_eq!(one.now().duration_since(two.now()), 30 * SECOND);
        assert_eq!(one.agree(NOON, one.own()), 15_000);
        assert_eq!(two.agree(NOON, two.own()), -15_000);
        assert_eq!((one.now(), two.now()), (NOON, NOON));
        fast.advance(SECOND);
        slow.advance(SECOND);
        let later = NOON.saturating_add(SECOND);
        assert_eq!((one.now(), two.now()), (later, later));
        // Messages between processes use the wall clock.
        for (clock, wall) in [(one, fast.wall()), (two, slow.wall())] {
            assert_eq!(clock.wall(), wall);
            assert_eq!(clock.shown(later), wall);
            assert_eq!(clock.awaited(wall), later);
            let coming = wall.saturating_add(SECOND);
            assert_eq!(clock.awaited(coming), later.saturating_add(SECOND));
        }
    }

    #[test]
    fn attack_44_the_common_clock_takes_no_time_back() {
        let (own, clock) = clock(NOON);
        clock.agree(NOON, NOON);
        assert_eq!(clock.now(), NOON);
        clock.agree(NOON.saturating_sub(10 * SECOND), NOON);
        own.advance(9 * SECOND);
        assert_eq!(clock.now(), NOON);
        own.advance(2 * SECOND);
        assert_eq!(clock.now(), NOON.saturating_add(SECOND));
    }

    #[test]
    fn a_common_clock_that_is_wrong_is_not_followed_far() {
        let (_, one) = clock(NOON);
        let day = Duration::from_hours(24);
        assert_eq!(one.agree(NOON.saturating_add(day), NOON), -86_400_000);
        assert_eq!(one.now(), NOON.saturating_add(MOST));
        let (_, two) = clock(NOON);
        two.agree(Timestamp::EPOCH, NOON);
        assert_eq!(two.now(), NOON.saturating_sub(MOST));
    }

    #[tokio::test]
    async fn it_sleeps_until_the_common_clock_shows_the_time() {
        let (own, clock) = clock(NOON);
        clock.agree(NOON.saturating_add(30 * SECOND), NOON);
        let sleep = clock.sleep_until(NOON.saturating_add(31 * SECOND));
        own.advance(SECOND);
        sleep.await;
        clock.sleep_until(NOON).await;
    }
}
