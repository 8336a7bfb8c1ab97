//! The client that the configuration names, where registration is off.

use futures_util::future::BoxFuture;

use crate::{
    config::Config,
    diagnostic::{Explain, Fix, Knob, fix},
    jose::SigningKey,
    keys::{Announce, AnnounceError, Keys, may_sign},
    oidc::{Client, ClientAuthentication, NegotiationError, RelyingParty, negotiate_for},
    registration::AuthMethod,
    secret::Secret,
};

/// Why the configured client cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StaticClientError {
    /// The signing key does nothing that the IdP takes.
    #[error(transparent)]
    Algorithm(#[from] NegotiationError),
    /// A setting that the configuration checks for is missing.
    #[error("{what} is required while registration (DCR) is off")]
    Missing {
        /// The missing thing, in words.
        what: &'static str,
        /// The setting to set.
        knob: Knob,
    },
}

// === impl StaticClientError ===

impl Explain for StaticClientError {
    fn fix(&self) -> Option<Fix> {
        match self {
            Self::Algorithm(error) => error.fix(),
            Self::Missing { knob, .. } => Some(fix!("set {}", *knob)),
        }
    }
}

/// Keys of a client that was registered elsewhere: its algorithm cannot be changed from here.
#[derive(Debug)]
pub(super) struct StaticKeys {
    pub(super) config: Config,
    pub(super) keys: Keys,
    pub(super) relying_party: RelyingParty,
}

// === impl StaticKeys ===

impl StaticKeys {
    async fn tell(&self, candidate: Option<&SigningKey>) -> Result<(), AnnounceError> {
        let slot = self.relying_party.client();
        let known = slot.get().ok_or(AnnounceError::NotYet)?;
        let ClientAuthentication::PrivateKeyJwt { algorithm } = known.auth else {
            return Ok(());
        };
        if let Some(candidate) = candidate {
            may_sign(candidate, algorithm)?;
        }
        if self.keys.signing_with(algorithm).is_none() {
            // A key of another type was made to sign by hand: its algorithm is negotiated as at the start.
            let renewed = client(&self.config, self.keys.clone(), &self.relying_party).await;
            slot.set(renewed.map_err(|error| AnnounceError::by(&error))?);
        }
        Ok(())
    }
}

impl Announce for StaticKeys {
    fn announce<'a>(&'a self, candidate: Option<&'a SigningKey>) -> BoxFuture<'a, Result<(), AnnounceError>> {
        Box::pin(self.tell(candidate))
    }
}

/// Waits for the IdP's metadata, because they list its algorithms.
pub(super) async fn client(
    config: &Config,
    keys: Keys,
    relying_party: &RelyingParty,
) -> Result<Client, StaticClientError> {
    let settings = &config.client;
    let id = settings.id.clone().ok_or(StaticClientError::Missing {
        what: "a client id",
        knob: Knob::ClientId,
    })?;
    let secret = || -> Result<Secret, StaticClientError> {
        settings.secret.clone().ok_or(StaticClientError::Missing {
            what: "a client secret",
            knob: Knob::ClientSecret,
        })
    };
    let auth = match settings.authentication {
        AuthMethod::PrivateKeyJwt => {
            let metadata = relying_party.provider().wait_for_metadata().await;
            let supported = metadata.token_auth_signing_algs.as_deref();
            let algorithm = negotiate_for(&keys, supported, settings.signing_algorithm)?;
            ClientAuthentication::PrivateKeyJwt { algorithm }
        }
        AuthMethod::ClientSecretBasic => ClientAuthentication::ClientSecretBasic(secret()?),
        AuthMethod::ClientSecretPost => ClientAuthentication::ClientSecretPost(secret()?),
    };
    Ok(Client { id, auth })
}
