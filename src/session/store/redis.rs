//! Sessions in a Redis that several processes share.
//!
//! Operations that must be atomic run in one script, which Redis runs without interruption: it reads the session,
//! decides, writes, and notifies the other processes. Therefore no two processes overwrite each other, and a lost
//! answer leaves no partial change: a script that is sent twice recognises its second arrival, and repeats its first
//! answer.
//!
//! `docs/redis.md` is for operators, `docs/adr/0029-redis.md` says why it is built like this.

mod changes;
mod count;
mod ended;
mod entry;
mod failure;
mod link;
mod many;
mod message;
mod meter;
mod names;
mod once;
mod one;
mod options;
mod passing;
mod scripts;
mod servers;
mod shared;
mod start;
mod start_error;
mod texts;
mod touch;
mod trial;
mod unsure;

use std::{fmt, sync::Arc, time::Duration};

use futures_util::{future::BoxFuture, stream::BoxStream};

use self::{
    count::Count, ended::Ended, link::Link, names::Names, one::Only, touch::Touch, trial::Trial,
    unsure::Unsure,
};
use super::{
    Change, Claim, Claimed, Due, EndReason, InsertError, Lease, Listed, NewSession, Part, ReplaceError,
    SessionStore, StoreError, Stored, Usage, Version, Whose, sealed::Seal,
};
use crate::{
    clock::{SharedClock, Timestamp},
    instruments::Instruments,
    random::{RandomExt as _, SharedRandom},
    seal::Sealer,
    session::{Lifespan, Session, SessionKey, measures::StoreMeasures},
};

pub use self::{
    options::{RedisCertificateError, RedisOptions, RedisUrlError},
    start_error::RedisStartError,
};

/// Keeps sessions in Redis. Cheap to clone; clones share the connection.
#[derive(Clone)]
pub struct RedisStore {
    inner: Arc<Inner>,
}

struct Inner {
    link: Link,
    names: Names,
    seal: Seal,
    lifespan: Lifespan,
    clock: SharedClock,
    random: SharedRandom,
    /// Distinguishes the messages of this process from those of others.
    process: String,
    ended: Ended,
    unsure: Unsure,
    count: Count,
    touch: Touch,
    trial: Trial,
}

// === impl RedisStore ===

impl RedisStore {
    /// Connects, and makes sure that this Redis can keep sessions.
    ///
    /// # Errors
    ///
    /// [`RedisStartError`] names the problem and the fix.
    pub async fn connect(
        options: RedisOptions,
        lifespan: Lifespan,
        sealer: Sealer,
        clock: SharedClock,
        random: SharedRandom,
        instruments: &dyn Instruments,
    ) -> Result<Self, RedisStartError> {
        let names = Names::new(&options.prefix);
        let link = Link::new(options, Arc::clone(&clock), StoreMeasures::new(instruments));
        start::check(&link, &names).await?;
        let inner = Inner {
            link,
            names,
            seal: Seal::new(sealer),
            lifespan,
            clock,
            process: random.base64url::<8>(),
            random,
            ended: Ended::default(),
            unsure: Unsure::default(),
            count: Count::default(),
            touch: Touch::default(),
            trial: Trial::default(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("link", &self.inner.link)
            .finish_non_exhaustive()
    }
}

impl SessionStore for RedisStore {
    fn insert(&self, new: NewSession) -> BoxFuture<'_, Result<Version, InsertError>> {
        Box::pin(self.inner.insert(new))
    }

    fn get<'a>(&'a self, key: &'a SessionKey) -> BoxFuture<'a, Result<Option<Stored>, StoreError>> {
        Box::pin(self.inner.get(key))
    }

    fn replace<'a>(
        &'a self,
        key: &'a SessionKey,
        expected: Version,
        session: Arc<Session>,
        due: Due,
    ) -> BoxFuture<'a, Result<Version, ReplaceError>> {
        Box::pin(async move { self.inner.replace(key, expected, &session, due, None).await })
    }

    fn complete<'a>(
        &'a self,
        lease: &'a Lease,
        expected: Version,
        session: Arc<Session>,
        due: Due,
    ) -> BoxFuture<'a, Result<Version, ReplaceError>> {
        Box::pin(async move {
            self.inner
                .replace(lease.key(), expected, &session, due, Some(lease))
                .await
        })
    }

    fn touch<'a>(&'a self, key: &'a SessionKey, at: Timestamp) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.inner.touch(key, at))
    }

    fn remove<'a>(
        &'a self,
        key: &'a SessionKey,
        why: EndReason,
    ) -> BoxFuture<'a, Result<Option<Arc<Session>>, StoreError>> {
        Box::pin(self.inner.remove(key, why))
    }

    fn find<'a>(&'a self, whose: Whose<'a>) -> BoxFuture<'a, Result<Vec<Listed>, StoreError>> {
        Box::pin(self.inner.find(whose))
    }

    fn part(&self, part: Part) -> BoxFuture<'_, Result<Vec<SessionKey>, StoreError>> {
        Box::pin(self.inner.part(part))
    }

    fn claim_due(&self, limit: usize, lease: Duration) -> BoxFuture<'_, Result<Vec<Claimed>, StoreError>> {
        Box::pin(self.inner.claim_due(limit, lease))
    }

    fn claim<'a>(&'a self, key: &'a SessionKey, lease: Duration) -> BoxFuture<'a, Result<Claim, StoreError>> {
        Box::pin(self.inner.claim(key, lease, Only::Named))
    }

    fn extend<'a>(&'a self, lease: &'a Lease, duration: Duration) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(self.inner.extend(lease, duration))
    }

    fn release(&self, lease: Lease, due: Due) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.inner.release(lease, due))
    }

    fn overdue(&self, limit: usize) -> BoxFuture<'_, Result<Vec<SessionKey>, StoreError>> {
        Box::pin(self.inner.overdue(limit))
    }

    /// Nothing: Redis has the sessions, and bounds its own memory.
    fn cost(&self, _session: &Session) -> usize {
        0
    }

    fn usage(&self) -> BoxFuture<'_, Result<Usage, StoreError>> {
        Box::pin(self.inner.usage())
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        // Nothing is deferred. It still reports whether Redis answers, and keeps writes.
        Box::pin(self.inner.try_it())
    }

    fn changes(&self) -> BoxStream<'static, Change> {
        changes::follow(Arc::clone(&self.inner))
    }

    fn is_in_touch(&self) -> bool {
        self.inner.touch.lasts(self.inner.clock.now())
    }
}

#[cfg(test)]
mod tests;
