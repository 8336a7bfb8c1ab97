//! The counters of sessions.

use super::EndReason;
use crate::instruments::{Counter, Instruments, Series, Timer};

/// The counters of [`Sessions`](super::Sessions).
#[derive(Debug)]
pub(super) struct Measures {
    /// Sessions that were opened.
    pub(super) created: Counter,
    /// Claims of sessions whose last holder did not give them back in time.
    pub(super) taken_over: Counter,
    ended: [Counter; EndReason::ALL.len()],
}

/// The counters of a cache.
#[derive(Debug)]
pub(super) struct CacheMeasures {
    /// Sessions found in the cache.
    pub(super) hits: Counter,
    /// Sessions that were fetched.
    pub(super) misses: Counter,
}

/// The instruments of a store that answers over a network.
#[derive(Debug)]
pub(super) struct StoreMeasures {
    /// How long answers take, those included that never come.
    pub(super) latency: Timer,
    /// Commands that failed.
    pub(super) errors: Counter,
}

// === impl Measures ===

impl Measures {
    pub(super) fn new(instruments: &dyn Instruments) -> Self {
        let ended = |why: EndReason| Series::labelled("bff_sessions_destroyed_total", "reason", why.as_str());
        Self {
            created: instruments.counter(Series::of("bff_sessions_created_total")),
            taken_over: instruments.counter(Series::of("bff_token_lease_takeovers_total")),
            ended: EndReason::ALL.map(|why| instruments.counter(ended(why))),
        }
    }

    pub(super) fn ended(&self, why: EndReason) {
        let known = EndReason::ALL.iter().position(|reason| *reason == why);
        if let Some(counter) = known.and_then(|index| self.ended.get(index)) {
            counter.count();
        }
    }
}

// === impl CacheMeasures ===

impl CacheMeasures {
    pub(super) fn new(instruments: &dyn Instruments) -> Self {
        let of = |name| instruments.counter(Series::labelled(name, "cache", "sessions"));
        Self {
            hits: of("cache_hits_total"),
            misses: of("cache_misses_total"),
        }
    }
}

// === impl StoreMeasures ===

impl StoreMeasures {
    pub(super) fn new(instruments: &dyn Instruments) -> Self {
        Self {
            latency: instruments.timer(Series::of("bff_redis_latency_seconds")),
            errors: instruments.counter(Series::of("bff_redis_errors_total")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instruments::{Reading, Tally};

    #[test]
    fn an_end_counts_under_its_reason() {
        let tally = Tally::default();
        let measures = Measures::new(&tally);
        measures.ended(EndReason::AnswerLost);
        let counted: Vec<_> = tally
            .read()
            .into_iter()
            .filter(|(_, reading)| *reading == Reading::Count(1))
            .map(|(series, _)| series.label)
            .collect();
        assert_eq!(counted, [Some(("reason", "answer_lost"))]);
    }
}
