//! Spares an IdP that is down: after several failures in a row refreshes pause, then one of them tries again.

use std::time::Duration;

use parking_lot::Mutex;

use crate::clock::Timestamp;

/// This many failures in a row open the breaker.
const FAILURES: u32 = 5;
/// The first pause; it doubles with every trial that fails.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// The longest pause: how late sessions notice at most that the IdP is back.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// A trial whose result never arrives does not block the next one for longer.
const TRIAL: Duration = Duration::from_mins(1);

/// A circuit breaker over all refreshes of this process.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    /// No attempt before this, where the breaker is open.
    closed_until: Option<Timestamp>,
}

// === impl Breaker ===

impl Breaker {
    /// Whether an attempt may be made; if not, when to ask again. While the breaker is open one caller at a time gets
    /// a trial.
    pub(super) fn check(&self, now: Timestamp) -> Result<(), Duration> {
        let mut state = self.state.lock();
        match state.closed_until {
            Some(until) if now < until => Err(until.duration_since(now)),
            Some(_) => {
                state.closed_until = Some(now.saturating_add(TRIAL));
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// The IdP answered.
    pub(super) fn success(&self) {
        *self.state.lock() = State::default();
    }

    /// The IdP did not answer, or not sensibly. Returns whether this opened the breaker.
    pub(super) fn failure(&self, now: Timestamp) -> bool {
        let mut state = self.state.lock();
        state.failures = state.failures.saturating_add(1);
        let Some(trials) = state.failures.checked_sub(FAILURES) else {
            return false;
        };
        let pause = FIRST_PAUSE.saturating_mul(1 << trials.min(4)).min(LONGEST_PAUSE);
        state.closed_until = Some(now.saturating_add(pause));
        trials == 0
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
        assert_eq!(open().check(NOW), Err(FIRST_PAUSE));
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
}
