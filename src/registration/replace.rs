//! `DCR_FORCE_REPLACE`: registers anew with a fresh initial access token. One client works at every moment.

use url::Url;

use super::{
    access::InitialAccess,
    bootstrap::Attempt,
    calls::{Management, Reply},
    error::RegistrationError,
    event::{Event, logged},
    metadata::REDIRECT_URIS,
    options::UpdateMethod,
};
use crate::diagnostic::Explain as _;

// === impl Attempt ===

impl Attempt<'_> {
    /// The access for a new registration: only if the switch is on, and once for each token. A switch that stays on
    /// therefore does not break a restart.
    pub(super) fn replacement_token(&self) -> Result<Option<InitialAccess>, RegistrationError> {
        if !self.registration.options.force_replace {
            return Ok(None);
        }
        // Without a token nothing says that it was done already.
        let token = self.unspent_access()?.filter(|access| !access.is_open());
        let lost = |token: &InitialAccess| {
            let pending = self.record.pending.as_ref();
            pending.is_some_and(|pending| pending.initial_access_token == token.note)
        };
        if token.as_ref().is_some_and(lost) {
            tracing::warn!("not replaced: {}", self.unknown_from_record().told());
            return Ok(None);
        }
        Ok(token)
    }

    /// Registers anew beside the stored client, which stays in use until the new one is stored.
    pub(super) async fn replace(&mut self, token: InitialAccess) -> Result<Event, RegistrationError> {
        let prepared = match self.endpoint() {
            Ok(endpoint) => self
                .registration
                .vault
                .prove_writable()
                .await
                .map(|()| endpoint)
                .map_err(Into::into),
            Err(error) => Err(error),
        };
        let endpoint = match prepared {
            Ok(endpoint) => endpoint,
            Err(error) => return Ok(logged(Event::of_failure(error))),
        };
        match self.create(&endpoint, &token).await {
            Ok(answer) => {
                let old = self.record.registered.clone();
                let replaced = old.clone().filter(|old| old.client_id != answer.client_id);
                self.record.renewed = false;
                match self.keep(answer, &token, replaced).await {
                    Ok(event) => Ok(event),
                    Err(error) => {
                        // The stored client stays in use.
                        self.record.registered = old;
                        Ok(logged(Event::of_failure(error)))
                    }
                }
            }
            Err(error) if may_mean_taken(&error) => self.replace_in_place(&endpoint, token, error).await,
            // The token is bad, which says nothing about the registration.
            Err(error @ RegistrationError::InitialTokenRefused { .. }) => {
                tracing::error!("not replaced: {}", error.told());
                Ok(self.bring_up_to_date().await)
            }
            Err(error) => Ok(logged(Event::of_failure(error))),
        }
    }

    /// The id is taken: the server updates the client that has it to the wanted metadata.
    async fn replace_in_place(
        &mut self,
        endpoint: &Url,
        token: InitialAccess,
        refusal: RegistrationError,
    ) -> Result<Event, RegistrationError> {
        let (at, current) = match self.read_with_another_token().await {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(logged(Event::UpdateRefused(refusal))),
            Err(error) => return Ok(logged(Event::of_failure(error.and_not_anew(refusal)))),
        };
        let plan = self.plan(current.as_ref());
        let event = match self.update(&at, None, &plan).await {
            Ok(()) => {
                // It has done its work, although it led to no 201: not again at the next start.
                self.spend(&token);
                match self.store().await {
                    Err(error) => Event::UpdateRefused(error.into()),
                    Ok(()) if plan.changes.is_empty() => Event::Unchanged,
                    Ok(()) => Event::Updated(plan.changes),
                }
            }
            // The IdP may support a method that the configuration rules out.
            Err(RegistrationError::CannotUpdate { .. })
                if self.registration.options.update_method == UpdateMethod::Auto =>
            {
                if plan.wanted.fields().contains_key(REDIRECT_URIS) {
                    // A replacement keeps the same fields as an update.
                    self.wanted = plan.wanted;
                }
                return self.delete_and_create(endpoint, &at, token, refusal).await;
            }
            Err(error) => Event::of_failure(error.and_not_anew(refusal)),
        };
        Ok(logged(event))
    }

    /// The last resort: the IdP neither gives the id twice nor updates the client that has it.
    async fn delete_and_create(
        &mut self,
        endpoint: &Url,
        at: &Management,
        token: InitialAccess,
        refusal: RegistrationError,
    ) -> Result<Event, RegistrationError> {
        tracing::warn!(
            "the IdP neither registers {0} a second time nor updates it: {0} is deleted before it is registered anew, and \
             all refresh tokens end with it",
            at.client_id
        );
        match self.registration.calls.delete(at, &self.asked(None)).await {
            Ok(Reply::Unsupported) => return Ok(logged(Event::UpdateRefused(refusal))),
            Ok(_) => {}
            Err(error) => return Ok(logged(Event::of_failure(error))),
        }
        // A crash before the next record is written leaves the deleted client in the file: the next start finds the id
        // free and the token unused.
        self.record.registered = None;
        let answer = self.create(endpoint, &token).await?;
        self.keep(answer, &token, None).await
    }
}

/// Whether an IdP could mean with `error` that the id is taken.
fn may_mean_taken(error: &RegistrationError) -> bool {
    match error {
        RegistrationError::ClientIdTaken { .. } => true,
        RegistrationError::Refused { status, .. } => *status == http::StatusCode::BAD_REQUEST,
        _ => false,
    }
}
