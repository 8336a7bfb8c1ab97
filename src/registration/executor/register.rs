//! Registers a client: notes the request, sends it, and stores the answer.

use super::super::{
    answer::Answer,
    attempt::Attempt,
    credentials::{Pending, Registered, Superseded},
    error::{ErrorKind, RegistrationError},
    event::{Event, tell_left},
    plan::{Assigned, InitialAccess, Registering, Why},
};
use crate::diagnostic::Explain as _;

// === impl Attempt ===

impl Attempt<'_> {
    pub(super) async fn register(
        &mut self,
        registering: &Registering,
    ) -> Result<Assigned, RegistrationError> {
        let endpoint = self.endpoint()?;
        self.registration.vault.prove_writable().await?;
        let access = self.access(registering.access).await?;
        let answer = self.create(&endpoint, &access).await?;
        let before = self.record.clone();
        let old = before.registered.as_ref();
        let old = old.filter(|old| old.client_id != answer.client_id).cloned();
        let mut replaced = None;
        match &registering.why {
            Why::First | Why::Freed => {}
            Why::Forced { .. } => {
                self.record.renewed = false;
                replaced = old;
            }
            // A warning comes before the storage, so it is logged even if the next step fails.
            Why::TokenLost { .. } => {
                if let Some(old) = old {
                    tracing::warn!(
                        "the registration access token of {} is lost: {} was registered in its place. {0} is still registered, \
                         remove it at the IdP; its refresh tokens end with it",
                        old.client_id,
                        answer.client_id
                    );
                }
                self.record.renewed = true;
            }
            Why::Deleted { client_id } => {
                tracing::warn!(
                    "{client_id} was deleted at the IdP: {} was registered in its place. The refresh tokens of {client_id} have \
                     ended",
                    answer.client_id
                );
                self.record.renewed = true;
            }
        }
        let kept = self.keep(answer, &access, replaced).await;
        if kept.is_err() {
            // The stored client stays in use.
            self.record = before;
        }
        kept
    }

    /// Sends a registration request with `access`. A note is stored before the request and removed when the outcome
    /// is known. A crash or a lost response therefore leaves the note.
    async fn create(
        &mut self,
        endpoint: &url::Url,
        access: &InitialAccess,
    ) -> Result<Answer, RegistrationError> {
        let before = self.record.pending.replace(Pending {
            initial_access_token: access.note.clone(),
            since: self.registration.clock.now(),
        });
        self.store().await?;
        let created = self.ask_for_client(endpoint, access).await;
        if let Err(error) = &created
            && error.kind() != ErrorKind::OutcomeUnknown
        {
            self.record.pending = before;
            if let Err(error) = self.store_or_remove().await {
                tracing::warn!("{}", error.told());
            }
        }
        created
    }

    /// Makes `answer` the registration and stores it. The replaced client is deleted when nobody uses it any more.
    async fn keep(
        &mut self,
        answer: Answer,
        access: &InitialAccess,
        replaced: Option<Registered>,
    ) -> Result<Assigned, RegistrationError> {
        let requested = self.registration.options.client_id.clone();
        let assigned = answer.client_id.clone();
        self.note_grants(&answer.metadata);
        self.record.requested_client_id.clone_from(&requested);
        self.record.registered = Some(Registered::of(answer, &self.wanted, self.algorithm));
        self.spend(access);
        // An id that is in use again must not be deleted.
        self.record.superseded.retain(|old| old.client_id != assigned);
        let replaced = replaced.map(|old| {
            (
                old.client_id.clone(),
                Superseded::new(old, self.registration.clock.now()),
            )
        });
        if let Some((_, Some(old))) = &replaced {
            self.record.superseded.push(old.clone());
        }
        if let Err(source) = self.store().await {
            return Err(RegistrationError::NotStored {
                client_id: assigned,
                source,
            });
        }
        let new = Assigned {
            client_id: assigned,
            requested,
        };
        Event::from(new.clone()).log();
        self.tell_replaced();
        match replaced {
            Some((old, Some(_))) => tracing::info!(
                "the replaced client {old} stays until every process on this file has the new one: a running server \
                 deletes it, or the next start does"
            ),
            Some((old, None)) => tell_left(&old),
            None => {}
        }
        Ok(new)
    }

    /// Remembers that `access` has led to a registration.
    pub(super) fn spend(&mut self, access: &InitialAccess) {
        if access.is_open() {
            self.record.pending = None;
        } else {
            self.record.spend(access.note.clone());
        }
    }
}
