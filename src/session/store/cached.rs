//! A cache in front of a store, for the sessions in use: reading one of these costs as much as reading memory.
//!
//! The cache keeps sessions only while it hears the changes of other processes, that is, while the stream of
//! [`changes`](SessionStore::changes) is followed. It never shows a state older than the last acknowledged write of
//! this process, nor older than a change that it has heard. A read that misses notes the epoch of the session's
//! shard, reads the store, and keeps the result only if the epoch has not changed. Everything that may have changed a
//! session advances the epoch. Writes run in their own task, so that the cache stays correct even if a caller stops
//! waiting.
//!
//! The time of last use is kept here and written every few seconds, once for all uses meanwhile. Other processes do
//! the same and announce nothing. Therefore a session that seems to be over is read again first.

mod epochs;
mod uses;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::{
    FutureExt as _, StreamExt as _,
    future::{self, BoxFuture},
    stream::BoxStream,
};
use moka::sync::Cache;

use self::{
    epochs::Epochs,
    uses::{Use, Uses},
};
use super::{
    ANSWER_WITHIN, Change, Claim, Claimed, Due, EndReason, InsertError, Lease, Listed, NewSession, Part,
    ReplaceError, SessionStore, StoreError, Stored, Usage, Version, Whose, spread::BuildKeySpread,
};
use crate::{
    clock::{Elapsed, SharedClock, Timestamp, timeout},
    instruments::Instruments,
    session::{Lifespan, Session, SessionKey, measures::CacheMeasures},
};

/// The size of an entry beside the session's own weight, in bytes.
const OVERHEAD: usize = 512;

/// The number of concurrent writes of last uses.
const FLUSH_AT_ONCE: usize = 1_000;

/// A bounded cache of a store's sessions.
pub struct Cached<S> {
    inner: Arc<Inner<S>>,
}

struct Inner<S> {
    store: S,
    entries: Cache<SessionKey, Entry, BuildKeySpread>,
    epochs: Epochs,
    uses: Uses,
    lifespan: Lifespan,
    clock: SharedClock,
    /// Whether changes of other processes are heard.
    hears: AtomicBool,
    measures: CacheMeasures,
}

/// Ends the hearing with the stream.
struct Ear<S: SessionStore>(Arc<Inner<S>>);

/// One version of a session. All versions share the time of last use.
#[derive(Clone)]
struct Entry {
    session: Arc<Session>,
    version: Version,
    last_use: Arc<Use>,
}

// === impl Cached ===

impl<S: SessionStore> Cached<S> {
    /// `store`, with sessions of up to `capacity` bytes in memory.
    #[must_use]
    pub fn new(
        store: S,
        capacity: usize,
        lifespan: Lifespan,
        clock: SharedClock,
        instruments: &dyn Instruments,
    ) -> Self {
        let entries = Cache::builder()
            .name("cached sessions")
            .max_capacity(u64::try_from(capacity).unwrap_or(u64::MAX))
            .weigher(|_, entry: &Entry| u32::try_from(entry.session.weight() + OVERHEAD).unwrap_or(u32::MAX))
            .build_with_hasher(BuildKeySpread::default());
        Self {
            inner: Arc::new(Inner {
                store,
                entries,
                epochs: Epochs::default(),
                uses: Uses::default(),
                lifespan,
                clock,
                hears: AtomicBool::new(false),
                measures: CacheMeasures::new(instruments),
            }),
        }
    }

    /// Runs a write to its end, whether its caller waits or not. The caller waits no longer than the limit. Then the
    /// outcome is unknown to it, but the cache still learns of it.
    async fn run<T: Send + 'static, E: From<StoreError> + Send + 'static>(
        &self,
        write: impl Future<Output = Result<T, E>> + Send + 'static,
    ) -> Result<T, E> {
        match timeout(&*self.inner.clock, ANSWER_WITHIN, tokio::spawn(write)).await {
            Ok(Ok(written)) => written,
            Ok(Err(panicked)) => Err(StoreError::unavailable(panicked).into()),
            Err(Elapsed) => Err(StoreError::unavailable("it does not answer").into()),
        }
    }
}

impl<S> fmt::Debug for Cached<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cached").finish_non_exhaustive()
    }
}

impl<S: SessionStore> SessionStore for Cached<S> {
    fn insert(&self, new: NewSession) -> BoxFuture<'_, Result<Version, InsertError>> {
        self.inner.store.insert(new)
    }

    fn get<'a>(&'a self, key: &'a SessionKey) -> BoxFuture<'a, Result<Option<Stored>, StoreError>> {
        match self.inner.entries.get(key).map(|entry| entry.stored()) {
            Some(stored) if self.inner.lives(&stored) && self.inner.store.is_in_touch() => {
                self.inner.measures.hits.count();
                future::ready(Ok(Some(stored))).boxed()
            }
            _ => {
                self.inner.measures.misses.count();
                self.inner.fetch(key).boxed()
            }
        }
    }

    fn get_newest<'a>(&'a self, key: &'a SessionKey) -> BoxFuture<'a, Result<Option<Stored>, StoreError>> {
        self.inner.fetch(key).boxed()
    }

    fn replace<'a>(
        &'a self,
        key: &'a SessionKey,
        expected: Version,
        session: Arc<Session>,
        due: Due,
    ) -> BoxFuture<'a, Result<Version, ReplaceError>> {
        let (inner, key) = (Arc::clone(&self.inner), *key);
        self.run(async move {
            let write = inner.store.replace(&key, expected, Arc::clone(&session), due);
            inner.written(&key, session, write).await
        })
        .boxed()
    }

    fn complete<'a>(
        &'a self,
        lease: &'a Lease,
        expected: Version,
        session: Arc<Session>,
        due: Due,
    ) -> BoxFuture<'a, Result<Version, ReplaceError>> {
        let (inner, lease) = (Arc::clone(&self.inner), lease.copy());
        self.run(async move {
            let write = inner.store.complete(&lease, expected, Arc::clone(&session), due);
            inner.written(lease.key(), session, write).await
        })
        .boxed()
    }

    fn touch<'a>(&'a self, key: &'a SessionKey, at: Timestamp) -> BoxFuture<'a, Result<(), StoreError>> {
        match self.inner.entries.get(key) {
            Some(entry) => {
                self.inner.uses.note(key, &entry.last_use, at);
                future::ready(Ok(())).boxed()
            }
            None => self.inner.store.touch(key, at),
        }
    }

    fn remove<'a>(
        &'a self,
        key: &'a SessionKey,
        why: EndReason,
    ) -> BoxFuture<'a, Result<Option<Arc<Session>>, StoreError>> {
        let (inner, key) = (Arc::clone(&self.inner), *key);
        self.run(async move {
            let removed = inner.store.remove(&key, why).await;
            inner.forget(&key);
            removed
        })
        .boxed()
    }

    fn find<'a>(&'a self, whose: Whose<'a>) -> BoxFuture<'a, Result<Vec<Listed>, StoreError>> {
        self.inner.store.find(whose)
    }

    fn part(&self, part: Part) -> BoxFuture<'_, Result<Vec<SessionKey>, StoreError>> {
        self.inner.store.part(part)
    }

    fn claim_due(&self, limit: usize, lease: Duration) -> BoxFuture<'_, Result<Vec<Claimed>, StoreError>> {
        async move {
            let mut claimed = self.inner.store.claim_due(limit, lease).await?;
            for Claimed { lease, stored, .. } in &mut claimed {
                self.inner.note_use(lease.key(), stored);
            }
            Ok(claimed)
        }
        .boxed()
    }

    fn claim<'a>(&'a self, key: &'a SessionKey, lease: Duration) -> BoxFuture<'a, Result<Claim, StoreError>> {
        async move {
            let mut claim = self.inner.store.claim(key, lease).await?;
            if let Claim::Claimed(Claimed { stored, .. }) | Claim::Held(stored, _) = &mut claim {
                self.inner.note_use(key, stored);
            }
            Ok(claim)
        }
        .boxed()
    }

    fn extend<'a>(&'a self, lease: &'a Lease, duration: Duration) -> BoxFuture<'a, Result<bool, StoreError>> {
        self.inner.store.extend(lease, duration)
    }

    fn release(&self, lease: Lease, due: Due) -> BoxFuture<'_, Result<(), StoreError>> {
        self.inner.store.release(lease, due)
    }

    fn overdue(&self, limit: usize) -> BoxFuture<'_, Result<Vec<SessionKey>, StoreError>> {
        async move {
            // Otherwise the store would name sessions that were used since.
            self.inner.write_uses().await?;
            self.inner.store.overdue(limit).await
        }
        .boxed()
    }

    /// The size of the cache is bounded by itself.
    fn cost(&self, session: &Session) -> usize {
        self.inner.store.cost(session)
    }

    fn usage(&self) -> BoxFuture<'_, Result<Usage, StoreError>> {
        self.inner.store.usage()
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        async move {
            self.inner.write_uses().await?;
            self.inner.store.flush().await
        }
        .boxed()
    }

    fn changes(&self) -> BoxStream<'static, Change> {
        let ear = Ear(Arc::clone(&self.inner));
        // First the cache, then the watchers: they read at once.
        let changes = self.inner.store.changes().inspect(move |change| match change {
            Change::Of(key) | Change::Ended(key, _) => ear.0.invalidate(key),
            Change::Heard => ear.0.hears(true),
            Change::Lost => ear.0.hears(false),
        });
        changes.boxed()
    }
}

// === impl Inner ===

impl<S: SessionStore> Inner<S> {
    async fn fetch(&self, key: &SessionKey) -> Result<Option<Stored>, StoreError> {
        let epoch = self.epochs.now(key);
        let Some(stored) = self.store.get(key).await? else {
            return Ok(None);
        };
        let last_use = self.uses.get(key).unwrap_or_default();
        last_use.note(stored.last_seen);
        let entry = Entry {
            session: stored.session,
            version: stored.version,
            last_use,
        };
        let found = entry.stored();
        self.epochs.if_still(key, epoch, || self.keep(key, entry));
        Ok(Some(found))
    }

    /// The outcome of `write`, which stores `session`.
    async fn written(
        &self,
        key: &SessionKey,
        session: Arc<Session>,
        write: BoxFuture<'_, Result<Version, ReplaceError>>,
    ) -> Result<Version, ReplaceError> {
        let epoch = self.epochs.now(key);
        let written = write.await;
        let next = written.as_ref().ok().zip(self.entries.get(key));
        let next = next.map(|(version, entry)| Entry {
            session,
            version: *version,
            ..entry
        });
        self.epochs.go_on(key, |before| match next {
            Some(entry) if before == epoch => self.keep(key, entry),
            // Another write came between, or the outcome is unknown.
            _ => self.entries.invalidate(key),
        });
        written
    }

    fn lives(&self, stored: &Stored) -> bool {
        let end = self.lifespan.end_of(&stored.session, stored.last_seen);
        self.clock.now() < end
    }

    /// The session may have changed.
    fn invalidate(&self, key: &SessionKey) {
        self.epochs.go_on(key, |_| self.entries.invalidate(key));
    }

    /// From now on changes are heard, or not. What happened up to now may have been missed.
    fn hears(&self, hears: bool) {
        self.hears.store(hears, Ordering::SeqCst);
        self.epochs.all_go_on();
        self.entries.invalidate_all();
    }

    /// Only under the lock of the session's epoch, which moves on when the hearing ends.
    fn keep(&self, key: &SessionKey, entry: Entry) {
        if self.hears.load(Ordering::SeqCst) {
            self.entries.insert(*key, entry);
        }
    }

    /// The session has ended.
    fn forget(&self, key: &SessionKey) {
        self.invalidate(key);
        self.uses.forget(key);
    }

    /// The store does not know yet when the session was used.
    fn note_use(&self, key: &SessionKey, stored: &mut Stored) {
        if let Some(last_use) = self.uses.get(key) {
            stored.last_seen = stored.last_seen.max(last_use.at());
        }
    }

    async fn write_uses(&self) -> Result<(), StoreError> {
        let waiting = self.uses.waiting();
        for some in waiting.chunks(FLUSH_AT_ONCE) {
            let writes = some.iter().map(|(key, last_use)| async move {
                last_use.is_being_written();
                self.store.touch(key, last_use.at()).await?;
                self.uses.is_written(key, last_use);
                Ok::<_, StoreError>(())
            });
            future::try_join_all(writes).await?;
        }
        Ok(())
    }
}

// === impl Ear ===

impl<S: SessionStore> Drop for Ear<S> {
    fn drop(&mut self) {
        self.0.hears(false);
    }
}

// === impl Entry ===

impl Entry {
    fn stored(&self) -> Stored {
        Stored {
            session: Arc::clone(&self.session),
            version: self.version,
            last_seen: self.last_use.at(),
        }
    }
}

#[cfg(test)]
mod tests;
