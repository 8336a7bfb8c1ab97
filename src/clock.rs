//! Time as a parameter.
//!
//! Every module that needs the time or a timer takes a [`Clock`]; nothing reads the machine's clock directly (a lint
//! forbids it). The server runs on [`SystemClock`]. Tests use [`ManualClock`], which moves only on demand, under real
//! sockets.

mod agreed;
mod http_date;
mod manual;
mod steady;

use std::{
    fmt::Debug,
    sync::{Arc, OnceLock},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use self::steady::Steady;
pub use self::{agreed::AgreedClock, http_date::http_date, manual::ManualClock};

/// A point in time: milliseconds since the Unix epoch, UTC.
///
/// Arithmetic saturates: hostile `exp` and `expires_in` values can be large.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

/// A source of time.
///
/// A clock has two times, which differ only after the machine's clock was set back. Everything measured here, from
/// sessions to pauses, uses [`now`](Self::now). Times that are compared with a foreign clock, or shown outside, use
/// [`wall`](Self::wall).
pub trait Clock: Debug + Send + Sync + 'static {
    /// The current time, which never goes back: between two readings it moves by the machine's clock or by the real
    /// duration, whichever is more. Therefore neither a clock that is set back nor a suspended machine lengthens
    /// anything.
    fn now(&self) -> Timestamp;

    /// The time that the machine's clock shows, and that the clocks of others should show.
    fn wall(&self) -> Timestamp {
        self.now()
    }

    /// A time of [`now`](Self::now) as [`wall`](Self::wall) will show it.
    fn shown(&self, time: Timestamp) -> Timestamp {
        let (now, wall) = (self.now(), self.wall());
        time.saturating_sub(now.duration_since(wall))
            .saturating_add(wall.duration_since(now))
    }

    /// A time that [`wall`](Self::wall) will show, as a time of [`now`](Self::now): the other way of
    /// [`shown`](Self::shown). What is over is now.
    fn awaited(&self, time: Timestamp) -> Timestamp {
        self.now().saturating_add(time.duration_since(self.wall()))
    }

    /// For measuring how long something takes: the difference of two readings, finer than a [`Timestamp`]. One reading says
    /// nothing.
    fn stopwatch(&self) -> Duration {
        Duration::from_millis(self.now().0)
    }

    /// Resolves when [`now`](Self::now) has reached `deadline`, at once if it already has.
    fn sleep_until(&self, deadline: Timestamp) -> BoxFuture<'static, ()>;

    /// Resolves after `duration`.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.sleep_until(self.now().saturating_add(duration))
    }
}

/// The clock as every module holds it.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

/// The error of [`timeout`] when the time is up first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("timed out")]
pub struct Elapsed;

/// Runs `future` for at most `duration` of `clock`.
///
/// # Errors
///
/// [`Elapsed`] when the time is up; the future is dropped then.
pub async fn timeout<F: Future>(
    clock: &dyn Clock,
    duration: Duration,
    future: F,
) -> Result<F::Output, Elapsed> {
    tokio::select! {
        // An answer that has arrived wins over a deadline that has passed.
        biased;
        output = future => Ok(output),
        () = clock.sleep(duration) => Err(Elapsed),
    }
}

// === impl Timestamp ===

impl Timestamp {
    /// The Unix epoch.
    pub const EPOCH: Self = Self(0);

    /// From milliseconds since the Unix epoch.
    #[must_use]
    pub const fn from_unix_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// From seconds since the Unix epoch, as JWT claims carry them (RFC 7519 section 2, `NumericDate`).
    #[must_use]
    pub const fn from_unix_seconds(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn unix_millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since the Unix epoch.
    #[must_use]
    pub const fn unix_seconds(self) -> u64 {
        self.0 / 1000
    }

    /// RFC 3339 in UTC, to the second.
    #[must_use]
    pub fn rfc3339(self) -> String {
        let seconds = i64::try_from(self.unix_seconds()).unwrap_or(i64::MAX);
        let time = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        time.format(&Rfc3339).unwrap_or_default()
    }

    /// This time and `duration` more.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }

    /// This time less `duration`, the epoch at the earliest.
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis(duration)))
    }

    /// How long ago `earlier` was; zero if it is later.
    #[must_use]
    pub const fn duration_since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Debug for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:03}s", self.0 / 1000, self.0 % 1000)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

// === impl SystemClock ===

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the machine's clock and sets timers of the runtime"
)]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let (start, steady) = started();
        Timestamp(steady.reading(millis(start.elapsed()), self.wall().0))
    }

    fn wall(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(millis(since))
    }

    fn stopwatch(&self) -> Duration {
        started().0.elapsed()
    }

    fn sleep_until(&self, deadline: Timestamp) -> BoxFuture<'static, ()> {
        self.sleep(deadline.duration_since(self.now()))
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// When the process first asked for the time, and the shared memory of the machine's clock.
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
fn started() -> &'static (Instant, Steady) {
    static STARTED: OnceLock<(Instant, Steady)> = OnceLock::new();
    STARTED.get_or_init(|| (Instant::now(), Steady::new()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates() {
        let end = Timestamp::from_unix_seconds(u64::MAX);
        assert_eq!(end.saturating_add(Duration::MAX), Timestamp(u64::MAX));
        assert_eq!(
            Timestamp::EPOCH.saturating_sub(Duration::from_secs(1)),
            Timestamp::EPOCH
        );
        assert_eq!(Timestamp::EPOCH.duration_since(end), Duration::ZERO);
    }

    #[tokio::test]
    async fn a_timeout_ends_when_the_clock_says_so() {
        let clock = ManualClock::starting_at(Timestamp::from_unix_seconds(1_000));
        let never = std::future::pending::<()>();
        let waiting = timeout(&clock, Duration::from_secs(5), never);
        tokio::pin!(waiting);
        assert!(futures_util::poll!(&mut waiting).is_pending());
        clock.advance(Duration::from_secs(5));
        assert_eq!(waiting.await, Err(Elapsed));
    }
}
