//! Telling the IdP of new keys: an update where they are registered inline, nothing where it fetches them.

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::{
    Registration,
    event::{Event, Outcome},
    options::{AuthMethod, Jwks},
};
use crate::{
    jose::SigningKey,
    keys::{Announce, AnnounceError, may_sign},
    oidc::{ClientAuthentication, RelyingParty},
};

/// Keeps a registration up with the keys.
#[derive(Clone, Debug)]
pub struct RegisteredKeys {
    registration: Registration,
    relying_party: RelyingParty,
    shutdown: CancellationToken,
}

// === impl RegisteredKeys ===

impl RegisteredKeys {
    /// Keys of the client that `registration` registers and `relying_party` is.
    #[must_use]
    pub const fn new(
        registration: Registration,
        relying_party: RelyingParty,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            registration,
            relying_party,
            shutdown,
        }
    }

    async fn tell(&self, candidate: Option<&SigningKey>) -> Result<(), AnnounceError> {
        let client = self.relying_party.client().get().ok_or(AnnounceError::NotYet)?;
        let ClientAuthentication::PrivateKeyJwt { algorithm } = client.auth else {
            return Ok(());
        };
        if let Some(candidate) = candidate {
            may_sign(candidate, algorithm)?;
        }
        let registration = &self.registration;
        let inline = matches!(registration.options.jwks, Jwks::Inline);
        // A key of another type was made to sign by hand: what is registered has to follow.
        let another_type = registration.keys.signing_with(algorithm).is_none();
        if registration.options.auth_method == AuthMethod::PrivateKeyJwt && (inline || another_type) {
            self.update().await?;
        }
        Ok(())
    }

    /// Compares the registration with what is wanted, and updates it.
    async fn update(&self) -> Result<(), AnnounceError> {
        let metadata = self.relying_party.metadata().ok_or(AnnounceError::NotYet)?;
        let lock = tokio::select! {
            lock = self.registration.lock() => lock,
            () = self.shutdown.cancelled() => return Err(AnnounceError::NotYet),
        };
        let failed = |error: &dyn std::fmt::Display| AnnounceError::Registration(error.to_string());
        if self.registration.options.skip {
            return Err(failed(
                &"SKIP_DCR_BOOTSTRAP is set; unset it, so that the registration can be updated",
            ));
        }
        let checked = self.registration.check(&metadata, lock).await;
        let Some(outcome): Option<Outcome> = checked.map_err(|error| failed(&error))? else {
            return Err(failed(
                &"bff_client.json holds no client any more; restore it, so that the registration can be updated",
            ));
        };
        if let Event::UpdateRefused(error) | Event::Postponed(error) = outcome.event {
            return Err(failed(&error));
        }
        self.relying_party.client().set(outcome.client);
        Ok(())
    }
}

impl Announce for RegisteredKeys {
    fn announce<'a>(&'a self, candidate: Option<&'a SigningKey>) -> BoxFuture<'a, Result<(), AnnounceError>> {
        Box::pin(self.tell(candidate))
    }
}
