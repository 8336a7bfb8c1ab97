//! Sessions that this process may have changed without knowing it.
//!
//! A call that is not answered in time may be carried out later, and its own message is then the only one that tells.

use std::collections::HashSet;

use parking_lot::Mutex;

use crate::session::SessionKey;

/// More than this are not remembered. An outage that leaves more takes the connection for changes along, after which
/// nothing that was known before counts.
const MOST: usize = 10_000;

/// The sessions about which a call was left without an answer.
#[derive(Debug, Default)]
pub(super) struct Unsure(Mutex<HashSet<SessionKey>>);

// === impl Unsure ===

impl Unsure {
    /// What became of a change of the session is unknown.
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
