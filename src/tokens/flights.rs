//! One refresh per session at a time, which all callers join.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use crate::{
    clock::{SharedClock, Timestamp},
    instruments::Counter,
    session::SessionKey,
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

/// The refreshes that are under way, and the sessions for which the next one has to wait.
///
/// A refresh runs in its own task: a browser that hangs up must not lose a rotated refresh token.
#[derive(Clone, Debug)]
pub(super) struct Flights {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    entries: Mutex<Entries>,
    tasks: TaskTracker,
    /// Callers who have joined a refresh that was under way.
    joined: Counter,
    clock: SharedClock,
}

#[derive(Debug)]
struct Entries {
    map: HashMap<SessionKey, Entry>,
    /// At this number of entries, expired ones are removed. It is twice the number that was left the last time, so
    /// that pruning stays cheap even if many sessions wait for an IdP that is down.
    prune_at: usize,
}

#[derive(Debug)]
enum Entry {
    Flying(watch::Receiver<Option<Outcome>>),
    /// The last one failed; a new one would only add to the trouble before this time.
    Cooling(Timestamp),
}

/// A refresh that a caller waits for.
#[derive(Debug)]
pub(super) enum Flight {
    /// Under way.
    Under(watch::Receiver<Option<Outcome>>),
    /// The last one failed a moment ago; it is not repeated yet.
    BackingOff(Duration),
}

/// Takes the entry out however the task ends, also by a panic.
struct Cleanup {
    shared: Arc<Shared>,
    key: SessionKey,
    cooling: Option<Timestamp>,
}

/// With fewer entries than this, expired ones are not removed.
const PRUNE_AT: usize = 1_024;

/// The assumed outcome of a refresh whose task died.
const AFTER_A_CRASH: Duration = Duration::from_secs(5);

// === impl Flights ===

impl Flights {
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

    /// The refresh of `key` that is under way, if there is one.
    pub(super) fn under_way(&self, key: &SessionKey) -> Option<Flight> {
        match self.shared.entries.lock().map.get(key) {
            Some(Entry::Flying(outcome)) => Some(Flight::Under(outcome.clone())),
            _ => None,
        }
    }

    /// Joins the refresh of `key` that is under way, or starts `refresh` in its own task.
    pub(super) fn join<F>(&self, key: SessionKey, refresh: impl FnOnce() -> F) -> Flight
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let now = self.shared.clock.now();
        let mut entries = self.shared.entries.lock();
        match entries.map.get(&key) {
            Some(Entry::Flying(outcome)) => {
                self.shared.joined.count();
                return Flight::Under(outcome.clone());
            }
            Some(Entry::Cooling(until)) if now < *until => {
                return Flight::BackingOff(until.duration_since(now));
            }
            _ => {}
        }
        entries.prune(now);
        let (sender, receiver) = watch::channel(None);
        entries.map.insert(key, Entry::Flying(receiver.clone()));
        drop(entries);

        let mut cleanup = Cleanup {
            shared: Arc::clone(&self.shared),
            key,
            cooling: None,
        };
        let refresh = refresh();
        self.shared.tasks.spawn(async move {
            let outcome = refresh.await;
            if let Outcome::Kept(pause) = outcome {
                cleanup.cooling = Some(cleanup.shared.clock.now().saturating_add(pause));
            }
            // The entry goes first: a caller that comes after it finds the new token in the store.
            drop(cleanup);
            sender.send_replace(Some(outcome));
        });
        Flight::Under(receiver)
    }

    /// Resolves when no refresh is under way any more.
    pub(super) async fn drain(&self) {
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}

impl Drop for Cleanup {
    fn drop(&mut self) {
        let entries = &mut self.shared.entries.lock().map;
        match self.cooling {
            Some(until) => entries.insert(self.key, Entry::Cooling(until)),
            None => entries.remove(&self.key),
        };
    }
}

// === impl Entries ===

impl Entries {
    fn prune(&mut self, now: Timestamp) {
        if self.map.len() >= self.prune_at {
            self.map
                .retain(|_, entry| !matches!(entry, Entry::Cooling(until) if *until <= now));
            self.map.shrink_to(PRUNE_AT.max(self.map.len()));
            self.prune_at = PRUNE_AT.max(self.map.len() * 2);
        }
    }
}

// === impl Flight ===

impl Flight {
    /// Waits for the outcome.
    pub(super) async fn outcome(self) -> Outcome {
        match self {
            Self::BackingOff(pause) => Outcome::Kept(pause),
            Self::Under(mut outcome) => match outcome.wait_for(Option::is_some).await {
                Ok(outcome) => outcome.unwrap_or(Outcome::Kept(AFTER_A_CRASH)),
                Err(_) => Outcome::Kept(AFTER_A_CRASH),
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
        session::SessionId,
    };

    fn setup() -> (Flights, ManualClock, SessionKey) {
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
        let waiting: Vec<Flight> = (0..50)
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
