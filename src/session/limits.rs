//! How long sessions live, and how many there may be.

use std::time::Duration;

use super::{EndReason, Session};
use crate::clock::Timestamp;

/// How long a session lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifespan {
    /// The maximum (`SESSION_LIFETIME`), in addition to its own [`ends_at`](Session::ends_at).
    pub lifetime: Duration,
    /// Without use (`SESSION_IDLE_TIMEOUT`).
    pub idle: Duration,
}

/// The limits of a server's sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long one lives.
    pub lifespan: Lifespan,
    /// How many there are (`SESSION_MAX`).
    pub max: usize,
    /// How many a person has (`SESSION_MAX_PER_USER`); the one being opened always counts.
    pub max_per_user: usize,
    /// How much memory they take, in bytes by [`Session::weight`] and the store's own cost
    /// (`SESSION_MEMORY_LIMIT`).
    pub memory: usize,
}

// === impl Lifespan ===

impl Default for Lifespan {
    fn default() -> Self {
        Self {
            lifetime: Duration::from_hours(8),
            idle: Duration::from_hours(1),
        }
    }
}

impl Lifespan {
    /// When `session`, last used at `last_seen`, ends: the first of its absolute limits and the idle limit.
    #[must_use]
    pub fn end_of(&self, session: &Session, last_seen: Timestamp) -> Timestamp {
        self.end(session.created_at, session.ends_at(), last_seen)
    }

    /// [`end_of`](Self::end_of) a session, from these facts alone.
    #[must_use]
    pub fn end(&self, created_at: Timestamp, expires_at: Timestamp, last_seen: Timestamp) -> Timestamp {
        let idle = last_seen.saturating_add(self.idle);
        self.absolute_end(created_at, expires_at).min(idle)
    }

    /// The limit that `session`, last used at `last_seen`, has reached. `None` while it lives.
    #[must_use]
    pub fn over(&self, session: &Session, last_seen: Timestamp, now: Timestamp) -> Option<EndReason> {
        if now < self.end_of(session, last_seen) {
            None
        } else if self.absolute_end_of(session) <= now {
            Some(EndReason::Lifetime)
        } else {
            Some(EndReason::Idle)
        }
    }

    /// When `session` ends however it is used.
    #[must_use]
    pub fn absolute_end_of(&self, session: &Session) -> Timestamp {
        self.absolute_end(session.created_at, session.ends_at())
    }

    fn absolute_end(&self, created_at: Timestamp, expires_at: Timestamp) -> Timestamp {
        expires_at.min(created_at.saturating_add(self.lifetime))
    }
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self {
            lifespan: Lifespan::default(),
            max: 1_000_000,
            max_per_user: 50,
            memory: 1 << 30,
        }
    }
}
