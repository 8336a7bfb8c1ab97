//! The counts of this process, bounded in number.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::Rate;
use crate::{
    clock::Timestamp,
    shared::{Taken, cell_rate},
};

/// The maximum number of counts, some 6 MiB.
const MAX: usize = 64 * 1024;

/// The parts of the counts, each with a lock of its own.
const PARTS: usize = 16;

/// When the allowances of callers are whole again.
#[derive(Debug, Default)]
pub(super) struct Buckets([Mutex<HashMap<[u8; 16], u64>>; PARTS]);

// === impl Buckets ===

impl Buckets {
    /// One use.
    pub(super) fn take(&self, name: [u8; 16], rate: Rate, now: Timestamp) -> Taken {
        // The names are keyed hashes, so that nobody chooses a part.
        let part = usize::from(name[0]) % PARTS;
        let mut counts = self.0[part].lock();
        let whole_at = counts.get(&name).copied();
        let (taken, whole_at) = cell_rate(whole_at, micros(now), rate.interval(), rate.tolerance());
        if matches!(taken, Taken::Allowed(_)) {
            if counts.len() >= MAX / PARTS && !counts.contains_key(&name) {
                make_room(&mut counts, now);
            }
            counts.insert(name, whole_at);
        }
        taken
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.iter().map(|part| part.lock().len()).sum()
    }
}

fn micros(now: Timestamp) -> u64 {
    now.unix_millis().saturating_mul(1_000)
}

/// Forgets whole allowances, which are as good as unknown ones. If these are few, forgets others by chance too: that is
/// generous to some callers of a flood, and costs a pass over a part only once for many of them.
fn make_room(counts: &mut HashMap<[u8; 16], u64>, now: Timestamp) {
    let now = micros(now);
    counts.retain(|_, whole_at| *whole_at > now);
    let mut surplus = counts.len().saturating_sub(MAX / PARTS / 8 * 7);
    counts.retain(|_, _| {
        let goes = surplus > 0;
        surplus = surplus.saturating_sub(1);
        !goes
    });
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn name(number: u32) -> [u8; 16] {
        let mut name = [0; 16];
        name[..4].copy_from_slice(&number.to_le_bytes());
        name
    }

    #[test]
    fn a_flood_of_callers_takes_bounded_memory() {
        let (buckets, rate) = (Buckets::default(), Rate::parse("1/m").unwrap());
        let now = Timestamp::from_unix_seconds(1_000);
        for number in 0..300_000 {
            assert_eq!(
                buckets.take(name(number), rate, now),
                Taken::Allowed(rate.window())
            );
        }
        assert!(buckets.len() <= MAX, "{}", buckets.len());
        // The newest are remembered.
        assert!(matches!(
            buckets.take(name(299_999), rate, now),
            Taken::Refused(_)
        ));
        // Those whose allowance is whole go first.
        let later = now.saturating_add(Duration::from_mins(2));
        for number in 300_000..400_000 {
            assert_eq!(
                buckets.take(name(number), rate, later),
                Taken::Allowed(rate.window())
            );
        }
        assert!(buckets.len() <= MAX);
    }
}
