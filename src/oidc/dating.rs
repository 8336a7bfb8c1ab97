//! Which time client assertions bear: ours, and the provider's where it refuses ours and lets us in by its own.
//!
//! FAPI 2.0 Security Profile section 5.3.2.1 asks servers to take what is dated up to ten seconds ahead, and its note lets clients
//! correct their clock by `Date`. Only a refusal is a reason to: a `Date` that is wrong at a provider that does not mind
//! changes nothing.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use super::InvalidClient;
use crate::clock::Timestamp;

/// Clocks that are closer together, in seconds, are no reason to be refused.
const SAME_TIME: i64 = 2;

/// Clocks that are further apart, in seconds, are an operator's to mend.
const MOST: i64 = 300;

/// How assertions are dated.
#[derive(Debug, Default)]
pub(super) struct Dating {
    /// How far our clock is ahead of the provider's, in seconds, where that has to be made up for.
    ahead: AtomicI64,
}

// === impl Dating ===

impl Dating {
    /// The date of an assertion that is made at `now`.
    pub(super) fn date(&self, now: Timestamp) -> Timestamp {
        let ahead = self.ahead.load(Ordering::Relaxed);
        let apart = Duration::from_secs(ahead.unsigned_abs());
        if ahead < 0 {
            now.saturating_add(apart)
        } else {
            now.saturating_sub(apart)
        }
    }

    /// Whether an assertion with another date may be taken where this one was refused. From now on they have that date.
    pub(super) fn learn(&self, refused: &InvalidClient) -> bool {
        let ahead = match refused.clock {
            Some(time) if refused.proof.assertion.is_some() => time.ahead(),
            _ => return false,
        };
        let matters = (SAME_TIME + 1..=MOST).contains(&ahead.saturating_abs());
        matters && (self.ahead.swap(ahead, Ordering::Relaxed) - ahead).abs() > SAME_TIME
    }

    /// Goes back to our own time: the other one was refused as well.
    pub(super) fn forget(&self) {
        self.ahead.store(0, Ordering::Relaxed);
    }
}
