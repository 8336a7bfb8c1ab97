//! Sessions in this process: one replica, gone with a restart.
//!
//! Reading is the hot path (every proxied call, every `/auth/verify`) and takes no lock of ours: a concurrent map holds
//! what a reader needs, and the time of last use is an atomic beside it. Everything that writes goes through one
//! [`Index`] under a lock, which decides, and then shows its decision in the map; there are some hundred writes a
//! second even with a million sessions.

mod index;
mod life;
mod spread;

use std::{fmt, sync::Arc, time::Duration};

use futures_util::future::{self, BoxFuture};
use moka::sync::Cache;
use parking_lot::Mutex;

use self::{index::Index, life::Life, spread::BuildKeySpread};
use super::{
    CreateError, Created, Ended, Lease, Limits, NewSession, ReplaceError, SessionStore, StoreError, Stored,
    Version,
};
use crate::{
    clock::{SharedClock, Timestamp},
    session::{Session, SessionKey},
};

/// How many sessions a sweep looks at before it lets others at the index.
const SWEEP_STRIDE: usize = 256;

/// Keeps sessions in memory.
pub struct MemoryStore {
    /// What readers see. A cache without a capacity: nothing leaves it but by our decision.
    live: Cache<SessionKey, Entry, BuildKeySpread>,
    index: Mutex<Index>,
    limits: Limits,
    clock: SharedClock,
}

/// One version of a session. All versions share its life, so that neither a touch nor the end is lost to a write.
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
    pub fn new(limits: Limits, clock: SharedClock) -> Self {
        Self {
            live: Cache::builder()
                .name("sessions")
                .build_with_hasher(BuildKeySpread::default()),
            index: Mutex::new(Index::new(limits)),
            limits,
            clock,
        }
    }

    fn create_now(&self, new: NewSession) -> Result<Created, CreateError> {
        let now = self.clock.now();
        let entry = Entry::new(new.session, now);
        let mut index = self.index.lock();
        let ended = index.create(new.key, entry.clone(), new.due, now)?;
        for gone in &ended {
            self.forget(&gone.key);
        }
        let version = entry.version;
        self.live.insert(new.key, entry);
        Ok(Created {
            id: new.id,
            key: new.key,
            version,
            ended,
        })
    }

    fn read(&self, key: &SessionKey) -> Option<Stored> {
        let entry = self.live.get(key)?;
        let last_seen = entry.last_seen();
        (self.clock.now() < self.limits.end_of(&entry.session, last_seen)).then(|| Stored {
            session: entry.session,
            version: entry.version,
            last_seen,
        })
    }

    fn replace_now(
        &self,
        key: &SessionKey,
        expected: Version,
        session: Arc<Session>,
        due: Option<Timestamp>,
    ) -> Result<Version, ReplaceError> {
        let mut index = self.index.lock();
        let entry = index.replace(key, expected, session, due, self.clock.now())?;
        let version = entry.version;
        self.live.insert(*key, entry);
        Ok(version)
    }

    fn touch_now(&self, key: &SessionKey) {
        let Some(entry) = self.live.get(key) else {
            return;
        };
        // The use counts from this moment, however late the next line but one is reached: a session that was in use just
        // before its end may be seen as ended for those nanoseconds. One that was removed or swept is not in the map.
        let now = self.clock.now();
        if now < self.limits.end_of(&entry.session, entry.last_seen()) {
            entry.life.touch(now);
        }
    }

    /// Takes a session that has ended from the readers' sight, and tells those that wait for its end.
    fn forget(&self, key: &SessionKey) {
        if let Some(entry) = self.live.remove(key) {
            entry.life.end();
        }
    }

    /// The moment at which the session ends by a limit, if it is not used meanwhile, and its life. `None` where it has
    /// ended.
    fn life_of(
        live: &Cache<SessionKey, Entry, BuildKeySpread>,
        key: &SessionKey,
        limits: &Limits,
    ) -> Option<(Timestamp, Arc<Life>)> {
        let entry = live.get(key)?;
        Some((limits.end_of(&entry.session, entry.last_seen()), entry.life))
    }

    fn remove_now(&self, key: &SessionKey) -> Option<Arc<Session>> {
        let mut index = self.index.lock();
        let session = index.remove(key)?;
        self.forget(key);
        Some(session)
    }

    fn remove_person(&self, issuer: &str, subject: &str) -> Vec<Ended> {
        let mut index = self.index.lock();
        let ended = index.remove_by_subject(issuer, subject);
        for gone in &ended {
            self.forget(&gone.key);
        }
        ended
    }

    fn sweep_now(&self, limit: usize) -> Vec<Ended> {
        let now = self.clock.now();
        let mut ended = Vec::new();
        loop {
            // Unlocked between strides: after a quiet hour a million sessions may be up for a look.
            let mut index = self.index.lock();
            let before = ended.len();
            let more = index.sweep(now, SWEEP_STRIDE, limit, &mut ended);
            for gone in &ended[before..] {
                self.forget(&gone.key);
            }
            if !more {
                return ended;
            }
        }
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Everything is done when the call returns; the future only carries the answer.
fn ready<'a, T: Send + 'a>(answer: T) -> BoxFuture<'a, T> {
    Box::pin(future::ready(answer))
}

impl SessionStore for MemoryStore {
    fn create(&self, new: NewSession) -> BoxFuture<'_, Result<Created, CreateError>> {
        ready(self.create_now(new))
    }

    fn get<'a>(&'a self, key: &'a SessionKey) -> BoxFuture<'a, Result<Option<Stored>, StoreError>> {
        ready(Ok(self.read(key)))
    }

    fn replace<'a>(
        &'a self,
        key: &'a SessionKey,
        expected: Version,
        session: Arc<Session>,
        due: Option<Timestamp>,
    ) -> BoxFuture<'a, Result<Version, ReplaceError>> {
        ready(self.replace_now(key, expected, session, due))
    }

    fn touch<'a>(&'a self, key: &'a SessionKey) -> BoxFuture<'a, Result<(), StoreError>> {
        self.touch_now(key);
        ready(Ok(()))
    }

    fn remove<'a>(&'a self, key: &'a SessionKey) -> BoxFuture<'a, Result<Option<Arc<Session>>, StoreError>> {
        ready(Ok(self.remove_now(key)))
    }

    fn remove_by_subject<'a>(
        &'a self,
        issuer: &'a str,
        subject: &'a str,
    ) -> BoxFuture<'a, Result<Vec<Ended>, StoreError>> {
        ready(Ok(self.remove_person(issuer, subject)))
    }

    fn until_end(&self, key: &SessionKey) -> BoxFuture<'static, ()> {
        // A clone of the map refers to the same map.
        let (live, clock, limits, key) = (self.live.clone(), Arc::clone(&self.clock), self.limits, *key);
        Box::pin(async move {
            while let Some((end, life)) = Self::life_of(&live, &key, &limits) {
                if end <= clock.now() {
                    return;
                }
                // The limit may have moved when it is reached: the session was used.
                tokio::select! {
                    () = life.ended() => return,
                    () = clock.sleep_until(end) => {}
                }
            }
        })
    }

    fn has_session<'a>(
        &'a self,
        issuer: &'a str,
        subject: &'a str,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        let now = self.clock.now();
        ready(Ok(self.index.lock().has_session(issuer, subject, now)))
    }

    fn claim_due(&self, limit: usize, lease: Duration) -> BoxFuture<'_, Result<Vec<Lease>, StoreError>> {
        ready(Ok(self.index.lock().claim_due(limit, self.clock.now(), lease)))
    }

    fn claim<'a>(
        &'a self,
        key: &'a SessionKey,
        lease: Duration,
    ) -> BoxFuture<'a, Result<Option<Lease>, StoreError>> {
        ready(Ok(self.index.lock().claim(key, self.clock.now(), lease)))
    }

    fn renew<'a>(&'a self, lease: &'a Lease, duration: Duration) -> BoxFuture<'a, Result<bool, StoreError>> {
        ready(Ok(self.index.lock().renew(lease, self.clock.now(), duration)))
    }

    fn release(&self, lease: Lease) -> BoxFuture<'_, Result<(), StoreError>> {
        self.index.lock().release(&lease);
        ready(Ok(()))
    }

    fn reschedule<'a>(
        &'a self,
        key: &'a SessionKey,
        due: Option<Timestamp>,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.index.lock().reschedule(key, due, self.clock.now());
        ready(Ok(()))
    }

    fn sweep(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Ended>, StoreError>> {
        ready(Ok(self.sweep_now(limit)))
    }

    fn len(&self) -> BoxFuture<'_, Result<usize, StoreError>> {
        ready(Ok(self.index.lock().len()))
    }
}

// === impl Entry ===

impl Entry {
    fn new(session: Arc<Session>, now: Timestamp) -> Self {
        Self {
            session,
            version: Version::FIRST,
            life: Arc::new(Life::new(now)),
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

#[cfg(test)]
mod tests;
