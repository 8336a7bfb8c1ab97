//! Deletes clients: those that were replaced, and the stored one as the last resort.

use super::super::{
    attempt::Attempt,
    calls::Reply,
    credentials::Superseded,
    error::{ErrorKind, RegistrationError},
    event::tell_left,
    metadata::REDIRECT_URIS,
    plan::Freed,
};
use crate::diagnostic::Explain as _;

// === impl Attempt ===

impl Attempt<'_> {
    /// Deletes the replaced clients with these ids. Those that an unreachable IdP keeps stay in the file for the next
    /// attempt.
    pub(super) async fn delete_replaced(&mut self, client_ids: &[String]) {
        let before = self.record.superseded.len();
        for old in std::mem::take(&mut self.record.superseded) {
            if !client_ids.contains(&old.client_id) || !self.delete_one(&old).await {
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
            Ok(at) => self.registration.calls.delete(at, &self.asked(None)).await,
            Err(reach) => {
                self.tell_elsewhere(id, reach);
                Ok(Reply::Unsupported)
            }
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

    /// Deletes the stored client, so that its id is free.
    pub(super) async fn free(&mut self, client_id: &str) -> Result<Freed, RegistrationError> {
        tracing::warn!(
            "the IdP neither registers {client_id} a second time nor updates it: {client_id} is deleted before it is registered \
             anew, and all refresh tokens end with it"
        );
        let Ok(at) = self.management() else {
            return Ok(Freed::Unsupported);
        };
        let wanted = self.facts().difference().wanted;
        match self.registration.calls.delete(&at, &self.asked(None)).await? {
            Reply::Unsupported => return Ok(Freed::Unsupported),
            Reply::Answer(_) | Reply::Done | Reply::Gone | Reply::Unauthorized => {}
        }
        if wanted.fields().contains_key(REDIRECT_URIS) {
            // A replacement keeps the same fields as an update.
            self.wanted = wanted;
        }
        // A crash before the next record is written leaves the deleted client in the file: the next start finds the id
        // free and the token unused.
        self.record.registered = None;
        self.learnt.registration = None;
        Ok(Freed::Deleted)
    }
}
