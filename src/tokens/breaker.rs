//! Spares an IdP that is down: after several failures in a row refreshes pause, then one of them tries again.

use std::time::Duration;

use parking_lot::Mutex;

use crate::{clock::Timestamp, retry::Backoff};

/// This many failures in a row open the breaker.
const FAILURES: u32 = 5;
/// Between trials. The longest is how late sessions notice that the IdP is back. Not spread: one process asks for all of its
/// sessions, and their refreshes are spread themselves.
const PAUSES: Backoff = Backoff {
    first: Duration::from_secs(5),
    longest: Duration::from_mins(1),
};
/// A trial whose result never arrives does not block the next one for longer.
const TRIAL: Duration = Duration::from_mins(1);

/// A circuit breaker over all refreshes of this process.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    /// Attempts pass.
    Closed { failures: u32 },
    /// No attempt before `until`.
    Open { until: Timestamp, trials: u32 },
    /// One attempt is under way, and the others wait for its outcome.
    Trial { until: Timestamp, trials: u32 },
}

// === impl Breaker ===

impl Breaker {
    /// Whether an attempt may be made; if not, when to ask again. While the breaker is open one caller at a time gets
    /// a trial.
    pub(super) fn check(&self, now: Timestamp) -> Result<(), Duration> {
        let mut state = self.state.lock();
        match *state {
            State::Closed { .. } => Ok(()),
            State::Open { until, .. } if now < until => Err(until.duration_since(now)),
            // It is over in a moment, most likely.
            State::Trial { until, .. } if now < until => Err(until.duration_since(now).min(PAUSES.first)),
            State::Open { trials, .. } | State::Trial { trials, .. } => {
                let until = now.saturating_add(TRIAL);
                *state = State::Trial { until, trials };
                Ok(())
            }
        }
    }

    /// The IdP answered.
    pub(super) fn success(&self) {
        *self.state.lock() = State::default();
    }

    /// The IdP did not answer, or not sensibly. Returns whether this opened the breaker.
    pub(super) fn failure(&self, now: Timestamp) -> bool {
        let mut state = self.state.lock();
        let trials = match *state {
            State::Closed { failures } if failures + 1 < FAILURES => {
                *state = State::Closed {
                    failures: failures + 1,
                };
                return false;
            }
            State::Closed { .. } => 0,
            // Attempts that were under way when it opened bring no new information.
            State::Open { .. } => return false,
            State::Trial { trials, .. } => trials.saturating_add(1),
        };
        let opened = matches!(*state, State::Closed { .. });
        let until = now.saturating_add(PAUSES.pause(trials));
        *state = State::Open { until, trials };
        opened
    }
}

// === impl State ===

impl Default for State {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_000);

    fn after(seconds: u64) -> Timestamp {
        NOW.saturating_add(Duration::from_secs(seconds))
    }

    fn open() -> Breaker {
        let breaker = Breaker::default();
        for failure in 1..=FAILURES {
            assert!(breaker.check(NOW).is_ok());
            assert_eq!(breaker.failure(NOW), failure == FAILURES);
        }
        breaker
    }

    #[test]
    fn opens_after_failures_in_a_row_only() {
        let breaker = Breaker::default();
        for _ in 0..20 {
            for _ in 1..FAILURES {
                breaker.failure(NOW);
            }
            breaker.success();
        }
        assert!(breaker.check(NOW).is_ok());
        assert_eq!(open().check(NOW), Err(PAUSES.first));
    }

    #[test]
    fn one_caller_at_a_time_gets_a_trial() {
        let breaker = open();
        assert!(breaker.check(after(5)).is_ok());
        assert!(breaker.check(after(5)).is_err());
        breaker.success();
        assert!(breaker.check(after(5)).is_ok());
        assert!(breaker.check(after(5)).is_ok());
    }

    #[test]
    fn pauses_grow_to_a_limit() {
        let breaker = open();
        let mut now = after(5);
        for expected in [10, 20, 40, 60, 60] {
            assert!(breaker.check(now).is_ok());
            breaker.failure(now);
            assert_eq!(breaker.check(now), Err(Duration::from_secs(expected)));
            now = now.saturating_add(Duration::from_secs(expected));
        }
    }

    #[test]
    fn a_trial_that_got_lost_does_not_block_for_ever() {
        let breaker = open();
        assert!(breaker.check(after(5)).is_ok());
        assert!(breaker.check(after(64)).is_err());
        assert!(breaker.check(after(65)).is_ok());
    }

    #[test]
    fn failures_of_attempts_that_were_under_way_count_once() {
        let breaker = open();
        for _ in 0..30 {
            assert!(!breaker.failure(NOW));
        }
        assert_eq!(breaker.check(NOW), Err(PAUSES.first));
        assert!(breaker.check(after(5)).is_ok());
    }

    #[test]
    fn who_waits_for_a_trial_asks_again_soon() {
        let breaker = open();
        assert!(breaker.check(after(5)).is_ok());
        assert_eq!(breaker.check(after(5)), Err(PAUSES.first));
    }
}
