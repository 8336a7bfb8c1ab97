//! The rotation policy, and its consequences for one key.

use std::time::Duration;

use super::Entry;
use crate::clock::Timestamp;

/// A server that was away for no longer than this counts as publishing all the time.
pub(super) const RESTART: Duration = Duration::from_secs(30);

/// How keys are rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How long a key signs before a new one takes its place; `None` for no rotation by age.
    pub rotate_after: Option<Duration>,
    /// How long a key stays published after it has stopped signing.
    pub retire_after: Duration,
    /// How many keys of the keyring are published at most, as far as that drops neither the next nor the active one.
    pub max_keys: usize,
    /// How long a new key is published before it signs.
    pub publish_ahead: Duration,
}

// === impl Policy ===

impl Policy {
    /// How often it is noted that the next key is published.
    pub(super) fn beat(&self) -> Duration {
        (self.publish_ahead / 24).clamp(Duration::from_secs(10), Duration::from_hours(1))
    }

    /// After a longer time without a note, no server has published the next key.
    pub(super) fn pause(&self) -> Duration {
        self.beat() * 2 + RESTART
    }

    pub(super) fn signs_at(&self, next: &Entry) -> Timestamp {
        next.since.saturating_add(self.publish_ahead)
    }

    /// When the key is made that replaces `active` at its end.
    pub(super) fn replaced_at(&self, active: &Entry) -> Option<Timestamp> {
        let early = self.rotate_after?.saturating_sub(self.publish_ahead);
        Some(active.since.saturating_add(early))
    }

    pub(super) fn rotation_is_due(&self, active: &Entry, now: Timestamp) -> bool {
        self.replaced_at(active).is_some_and(|at| now >= at)
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            rotate_after: None,
            retire_after: Duration::from_hours(24 * 60),
            max_keys: 3,
            publish_ahead: Duration::from_hours(24),
        }
    }
}
