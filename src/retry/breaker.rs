//! A circuit breaker: after several failures in a row attempts pause, then a few of them try again.

use std::time::Duration;

use parking_lot::Mutex;

use super::Backoff;
use crate::clock::Timestamp;

/// A trial whose outcome never arrives does not block the next one for longer.
const TRIAL: Duration = Duration::from_mins(1);
/// The longest wait for the outcome of a trial under way: it is over in a moment, most likely.
const SOON: Duration = Duration::from_secs(5);

/// When a breaker opens, and how it closes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerOptions {
    /// This many failures in a row open it.
    pub failures: u32,
    /// The pauses between trials.
    pub pauses: Backoff,
    /// The number of trials at a time.
    pub trials: u32,
}

/// A circuit breaker.
#[derive(Debug)]
pub struct Breaker {
    options: BreakerOptions,
    state: Mutex<State>,
}

/// The permission to make an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// The breaker is closed.
    Usual,
    /// It is a trial: its outcome decides, and [`Breaker::give_up`] ends it without one.
    Trial,
}

#[derive(Debug)]
enum State {
    /// Attempts pass.
    Closed { failures: u32 },
    /// No attempt before `until`.
    Open { until: Timestamp, pauses: u32 },
    /// Some attempts are under way, and the others wait for their outcome.
    Trial {
        until: Timestamp,
        pauses: u32,
        under_way: u32,
    },
}

// === impl Breaker ===

impl Breaker {
    /// A closed one.
    #[must_use]
    pub const fn new(options: BreakerOptions) -> Self {
        Self {
            options,
            state: Mutex::new(State::CLOSED),
        }
    }

    /// Its options.
    #[must_use]
    pub const fn options(&self) -> &BreakerOptions {
        &self.options
    }

    /// Whether an attempt may be made. While the breaker is open, a few callers at a time get a trial.
    ///
    /// # Errors
    ///
    /// When to ask again.
    pub fn check(&self, now: Timestamp) -> Result<Pass, Duration> {
        let mut state = self.state.lock();
        let (pauses, under_way) = match *state {
            State::Closed { .. } => return Ok(Pass::Usual),
            State::Open { until, .. } if now < until => return Err(until.duration_since(now)),
            State::Trial {
                pauses, under_way, ..
            } if under_way < self.options.trials => (pauses, under_way),
            State::Trial { until, .. } if now < until => {
                let longest = SOON.min(self.options.pauses.first);
                return Err(until.duration_since(now).min(longest));
            }
            State::Open { pauses, .. } | State::Trial { pauses, .. } => (pauses, 0),
        };
        *state = State::Trial {
            until: now.saturating_add(TRIAL),
            pauses,
            under_way: under_way + 1,
        };
        Ok(Pass::Trial)
    }

    /// The other side works. Returns whether this closed the breaker.
    pub fn success(&self) -> bool {
        let mut state = self.state.lock();
        let was_open = !matches!(*state, State::Closed { .. });
        *state = State::CLOSED;
        was_open
    }

    /// The other side does not work. Returns whether this opened the breaker.
    pub fn failure(&self, now: Timestamp) -> bool {
        let mut state = self.state.lock();
        let (opened, pauses) = match *state {
            State::Closed { failures } if failures + 1 < self.options.failures => {
                *state = State::Closed {
                    failures: failures + 1,
                };
                return false;
            }
            State::Closed { .. } => (true, 0),
            // Attempts that were under way when it opened bring no new information.
            State::Open { .. } => return false,
            State::Trial { pauses, .. } => (false, pauses.saturating_add(1)),
        };
        let until = now.saturating_add(self.options.pauses.pause(pauses));
        *state = State::Open { until, pauses };
        opened
    }

    /// A trial ended without an outcome: the next caller gets one.
    pub fn give_up(&self) {
        if let State::Trial { under_way, .. } = &mut *self.state.lock() {
            *under_way = under_way.saturating_sub(1);
        }
    }
}

// === impl State ===

impl State {
    const CLOSED: Self = Self::Closed { failures: 0 };
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_000);
    const FAILURES: u32 = 5;
    const PAUSES: Backoff = Backoff {
        first: Duration::from_secs(5),
        longest: Duration::from_mins(1),
    };

    fn after(seconds: u64) -> Timestamp {
        NOW.saturating_add(Duration::from_secs(seconds))
    }

    fn closed(trials: u32) -> Breaker {
        Breaker::new(BreakerOptions {
            failures: FAILURES,
            pauses: PAUSES,
            trials,
        })
    }

    fn open(trials: u32) -> Breaker {
        let breaker = closed(trials);
        for failure in 1..=FAILURES {
            assert_eq!(breaker.check(NOW), Ok(Pass::Usual));
            assert_eq!(breaker.failure(NOW), failure == FAILURES);
        }
        breaker
    }

    #[test]
    fn opens_after_failures_in_a_row_only() {
        let breaker = closed(1);
        for _ in 0..20 {
            for _ in 1..FAILURES {
                breaker.failure(NOW);
            }
            assert!(!breaker.success());
        }
        assert!(breaker.check(NOW).is_ok());
        assert_eq!(open(1).check(NOW), Err(PAUSES.first));
    }

    #[test]
    fn one_caller_at_a_time_gets_a_trial() {
        let breaker = open(1);
        assert_eq!(breaker.check(after(5)), Ok(Pass::Trial));
        assert!(breaker.check(after(5)).is_err());
        assert!(breaker.success());
        assert_eq!(breaker.check(after(5)), Ok(Pass::Usual));
        assert_eq!(breaker.check(after(5)), Ok(Pass::Usual));
    }

    #[test]
    fn several_trials_may_be_under_way() {
        let breaker = open(2);
        assert_eq!(breaker.check(after(5)), Ok(Pass::Trial));
        assert_eq!(breaker.check(after(5)), Ok(Pass::Trial));
        assert!(breaker.check(after(5)).is_err());
        assert!(!breaker.failure(after(5)));
        assert_eq!(breaker.check(after(5)), Err(Duration::from_secs(10)));
    }

    #[test]
    fn pauses_grow_to_a_limit() {
        let breaker = open(1);
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
        let breaker = open(1);
        assert!(breaker.check(after(5)).is_ok());
        assert!(breaker.check(after(64)).is_err());
        assert_eq!(breaker.check(after(65)), Ok(Pass::Trial));
    }

    #[test]
    fn a_trial_that_is_given_up_makes_room_for_the_next() {
        let breaker = open(1);
        assert_eq!(breaker.check(after(5)), Ok(Pass::Trial));
        breaker.give_up();
        assert_eq!(breaker.check(after(5)), Ok(Pass::Trial));
        assert!(breaker.check(after(5)).is_err());
    }

    #[test]
    fn failures_of_attempts_that_were_under_way_count_once() {
        let breaker = open(1);
        for _ in 0..30 {
            assert!(!breaker.failure(NOW));
        }
        assert_eq!(breaker.check(NOW), Err(PAUSES.first));
        assert!(breaker.check(after(5)).is_ok());
    }

    #[test]
    fn who_waits_for_a_trial_asks_again_soon() {
        let breaker = open(1);
        assert!(breaker.check(after(5)).is_ok());
        assert_eq!(breaker.check(after(5)), Err(PAUSES.first));
    }
}
