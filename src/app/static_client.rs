//! The client that the configuration names, where registration is off.

use crate::{
    config::Config,
    keys::Keys,
    oidc::{Client, ClientAuthentication, NegotiationError, RelyingParty, negotiate},
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
    #[error("{0} is required while registration (DCR) is off")]
    Missing(&'static str),
}

/// Waits for the IdP's metadata, since they say which algorithms it takes.
pub(super) async fn client(
    config: &Config,
    keys: Keys,
    relying_party: &RelyingParty,
) -> Result<Client, StaticClientError> {
    let settings = &config.client;
    let id = settings
        .id
        .clone()
        .ok_or(StaticClientError::Missing("AUTH_CLIENT_ID"))?;
    let secret = || -> Result<Secret, StaticClientError> {
        settings
            .secret
            .clone()
            .ok_or(StaticClientError::Missing("AUTH_CLIENT_SECRET"))
    };
    let auth = match settings.authentication {
        AuthMethod::PrivateKeyJwt => {
            let metadata = relying_party.wait_for_metadata().await;
            let signing = keys.signing();
            let supported = metadata.token_auth_signing_algs.as_deref();
            let algorithm = negotiate(signing.algorithms(), supported, settings.signing_algorithm)?;
            ClientAuthentication::PrivateKeyJwt { algorithm }
        }
        AuthMethod::ClientSecretBasic => ClientAuthentication::ClientSecretBasic(secret()?),
        AuthMethod::ClientSecretPost => ClientAuthentication::ClientSecretPost(secret()?),
    };
    Ok(Client { id, auth })
}
