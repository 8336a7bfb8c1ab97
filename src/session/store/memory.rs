//! Sessions in this process: one replica, gone with a restart.
//!
//! Reading is the hot path (every proxied call, every `/auth/verify`) and takes none of our locks: a concurrent map
//! holds the data for readers, and the time of last use is an atomic beside it. Every write goes through one
//! [`Index`] under a lock, which decides and then updates the map. Even with a million sessions there are only some
//! hundred writes a second.

mod index;

use std::{fmt, sync::Arc, time::Duration};

use futures_util::{
    StreamExt as _,
    future::{self, BoxFuture},
    stream::{self, BoxStream},
};
use moka::sync::Cache;
use parking_lot::Mutex;

use self::index::Index;
use super::{
    Change, Claim, Claimed, Due, EndReason, InsertError, Lease, Listed, NewSession, Part, ReplaceError,
    SessionStore, StoreError, Stored, Usage, Version, Whose, life::Life, spread::BuildKeySpread,
};
use crate::{
    clock::{SharedClock, Timestamp},
    session::{Lifespan, Session, SessionKey},
};

/// The number of sessions that one pass checks before it releases the index to others.
const OVERDUE_STRIDE: usize = 256;

/// Keeps sessions in memory.
pub struct MemoryStore {
    /// The data for readers. A cache without a capacity: nothing leaves it without our decision.
    live: Cache<SessionKey, Entry, BuildKeySpread>,
    index: Mutex<Index>,
    clock: SharedClock,
}

/// One version of a session. All versions share its life, so that no touch is lost to a write.
#[derive(Clone)]
struct Entry {
    session: Arc<Session>,
    version: Version,
    life: Arc<Life>,
}

// === impl MemoryStore ===

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new(lifespan: Lifespan, clock: SharedClock) -> Self {
        Self {
            live: Cache::builder()
                .name("sessions")
                .build_with_hasher(BuildKeySpread::default()),
            index: Mutex::new(Index::new(lifespan)),
            clock,
        }
    }

    fn insert_now(&self, new: NewSession) -> Result<Version, InsertError> {
        let entry = Entry::new(new.session, new.last_seen);
        let mut index = self.index.lock();
        index.insert(new.key, entry.clone(), new.due)?;
        let version = entry.version;
        self.live.insert(new.key, entry);
        Ok(version)
    }

    fn replace_now(
        &self,
        key: &SessionKey,
        expected: Version,
        session: Arc<Session>,
        due: Due,
        lease: Option<&Lease>,
    ) -> Result<Version, ReplaceError> {
        let mut index = self.index.lock();
        let entry = index.replace(key, expected, session, due)?;
        let version = entry.version;
        if let Some(lease) = lease {
            index.release(lease, Due::Unchanged);
        }
        self.live.insert(*key, entry);
        Ok(version)
    }

    fn remove_now(&self, key: &SessionKey) -> Option<Arc<Session>> {
        let mut index = self.index.lock();
        let session = index.remove(key)?;
        self.live.remove(key);
        Some(session)
    }

    fn overdue_now(&self, limit: usize) -> Vec<SessionKey> {
        let now = self.clock.now();
        let mut overdue = Vec::new();
        // Unlocked between strides: after a quiet hour a million sessions may be up for a look.
        while self
            .index
            .lock()
            .overdue(now, OVERDUE_STRIDE, limit, &mut overdue)
        {}
        overdue
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

/// Everything is done when the call returns; the future only carries the answer.
fn ready<'a, T: Send + 'a>(answer: T) -> BoxFuture<'a, T> {
    Box::pin(future::ready(answer))
}

impl SessionStore for MemoryStore {
    fn insert(&self, new: NewSession) -> BoxFuture<'_, Result<Version, InsertError>> {
        ready(self.insert_now(new))
    }

    fn get<'a>(&'a self, key: &'a SessionKey) -> BoxFuture<'a, Result<Option<Stored>, StoreError>> {
        ready(Ok(self.live.get(key).map(Stored::from)))
    }

    fn replace<'a>(
        &'a self,
        key: &'a SessionKey,
        expected: Version,
        session: Arc<Session>,
        due: Due,
    ) -> BoxFuture<'a, Result<Version, ReplaceError>> {
        ready(self.replace_now(key, expected, session, due, None))
    }

    fn complete<'a>(
        &'a self,
        lease: &'a Lease,
        expected: Version,
        session: Arc<Session>,
        due: Due,
    ) -> BoxFuture<'a, Result<Version, ReplaceError>> {
        ready(self.replace_now(lease.key(), expected, session, due, Some(lease)))
    }

    fn touch<'a>(&'a self, key: &'a SessionKey, at: Timestamp) -> BoxFuture<'a, Result<(), StoreError>> {
        if let Some(entry) = self.live.get(key) {
            entry.life.touch(at);
        }
        ready(Ok(()))
    }

    fn remove<'a>(
        &'a self,
        key: &'a SessionKey,
        _why: EndReason,
    ) -> BoxFuture<'a, Result<Option<Arc<Session>>, StoreError>> {
        ready(Ok(self.remove_now(key)))
    }

    fn find<'a>(&'a self, whose: Whose<'a>) -> BoxFuture<'a, Result<Vec<Listed>, StoreError>> {
        ready(Ok(self.index.lock().find(whose)))
    }

    fn part(&self, part: Part) -> BoxFuture<'_, Result<Vec<SessionKey>, StoreError>> {
        let keys = self.live.iter().map(|(key, _)| *key);
        ready(Ok(keys.filter(|key| Part::of(key) == part).collect()))
    }

    fn claim_due(&self, limit: usize, lease: Duration) -> BoxFuture<'_, Result<Vec<Claimed>, StoreError>> {
        ready(Ok(self.index.lock().claim_due(limit, self.clock.now(), lease)))
    }

    fn claim<'a>(&'a self, key: &'a SessionKey, lease: Duration) -> BoxFuture<'a, Result<Claim, StoreError>> {
        ready(Ok(self.index.lock().claim(key, self.clock.now(), lease)))
    }

    fn extend<'a>(&'a self, lease: &'a Lease, duration: Duration) -> BoxFuture<'a, Result<bool, StoreError>> {
        ready(Ok(self.index.lock().extend(lease, self.clock.now(), duration)))
    }

    fn release(&self, lease: Lease, due: Due) -> BoxFuture<'_, Result<(), StoreError>> {
        self.index.lock().release(&lease, due);
        ready(Ok(()))
    }

    fn overdue(&self, limit: usize) -> BoxFuture<'_, Result<Vec<SessionKey>, StoreError>> {
        ready(Ok(self.overdue_now(limit)))
    }

    fn cost(&self, session: &Session) -> usize {
        index::cost(session)
    }

    fn usage(&self) -> BoxFuture<'_, Result<Usage, StoreError>> {
        ready(Ok(self.index.lock().usage()))
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        ready(Ok(()))
    }

    fn changes(&self) -> BoxStream<'static, Change> {
        stream::iter([Change::Heard]).chain(stream::pending()).boxed()
    }
}

// === impl Entry ===

impl Entry {
    fn new(session: Arc<Session>, last_seen: Timestamp) -> Self {
        Self {
            session,
            version: Version::FIRST,
            life: Arc::new(Life::new(last_seen)),
        }
    }

    /// The next version, used when this one was.
    fn next(&self, session: Arc<Session>) -> Self {
        Self {
            session,
            version: self.version.next(),
            life: Arc::clone(&self.life),
        }
    }

    fn last_seen(&self) -> Timestamp {
        self.life.last_seen()
    }
}

impl From<Entry> for Stored {
    fn from(entry: Entry) -> Self {
        Self {
            last_seen: entry.last_seen(),
            session: entry.session,
            version: entry.version,
        }
    }
}

#[cfg(test)]
mod tests;
