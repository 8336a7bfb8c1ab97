//! Claims of sessions: decided in memory, and noted in the file for a process that starts after this one.

use std::{slice, sync::Arc, time::Duration};

use super::{DiskStore, change::What, overlay::Seen};
use crate::session::{
    SessionKey,
    store::{Claim, Claimed, Due, StoreError, UNREADABLE_AGAIN, sealed::Seal},
};

// === impl DiskStore ===

impl DiskStore {
    pub(super) async fn claim_due_now(
        &self,
        limit: usize,
        duration: Duration,
    ) -> Result<Vec<Claimed>, StoreError> {
        let (leases, clock) = (Arc::clone(&self.leases), Arc::clone(&self.clock));
        let look = move |seen: &Seen<'_>, seal: &Seal| {
            leases.lock().claim_due(seen, seal, clock.now(), limit, duration)
        };
        let (claimed, unreadable) = self.read(look).await?;
        // Otherwise every pass would find them again. The secret may be a mistake that is corrected soon.
        let later = Due::At(self.clock.now().saturating_add(UNREADABLE_AGAIN));
        self.change_all(unreadable, || What::Due(later)).await?;
        self.hold(&claimed).await?;
        Ok(claimed)
    }

    pub(super) async fn claim_now(&self, key: SessionKey, duration: Duration) -> Result<Claim, StoreError> {
        let (leases, clock) = (Arc::clone(&self.leases), Arc::clone(&self.clock));
        // The leases are locked while the session is looked up, so that a session removed meanwhile loses its lease
        // afterwards.
        let look =
            move |seen: &Seen<'_>, seal: &Seal| leases.lock().claim(seen, seal, &key, clock.now(), duration);
        let claim = self.read(look).await?;
        if let Claim::Claimed(claimed) = &claim {
            self.hold(slice::from_ref(claimed)).await?;
        }
        Ok(claim)
    }

    /// Brings to the disk that these are claimed, and gives them back if that fails.
    async fn hold(&self, claimed: &[Claimed]) -> Result<(), StoreError> {
        if claimed.is_empty() {
            return Ok(());
        }
        let keys = claimed.iter().map(|claimed| claimed.lease.key).collect();
        let held = self.in_time(self.writer.hold(keys)).await;
        if held.is_err() {
            let mut leases = self.leases.lock();
            for claimed in claimed {
                leases.undo(claimed);
            }
        }
        held
    }
}
