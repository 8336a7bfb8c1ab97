//! Sessions that this process may have changed without knowing it.
//!
//! An unanswered call may be executed later, and then its own message is the only notice of that.

use std::collections::HashSet;

use parking_lot::Mutex;

use crate::session::SessionKey;

/// The maximum number. An outage that leaves more also loses the connection for changes, and after that no earlier
/// knowledge counts.
const MOST: usize = 10_000;

/// The sessions about which a call was left without an answer.
#[derive(Debug, Default)]
pub(super) struct Unsure(Mutex<HashSet<SessionKey>>);

// === impl Unsure ===

impl Unsure {
    /// The outcome of a change of the session is unknown.
    pub(super) fn note(&self, key: &SessionKey) {
        let mut keys = self.0.lock();
        if keys.len() < MOST {
            keys.insert(*key);
        }
    }

    /// Whether it was, up to now.
    pub(super) fn take(&self, key: &SessionKey) -> bool {
        self.0.lock().remove(key)
    }
}
