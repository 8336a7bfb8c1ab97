//! Deleting clients that were replaced, once no process uses them any more.

use std::time::Duration;

use super::{
    Registration,
    bootstrap::Attempt,
    calls::Reply,
    credentials::{CredentialsError, Superseded},
    error::{ErrorKind, RegistrationError},
    event::tell_left,
    run::LOOK,
    vault::Lock,
};
use crate::{
    diagnostic::Explain as _,
    {clock::Timestamp, oidc::Metadata},
};

/// How long a replaced client stays. Every process on the file sees the new client within one look. A process that
/// missed one, or has a clock some seconds off, has two more.
const STAYS: Duration = LOOK.saturating_mul(3);

// === impl Registration ===

impl Registration {
    /// When the next replaced client in the file may be deleted, if there is one.
    pub(super) async fn next_deletion(&self) -> Option<Timestamp> {
        let record = self.vault.load().await.ok().flatten()?;
        record.superseded.iter().map(due_at).min()
    }

    /// Deletes the replaced clients whose time has come, if no other process has done it.
    pub(super) async fn delete_replaced(
        &self,
        metadata: &Metadata,
        lock: Result<Option<Lock>, CredentialsError>,
    ) -> Result<(), RegistrationError> {
        let _lock = lock?;
        Attempt::start(self, metadata).await?.delete_replaced().await;
        Ok(())
    }
}

// === impl Attempt ===

impl Attempt<'_> {
    /// Deletes the clients that were replaced long enough ago. The remaining ones stay in the file for the next
    /// attempt.
    pub(super) async fn delete_replaced(&mut self) {
        let now = self.registration.clock.now();
        let before = self.record.superseded.len();
        for old in std::mem::take(&mut self.record.superseded) {
            if due_at(&old) > now || !self.delete_one(&old).await {
                self.record.superseded.push(old);
            }
        }
        if self.record.superseded.len() == before {
            return;
        }
        if let Err(error) = self.store().await {
            tracing::warn!("{}", error.told());
        }
    }

    /// Whether `old` is done with.
    async fn delete_one(&self, old: &Superseded) -> bool {
        let id = &old.client_id;
        let at = self.managed_at(&old.registration_client_uri, &old.registration_access_token, id);
        let reply = match &at {
            Some(at) => self.registration.calls.delete(at, &self.asked(None)).await,
            None => Ok(Reply::Unsupported),
        };
        match reply {
            Ok(Reply::Unsupported) => tell_left(id),
            Ok(Reply::Gone) => tracing::info!("the replaced client {id} no longer exists"),
            Ok(Reply::Unauthorized) => tracing::warn!(
                "the replaced client {id} was not deleted, because the IdP refused its registration access token \
                 (401): remove it at the IdP if it still exists"
            ),
            Ok(_) => tracing::info!("the replaced client {id} was deleted"),
            Err(error) if error.kind() == ErrorKind::Unreachable => {
                tracing::warn!("the replaced client {id} is deleted later: {}", error.told());
                return false;
            }
            Err(error) => {
                tracing::warn!(
                    "the replaced client {id} cannot be deleted; remove it at the IdP: {}",
                    error.told()
                );
            }
        }
        true
    }
}

/// When no process uses `old` any more.
fn due_at(old: &Superseded) -> Timestamp {
    old.since.saturating_add(STAYS)
}
