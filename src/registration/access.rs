//! The access that a registration request may use: a configured initial access token, a minted one, or none (RFC 7591
//! section 3).

use url::Url;

use super::{
    Registration, bootstrap::Attempt, credentials::is_token, error::RegistrationError, metadata::token_hash,
};
use crate::{
    diagnostic::{Explain as _, Knob},
    secret::Secret,
};

/// Path of the API that mints initial access tokens, at the IdP's origin.
const MINT_PATH: &str = "/api/admin/dcr/initial-access-tokens";
/// Path of the API that gives a client another registration access token, before and after the client id.
const RENEW_PATH: [&str; 2] = ["/api/admin/dcr/clients", "tokens"];
/// The mark that records a request without an initial access token. No hash of a token equals it.
const OPEN: &str = "none";

/// The access of a registration request, with the mark that records it.
pub(super) struct InitialAccess {
    /// The initial access token; `None` for open registration.
    pub(super) token: Option<Secret>,
    /// The hash of the token.
    pub(super) note: String,
}

// === impl InitialAccess ===

impl InitialAccess {
    fn by_token(token: Secret) -> Self {
        Self {
            note: token_hash(&token),
            token: Some(token),
        }
    }

    fn open() -> Self {
        Self {
            token: None,
            note: OPEN.to_owned(),
        }
    }

    /// Whether no token is needed.
    pub(super) const fn is_open(&self) -> bool {
        self.token.is_none()
    }
}

// === impl Registration ===

impl Registration {
    /// The configured access: an initial access token, or none because the IdP needs none.
    pub(super) fn configured_access(&self) -> Result<Option<InitialAccess>, RegistrationError> {
        if self.options.open_registration {
            return Ok(Some(InitialAccess::open()));
        }
        let Some(token) = self.options.initial_access_token.clone() else {
            return Ok(None);
        };
        if !is_token(token.expose()) {
            return Err(RegistrationError::UnusableToken {
                what: "the initial access token",
                knob: Knob::InitialAccessToken,
            });
        }
        Ok(Some(InitialAccess::by_token(token)))
    }
}

// === impl Attempt ===

impl Attempt<'_> {
    /// The access of a first registration: the configured initial access token if it has not led to a registration,
    /// no token if the IdP needs none, and nothing if a token is to be minted.
    pub(super) fn usable_access(&self) -> Result<Option<InitialAccess>, RegistrationError> {
        let options = &self.registration.options;
        let configured = self.registration.configured_access()?;
        let spent = configured
            .as_ref()
            .is_some_and(|token| self.record.is_spent(&token.note));
        let fresh = configured.filter(|token| !self.record.is_spent(&token.note));
        if !self.may_ask(fresh.as_ref()) {
            return Err(self.unknown_from_record());
        }
        if fresh.is_none() && options.admin_token.is_none() {
            return Err(RegistrationError::NoToken {
                place: self.place(),
                spent,
            });
        }
        Ok(fresh)
    }

    /// The configured initial access token, if it has not led to a registration; open registration, if that is configured.
    pub(super) fn unspent_access(&self) -> Result<Option<InitialAccess>, RegistrationError> {
        let token = self.registration.configured_access()?;
        Ok(token.filter(|token| !self.record.is_spent(&token.note)))
    }

    /// Whether a registration may be requested although the answer to an earlier request may be lost. A new token is
    /// a person's permission to try again. A minted token, or none, is allowed only if the taken id would reveal a
    /// client from the lost request.
    pub(super) fn may_ask(&self, fresh: Option<&InitialAccess>) -> bool {
        let Some(pending) = &self.record.pending else {
            return true;
        };
        let options = &self.registration.options;
        match fresh {
            Some(access) if access.note != pending.initial_access_token => true,
            Some(access) => access.is_open() && options.client_id.is_some(),
            None => options.admin_token.is_some() && options.client_id.is_some(),
        }
    }

    /// `fresh`, or else a token minted for this request.
    pub(super) async fn configured_or_minted(
        &self,
        fresh: Option<InitialAccess>,
    ) -> Result<InitialAccess, RegistrationError> {
        match (fresh, &self.registration.options.admin_token) {
            (Some(token), _) => Ok(token),
            (None, Some(admin)) => self.mint(admin).await,
            (None, None) => Err(RegistrationError::NoToken {
                place: self.place(),
                spent: false,
            }),
        }
    }

    async fn mint(&self, admin: &Secret) -> Result<InitialAccess, RegistrationError> {
        check_admin_token(admin)?;
        let url = self.admin_api(MINT_PATH)?;
        let options = &self.registration.options;
        let label = options.client_id.as_deref().unwrap_or(&options.description.name);
        let token = self.registration.calls.mint(&url, admin, label).await?;
        Ok(InitialAccess::by_token(token))
    }

    /// Requests another registration access token from the admin API after `refusal` of the present one, once in an
    /// attempt. `true` if the new token is stored. An IdP without that API counts as one that cannot be asked.
    pub(super) async fn renew_token(
        &mut self,
        refusal: &RegistrationError,
    ) -> Result<bool, RegistrationError> {
        let (Some(admin), Some(known)) = (
            self.registration.options.admin_token.clone(),
            self.record.registered.clone(),
        ) else {
            return Ok(false);
        };
        check_admin_token(&admin)?;
        if !refusal.may_be_of_the_token() || std::mem::replace(&mut self.token_renewed, true) {
            return Ok(false);
        }
        self.registration.vault.prove_writable().await?;
        let [path, last] = RENEW_PATH;
        let mut url = self.admin_api(path)?;
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.extend([known.client_id.as_str(), last]);
        }
        let token = match self.registration.calls.renew_token(&url, &admin).await {
            Ok(token) => token,
            Err(error @ RegistrationError::MintRefused { .. }) => {
                tracing::info!(
                    "the registration access token of {} was not renewed: {}",
                    known.client_id,
                    error.told()
                );
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        tracing::info!(
            "the registration access token of {} was renewed with the admin token of the IdP",
            known.client_id
        );
        if let Some(known) = &mut self.record.registered {
            known.registration_access_token = Some(token);
        }
        self.store().await?;
        Ok(true)
    }

    /// `path` of the IdP's admin API.
    pub(super) fn admin_api(&self, path: &str) -> Result<Url, RegistrationError> {
        let no_url = |_| RegistrationError::NoEndpoint {
            issuer: self.metadata.issuer.clone(),
        };
        let issuer = Url::parse(&self.metadata.issuer).map_err(no_url)?;
        let mut url = self.metadata.url_map().back_channel(issuer);
        url.set_path(path);
        url.set_query(None);
        Ok(url)
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

fn check_admin_token(token: &Secret) -> Result<(), RegistrationError> {
    if is_token(token.expose()) {
        return Ok(());
    }
    Err(RegistrationError::UnusableToken {
        what: "the admin token of the IdP",
        knob: Knob::AdminToken,
    })
}
