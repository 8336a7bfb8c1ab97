//! Why a callback did not lead to a session.

use std::sync::Arc;

use url::Url;

use super::Failure;
use crate::{
    diagnostic::{Explain, Fix, Knob, fix},
    login::Instead,
    oidc::{IdTokenError, OAuthError, TokenError, UserInfoError},
    session::{OpenError, SessionKey},
};

/// A callback that did not lead to a session.
#[derive(Debug)]
pub struct Failed {
    /// Why. Shared by all requests that came for the same attempt.
    pub error: Arc<CallbackError>,
    /// The target of the person, if the attempt is known.
    pub return_to: Option<String>,
    /// The session of the browser, as far as it is known. It may have ended.
    pub previous: Option<SessionKey>,
}

/// Why a callback did not lead to a session.
#[derive(Debug, thiserror::Error)]
pub enum CallbackError {
    /// No `state`, or one without a login cookie in this browser: too late, another browser, or forged.
    #[error("this login was not started in this browser, or too long ago")]
    UnknownAttempt,
    /// The person took too long.
    #[error("the login took too long")]
    Expired,
    /// The answer came to another host than the one of the login.
    #[error("the login was started on another host")]
    OtherHost,
    /// `iss` is missing although the IdP promised it, or names another issuer (RFC 9207 section 2.4).
    #[error("the answer names another identity provider than the one that was asked, or none")]
    Issuer,
    /// The IdP says no (RFC 6749 section 4.1.2.1).
    #[error("the identity provider answered {error}")]
    Refused {
        /// Its text.
        error: OAuthError,
        /// The alternative to an error page, if there is one.
        instead: Option<Box<Instead>>,
    },
    /// A login without a person (`prompt=none`) needs one.
    #[error("a login without a person was not possible")]
    LoginRequired {
        /// The URL at which the application learns of it: an allowed URL with `error=login_required`.
        location: Url,
    },
    /// Neither a code nor an error, or a code that is not valid.
    #[error("the answer has no usable code")]
    NoCode,
    /// The server has not found its IdP yet.
    #[error("the server is not connected to its identity provider yet")]
    NotReady,
    /// The code was not exchanged.
    #[error(transparent)]
    Exchange(#[from] TokenError),
    /// The token response has no ID token although `openid` was requested.
    #[error("the identity provider sent no ID token")]
    NoIdToken,
    /// The ID token is refused.
    #[error(transparent)]
    IdToken(#[from] IdTokenError),
    /// A logged-in person was asked for a stronger login, and the IdP returned none.
    #[error("the identity provider did not log the person in as strongly as was asked for")]
    TooWeak,
    /// UserInfo describes another person.
    #[error(transparent)]
    UserInfo(#[from] UserInfoError),
    /// No room for another session, or the store does not answer.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The IdP has logged the person out while the login was under way.
    #[error("the identity provider has logged the person out meanwhile")]
    LoggedOut,
    /// Another process has completed the login, and it came to nothing.
    #[error("another replica completed the login: {cause}")]
    Elsewhere {
        /// The kind of failure for the person.
        failure: Failure,
        /// Its text.
        cause: String,
    },
    /// The task that completed the login died.
    #[error("the login was not completed")]
    Abandoned,
}

// === impl CallbackError ===

impl Explain for CallbackError {
    fn fix(&self) -> Option<Fix> {
        match self {
            Self::Exchange(error) => error.fix(),
            Self::NoIdToken => Some(fix!(
                "let `openid` be among {} and among the scopes that the IdP allows this client",
                Knob::Scopes
            )),
            Self::IdToken(error) => error.fix(),
            Self::UserInfo(error) => error.fix(),
            Self::Open(error) => error.fix(),
            Self::UnknownAttempt
            | Self::Expired
            | Self::OtherHost
            | Self::Issuer
            | Self::Refused { .. }
            | Self::LoginRequired { .. }
            | Self::NoCode
            | Self::NotReady
            | Self::TooWeak
            | Self::LoggedOut
            | Self::Elsewhere { .. }
            | Self::Abandoned => None,
        }
    }
}

// === impl Failed ===

impl From<CallbackError> for Failed {
    /// Of an unknown attempt.
    fn from(error: CallbackError) -> Self {
        Self {
            error: Arc::new(error),
            return_to: None,
            previous: None,
        }
    }
}
