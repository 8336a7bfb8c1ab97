//! One request under way, and how long its client has stalled it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use super::{
    connection::Connection,
    moment::{Moment, Since},
};

/// A client that has made others wait for less than this does not count as slow yet.
const GRACE: Duration = Duration::from_millis(500);

/// A client that moves fewer bytes per second than this is slow.
const SLOW: u64 = 1_024;

/// A request from its head to the end of its answer.
#[derive(Debug)]
pub(super) struct Underway {
    pub(super) began: Moment,
    /// The request's body is wanted, but has not arrived.
    pub(super) upload: Patience,
    /// A piece of the answer's body was passed on, and the next one was not polled yet.
    pub(super) download: Patience,
    /// The connection ends after the answer.
    ends_connection: AtomicBool,
}

/// Keeps a request listed as under way until it is dropped.
#[derive(Debug)]
pub(super) struct Listed {
    connection: Arc<Connection>,
    underway: Arc<Underway>,
}

/// How long the server has waited for the client, and how many bytes it has moved.
#[derive(Debug, Default)]
pub(super) struct Patience {
    since: Since,
    waited: AtomicU64,
    moved: AtomicU64,
}

// === impl Underway ===

impl Underway {
    pub(super) fn new(began: Moment) -> Self {
        Self {
            began,
            upload: Patience::default(),
            download: Patience::default(),
            ends_connection: AtomicBool::new(false),
        }
    }

    /// No further request can follow this one: the rest of its body is not read.
    pub(super) fn end_connection(&self) {
        self.ends_connection.store(true, Relaxed);
    }

    /// Whether the answer has to announce the end of the connection.
    pub(super) fn ends_connection(&self) -> bool {
        self.ends_connection.load(Relaxed)
    }

    /// Whether the request is only as slow as its client.
    pub(super) fn is_slow(&self, now: Moment) -> bool {
        self.upload.is_slow(now) || self.download.is_slow(now)
    }

    /// Whether the client has read nothing of the answer for `limit`.
    pub(super) fn is_unread(&self, limit: Duration, now: Moment) -> bool {
        self.download.since.has_lasted(limit, now)
    }
}

// === impl Listed ===

impl Listed {
    pub(super) fn new(connection: &Arc<Connection>) -> Self {
        Self {
            underway: connection.begin(),
            connection: Arc::clone(connection),
        }
    }

    pub(super) fn underway(&self) -> &Underway {
        &self.underway
    }

    pub(super) fn shared(&self) -> Arc<Underway> {
        Arc::clone(&self.underway)
    }

    pub(super) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.connection.end(&self.underway);
    }
}

// === impl Patience ===

impl Patience {
    /// From now on it is the client's turn, unless it has been already.
    pub(super) fn begin(&self, now: impl FnOnce() -> Moment) {
        self.since.begin(now);
    }

    /// The server no longer waits for the client, which has moved `bytes`.
    pub(super) fn end(&self, bytes: usize, now: impl FnOnce() -> Moment) {
        self.moved
            .fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Relaxed);
        if let Some(began) = self.since.end() {
            self.waited.fetch_add(millis(now().since(began)), Relaxed);
        }
    }

    fn is_slow(&self, now: Moment) -> bool {
        // A client that nothing is expected of is not slow now.
        let Some(began) = self.since.get() else {
            return false;
        };
        let waited = self.waited.load(Relaxed).saturating_add(millis(now.since(began)));
        waited >= millis(GRACE)
            && self.moved.load(Relaxed).saturating_mul(1_000) < waited.saturating_mul(SLOW)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::START.after(Duration::from_millis(millis))
    }

    #[test]
    fn slow_is_who_makes_others_wait_and_moves_little() {
        let trickling = Patience::default();
        for second in 0..10 {
            trickling.begin(|| at(second * 1_000));
            assert!(!trickling.is_slow(at(second * 1_000)) || second > 0);
            trickling.end(1, || at(second * 1_000 + 900));
            assert!(!trickling.is_slow(at(second * 1_000 + 950)), "not waited for");
        }
        trickling.begin(|| at(10_000));
        assert!(trickling.is_slow(at(10_001)));

        let busy = Patience::default();
        for second in 0..10 {
            busy.begin(|| at(second * 1_000));
            busy.end(64 * 1_024, || at(second * 1_000 + 900));
        }
        busy.begin(|| at(10_000));
        assert!(!busy.is_slow(at(12_000)));
        assert!(busy.is_slow(at(1_000_000)), "it has stopped");
    }
}
