//! How long to wait before the next try: after failures in a row, spread so that those who failed together do not come back
//! together; and not before the time that the other side named. A [`Breaker`] spares another side that is down.

mod breaker;
mod retry_after;

use std::time::Duration;

pub use self::{
    breaker::{Breaker, BreakerOptions, Pass},
    retry_after::retry_after,
};
use crate::random::{Random, RandomExt as _};

/// Pauses that double, from `first` to `longest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The pause after the first failure.
    pub first: Duration,
    /// No pause is longer.
    pub longest: Duration,
}

// === impl Backoff ===

impl Backoff {
    /// The pause after so many failures before the last one: `first` for 0.
    #[must_use]
    pub fn pause(&self, failures_before: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(failures_before.min(16));
        self.first.saturating_mul(doubled).min(self.longest)
    }

    /// The same, [`jittered`].
    #[must_use]
    pub fn jittered(&self, failures_before: u32, random: &dyn Random) -> Duration {
        jittered(self.pause(failures_before), random)
    }
}

/// Between half of `wait` and all of it.
#[must_use]
pub fn jittered(wait: Duration, random: &dyn Random) -> Duration {
    wait.mul_f64(0.5 + random.fraction() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SystemRandom;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let backoff = Backoff {
            first: Duration::from_secs(1),
            longest: Duration::from_mins(1),
        };
        assert_eq!(backoff.pause(0), Duration::from_secs(1));
        assert_eq!(backoff.pause(3), Duration::from_secs(8));
        assert_eq!(backoff.pause(6), Duration::from_mins(1));
        assert_eq!(backoff.pause(u32::MAX), Duration::from_mins(1));
    }

    #[test]
    fn a_spread_pause_is_at_least_half_of_itself_and_never_longer() {
        let wait = Duration::from_secs(10);
        let waits: Vec<_> = (0..100).map(|_| jittered(wait, &SystemRandom)).collect();
        assert!(waits.iter().all(|spread| (wait / 2..=wait).contains(spread)));
        assert!(waits.iter().any(|spread| *spread != waits[0]));
    }
}
