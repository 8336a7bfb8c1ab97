//! Announces new keys to the IdP: by an update if the keys are registered inline; not at all if the IdP fetches them.

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::{
    Registration,
    event::{Event, Outcome},
    options::{AuthMethod, Jwks},
};
use crate::{
    diagnostic::{Explain, Fix, Knob, fix},
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

/// Why a registration cannot be brought up to date, although nothing went wrong.
#[derive(Clone, Copy, Debug, thiserror::Error)]
enum NotUpdated {
    #[error("registration is skipped, as configured")]
    Skipped,
    #[error("bff_client.json no longer holds a client")]
    NoClient,
}

// === impl NotUpdated ===

impl Explain for NotUpdated {
    fn fix(&self) -> Option<Fix> {
        Some(match self {
            Self::Skipped => fix!(
                "unset {}, so that the registration can be updated",
                Knob::SkipRegistration
            ),
            Self::NoClient => fix!(
                "restore {}, so that the registration can be updated",
                Knob::CredentialsFile
            ),
        })
    }
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
        // An operator switched to a key of another type: the registration has to follow.
        let another_type = registration.keys.signing_with(algorithm).is_none();
        if registration.options.auth_method == AuthMethod::PrivateKeyJwt && (inline || another_type) {
            self.update().await?;
        }
        Ok(())
    }

    /// Compares the registration with the wanted metadata, and updates it.
    async fn update(&self) -> Result<(), AnnounceError> {
        let metadata = self
            .relying_party
            .provider()
            .metadata()
            .ok_or(AnnounceError::NotYet)?;
        let lock = tokio::select! {
            lock = self.registration.lock() => lock,
            () = self.shutdown.cancelled() => return Err(AnnounceError::NotYet),
        };
        if self.registration.options.skip {
            return Err(AnnounceError::by(&NotUpdated::Skipped));
        }
        let checked = self.registration.check(&metadata, lock).await;
        let Some(outcome): Option<Outcome> = checked.map_err(|error| AnnounceError::by(&error))? else {
            return Err(AnnounceError::by(&NotUpdated::NoClient));
        };
        if let Event::UpdateRefused(error) | Event::Postponed(error) = outcome.event {
            return Err(AnnounceError::by(&error));
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
