//! Epochs tell whether a session may have changed since a read began.

use parking_lot::Mutex;

use crate::session::SessionKey;

/// The number of epochs. Sessions share an epoch by chance. More epochs cost memory, fewer cost repeated reads.
const SHARDS: usize = 256;

/// An epoch for each part of the sessions.
#[derive(Debug)]
pub(super) struct Epochs([Mutex<Epoch>; SHARDS]);

/// Moves on with every change of a session of its part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Epoch(u64);

// === impl Epochs ===

impl Default for Epochs {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }
}

impl Epochs {
    fn of(&self, key: &SessionKey) -> &Mutex<Epoch> {
        &self.0[usize::from(key.as_bytes()[0])]
    }

    /// The epoch of the session now.
    pub(super) fn now(&self, key: &SessionKey) -> Epoch {
        *self.of(key).lock()
    }

    /// Does it unless the epoch has moved on, and before it does.
    pub(super) fn if_still(&self, key: &SessionKey, epoch: Epoch, keep: impl FnOnce()) {
        let now = self.of(key).lock();
        if *now == epoch {
            keep();
        }
    }

    /// Advances the epoch; `change` receives the former one.
    pub(super) fn go_on(&self, key: &SessionKey, change: impl FnOnce(Epoch)) {
        let mut now = self.of(key).lock();
        change(*now);
        now.0 = now.0.wrapping_add(1);
    }

    /// Moves all epochs on.
    pub(super) fn all_go_on(&self) {
        for epoch in &self.0 {
            let mut now = epoch.lock();
            now.0 = now.0.wrapping_add(1);
        }
    }
}
