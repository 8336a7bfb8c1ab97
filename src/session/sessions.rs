//! The one door to sessions.
//!
//! Only [`Sessions`] holds the store. It decides everything that a store does not: whether a session beyond a limit
//! still counts, whether there is room for another one, the side effects of an end, and who learns of it.

mod admission;
mod ending;
mod lately;
mod listing;
mod news;
mod opening;
mod watch;

use std::{error::Error, sync::Arc, time::Duration};

use parking_lot::RwLock;
use tokio_util::sync::CancellationToken;

use self::{admission::Admission, lately::Lately, watch::Watchers};
pub use self::{
    listing::Found,
    news::{News, NewsItem, Outlook},
    opening::{OpenError, Opened},
    watch::Watch,
};
use super::{
    Claim, Claimed, Due, EndReason, Lease, Lifespan, Limits, Listener, ReplaceError, Session, SessionKey,
    SessionRef, SessionStore, StoreError, Stored, measures::Measures,
};
use crate::{
    clock::SharedClock,
    health::{Component, Health},
    instruments::Instruments,
    random::SharedRandom,
    seal::Sealer,
};

/// The interval at which the store writes deferred data. A crash loses at most this much of the time of last use.
const FLUSH_EVERY: Duration = Duration::from_secs(5);

/// All sessions. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sessions {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Arc<dyn SessionStore>,
    limits: Limits,
    admission: Admission,
    watchers: Watchers,
    lately: Lately,
    listeners: RwLock<Vec<Arc<dyn Listener>>>,
    sealer: Sealer,
    clock: SharedClock,
    random: SharedRandom,
    measures: Measures,
}

/// Why a session was not changed.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// It has ended. The caller has to revoke tokens that came for it meanwhile.
    #[error("the session has ended")]
    Gone,
    /// The store failed. Whether the write happened is unknown.
    #[error(transparent)]
    Store(#[from] StoreError),
}

// === impl Sessions ===

impl Sessions {
    /// The sessions of `store`, under `limits`. `sealer` makes their names for logs. `instruments` count their
    /// events.
    #[must_use]
    pub fn new(
        store: Arc<dyn SessionStore>,
        limits: Limits,
        sealer: Sealer,
        clock: SharedClock,
        random: SharedRandom,
        instruments: &dyn Instruments,
    ) -> Self {
        let inner = Inner {
            store,
            limits,
            admission: Admission::default(),
            watchers: Watchers::default(),
            lately: Lately::default(),
            listeners: RwLock::default(),
            sealer,
            clock,
            random,
            measures: Measures::new(instruments),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Tells `listener` of every session that this process ends from now on.
    pub fn subscribe(&self, listener: Arc<dyn Listener>) {
        self.inner.listeners.write().push(listener);
    }

    /// How long sessions live.
    #[must_use]
    pub fn lifespan(&self) -> &Lifespan {
        &self.inner.limits.lifespan
    }

    /// The public name of the session, for all parts except browser and store.
    #[must_use]
    pub fn reference(&self, key: &SessionKey) -> SessionRef {
        SessionRef::new(&self.inner.sealer, key)
    }

    /// The session, unless it has ended. Does not count as use.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store does not answer.
    pub async fn get(&self, key: &SessionKey) -> Result<Option<Stored>, StoreError> {
        let stored = self.inner.store.get(key).await?;
        Ok(stored.filter(|stored| self.over(stored).is_none()))
    }

    /// [`get`](Self::get), also with what another process wrote a moment ago.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store does not answer.
    pub async fn get_newest(&self, key: &SessionKey) -> Result<Option<Stored>, StoreError> {
        let stored = self.inner.store.get_newest(key).await?;
        Ok(stored.filter(|stored| self.over(stored).is_none()))
    }

    /// Notes that the session was used now. Nothing where `stored`, its state, has ended meanwhile.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store does not answer.
    pub async fn touch(&self, key: &SessionKey, stored: &Stored) -> Result<(), StoreError> {
        if self.over(stored).is_some() {
            return Ok(());
        }
        self.inner.store.touch(key, self.inner.clock.now()).await?;
        self.inner.watchers.changed(key);
        Ok(())
    }

    /// Changes the session by `change`, which says when its tokens are due next; repeated on the newest version where
    /// another write came first. `stored` is its state as far as the caller knows. Does not count as use.
    ///
    /// # Errors
    ///
    /// [`UpdateError`]: the session has ended, or the store does not answer.
    pub async fn update(
        &self,
        key: &SessionKey,
        stored: Stored,
        change: impl FnMut(&mut Session) -> Due,
    ) -> Result<Stored, UpdateError> {
        self.write(key, None, stored, change).await
    }

    /// [`update`](Self::update) of the session of `lease`, which ends with it.
    ///
    /// # Errors
    ///
    /// [`UpdateError`]: the session has ended, or the store does not answer. The lease stays.
    pub async fn complete(
        &self,
        lease: &Lease,
        stored: Stored,
        change: impl FnMut(&mut Session) -> Due,
    ) -> Result<Stored, UpdateError> {
        self.write(lease.key(), Some(lease), stored, change).await
    }

    async fn write(
        &self,
        key: &SessionKey,
        lease: Option<&Lease>,
        mut stored: Stored,
        mut change: impl FnMut(&mut Session) -> Due,
    ) -> Result<Stored, UpdateError> {
        let store = &self.inner.store;
        loop {
            if self.over(&stored).is_some() {
                return Err(UpdateError::Gone);
            }
            let mut session = Session::clone(&stored.session);
            let due = change(&mut session);
            let session = Arc::new(session);
            let written = match lease {
                Some(lease) => store.complete(lease, stored.version, Arc::clone(&session), due),
                None => store.replace(key, stored.version, Arc::clone(&session), due),
            };
            match written.await {
                Ok(version) => {
                    self.inner.watchers.changed(key);
                    return Ok(Stored {
                        session,
                        version,
                        ..stored
                    });
                }
                Err(ReplaceError::Gone) => return Err(UpdateError::Gone),
                Err(ReplaceError::Conflict) => {
                    stored = store.get(key).await?.ok_or(UpdateError::Gone)?;
                }
                Err(ReplaceError::Store(error)) => return Err(error.into()),
            }
        }
    }

    /// Claims up to `limit` sessions whose tokens are due, the longest overdue first, each for `lease`. Fewer than
    /// `limit` means that no more are due now. A session that has reached its end is ended instead: an unused session
    /// is not kept alive.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store does not answer.
    pub async fn claim_due(&self, limit: usize, lease: Duration) -> Result<Vec<Claimed>, StoreError> {
        let mut alive = Vec::new();
        loop {
            let wanted = limit - alive.len();
            let claimed = self.inner.store.claim_due(wanted, lease).await?;
            let came = claimed.len();
            for _ in claimed.iter().filter(|claimed| claimed.taken_over) {
                self.inner.measures.taken_over.count();
            }
            for claimed in claimed {
                match self.over(&claimed.stored) {
                    None => alive.push(claimed),
                    Some(why) => {
                        self.end(claimed.lease.key(), why).await?;
                    }
                }
            }
            if came < wanted || alive.len() == limit {
                return Ok(alive);
            }
        }
    }

    /// Claims this session for `lease`, due or not.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store does not answer.
    pub async fn claim(&self, key: &SessionKey, lease: Duration) -> Result<Claim, StoreError> {
        let claim = self.inner.store.claim(key, lease).await?;
        if matches!(&claim, Claim::Claimed(claimed) if claimed.taken_over) {
            self.inner.measures.taken_over.count();
        }
        let (Claim::Claimed(Claimed { stored, .. }) | Claim::Held(stored, _)) = &claim else {
            return Ok(Claim::Gone);
        };
        match self.over(stored) {
            None => Ok(claim),
            Some(why) => {
                self.end(key, why).await?;
                Ok(Claim::Gone)
            }
        }
    }

    /// Extends a lease to `duration` from now. `false` if it is no longer held.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store does not answer.
    pub async fn extend(&self, lease: &Lease, duration: Duration) -> Result<bool, StoreError> {
        self.inner.store.extend(lease, duration).await
    }

    /// Gives a lease back, and says when the session's tokens are due.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store does not answer. The lease then expires by itself.
    pub async fn release(&self, lease: Lease, due: Due) -> Result<(), StoreError> {
        let key = *lease.key();
        self.inner.store.release(lease, due).await?;
        self.inner.watchers.changed(&key);
        Ok(())
    }

    /// Until `shutdown`: follows the changes of other processes, lets the store write deferred data, and reports to
    /// `health` whether it can.
    pub async fn run(&self, health: &Health, shutdown: CancellationToken) {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.follow(self.inner.store.changes()) => {}
            () = self.flush_regularly(health) => {}
        }
    }

    /// Lets the store write its deferred data. Call it after the last use of the sessions.
    pub async fn flush(&self) {
        if let Err(error) = self.inner.store.flush().await {
            tracing::error!(
                error = &error as &dyn Error,
                "the session store failed; deferred data is not stored"
            );
        }
    }

    async fn flush_regularly(&self, health: &Health) {
        loop {
            self.inner.clock.sleep(FLUSH_EVERY).await;
            match self.inner.store.flush().await {
                Ok(()) => health.ok(Component::Store),
                // The store says so in the log, once.
                Err(error) => health.failing(Component::Store, error.to_string()),
            }
        }
    }

    /// Tells the watchers that the session has ended.
    fn tell_end(&self, key: &SessionKey, why: EndReason) {
        self.inner.lately.note(key, why, self.inner.clock.now());
        self.inner.watchers.ended(key, why);
    }

    /// Which limit the session has reached.
    fn over(&self, stored: &Stored) -> Option<EndReason> {
        let now = self.inner.clock.now();
        let lifespan = &self.inner.limits.lifespan;
        lifespan.over(&stored.session, stored.last_seen, now)
    }
}

#[cfg(test)]
mod tests;
