//! The counters and timers of the server, for its operators.
//!
//! A module names its series ([`Series`]), takes a handle for each when it is made, and counts with an atomic addition. Who
//! shows the numbers is behind the port: [`Tally`] keeps them in memory.

use std::{
    collections::BTreeMap,
    fmt::{self, Debug},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;

use crate::clock::Timestamp;

/// When tokens of a session were renewed last.
pub const REFRESHED: Series = Series::of("bff_token_refresh_last_success_timestamp_seconds");

/// The time of the last fetch of our JWK Set.
pub const JWKS_FETCHED: Series = Series::of("bff_jwks_last_fetch_timestamp_seconds");

/// The fetches of our JWK Set.
pub const JWKS_FETCHES: Series = Series::of("bff_jwks_fetches_total");

/// One series of numbers: the name of the measure, and a label if there are several of a kind. Names and labels are
/// constants, so that no data of a request or a person becomes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Series {
    /// Its name, as Prometheus writes names.
    pub name: &'static str,
    /// Name and value of its label.
    pub label: Option<(&'static str, &'static str)>,
}

/// The sink of the numbers.
pub trait Instruments: Debug + Send + Sync + 'static {
    /// The counter of a series. All callers get the same counter for a series.
    fn counter(&self, series: Series) -> Counter;

    /// The timer of a series, on the same terms.
    fn timer(&self, series: Series) -> Timer;

    /// The moment of a series, on the same terms.
    fn moment(&self, series: Series) -> Moment;

    /// The present values of all series, in the order of their names.
    fn read(&self) -> Vec<(Series, Reading)>;
}

/// The instruments as every module gets them.
pub type SharedInstruments = Arc<dyn Instruments>;

/// Counts events. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Counter(Arc<AtomicU64>);

/// Counts events that take time. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Timer(Arc<Timed>);

/// Knows when something happened last. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Moment(Arc<AtomicU64>);

#[derive(Debug, Default)]
struct Timed {
    count: AtomicU64,
    /// In microseconds.
    sum: AtomicU64,
    longest: AtomicU64,
}

/// The present value of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// The count.
    Count(u64),
    /// The count, with the total and the longest duration.
    Times {
        /// How often.
        count: u64,
        /// All together.
        sum: Duration,
        /// The longest one.
        longest: Duration,
    },
    /// It happened last then; `None` where it never has.
    Last(Option<Timestamp>),
}

/// Keeps all numbers in memory.
#[derive(Debug, Default)]
pub struct Tally {
    counters: Mutex<BTreeMap<Series, Counter>>,
    timers: Mutex<BTreeMap<Series, Timer>>,
    moments: Mutex<BTreeMap<Series, Moment>>,
}

// === impl Series ===

impl Series {
    /// The only series of this name.
    #[must_use]
    pub const fn of(name: &'static str) -> Self {
        Self { name, label: None }
    }

    /// One of several of this name.
    #[must_use]
    pub const fn labelled(name: &'static str, label: &'static str, value: &'static str) -> Self {
        Self {
            name,
            label: Some((label, value)),
        }
    }
}

impl fmt::Display for Series {
    /// As Prometheus writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        match self.label {
            Some((label, value)) => write!(f, "{{{label}=\"{value}\"}}"),
            None => Ok(()),
        }
    }
}

// === impl Counter ===

impl Counter {
    /// Counts one.
    pub fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How often it has counted.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

// === impl Timer ===

impl Timer {
    /// Counts one with this duration.
    pub fn took(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.0.count.fetch_add(1, Ordering::Relaxed);
        self.0.sum.fetch_add(micros, Ordering::Relaxed);
        self.0.longest.fetch_max(micros, Ordering::Relaxed);
    }

    /// The counted value.
    #[must_use]
    pub fn get(&self) -> Reading {
        let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
        Reading::Times {
            count: read(&self.0.count),
            sum: Duration::from_micros(read(&self.0.sum)),
            longest: Duration::from_micros(read(&self.0.longest)),
        }
    }
}

// === impl Moment ===

impl Moment {
    /// It happens now.
    pub fn happened(&self, now: Timestamp) {
        self.0.store(now.unix_millis(), Ordering::Relaxed);
    }

    /// When it happened last.
    #[must_use]
    pub fn get(&self) -> Option<Timestamp> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            millis => Some(Timestamp::from_unix_millis(millis)),
        }
    }
}

// === impl Tally ===

impl Instruments for Tally {
    fn counter(&self, series: Series) -> Counter {
        self.counters.lock().entry(series).or_default().clone()
    }

    fn timer(&self, series: Series) -> Timer {
        self.timers.lock().entry(series).or_default().clone()
    }

    fn moment(&self, series: Series) -> Moment {
        self.moments.lock().entry(series).or_default().clone()
    }

    fn read(&self) -> Vec<(Series, Reading)> {
        let counters = self.counters.lock();
        let counters = counters.iter();
        let counts = counters.map(|(series, counter)| (*series, Reading::Count(counter.get())));
        let timed = self.timers.lock();
        let timers = timed.iter().map(|(series, timer)| (*series, timer.get()));
        let moments = self.moments.lock();
        let moments = moments.iter();
        let moments = moments.map(|(series, moment)| (*series, Reading::Last(moment.get())));
        let mut all: Vec<_> = counts.chain(timers).chain(moments).collect();
        all.sort_by_key(|(series, _)| *series);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_who_ask_for_a_series_count_together() {
        assert_eq!(Series::of("a_total").to_string(), "a_total");
        let tally = Tally::default();
        let series = Series::labelled("ends_total", "reason", "logout");
        assert_eq!(series.to_string(), "ends_total{reason=\"logout\"}");
        tally.counter(series).count();
        tally.counter(series).count();
        let _ = tally.counter(Series::labelled("ends_total", "reason", "idle"));
        assert_eq!(
            tally.read(),
            [
                (
                    Series::labelled("ends_total", "reason", "idle"),
                    Reading::Count(0)
                ),
                (series, Reading::Count(2)),
            ]
        );
    }

    #[test]
    fn a_timer_knows_how_often_how_long_and_the_longest() {
        let tally = Tally::default();
        let timer = tally.timer(Series::of("b_seconds"));
        let _ = tally.counter(Series::of("c_total"));
        timer.took(Duration::from_millis(2));
        timer.took(Duration::from_micros(500));
        let taken = Reading::Times {
            count: 2,
            sum: Duration::from_micros(2_500),
            longest: Duration::from_millis(2),
        };
        assert_eq!(tally.read()[0], (Series::of("b_seconds"), taken));
        assert_eq!(tally.read()[1].1, Reading::Count(0));
    }

    #[test]
    fn a_moment_is_the_last_time() {
        let tally = Tally::default();
        let moment = tally.moment(REFRESHED);
        assert_eq!(tally.read(), [(REFRESHED, Reading::Last(None))]);
        for seconds in [5, 7] {
            moment.happened(Timestamp::from_unix_seconds(seconds));
        }
        let last = Reading::Last(Some(Timestamp::from_unix_seconds(7)));
        assert_eq!(tally.read(), [(REFRESHED, last)]);
    }
}
