//! Remembers why sessions have ended recently, for a browser that was not connected at that moment and asks later.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use parking_lot::Mutex;

use super::super::{EndReason, SessionKey};
use crate::clock::Timestamp;

/// An end is remembered for this long: longer than a browser waits before it reconnects.
const KEEP: Duration = Duration::from_mins(10);

/// The number of remembered ends, the newest ones: about a megabyte.
const MOST: usize = 10_000;

/// The ends that this process has caused or heard of.
#[derive(Debug, Default)]
pub(super) struct Lately(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    why: HashMap<SessionKey, EndReason>,
    /// In the order in which they were heard of.
    order: VecDeque<(Timestamp, SessionKey)>,
}

// === impl Lately ===

impl Lately {
    pub(super) fn note(&self, key: &SessionKey, why: EndReason, now: Timestamp) {
        let mut known = self.0.lock();
        known.forget_before(now.saturating_sub(KEEP));
        // Heard once more, from the process that ended it.
        if known.why.insert(*key, why).is_some() {
            return;
        }
        known.order.push_back((now, *key));
        if known.order.len() > MOST {
            known.forget_first();
        }
    }

    pub(super) fn get(&self, key: &SessionKey, now: Timestamp) -> Option<EndReason> {
        let mut known = self.0.lock();
        known.forget_before(now.saturating_sub(KEEP));
        known.why.get(key).copied()
    }
}

// === impl Known ===

impl Known {
    fn forget_before(&mut self, time: Timestamp) {
        while self.order.front().is_some_and(|(heard, _)| *heard < time) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some((_, key)) = self.order.pop_front() {
            self.why.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32) -> SessionKey {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        SessionKey::from_bytes(bytes)
    }

    #[test]
    fn an_end_is_remembered_for_a_while() {
        let (lately, now) = (Lately::default(), Timestamp::from_unix_seconds(1_000_000));
        lately.note(&key(1), EndReason::Idle, now);
        let later = now.saturating_add(KEEP);
        assert_eq!(lately.get(&key(1), later), Some(EndReason::Idle));
        assert_eq!(lately.get(&key(2), later), None);
        let over = later.saturating_add(Duration::from_millis(1));
        assert_eq!(lately.get(&key(1), over), None);
        assert!(lately.0.lock().order.is_empty());
    }

    #[test]
    fn the_newest_are_remembered() {
        let (lately, now) = (Lately::default(), Timestamp::from_unix_seconds(1_000_000));
        for number in 0..u32::try_from(MOST).unwrap() + 2 {
            lately.note(&key(number), EndReason::Logout, now);
            lately.note(&key(number), EndReason::Logout, now);
        }
        assert_eq!(lately.get(&key(1), now), None);
        assert_eq!(lately.get(&key(2), now), Some(EndReason::Logout));
        assert_eq!(lately.0.lock().why.len(), MOST);
    }
}
