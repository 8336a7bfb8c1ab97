//! Reads the client, and adopts the data of an answer.

use serde_json::{Map, Value};

use super::super::{
    answer::Answer, attempt::Attempt, calls::Reply, credentials::CredentialsError, error::RegistrationError,
    metadata::named_algorithm,
};
use crate::diagnostic::Explain as _;

// === impl Attempt ===

impl Attempt<'_> {
    /// Reads the registration. No metadata if it cannot be read.
    pub(super) async fn read(&mut self) -> Result<Option<Map<String, Value>>, RegistrationError> {
        let Ok(at) = self.management() else {
            return Ok(None);
        };
        // The answer to a reading or an update may contain another token, which ends the old one (RFC 7592 section
        // 3).
        self.registration.vault.prove_writable().await?;
        let Reply::Answer(answer) = self.registration.calls.read(&at, &self.asked(None)).await? else {
            return Ok(None);
        };
        Ok(Some(self.absorb(*answer).await?))
    }

    /// Whether an accepted update reverted a change that nobody requested here. An IdP may normalise values and show
    /// the result only in readings. Without this check, every comparison would find a change.
    pub(super) async fn read_back(&mut self) {
        let wanted = self.facts().difference().wanted;
        let read = match self.read().await {
            Ok(Some(current)) => current,
            Ok(None) => return,
            Err(error) => return tracing::debug!("the update could not be read back: {}", error.told()),
        };
        let before = self.record.registered.clone();
        if let Some(known) = &mut self.record.registered {
            known.signing_algorithm = named_algorithm(&read).or(known.signing_algorithm);
            known.remembered.add(&wanted, &read);
        }
        if self.record.registered != before {
            self.tell_replaced();
            if let Err(error) = self.store().await {
                tracing::warn!("{}", error.told());
            }
        }
    }

    /// Stores the values that were read as agreed.
    pub(super) async fn remember(&mut self) -> Result<(), CredentialsError> {
        let facts = self.facts();
        let wanted = facts.difference().wanted;
        let Some(current) = facts.current().cloned() else {
            return Ok(());
        };
        self.agree(&wanted, &current);
        self.store().await
    }

    /// Adopts secret, token and URI of an answer, and stores them before it uses any of them.
    pub(super) async fn absorb(&mut self, answer: Answer) -> Result<Map<String, Value>, CredentialsError> {
        self.note_grants(&answer.metadata);
        // One at another origin gets no token. Kept, it would shut the client out even after the IdP is corrected.
        let uri = answer.registration_client_uri.filter(|uri| {
            let is_at_home = self.is_at_home(uri);
            if !is_at_home {
                tracing::warn!("the IdP names a registration_client_uri at another origin; it is ignored");
            }
            is_at_home
        });
        let Some(known) = &mut self.record.registered else {
            return Ok(answer.metadata);
        };
        let before = known.clone();
        if answer.client_secret.is_some() {
            known.client_secret = answer.client_secret;
            known.client_secret_expires_at = answer.client_secret_expires_at;
        }
        if answer.registration_access_token.is_some() {
            known.registration_access_token = answer.registration_access_token;
        }
        if uri.is_some() {
            known.registration_client_uri = uri;
        }
        let changed = *known != before;
        // The token has worked: if it is lost one day, the client may be registered anew again.
        if std::mem::take(&mut self.record.renewed) || changed {
            self.store().await?;
        }
        Ok(answer.metadata)
    }

    pub(super) fn tell_replaced(&self) {
        let remembered = self.remembered();
        let fields: Vec<&str> = remembered.replaced_fields().collect();
        if !fields.is_empty() {
            tracing::warn!(
                "the IdP registered other values than requested in {}: look at the client there, and at its client profile",
                fields.join(", ")
            );
        }
    }
}
