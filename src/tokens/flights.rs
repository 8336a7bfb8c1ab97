//! One flight per key at a time, which all callers join: a refresh of a session, or the issue of a token for an API.

use std::{collections::HashMap, fmt, hash::Hash, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use crate::{
    clock::{SharedClock, Timestamp},
    instruments::Counter,
};

/// The outcome of a refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The store has a newer access token.
    Refreshed,
    /// The session is over.
    Ended,
    /// Nothing changed; the next attempt is worthwhile after this.
    Kept(Duration),
    /// There is no refresh token.
    Impossible,
}

/// The outcome of a flight.
pub(super) trait Landing: Clone + fmt::Debug + Send + Sync + 'static {
    /// The assumed outcome of a flight whose task died.
    fn crashed() -> Self;
    /// The time before the next flight; `None` if it may begin at once.
    fn pause(&self) -> Option<Duration>;
    /// The same outcome for a caller who comes when this much of the pause is left.
    fn with_pause(&self, left: Duration) -> Self;
}

/// The name of a flight.
pub(super) trait Key: Clone + Eq + Hash + fmt::Debug + Send + Sync + 'static {}

impl<K: Clone + Eq + Hash + fmt::Debug + Send + Sync + 'static> Key for K {}

/// The flights that are under way, and the keys for which the next one has to wait.
///
/// A flight has its own task: a browser that hangs up must not lose a rotated refresh token.
#[derive(Debug)]
pub(super) struct Flights<K: Key, L: Landing> {
    shared: Arc<Shared<K, L>>,
}

#[derive(Debug)]
struct Shared<K: Key, L: Landing> {
    entries: Mutex<Entries<K, L>>,
    tasks: TaskTracker,
    /// Callers who have joined a flight that was under way.
    joined: Counter,
    clock: SharedClock,
}

#[derive(Debug)]
struct Entries<K: Key, L: Landing> {
    map: HashMap<K, Entry<L>>,
    /// At this number of entries, expired ones are removed. It is twice the number that was left the last time, so
    /// that pruning stays cheap even if many sessions wait for an IdP that is down.
    prune_at: usize,
}

#[derive(Debug)]
enum Entry<L> {
    Flying(watch::Receiver<Option<L>>),
    /// The last one failed in this way; a new one would only add to the trouble before this time.
    Cooling(Timestamp, L),
}

/// A flight that a caller waits for.
#[derive(Debug)]
pub(super) enum Flight<L> {
    /// Under way.
    Under(watch::Receiver<Option<L>>),
    /// The last one failed a moment ago in this way; it is not repeated yet.
    BackingOff(L),
}

/// Takes the entry out however the task ends, also by a panic.
struct Cleanup<K: Key, L: Landing> {
    shared: Arc<Shared<K, L>>,
    key: K,
    cooling: Option<(Timestamp, L)>,
}

/// With fewer entries than this, expired ones are not removed.
const PRUNE_AT: usize = 1_024;

/// The assumed outcome of a refresh whose task died.
const AFTER_A_CRASH: Duration = Duration::from_secs(5);

// === impl Outcome ===

impl Landing for Outcome {
    fn crashed() -> Self {
        Self::Kept(AFTER_A_CRASH)
    }

    fn pause(&self) -> Option<Duration> {
        match self {
            Self::Kept(pause) => Some(*pause),
            Self::Refreshed | Self::Ended | Self::Impossible => None,
        }
    }

    fn with_pause(&self, left: Duration) -> Self {
        self.pause().map_or(*self, |_| Self::Kept(left))
    }
}

// === impl Flights ===

impl<K: Key, L: Landing> Flights<K, L> {
    pub(super) fn new(clock: SharedClock, joined: Counter) -> Self {
        Self {
            shared: Arc::new(Shared {
                entries: Mutex::new(Entries {
                    map: HashMap::new(),
                    prune_at: PRUNE_AT,
                }),
                tasks: TaskTracker::new(),
                joined,
                clock,
            }),
        }
    }

    /// The flight of `key` that is under way, if there is one.
    pub(super) fn under_way(&self, key: &K) -> Option<Flight<L>> {
        match self.shared.entries.lock().map.get(key) {
            Some(Entry::Flying(outcome)) => Some(Flight::Under(outcome.clone())),
            _ => None,
        }
    }

    /// Joins the flight of `key` that is under way, or starts `flight` in its own task.
    pub(super) fn join<F>(&self, key: K, flight: impl FnOnce() -> F) -> Flight<L>
    where
        F: Future<Output = L> + Send + 'static,
    {
        let now = self.shared.clock.now();
        let mut entries = self.shared.entries.lock();
        match entries.map.get(&key) {
            Some(Entry::Flying(outcome)) => {
                self.shared.joined.count();
                return Flight::Under(outcome.clone());
            }
            Some(Entry::Cooling(until, landing)) if now < *until => {
                return Flight::BackingOff(landing.with_pause(until.duration_since(now)));
            }
            _ => {}
        }
        entries.prune(now);
        let (sender, receiver) = watch::channel(None);
        entries.map.insert(key.clone(), Entry::Flying(receiver.clone()));
        drop(entries);

        let mut cleanup = Cleanup {
            shared: Arc::clone(&self.shared),
            key,
            cooling: None,
        };
        let flight = flight();
        self.shared.tasks.spawn(async move {
            let landing = flight.await;
            if let Some(pause) = landing.pause() {
                let until = cleanup.shared.clock.now().saturating_add(pause);
                cleanup.cooling = Some((until, landing.clone()));
            }
            // The entry goes first: a caller that comes after it finds the new token in the store.
            drop(cleanup);
            sender.send_replace(Some(landing));
        });
        Flight::Under(receiver)
    }

    /// Resolves when no flight is under way any more.
    pub(super) async fn drain(&self) {
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}

impl<K: Key, L: Landing> Drop for Cleanup<K, L> {
    fn drop(&mut self) {
        let entries = &mut self.shared.entries.lock().map;
        match self.cooling.take() {
            Some((until, landing)) => entries.insert(self.key.clone(), Entry::Cooling(until, landing)),
            None => entries.remove(&self.key),
        };
    }
}

// === impl Entries ===

impl<K: Key, L: Landing> Entries<K, L> {
    fn prune(&mut self, now: Timestamp) {
        if self.map.len() >= self.prune_at {
            self.map
                .retain(|_, entry| !matches!(entry, Entry::Cooling(until, _) if *until <= now));
            self.map.shrink_to(PRUNE_AT.max(self.map.len()));
            self.prune_at = PRUNE_AT.max(self.map.len() * 2);
        }
    }
}

// === impl Flight ===

impl<L: Landing> Flight<L> {
    /// Waits for the outcome.
    pub(super) async fn outcome(self) -> L {
        match self {
            Self::BackingOff(landing) => landing,
            Self::Under(mut landing) => match landing.wait_for(Option::is_some).await {
                Ok(landing) => landing.clone().unwrap_or_else(L::crashed),
                Err(_) => L::crashed(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::Notify;

    use super::*;
    use crate::{
        clock::ManualClock,
        random::{RandomExt as _, SystemRandom},
        session::{SessionId, SessionKey},
    };

    fn setup() -> (Flights<SessionKey, Outcome>, ManualClock, SessionKey) {
        let clock = ManualClock::starting_at(Timestamp::from_unix_seconds(1_000));
        (
            Flights::new(Arc::new(clock.clone()), Counter::default()),
            clock,
            SessionId::parse(SystemRandom.base64url::<32>().as_bytes())
                .unwrap()
                .key(),
        )
    }

    #[tokio::test]
    async fn all_who_come_join_one_flight() {
        let (flights, _, key) = setup();
        let (started, gate) = (Arc::new(AtomicU32::new(0)), Arc::new(Notify::new()));
        let waiting: Vec<Flight<Outcome>> = (0..50)
            .map(|_| {
                let (started, gate) = (Arc::clone(&started), Arc::clone(&gate));
                flights.join(key, || async move {
                    started.fetch_add(1, Ordering::Relaxed);
                    gate.notified().await;
                    Outcome::Refreshed
                })
            })
            .collect();
        gate.notify_one();
        for flight in waiting {
            assert_eq!(flight.outcome().await, Outcome::Refreshed);
        }
        assert_eq!(started.load(Ordering::Relaxed), 1);
        assert_eq!(flights.shared.joined.get(), 49);
    }

    #[tokio::test]
    async fn attack_10_a_caller_that_hangs_up_does_not_stop_the_flight() {
        let (flights, _, key) = setup();
        let gate = Arc::new(Notify::new());
        let inside = Arc::clone(&gate);
        let first = flights.join(key, || async move {
            inside.notified().await;
            Outcome::Refreshed
        });
        drop(first);
        let second = flights.join(key, || async {
            unreachable!("the first flight is still under way")
        });
        gate.notify_one();
        assert_eq!(second.outcome().await, Outcome::Refreshed);
    }

    #[tokio::test]
    async fn a_failure_is_not_repeated_before_its_pause_is_over() {
        let (flights, clock, key) = setup();
        let pause = Duration::from_secs(7);
        let failed = flights.join(key, || async move { Outcome::Kept(pause) });
        assert_eq!(failed.outcome().await, Outcome::Kept(pause));
        let backing_off = flights.join(key, || async { unreachable!("still backing off") });
        assert_eq!(backing_off.outcome().await, Outcome::Kept(pause));
        clock.advance(pause);
        let again = flights.join(key, || async { Outcome::Refreshed });
        assert_eq!(again.outcome().await, Outcome::Refreshed);
    }

    #[tokio::test]
    async fn a_crash_leaves_nobody_waiting_and_blocks_nothing() {
        let (flights, _, key) = setup();
        let crashed = flights.join(key, || async { panic!("as a test") });
        assert_eq!(crashed.outcome().await, Outcome::Kept(AFTER_A_CRASH));
        let again = flights.join(key, || async { Outcome::Refreshed });
        assert_eq!(again.outcome().await, Outcome::Refreshed);
    }

    #[tokio::test]
    async fn draining_waits_for_what_is_under_way() {
        let (flights, _, key) = setup();
        let gate = Arc::new(Notify::new());
        let inside = Arc::clone(&gate);
        let flight = flights.join(key, || async move {
            inside.notified().await;
            Outcome::Refreshed
        });
        let mut drained = Box::pin(flights.drain());
        assert!(futures_util::poll!(&mut drained).is_pending());
        gate.notify_one();
        drained.await;
        assert_eq!(flight.outcome().await, Outcome::Refreshed);
    }

    #[tokio::test]
    async fn sessions_that_rest_no_more_are_forgotten() {
        let (flights, clock, _) = setup();
        let key = || {
            SessionId::parse(SystemRandom.base64url::<32>().as_bytes())
                .unwrap()
                .key()
        };
        let pause = Duration::from_secs(7);
        for _ in 0..PRUNE_AT * 3 {
            let failed = flights.join(key(), || async move { Outcome::Kept(pause) });
            failed.outcome().await;
        }
        assert_eq!(flights.shared.entries.lock().map.len(), PRUNE_AT * 3);
        clock.advance(pause);
        for _ in 0..PRUNE_AT * 2 {
            let failed = flights.join(key(), || async move { Outcome::Kept(pause) });
            failed.outcome().await;
        }
        assert!(flights.shared.entries.lock().map.len() <= PRUNE_AT * 2);
    }
}
