//! When sessions were last used, until the store knows it.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::Mutex;

use crate::{
    clock::Timestamp,
    session::{SessionKey, store::life::Life},
};

/// The uses that the store does not know of yet.
#[derive(Debug, Default)]
pub(super) struct Uses(Mutex<HashMap<SessionKey, Arc<Use>>>);

/// When a session was last used.
#[derive(Debug, Default)]
pub(super) struct Use {
    life: Life,
    /// Whether it is listed in [`Uses`], newer than the value being written.
    waits: AtomicBool,
}

// === impl Uses ===

impl Uses {
    /// Notes a use. Takes the lock only for the first one since the last was written.
    pub(super) fn note(&self, key: &SessionKey, last_use: &Arc<Use>, at: Timestamp) {
        last_use.note(at);
        if !last_use.waits.swap(true, Ordering::SeqCst) {
            let before = self.0.lock().insert(*key, Arc::clone(last_use));
            // The session may have left the cache and come back meanwhile, with another time of last use.
            if let Some(before) = before {
                last_use.note(before.at());
            }
        }
    }

    /// The use of the session that the store does not know of yet.
    pub(super) fn get(&self, key: &SessionKey) -> Option<Arc<Use>> {
        self.0.lock().get(key).cloned()
    }

    /// All of them.
    pub(super) fn waiting(&self) -> Vec<(SessionKey, Arc<Use>)> {
        let waiting = self.0.lock();
        waiting
            .iter()
            .map(|(key, last_use)| (*key, Arc::clone(last_use)))
            .collect()
    }

    /// The store knows this use.
    pub(super) fn is_written(&self, key: &SessionKey, last_use: &Arc<Use>) {
        let mut waiting = self.0.lock();
        let same = waiting.get(key).is_some_and(|waits| Arc::ptr_eq(waits, last_use));
        if same && !last_use.waits.load(Ordering::SeqCst) {
            waiting.remove(key);
        }
    }

    /// The session has ended.
    pub(super) fn forget(&self, key: &SessionKey) {
        self.0.lock().remove(key);
    }
}

// === impl Use ===

impl Use {
    pub(super) fn at(&self) -> Timestamp {
        self.life.last_seen()
    }

    pub(super) fn note(&self, at: Timestamp) {
        self.life.touch(at);
    }

    /// The store is about to learn of it. A later use waits again.
    pub(super) fn is_being_written(&self) {
        self.waits.store(false, Ordering::SeqCst);
    }
}
