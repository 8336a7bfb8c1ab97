//! Why an ID token is not accepted, and its effect on a session.

use crate::{
    diagnostic::{Explain, Fix, Knob, fix},
    jose::VerifyError,
    oidc::{JwksError, NotReady, SignedError},
};

/// Why an ID token is not accepted. Never contains a part of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdTokenError {
    /// There is nothing to check it against.
    #[error(transparent)]
    NotReady(#[from] NotReady),
    /// There are no keys for the check.
    #[error(transparent)]
    Keys(#[from] JwksError),
    /// Fails a check common to all JWTs (signature, `iss`, `aud`, times).
    #[error("ID token refused: {0}")]
    Token(#[from] VerifyError),
    /// It names a key that is not among the provider's, which were read a moment ago. The provider may be about to
    /// publish it.
    #[error("ID token refused: the IdP does not publish the key that it names")]
    UnpublishedKey,
    /// `nonce` is missing or another one.
    #[error("ID token refused: the nonce is not that of this login")]
    Nonce,
    /// `sub` is missing, too long or not ASCII.
    #[error("ID token refused: the subject is not usable")]
    Subject,
    /// It was issued before the login began, so it belongs to another one.
    #[error(
        "ID token refused: it was issued before this login began (if it was not, the IdP's clock is more than a minute \
         behind)"
    )]
    Stale,
    /// `c_hash` belongs to another code.
    #[error("ID token refused: it belongs to another authorization code")]
    CodeHash,
    /// `at_hash` belongs to another access token.
    #[error("ID token refused: it belongs to another access token")]
    AccessTokenHash,
    /// The person authenticated too long ago, or at an unstated time.
    #[error("ID token refused: the authentication is older than requested, or its time is unknown")]
    TooOld,
    /// The session at the provider is over.
    #[error("ID token refused: the session at the IdP has already ended (session_expiry)")]
    SessionOver,
    /// A claim is of the wrong kind.
    #[error("ID token refused: `{0}` is not usable")]
    Claim(&'static str),
    /// A refreshed one is of another person or issuer.
    #[error("ID token refused: the refreshed token has another {0}")]
    Changed(&'static str),
}

// === impl IdTokenError ===

impl Explain for IdTokenError {
    fn fix(&self) -> Option<Fix> {
        match self {
            Self::NotReady(error) => error.fix(),
            Self::Keys(error) => error.fix(),
            Self::Token(VerifyError::Audience) => Some(fix!(
                "if every ID token of the IdP lists other audiences too, name them in {}",
                Knob::TrustedAudiences
            )),
            _ => None,
        }
    }
}

impl IdTokenError {
    /// Whether a refreshed ID token like this ends the session: it is of another person, issuer or client.
    #[must_use]
    pub const fn ends_session(&self) -> bool {
        matches!(
            self,
            Self::Changed(_)
                | Self::Token(VerifyError::Issuer | VerifyError::Audience | VerifyError::AuthorizedParty)
        )
    }

    /// Whether the token has no fault, but its validity cannot be determined.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::NotReady(_) | Self::Keys(_) | Self::UnpublishedKey | Self::Token(VerifyError::UnknownKey)
        )
    }
}

impl From<SignedError> for IdTokenError {
    fn from(error: SignedError) -> Self {
        match error {
            SignedError::Keys(error) => Self::Keys(error),
            SignedError::Token(error) => Self::Token(error),
            SignedError::UnpublishedKey => Self::UnpublishedKey,
        }
    }
}
