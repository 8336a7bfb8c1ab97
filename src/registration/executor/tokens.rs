//! The admin API of the IdP: it mints initial access tokens, and gives a client another registration access token.

use url::Url;

use super::super::{
    attempt::Attempt,
    error::RegistrationError,
    plan::{InitialAccess, Renewal, TokenSource, configured_access},
};
use crate::{diagnostic::Explain as _, secret::Secret};

/// Path of the API that mints initial access tokens, at the IdP's origin.
const MINT_PATH: &str = "/api/admin/dcr/initial-access-tokens";
/// Path of the API that gives a client another registration access token, before and after the client id.
const RENEW_PATH: [&str; 2] = ["/api/admin/dcr/clients", "tokens"];

// === impl Attempt ===

impl Attempt<'_> {
    /// The access from `source`.
    pub(super) async fn access(&self, source: TokenSource) -> Result<InitialAccess, RegistrationError> {
        let options = &self.registration.options;
        let access = match (source, &options.admin_token) {
            (TokenSource::Minted, Some(admin)) => Some(self.mint(admin).await?),
            (TokenSource::Minted, None) => None,
            (TokenSource::Configured | TokenSource::Open, _) => configured_access(options)?,
        };
        access.ok_or_else(|| self.no_token())
    }

    async fn mint(&self, admin: &Secret) -> Result<InitialAccess, RegistrationError> {
        let url = self.admin_api(MINT_PATH)?;
        let options = &self.registration.options;
        let label = options.client_id.as_deref().unwrap_or(&options.description.name);
        let token = self.registration.calls.mint(&url, admin, label).await?;
        Ok(InitialAccess::by_token(token))
    }

    /// Requests another registration access token. An IdP without that API counts as one that cannot be asked.
    pub(super) async fn renew_token(&mut self, client_id: &str) -> Renewal {
        match self.try_to_renew_token(client_id).await {
            Ok(()) => Renewal::Renewed,
            Err(error @ RegistrationError::MintRefused { .. }) => {
                tracing::info!(
                    "the registration access token of {client_id} was not renewed: {}",
                    error.told()
                );
                Renewal::NotOffered
            }
            Err(error) => Renewal::Failed(error),
        }
    }

    async fn try_to_renew_token(&mut self, client_id: &str) -> Result<(), RegistrationError> {
        let admin = self.registration.options.admin_token.as_ref();
        let admin = admin.ok_or_else(|| self.no_token())?;
        self.registration.vault.prove_writable().await?;
        let [path, last] = RENEW_PATH;
        let mut url = self.admin_api(path)?;
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.extend([client_id, last]);
        }
        let token = self.registration.calls.renew_token(&url, admin).await?;
        tracing::info!(
            "the registration access token of {client_id} was renewed with the admin token of the IdP"
        );
        if let Some(known) = &mut self.record.registered {
            known.registration_access_token = Some(token);
        }
        Ok(self.store().await?)
    }

    /// `path` of the IdP's admin API.
    fn admin_api(&self, path: &str) -> Result<Url, RegistrationError> {
        let no_url = |_| RegistrationError::NoEndpoint {
            issuer: self.metadata.issuer.clone(),
        };
        let issuer = Url::parse(&self.metadata.issuer).map_err(no_url)?;
        let mut url = self.metadata.url_map().back_channel(issuer);
        url.set_path(path);
        url.set_query(None);
        Ok(url)
    }
}
