//! The access that a registration request may use: a configured initial access token, a minted one, or none (RFC 7591
//! section 3).

use super::{
    super::{credentials::is_token, error::RegistrationError, metadata::token_hash, options::Options},
    Facts, TokenSource,
};
use crate::{diagnostic::Knob, secret::Secret};

/// The mark that records a request without an initial access token. No hash of a token equals it.
const OPEN: &str = "none";

/// The access of a registration request, with the mark that records it.
pub(in super::super) struct InitialAccess {
    /// The initial access token; `None` for open registration.
    pub(in super::super) token: Option<Secret>,
    /// The hash of the token.
    pub(in super::super) note: String,
}

// === impl InitialAccess ===

impl InitialAccess {
    pub(in super::super) fn by_token(token: Secret) -> Self {
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
    pub(in super::super) const fn is_open(&self) -> bool {
        self.token.is_none()
    }

    const fn source(&self) -> TokenSource {
        if self.is_open() {
            TokenSource::Open
        } else {
            TokenSource::Configured
        }
    }
}

/// The configured access: an initial access token, or none because the IdP needs none.
pub(in super::super) fn configured_access(
    options: &Options,
) -> Result<Option<InitialAccess>, RegistrationError> {
    if options.open_registration {
        return Ok(Some(InitialAccess::open()));
    }
    let Some(token) = options.initial_access_token.clone() else {
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

// === impl Facts ===

impl Facts<'_> {
    /// The source of the token for a first registration: the configured access if it has not led to a registration, or
    /// a token that is minted.
    pub(super) fn first_access(&self) -> Result<TokenSource, RegistrationError> {
        let is_configured = configured_access(self.options)?.is_some();
        let fresh = self.fresh_access()?;
        if !self.may_ask(fresh.as_ref()) {
            return Err(self.outcome_unknown());
        }
        self.source(fresh.as_ref())?
            .ok_or_else(|| RegistrationError::NoToken {
                place: self.place.clone(),
                spent: is_configured,
            })
    }

    /// The source of the token for a new client in the place of one with a lost registration access token. `None` if
    /// there is none, or if the client came about this way and its own token has not worked yet.
    pub(super) fn access_to_renew(&self) -> Result<Option<TokenSource>, RegistrationError> {
        let fresh = self.fresh_access()?;
        if self.record.renewed || fresh.is_none() && self.options.admin_token.is_none() {
            return Ok(None);
        }
        // A requested id does not help here: an IdP that honours it would have refused the lost client's id as taken.
        let asked_before = self.record.pending.is_some() && fresh.as_ref().is_none_or(InitialAccess::is_open);
        if asked_before || !self.may_ask(fresh.as_ref()) {
            return Err(self.outcome_unknown());
        }
        self.source(fresh.as_ref())
    }

    /// The configured access, if it has not led to a registration.
    pub(super) fn fresh_access(&self) -> Result<Option<InitialAccess>, RegistrationError> {
        let configured = configured_access(self.options)?;
        Ok(configured.filter(|access| !self.record.is_spent(&access.note)))
    }

    /// Whether the answer to a registration request with `access` is lost.
    pub(super) fn is_pending(&self, access: &InitialAccess) -> bool {
        let pending = self.record.pending.as_ref();
        pending.is_some_and(|pending| pending.initial_access_token == access.note)
    }

    /// Checks the admin token. `None` if there is none.
    pub(super) fn admin_token(&self) -> Result<Option<()>, RegistrationError> {
        match &self.options.admin_token {
            None => Ok(None),
            Some(token) if is_token(token.expose()) => Ok(Some(())),
            Some(_) => Err(RegistrationError::UnusableToken {
                what: "the admin token of the IdP",
                knob: Knob::AdminToken,
            }),
        }
    }

    /// Whether a registration may be requested although the answer to an earlier request may be lost. A new token is
    /// a person's permission to try again. A minted token, or none, is allowed only if the taken id would reveal a
    /// client from the lost request.
    fn may_ask(&self, fresh: Option<&InitialAccess>) -> bool {
        if self.record.pending.is_none() {
            return true;
        }
        let asks_for_an_id = self.options.client_id.is_some();
        match fresh {
            Some(access) if !self.is_pending(access) => true,
            Some(access) => access.is_open() && asks_for_an_id,
            None => self.options.admin_token.is_some() && asks_for_an_id,
        }
    }

    fn source(&self, fresh: Option<&InitialAccess>) -> Result<Option<TokenSource>, RegistrationError> {
        match fresh {
            Some(access) => Ok(Some(access.source())),
            None => Ok(self.admin_token()?.map(|()| TokenSource::Minted)),
        }
    }
}
