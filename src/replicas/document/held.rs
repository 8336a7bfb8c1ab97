//! The lock of a record: a lease that is prolonged while it is held, and never taken back once it is lost.

use std::{fmt, sync::Arc, time::Duration};

use tokio::task::JoinHandle;

use super::{Document, DocumentError, Inner, LEASE};
use crate::{clock::timeout, random::RandomExt as _};

/// A lock that is held is prolonged so often.
pub(super) const PROLONG: Duration = Duration::from_secs(5);

/// How long an ending process waits until its locks are released.
const FAREWELL: Duration = Duration::from_secs(2);

/// A lock that another one has is tried again so often.
const TRY_AGAIN: Duration = Duration::from_millis(200);

/// The lock of a record, until it is dropped.
pub(in crate::replicas) struct Held {
    inner: Arc<Inner>,
    holder: String,
    prolongs: JoinHandle<()>,
}

// === impl Document ===

impl Document {
    /// Waits until this process has the exclusive right to write.
    pub(in crate::replicas) async fn lock(&self) -> Result<Held, DocumentError> {
        loop {
            if let Some(held) = self.try_lock().await? {
                return Ok(held);
            }
            self.inner.clock.sleep(TRY_AGAIN).await;
        }
    }

    /// The same without waiting: `None` if another process holds it.
    pub(in crate::replicas) async fn try_lock(&self) -> Result<Option<Held>, DocumentError> {
        let inner = &self.inner;
        let holder = inner.random.base64url::<16>();
        if !inner.shared.hold(inner.record, &holder, LEASE).await? {
            return Ok(None);
        }
        *inner.holder.lock() = Some(holder.clone());
        let held = Held {
            prolongs: tokio::spawn(prolong(Arc::clone(inner), holder.clone())),
            inner: Arc::clone(inner),
            holder,
        };
        // Unreadable content counts as unseen; its reader gets the reason.
        let seen = self.read().await.ok().map(|found| found.revision);
        *inner.seen_under_lock.lock() = seen;
        Ok(Some(held))
    }

    /// Waits until the dropped locks are released, for a process that ends: its runtime would drop unsent requests.
    /// If Redis does not answer within seconds, they end with their lease.
    pub(in crate::replicas) async fn given_back(&self) {
        let releases = &self.inner.releases;
        releases.close();
        let _ = timeout(&*self.inner.clock, FAREWELL, releases.wait()).await;
    }
}

// === impl Held ===

impl Drop for Held {
    fn drop(&mut self) {
        self.prolongs.abort();
        self.inner.lose(&self.holder);
        let (inner, holder) = (Arc::clone(&self.inner), std::mem::take(&mut self.holder));
        // Without a runtime or Redis, the lease expires by itself.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let releases = inner.releases.clone();
            releases.spawn_on(
                async move { inner.shared.let_go(inner.record, &holder).await },
                &runtime,
            );
        }
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held")
            .field("record", &self.inner.record)
            .finish_non_exhaustive()
    }
}

impl Inner {
    /// `holder` has the lock no more.
    fn lose(&self, holder: &str) {
        self.holder.lock().take_if(|present| present == holder);
    }
}

async fn prolong(inner: Arc<Inner>, holder: String) {
    loop {
        inner.clock.sleep(PROLONG).await;
        // An answer that does not come leaves the lock for the rest of the lease.
        if let Ok(false) = inner.shared.prolong(inner.record, &holder, LEASE).await {
            return inner.lose(&holder);
        }
    }
}
