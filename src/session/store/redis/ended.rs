//! The sessions that this process has seen end.
//!
//! A Redis that returns from an older snapshot, or that lost its last writes in a failover, restores ended sessions.
//! Those that a living process remembers are ended again.

use std::collections::{HashMap, VecDeque};

use parking_lot::Mutex;

use crate::{
    clock::Timestamp,
    session::{EndReason, SessionKey},
};

/// The number of remembered ends, the newest ones: about ten megabytes.
const MOST: usize = 100_000;

/// Remembers ended sessions for as long as they could have lived.
#[derive(Debug, Default)]
pub(super) struct Ended {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    ends: HashMap<SessionKey, End>,
    /// In the order in which they were heard of.
    order: VecDeque<SessionKey>,
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) why: EndReason,
    /// When it would have ended at the latest.
    pub(super) latest: Timestamp,
}

// === impl Ended ===

impl Ended {
    pub(super) fn note(&self, key: SessionKey, end: End) {
        let mut known = self.known.lock();
        if known.ends.insert(key, end).is_none() {
            known.order.push_back(key);
        }
        if known.order.len() > MOST
            && let Some(oldest) = known.order.pop_front()
        {
            known.ends.remove(&oldest);
        }
    }

    pub(super) fn get(&self, key: &SessionKey) -> Option<End> {
        self.known.lock().ends.get(key).copied()
    }

    pub(super) fn contains(&self, key: &SessionKey) -> bool {
        self.get(key).is_some()
    }

    /// Those that could still live at `now`. Forgets the others.
    pub(super) fn current(&self, now: Timestamp) -> Vec<(SessionKey, End)> {
        let mut known = self.known.lock();
        let Known { ends, order } = &mut *known;
        ends.retain(|_, end| now < end.latest);
        order.retain(|key| ends.contains_key(key));
        ends.iter().map(|(key, end)| (*key, *end)).collect()
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

    fn end(latest: u64) -> End {
        End {
            why: EndReason::Logout,
            latest: Timestamp::from_unix_seconds(latest),
        }
    }

    #[test]
    fn an_end_is_remembered_for_the_session_lifetime() {
        let ended = Ended::default();
        ended.note(key(1), end(10));
        ended.note(key(2), end(20));
        assert!(ended.contains(&key(1)) && !ended.contains(&key(3)));
        let current = ended.current(Timestamp::from_unix_seconds(10));
        assert_eq!(current, [(key(2), end(20))]);
        assert!(!ended.contains(&key(1)));
    }

    #[test]
    fn the_newest_are_remembered() {
        let ended = Ended::default();
        for number in 0..u32::try_from(MOST).unwrap() + 2 {
            ended.note(key(number), end(10));
            ended.note(key(number), end(10));
        }
        assert!(!ended.contains(&key(0)) && !ended.contains(&key(1)) && ended.contains(&key(2)));
        assert_eq!(ended.current(Timestamp::EPOCH).len(), MOST);
    }
}
