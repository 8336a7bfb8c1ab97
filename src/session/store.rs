//! Where sessions are kept: the promises of every store.

#[cfg(test)]
mod contract;
mod memory;

use std::{error::Error, fmt, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;

use super::{Session, SessionId, SessionKey};
use crate::{clock::Timestamp, random::Random};

pub use self::memory::MemoryStore;

/// Keeps sessions, and knows when their tokens are due.
///
/// What every store promises, and the contract test checks:
///
/// - **A session that has ended stays ended.** After [`remove`](Self::remove), a limit or a sweep, no call brings it
///   back: [`get`](Self::get) finds nothing, [`replace`](Self::replace) is [`ReplaceError::Gone`], touching and
///   claiming do nothing. Its key is never used again, since only [`NewSession`] makes keys, each from a new id.
/// - **Writes are compare-and-set.** [`replace`](Self::replace) takes the version that the change was made from, and of
///   several writers with the same version exactly one succeeds.
/// - **A touch is no write.** [`touch`](Self::touch) moves the idle limit alone; it never changes the version, so it
///   never makes a token write fail. A token write in turn never counts as use.
/// - **Time is our clock's.** A session beyond a limit of [`Limits`] has ended from that moment for every call,
///   whenever the record itself goes. [`sweep`](Self::sweep) hands out what has ended that way, for the tokens to be
///   revoked; [`remove`](Self::remove) still hands it out too.
/// - **Nothing leaves silently.** No session is dropped for want of room: [`create`](Self::create) refuses instead.
///   Each method that ends a session returns it to exactly one caller.
/// - **One claimer at a time.** A session that [`claim_due`](Self::claim_due) or [`claim`](Self::claim) handed out is
///   handed to nobody else until the [`Lease`] is released or over. A lease does not stop
///   [`replace`](Self::replace): that is what versions are for.
/// - **What nobody uses is not kept alive.** A session beyond the idle limit is never claimed.
#[expect(
    clippy::len_without_is_empty,
    reason = "the number is for a metric and an operator; nobody decides by emptiness"
)]
pub trait SessionStore: fmt::Debug + Send + Sync + 'static {
    /// Stores a new session. Where the person would have more than [`Limits::max_per_user`], their sessions that have
    /// ended already go first, then the oldest; [`Created::ended`] returns them. All of it happens or nothing.
    fn create(&self, new: NewSession) -> BoxFuture<'_, Result<Created, CreateError>>;

    /// The session, unless it has ended. Does not count as use.
    fn get<'a>(&'a self, key: &'a SessionKey) -> BoxFuture<'a, Result<Option<Stored>, StoreError>>;

    /// Stores `session` in place of version `expected`, with the time at which its tokens are due next, and returns
    /// the new version. Never refused for want of room: it may carry the only copy of a rotated refresh token.
    ///
    /// Issuer, subject and `created_at` are what the person's sessions are found by; keep them as they are.
    fn replace<'a>(
        &'a self,
        key: &'a SessionKey,
        expected: Version,
        session: Arc<Session>,
        due: Option<Timestamp>,
    ) -> BoxFuture<'a, Result<Version, ReplaceError>>;

    /// Notes that the session was used now. Nothing where it has ended.
    fn touch<'a>(&'a self, key: &'a SessionKey) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Ends the session and returns its last state, to exactly one of several callers. `None` where there is none.
    fn remove<'a>(&'a self, key: &'a SessionKey) -> BoxFuture<'a, Result<Option<Arc<Session>>, StoreError>>;

    /// Ends all sessions of a person, and returns them.
    fn remove_by_subject<'a>(
        &'a self,
        issuer: &'a str,
        subject: &'a str,
    ) -> BoxFuture<'a, Result<Vec<Ended>, StoreError>>;

    /// Resolves when the session has ended, for any reason: at once where there is none. Holds nothing that keeps
    /// the session or the store alive longer than they would be.
    fn until_end(&self, key: &SessionKey) -> BoxFuture<'static, ()>;

    /// Whether the person has a session that has not ended.
    fn has_session<'a>(
        &'a self,
        issuer: &'a str,
        subject: &'a str,
    ) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// Claims up to `limit` sessions whose tokens are due, the longest overdue first, each for `lease`.
    fn claim_due(&self, limit: usize, lease: Duration) -> BoxFuture<'_, Result<Vec<Lease>, StoreError>>;

    /// Claims this session for `lease`, due or not. `None` where somebody else holds it or it has ended.
    fn claim<'a>(
        &'a self,
        key: &'a SessionKey,
        lease: Duration,
    ) -> BoxFuture<'a, Result<Option<Lease>, StoreError>>;

    /// Extends a lease to `duration` from now. `false` where it is no longer held: it was over and somebody else claimed
    /// the session, or the session has ended.
    fn renew<'a>(&'a self, lease: &'a Lease, duration: Duration) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// Gives a lease back; nothing where it is no longer held. The session is due when it was, so store or
    /// [`reschedule`](Self::reschedule) first.
    fn release(&self, lease: Lease) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Changes when the session's tokens are due, without a new version; `None` for never. Nothing where it has ended.
    fn reschedule<'a>(
        &'a self,
        key: &'a SessionKey,
        due: Option<Timestamp>,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Drops up to `limit` sessions that are beyond a limit, and returns them. Fewer than `limit` means that no more
    /// are left now.
    fn sweep(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Ended>, StoreError>>;

    /// How many sessions are stored, those that have ended and were not swept yet included.
    fn len(&self) -> BoxFuture<'_, Result<usize, StoreError>>;
}

/// What bounds the sessions of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long a session lives at most (`SESSION_LIFETIME`), beside its own
    /// [`expires_at`](Session::expires_at).
    pub lifetime: Duration,
    /// How long it lives without use (`SESSION_IDLE_TIMEOUT`).
    pub idle: Duration,
    /// How many there are (`SESSION_MAX`).
    pub max: usize,
    /// How many a person has (`SESSION_MAX_PER_USER`); the one being created always counts.
    pub max_per_user: usize,
    /// How much memory they take, in bytes by [`Session::weight`] and the store's own cost
    /// (`SESSION_MEMORY_LIMIT`).
    pub memory: usize,
}

/// A session to be created, under an id that was drawn for it alone. Cannot be cloned, which is what makes it
/// impossible to create the same key twice; an id that a browser brings along (attack 7) never becomes one either.
pub struct NewSession {
    id: SessionId,
    key: SessionKey,
    session: Arc<Session>,
    due: Option<Timestamp>,
}

/// A session that was stored.
#[derive(Debug)]
pub struct Created {
    /// For the browser's cookie.
    pub id: SessionId,
    /// What the store calls it.
    pub key: SessionKey,
    /// Its first version.
    pub version: Version,
    /// Sessions of the same person that ended to make room; their tokens want to be revoked.
    pub ended: Vec<Ended>,
}

/// A session as it was found.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The session.
    pub session: Arc<Session>,
    /// What [`SessionStore::replace`] must be given for a change made from it.
    pub version: Version,
    /// When it was last used.
    pub last_seen: Timestamp,
}

/// A session that has left the store; its tokens want to be revoked.
#[derive(Clone, Debug)]
pub struct Ended {
    /// What the store called it.
    pub key: SessionKey,
    /// Its last state.
    pub session: Arc<Session>,
}

/// Counts the writes of one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(u64);

/// The right to renew a session's tokens, for a while.
#[derive(Debug)]
#[must_use = "a lease that is not released keeps others from the session until it is over"]
pub struct Lease {
    key: SessionKey,
    /// Tells this lease from every other one of the session, so that a late holder changes nothing.
    number: u64,
}

/// Why a session was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// As many sessions as `SESSION_MAX` allows.
    #[error("the session store is full: SESSION_MAX is reached")]
    TooMany,
    /// As much memory as `SESSION_MEMORY_LIMIT` allows.
    #[error("the session store is full: SESSION_MEMORY_LIMIT is reached")]
    OutOfMemory,
    /// The id that was drawn is in use: the generator is broken.
    #[error("the session id that was drawn exists already")]
    Taken,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a session was not replaced.
#[derive(Debug, thiserror::Error)]
pub enum ReplaceError {
    /// It has ended. New tokens that were meant for it want to be revoked.
    #[error("the session has ended")]
    Gone,
    /// Another write came first: read it again and decide anew.
    #[error("the session was changed meanwhile")]
    Conflict,
    /// The store failed. Whether the write happened is unknown.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A store that cannot be worked with at the moment.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached, or failed.
    #[error("the session store is not available")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self {
            lifetime: Duration::from_hours(8),
            idle: Duration::from_hours(1),
            max: 1_000_000,
            max_per_user: 50,
            memory: 1 << 30,
        }
    }
}

impl Limits {
    /// When `session`, last used at `last_seen`, ends: the first of its absolute limits and the idle limit.
    #[must_use]
    pub fn end_of(&self, session: &Session, last_seen: Timestamp) -> Timestamp {
        let idle = last_seen.saturating_add(self.idle);
        self.absolute_end_of(session).min(idle)
    }

    fn absolute_end_of(&self, session: &Session) -> Timestamp {
        let lifetime = session.created_at.saturating_add(self.lifetime);
        session.expires_at.min(lifetime)
    }
}

// === impl NewSession ===

impl NewSession {
    /// `session` under a new id, with the time at which its tokens are due first.
    #[must_use]
    pub fn new(random: &dyn Random, session: Arc<Session>, due: Option<Timestamp>) -> Self {
        let id = SessionId::generate(random);
        let key = id.key();
        Self {
            id,
            key,
            session,
            due,
        }
    }

    /// What the store will call it.
    #[must_use]
    pub const fn key(&self) -> &SessionKey {
        &self.key
    }
}

impl fmt::Debug for NewSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewSession")
            .field("session", &self.session)
            .field("due", &self.due)
            .finish_non_exhaustive()
    }
}

// === impl Version ===

impl Version {
    const FIRST: Self = Self(1);

    const fn next(self) -> Self {
        // A write a nanosecond would take five centuries to come round.
        Self(self.0.wrapping_add(1))
    }
}

// === impl Lease ===

impl Lease {
    /// The session that it is for.
    #[must_use]
    pub const fn key(&self) -> &SessionKey {
        &self.key
    }
}
