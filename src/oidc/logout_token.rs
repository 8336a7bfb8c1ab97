//! Logout tokens (OpenID Connect Back-Channel Logout 1.0 sections 2.4 and 2.6).
//!
//! [`jose::verify`](crate::jose::verify) checks signature, `iss`, `aud`, `azp` and times, as for ID tokens (section
//! 2.6, steps 2 to 4). This module checks the claims that only a logout token has.

use std::time::Duration;

use serde_json::Value;

use super::{
    JwksError, NotReady, RelyingParty, SignedError,
    id_token::{MAX_SID, MAX_SUBJECT},
    signed::{is_identifier, text_of},
};
use crate::{
    clock::Timestamp,
    diagnostic::{Explain, Fix},
    jose::{Claims, Typ, VerifyError, numeric_date},
    secret::Secret,
};

/// The member of `events` that makes a JWT a logout token (section 2.4).
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// A logout token that was issued longer ago is refused, whatever its `exp` says. The specification recommends that it
/// expires within two minutes.
const MAX_AGE: Duration = Duration::from_mins(5);

/// How far the provider's clock may differ from ours.
const LEEWAY: Duration = Duration::from_mins(1);

/// A longer `jti` is refused, in bytes.
const MAX_ID: usize = 1024;

/// A logout token that is right. It names `sub`, `sid` or both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutToken {
    /// `iss`
    pub issuer: String,
    /// `sub`: the person.
    pub subject: Option<String>,
    /// `sid`: the session at the provider.
    pub sid: Option<String>,
    /// `jti`: unique for the issuer.
    pub id: String,
    /// `iat`
    pub issued_at: Timestamp,
    /// From here on the token is refused for its age or its `exp`: so long its `jti` has to be remembered.
    pub refused_from: Timestamp,
}

/// Why a logout token is not accepted. Never contains a part of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogoutTokenError {
    /// There is nothing to check it against.
    #[error(transparent)]
    NotReady(#[from] NotReady),
    /// There are no keys for the check.
    #[error(transparent)]
    Keys(#[from] JwksError),
    /// Fails a check common to all JWTs (signature, `iss`, `aud`, times).
    #[error("logout token refused: {0}")]
    Token(#[from] VerifyError),
    /// It names a key that is not among the provider's, which were read a moment ago.
    #[error("logout token refused: the IdP does not publish the key that it names")]
    UnpublishedKey,
    /// It was issued too long ago.
    #[error("logout token refused: it was issued more than five minutes ago")]
    TooOld,
    /// `events` does not say that it is one.
    #[error("logout token refused: `events` does not name a back-channel logout")]
    Event,
    /// It has a `nonce`, as ID tokens have.
    #[error("logout token refused: it has a nonce")]
    Nonce,
    /// It names neither a person nor a session.
    #[error("logout token refused: it names neither a subject nor a session")]
    Nobody,
    /// A claim is missing or of the wrong kind.
    #[error("logout token refused: `{0}` is missing or not usable")]
    Claim(&'static str),
}

// === impl LogoutTokenError ===

impl Explain for LogoutTokenError {
    fn fix(&self) -> Option<Fix> {
        match self {
            Self::NotReady(error) => error.fix(),
            Self::Keys(error) => error.fix(),
            _ => None,
        }
    }
}

impl LogoutTokenError {
    /// Whether the token has no fault, but its validity cannot be determined.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::NotReady(_) | Self::Keys(_))
    }

    /// Whether the provider has signed the token. Anybody can send an unsigned one.
    #[must_use]
    pub const fn is_signed(&self) -> bool {
        match self {
            Self::TooOld | Self::Event | Self::Nonce | Self::Nobody | Self::Claim(_) => true,
            Self::Token(error) => matches!(
                error,
                VerifyError::Issuer
                    | VerifyError::Audience
                    | VerifyError::AuthorizedParty
                    | VerifyError::Expired
                    | VerifyError::NotYetValid
            ),
            Self::NotReady(_) | Self::Keys(_) | Self::UnpublishedKey => false,
        }
    }
}

impl From<SignedError> for LogoutTokenError {
    fn from(error: SignedError) -> Self {
        match error {
            SignedError::Keys(error) => Self::Keys(error),
            SignedError::Token(error) => Self::Token(error),
            SignedError::UnpublishedKey => Self::UnpublishedKey,
        }
    }
}

// === impl RelyingParty ===

impl RelyingParty {
    /// Checks a logout token completely, except whether it is a repetition.
    ///
    /// # Errors
    ///
    /// [`LogoutTokenError`], the first thing that is wrong.
    pub async fn verify_logout_token(&self, token: &Secret) -> Result<LogoutToken, LogoutTokenError> {
        let now = self.shared.clock.wall();
        let verified = self
            .verify_signed::<LogoutTokenError>(token, Typ::LogoutToken, now)
            .await?;
        LogoutToken::read(&verified.claims, now)
    }
}

// === impl LogoutToken ===

impl LogoutToken {
    fn read(claims: &Claims, now: Timestamp) -> Result<Self, LogoutTokenError> {
        let claim = |name: &'static str, longest: usize| match text_of(claims, name) {
            Ok(None) => Ok(None),
            Ok(Some(text)) if is_identifier(&text, longest) => Ok(Some(text)),
            // Left out, a token for one session would be one for all of the person's.
            Ok(Some(_)) | Err(()) => Err(LogoutTokenError::Claim(name)),
        };
        // Step 6.
        if !is_logout(claims) {
            return Err(LogoutTokenError::Event);
        }
        // Step 7, also if it is `null`: no ID token passes for a logout token.
        if claims.contains_key("nonce") {
            return Err(LogoutTokenError::Nonce);
        }
        let (subject, sid) = (claim("sub", MAX_SUBJECT)?, claim("sid", MAX_SID)?);
        // Step 5.
        if subject.is_none() && sid.is_none() {
            return Err(LogoutTokenError::Nobody);
        }
        let issued_at = numeric_date(claims, "iat").ok_or(LogoutTokenError::Claim("iat"))?;
        let too_old = issued_at.saturating_add(MAX_AGE).saturating_add(LEEWAY);
        if too_old <= now {
            return Err(LogoutTokenError::TooOld);
        }
        let expires_at = numeric_date(claims, "exp").ok_or(LogoutTokenError::Claim("exp"))?;
        Ok(Self {
            issuer: claim("iss", usize::MAX)?.ok_or(LogoutTokenError::Claim("iss"))?,
            subject,
            sid,
            id: claim("jti", MAX_ID)?.ok_or(LogoutTokenError::Claim("jti"))?,
            issued_at,
            refused_from: too_old.min(expires_at.saturating_add(LEEWAY)),
        })
    }
}

/// Whether `events` says that the claims are those of a logout token (section 2.4).
pub(super) fn is_logout(claims: &Claims) -> bool {
    let event = claims.get("events").and_then(|events| events.get(EVENT));
    event.is_some_and(Value::is_object)
}

#[cfg(test)]
mod tests;
