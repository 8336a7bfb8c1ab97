//! Remembers the sessions about which the log has recently said something.

use std::{collections::HashMap, time::Duration};

use parking_lot::Mutex;

use crate::{clock::Timestamp, session::SessionKey};

/// The log names a session once in this time.
const EVERY: Duration = Duration::from_mins(1);

/// At most this many sessions are named in that time.
const MOST: usize = 1_000;

/// Sessions, and when they were named.
#[derive(Debug, Default)]
pub(in super::super) struct Told(Mutex<HashMap<SessionKey, Timestamp>>);

// === impl Told ===

impl Told {
    /// Whether the session was not named recently. It counts as named from now on.
    pub(in super::super) fn first(&self, key: &SessionKey, now: Timestamp) -> bool {
        let mut told = self.0.lock();
        let is_lately = |at: &Timestamp| now.duration_since(*at) < EVERY;
        if told.get(key).is_some_and(is_lately) {
            return false;
        }
        if told.len() >= MOST {
            told.retain(|_, at| is_lately(at));
            if told.len() >= MOST {
                return false;
            }
        }
        told.insert(*key, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::SessionId;

    fn key(number: u64) -> SessionKey {
        // Any 43 characters of base64url that end on a byte.
        SessionId::parse(format!("{number:0>42}A").as_bytes())
            .unwrap()
            .key()
    }

    #[test]
    fn a_session_is_told_of_once_a_minute_and_a_flood_ends() {
        let told = Told::default();
        let start = Timestamp::from_unix_seconds(1_800_000_000);
        assert!(told.first(&key(0), start));
        assert!(!told.first(&key(0), start.saturating_add(EVERY / 2)));
        assert!(told.first(&key(1), start));
        let said = (2..5_000)
            .filter(|number| told.first(&key(*number), start))
            .count();
        assert_eq!(said, MOST - 2);
        let later = start.saturating_add(EVERY);
        assert!(told.first(&key(0), later));
        assert!(told.first(&key(4_999), later));
    }
}
