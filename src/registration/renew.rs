//! A registration access token that no longer works. No standard renews one: RFC 7592 gives a new one only to a
//! client that has the old one. The client is therefore registered anew if an initial access token is available, as
//! with `DCR_FORCE_REPLACE`.

use super::{
    access::InitialAccess,
    bootstrap::Attempt,
    error::{ErrorKind, RegistrationError},
    event::{Event, logged},
};

// === impl Attempt ===

impl Attempt<'_> {
    /// Registers anew after `refusal`, once: if the new client's token does not work either, a third client would not
    /// help. If it fails, the stored client stays in use.
    pub(super) async fn renew(&mut self, refusal: RegistrationError) -> Event {
        let old = self.record.registered.clone();
        match self.try_renew().await {
            Ok(Some(event)) => event,
            Ok(None) => logged(Event::UpdateRefused(refusal)),
            Err(error) => {
                // The stored client stays in use.
                self.record.registered = old;
                let of_its_own = matches!(error, RegistrationError::NotStored { .. })
                    || matches!(error.kind(), ErrorKind::Unreachable | ErrorKind::OutcomeUnknown);
                if of_its_own {
                    return logged(Event::of_failure(error));
                }
                logged(Event::UpdateRefused(refusal.and_not_anew(error)))
            }
        }
    }

    /// Whether [`Self::renew`] would ask for a new client.
    pub(super) fn can_renew(&self) -> Result<bool, RegistrationError> {
        let configured = self.unspent_access()?;
        Ok(self.has_means(configured.as_ref()) && self.may_renew(configured.as_ref()))
    }

    /// A client that came about this way is not renewed again before its own token has worked.
    fn has_means(&self, configured: Option<&InitialAccess>) -> bool {
        !self.record.renewed && (configured.is_some() || self.registration.options.admin_token.is_some())
    }

    /// Like [`Self::may_ask`]. A requested id does not help here: an IdP that honours it would have refused the lost
    /// client's id as taken.
    fn may_renew(&self, configured: Option<&InitialAccess>) -> bool {
        let asked_before = self.record.pending.is_some() && configured.is_none_or(InitialAccess::is_open);
        !asked_before && self.may_ask(configured)
    }

    /// `None` if no access for a new registration is available.
    async fn try_renew(&mut self) -> Result<Option<Event>, RegistrationError> {
        let configured = self.unspent_access()?;
        if !self.has_means(configured.as_ref()) {
            return Ok(None);
        }
        if !self.may_renew(configured.as_ref()) {
            return Err(self.unknown_from_record());
        }
        let endpoint = self.endpoint()?;
        self.registration.vault.prove_writable().await?;
        let access = self.configured_or_minted(configured).await?;
        let answer = self.create(&endpoint, &access).await?;
        // The event comes before the storage, so it is logged even if the next step fails.
        if let Some(old) = self
            .record
            .registered
            .as_ref()
            .filter(|old| old.client_id != answer.client_id)
        {
            tracing::warn!(
                "the registration access token of {} is lost: {} was registered in its place. {0} is still registered, \
                 remove it at the IdP; its refresh tokens end with it",
                old.client_id,
                answer.client_id
            );
        }
        self.record.renewed = true;
        self.keep(answer, &access, None).await.map(Some)
    }
}
