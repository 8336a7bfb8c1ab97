//! Time that never goes back.

use std::sync::atomic::{AtomicI64, Ordering};

/// Combines two clocks: the machine's, which may be set, and a monotonic one, which may stand still during a
/// suspension.
///
/// It shows the monotonic time plus the largest lead that the machine's clock has ever had. If the machine's clock
/// jumps forward, or continues during a suspension, the lead grows; if it jumps back, the lead stays.
#[derive(Debug)]
pub(super) struct Steady {
    /// The most, in milliseconds, that the machine's clock has been ahead of the monotonic one.
    ahead: AtomicI64,
}

// === impl Steady ===

impl Steady {
    pub(super) const fn new() -> Self {
        Self {
            ahead: AtomicI64::new(i64::MIN),
        }
    }

    /// The time, from the values of both clocks in milliseconds.
    pub(super) fn reading(&self, monotonic: u64, wall: u64) -> u64 {
        let (monotonic, wall) = (signed(monotonic), signed(wall));
        let ahead = wall.saturating_sub(monotonic);
        let ahead = self.ahead.fetch_max(ahead, Ordering::Relaxed).max(ahead);
        u64::try_from(monotonic.saturating_add(ahead)).unwrap_or_default()
    }
}

fn signed(millis: u64) -> i64 {
    i64::try_from(millis).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The time that it shows for readings of the monotonic and the machine's clock.
    fn shown<const N: usize>(readings: [(u64, u64); N]) -> [u64; N] {
        let steady = Steady::new();
        readings.map(|(monotonic, wall)| steady.reading(monotonic, wall))
    }

    #[test]
    fn attack_44_a_clock_that_is_set_back_goes_on() {
        assert_eq!(
            shown([(0, 1_000_000), (10, 1_000_010), (20, 400_020), (30, 400_030)]),
            [1_000_000, 1_000_010, 1_000_020, 1_000_030]
        );
    }

    #[test]
    fn a_clock_that_is_set_forward_is_followed() {
        assert_eq!(
            shown([(0, 1_000_000), (10, 1_600_010), (20, 1_600_020)]),
            [1_000_000, 1_600_010, 1_600_020]
        );
    }

    #[test]
    fn attack_44_resetting_the_clock_reverts_nothing() {
        let times = shown([(0, 1_000_000), (10, 1_600_010), (20, 1_000_020), (30, 1_000_030)]);
        assert_eq!(times, [1_000_000, 1_600_010, 1_600_020, 1_600_030]);
    }

    /// The monotonic clock stands still then.
    #[test]
    fn attack_44_time_passes_during_a_suspension() {
        assert_eq!(
            shown([(0, 1_000_000), (10, 1_000_010), (11, 9_000_010)]),
            [1_000_000, 1_000_010, 9_000_010]
        );
    }

    #[test]
    fn what_cannot_be_shown_is_the_nearest() {
        assert_eq!(
            shown([(0, 0), (u64::MAX, u64::MAX)]),
            [0, u64::try_from(i64::MAX).unwrap()]
        );
    }
}
