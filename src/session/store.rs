//! The contract of every session store.
//!
//! Only [`Sessions`](super::Sessions) holds a store. A call concerns one session, or reads an index that may name too
//! many sessions but never too few. A store over several machines can promise this as well.

mod cached;
#[cfg(test)]
mod contract;
mod disk;
mod error;
mod life;
mod memory;
mod part;
mod redis;
mod sealed;
mod spread;

use std::{fmt, sync::Arc, time::Duration};

use aws_lc_rs::digest;
use futures_util::{future::BoxFuture, stream::BoxStream};

use super::{EndReason, Session, SessionId, SessionKey};
use crate::{clock::Timestamp, random::Random};

pub(super) use self::spread::BuildKeySpread;
pub use self::{
    cached::Cached,
    disk::{DiskError, DiskStore, Fault as DiskFault},
    error::{InsertError, ReplaceError, StoreError},
    memory::MemoryStore,
    part::Part,
    redis::{RedisCertificateError, RedisOptions, RedisStartError, RedisStore, RedisUrlError},
};

/// A call that takes longer counts as unanswered.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// A due session that is unreadable is tried again after this long: the secret may be a mistake that is corrected
/// soon, or another process may have it.
const UNREADABLE_AGAIN: Duration = Duration::from_mins(5);

/// Keeps sessions, and knows when their tokens are due.
///
/// The contract of every store, which the contract test checks:
///
/// - **A removed session stays removed.** No call brings it back: [`get`](Self::get) finds nothing,
///   [`replace`](Self::replace) is [`ReplaceError::Gone`], touching and claiming do nothing. Its key is never used
///   again, because only [`NewSession`] makes keys, each from a new id.
/// - **Writes are compare-and-set.** [`replace`](Self::replace) takes the version that the change was made from, and of
///   several writers with the same version exactly one succeeds.
/// - **A touch is not a write.** [`touch`](Self::touch) moves only the time of last use. It never changes the
///   version, so it never makes a token write fail. A token write in turn never counts as use.
/// - **Nothing leaves by itself.** A store drops no session because it is full, and none because it is beyond a
///   limit. [`overdue`](Self::overdue) names those, and [`remove`](Self::remove) returns each to exactly one caller.
/// - **One claimer at a time.** A session that [`claim_due`](Self::claim_due) or [`claim`](Self::claim) has returned
///   is not returned again until the [`Lease`] is released or expired. A lease does not stop
///   [`replace`](Self::replace): versions are for that.
/// - **A claim outlives its process.** If the process that claimed a session ends without releasing it, the next claim of
///   the session says so ([`Claimed::taken_over`]), wherever sessions themselves outlive the process.
/// - **Time is our clock's.** A store measures leases, due times and ends by the clock that it was made with.
pub trait SessionStore: fmt::Debug + Send + Sync + 'static {
    /// Stores a new session.
    fn insert(&self, new: NewSession) -> BoxFuture<'_, Result<Version, InsertError>>;

    /// The stored session, also beyond a limit. Does not count as use.
    fn get<'a>(&'a self, key: &'a SessionKey) -> BoxFuture<'a, Result<Option<Stored>, StoreError>>;

    /// [`get`](Self::get), with the last use that any process has written. A store with a cache shows only the uses
    /// of this process while these keep the session alive.
    fn get_newest<'a>(&'a self, key: &'a SessionKey) -> BoxFuture<'a, Result<Option<Stored>, StoreError>> {
        self.get(key)
    }

    /// Stores `session` in place of version `expected`, with the next due time of its tokens, and returns the new
    /// version. A full store accepts it if at all possible: it may be the only copy of a rotated refresh token.
    ///
    /// Issuer, subject, `sid` and `created_at` find a session; they must not change.
    fn replace<'a>(
        &'a self,
        key: &'a SessionKey,
        expected: Version,
        session: Arc<Session>,
        due: Due,
    ) -> BoxFuture<'a, Result<Version, ReplaceError>>;

    /// [`replace`](Self::replace) that also releases `lease`, in one step. Where it writes nothing, the lease stays. A
    /// lease that is no longer held does not hinder the write: versions are for that.
    fn complete<'a>(
        &'a self,
        lease: &'a Lease,
        expected: Version,
        session: Arc<Session>,
        due: Due,
    ) -> BoxFuture<'a, Result<Version, ReplaceError>>;

    /// Notes that the session was used at `at`. Does nothing if it is gone or was used later already.
    fn touch<'a>(&'a self, key: &'a SessionKey, at: Timestamp) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Removes the session and returns its last state, to exactly one of several callers. `None` if there is none.
    /// Followers of the [`changes`](Self::changes) receive `why`.
    fn remove<'a>(
        &'a self,
        key: &'a SessionKey,
        why: EndReason,
    ) -> BoxFuture<'a, Result<Option<Arc<Session>>, StoreError>>;

    /// The sessions of a person or of a login at the IdP, in any order. May name some that are gone, and misses none
    /// that [`insert`](Self::insert) has acknowledged.
    fn find<'a>(&'a self, whose: Whose<'a>) -> BoxFuture<'a, Result<Vec<Listed>, StoreError>>;

    /// The sessions of one part of all, in any order. May name some that are gone, but misses none that
    /// [`insert`](Self::insert) has acknowledged before the call. The cost depends on the size of the part.
    fn part(&self, part: Part) -> BoxFuture<'_, Result<Vec<SessionKey>, StoreError>>;

    /// Claims up to `limit` sessions whose tokens are due, the longest overdue first, each for `lease`. Fewer than
    /// `limit` means that no more are due now.
    fn claim_due(&self, limit: usize, lease: Duration) -> BoxFuture<'_, Result<Vec<Claimed>, StoreError>>;

    /// Claims this session for `lease`, due or not.
    fn claim<'a>(&'a self, key: &'a SessionKey, lease: Duration) -> BoxFuture<'a, Result<Claim, StoreError>>;

    /// Extends a lease to `duration` from now. `false` if it is no longer held: it had expired and another process
    /// claimed the session, or the session is gone.
    fn extend<'a>(&'a self, lease: &'a Lease, duration: Duration) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// Releases a lease and sets the due time of the session's tokens. Does nothing if it is no longer held.
    fn release(&self, lease: Lease, due: Due) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Up to `limit` sessions that may be beyond a limit of their [`Lifespan`](super::Lifespan), the longest overdue
    /// first. Names all of them if `limit` allows. Names one that was used meanwhile at most once.
    fn overdue(&self, limit: usize) -> BoxFuture<'_, Result<Vec<SessionKey>, StoreError>>;

    /// How much memory of this process a session takes, in bytes; [`Usage::memory`] adds these up.
    fn cost(&self, session: &Session) -> usize;

    /// How much is stored.
    fn usage(&self) -> BoxFuture<'_, Result<Usage, StoreError>>;

    /// Writes the deferred data, and fails if the store is unusable. Called every few seconds, and once more at the
    /// end.
    fn flush(&self) -> BoxFuture<'_, Result<(), StoreError>>;

    /// The changes of other processes. A store with a single writing process has none to report.
    fn changes(&self) -> BoxStream<'static, Change>;

    /// Whether all has been heard that other processes changed more than two seconds ago. A process that stood still has not,
    /// and knows that by its clock before [`changes`](Self::changes) says so.
    fn is_in_touch(&self) -> bool {
        true
    }
}

/// A session to be stored, under a key that was drawn for it. It cannot be cloned, so the same key cannot be stored
/// twice. An id that a browser sends (attack 7) never becomes one either.
pub struct NewSession {
    pub(super) key: SessionKey,
    pub(super) session: Arc<Session>,
    pub(super) due: Due,
    pub(super) last_seen: Timestamp,
}

/// A session as it was found.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The session.
    pub session: Arc<Session>,
    /// The version to pass to [`SessionStore::replace`] for a change made from it.
    pub version: Version,
    /// When it was last used.
    pub last_seen: Timestamp,
}

/// The owner whose sessions are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose<'a> {
    /// A person's (`iss` and `sub` of the ID token).
    Subject {
        /// `iss`.
        issuer: &'a str,
        /// `sub`.
        subject: &'a str,
    },
    /// Those of one login at the IdP (`iss` and `sid`, OpenID Connect Back-Channel Logout 1.0 section 2.1).
    Sid {
        /// `iss`.
        issuer: &'a str,
        /// `sid`.
        sid: &'a str,
    },
}

/// A session that an index names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// When its login was completed.
    pub created_at: Timestamp,
    /// The store's name for it.
    pub key: SessionKey,
}

/// When the tokens of a session are to be renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// At this time.
    At(Timestamp),
    /// Never.
    Never,
    /// When it was before.
    Unchanged,
}

/// A session that was claimed.
#[derive(Debug)]
pub struct Claimed {
    /// The right to renew its tokens.
    pub lease: Lease,
    /// The session.
    pub stored: Stored,
    /// Whether it was held before and not released in time: the holder has died, or stalls. A request to the IdP for this
    /// session may have been under way.
    pub taken_over: bool,
}

/// The outcome of a claim.
#[derive(Debug)]
pub enum Claim {
    /// It is the caller's.
    Claimed(Claimed),
    /// Another process holds it, for at least this long.
    Held(Stored, Duration),
    /// The session does not exist.
    Gone,
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
    since: Timestamp,
}

/// How much a store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The number of sessions, including those beyond a limit.
    pub sessions: usize,
    /// How much memory of this process they take, in bytes.
    pub memory: usize,
}

/// A change by another process, or the fact that changes were missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// This session was written, or its lease was released.
    Of(SessionKey),
    /// This session was removed.
    Ended(SessionKey, EndReason),
    /// Changes are heard from now on. Some may have been missed before: any session may have changed or ended.
    Heard,
    /// Changes are not heard from now on.
    Lost,
}

// === impl NewSession ===

impl NewSession {
    /// `session` under a new id, used now. The id goes only into the browser's cookie.
    pub(super) fn draw(
        random: &dyn Random,
        session: Arc<Session>,
        due: Due,
        now: Timestamp,
    ) -> (SessionId, Self) {
        let id = SessionId::generate(random);
        let new = Self {
            key: id.key(),
            session,
            due,
            last_seen: now,
        };
        (id, new)
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

// === impl Whose ===

impl<'a> Whose<'a> {
    /// The person of a session.
    #[must_use]
    pub fn person(session: &'a Session) -> Self {
        Self::Subject {
            issuer: &session.issuer,
            subject: &session.subject,
        }
    }

    /// The login at the IdP that created a session, if the IdP names it.
    #[must_use]
    pub fn login(session: &'a Session) -> Option<Self> {
        let sid = session.sid.as_deref()?;
        Some(Self::Sid {
            issuer: &session.issuer,
            sid,
        })
    }

    /// A SHA-256 of all of it: a key of fixed length for an index.
    fn digest(self) -> [u8; digest::SHA256_OUTPUT_LEN] {
        let (kind, issuer, name) = match self {
            Self::Subject { issuer, subject } => (b"s", issuer, subject),
            Self::Sid { issuer, sid } => (b"i", issuer, sid),
        };
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(kind);
        // Issuers are URLs and contain no NUL, so the two parts cannot be confused.
        hash.update(issuer.as_bytes());
        hash.update(&[0]);
        hash.update(name.as_bytes());
        let mut digest = [0; digest::SHA256_OUTPUT_LEN];
        digest.copy_from_slice(hash.finish().as_ref());
        digest
    }
}

// === impl Due ===

impl Due {
    /// This time, or never.
    #[must_use]
    pub fn at(time: Option<Timestamp>) -> Self {
        time.map_or(Self::Never, Self::At)
    }

    /// The time, if it was `before`.
    fn after(self, before: Option<Timestamp>) -> Option<Timestamp> {
        match self {
            Self::At(time) => Some(time),
            Self::Never => None,
            Self::Unchanged => before,
        }
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

    /// The same lease, for a write that goes on when its caller has stopped waiting.
    const fn copy(&self) -> Self {
        Self { ..*self }
    }

    /// When the session was claimed.
    #[must_use]
    pub const fn since(&self) -> Timestamp {
        self.since
    }
}
