//! Time for timers of connections: the runtime's, as the HTTP library's own timers are.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use hyper::rt::Timer as _;
use hyper_util::rt::TokioTimer;

/// A point in time: milliseconds of a [`Stopwatch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(u64);

/// The clock of moments.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stopwatch(Instant);

/// Since when something lasts, if it does.
#[derive(Debug, Default)]
pub(super) struct Since(AtomicU64);

// === impl Moment ===

impl Moment {
    /// The start of the stopwatch. Not zero, which is [`Since`]'s "not at all".
    pub(super) const START: Self = Self(1);

    /// How long ago `earlier` was.
    pub(super) const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    #[cfg(test)]
    pub(super) fn after(self, duration: Duration) -> Self {
        Self(self.0 + u64::try_from(duration.as_millis()).unwrap())
    }
}

// === impl Stopwatch ===

impl Stopwatch {
    pub(super) fn start() -> Self {
        Self(TokioTimer::new().now())
    }

    pub(super) fn now(&self) -> Moment {
        let passed = TokioTimer::new().now().saturating_duration_since(self.0);
        let millis = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX);
        Moment(millis.saturating_add(Moment::START.0))
    }
}

// === impl Since ===

impl Since {
    /// It lasts since `now`.
    pub(super) fn set(&self, now: Moment) {
        self.0.store(now.0, Relaxed);
    }

    /// It lasts since `now()`, unless it has lasted longer.
    pub(super) fn begin(&self, now: impl FnOnce() -> Moment) {
        if self.0.load(Relaxed) == 0 {
            self.set(now());
        }
    }

    /// It is over. Since when it has lasted.
    pub(super) fn end(&self) -> Option<Moment> {
        if self.0.load(Relaxed) == 0 {
            return None;
        }
        let began = self.0.swap(0, Relaxed);
        (began != 0).then_some(Moment(began))
    }

    pub(super) fn get(&self) -> Option<Moment> {
        let began = self.0.load(Relaxed);
        (began != 0).then_some(Moment(began))
    }

    /// Whether it has lasted for `limit`.
    pub(super) fn has_lasted(&self, limit: Duration, now: Moment) -> bool {
        self.get().is_some_and(|began| now.since(began) >= limit)
    }
}
