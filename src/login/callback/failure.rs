//! A failed login, from the person's view: replicas share it.

use serde::{Deserialize, Serialize};

use super::CallbackError;
use crate::{
    oidc::{CallError, Meaning, TokenError, UserInfoError},
    outbound::TransportError,
    session::OpenError,
};

/// The reason why the login failed, as far as the person learns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// The IdP does not take the code (any more).
    CodeGone,
    /// The IdP refuses the client, or its request.
    Refused,
    /// The IdP does not work, or cannot be reached.
    Unavailable,
    /// The IdP does not answer.
    TimedOut,
    /// The IdP's answer failed a check.
    AnswerRefused,
    /// The login was not as strong as was asked for.
    TooWeak,
    /// There is no room for another session.
    NoRoom,
    /// The session store does not answer.
    StoreUnavailable,
    /// There was no place for a call to the IdP.
    Busy,
    /// The server is not connected to its IdP.
    NotReady,
    /// A fault of ours.
    Internal,
}

// === impl Failure ===

impl Failure {
    /// From a failed call to the IdP.
    #[must_use]
    pub fn of_call(error: &TokenError) -> Self {
        match error {
            CallError::NotReady(_) => Self::NotReady,
            CallError::Signing(_) => Self::Internal,
            CallError::Transport { source, .. } => Self::of_transport(source),
            CallError::Unavailable { .. } => Self::Unavailable,
            CallError::InvalidClient(_)
            | CallError::Rejected(_)
            | CallError::NoReason
            | CallError::Unexpected { .. }
            | CallError::Malformed(_) => match error.meaning() {
                Meaning::GrantGone => Self::CodeGone,
                Meaning::Outage if matches!(error, CallError::Rejected(_)) => Self::Unavailable,
                _ => Self::Refused,
            },
        }
    }

    const fn of_transport(error: &TransportError) -> Self {
        match error {
            TransportError::Saturated => Self::Busy,
            TransportError::TimedOut => Self::TimedOut,
            TransportError::NotSent { .. }
            | TransportError::Proxy { .. }
            | TransportError::Interrupted { .. }
            | TransportError::TooLarge
            | TransportError::Encoded { .. } => Self::Unavailable,
        }
    }

    /// From a failure between the code and the session.
    #[must_use]
    pub fn of(error: &CallbackError) -> Self {
        match error {
            CallbackError::Exchange(cause) => Self::of_call(cause),
            CallbackError::IdToken(cause) if cause.is_transient() => Self::Unavailable,
            CallbackError::UserInfo(UserInfoError::Transport(cause)) => Self::of_transport(cause),
            CallbackError::UserInfo(cause) if cause.is_transient() => Self::Unavailable,
            CallbackError::NoIdToken | CallbackError::IdToken(_) | CallbackError::UserInfo(_) => {
                Self::AnswerRefused
            }
            CallbackError::TooWeak => Self::TooWeak,
            CallbackError::Open(OpenError::TooMany | OpenError::OutOfMemory) => Self::NoRoom,
            CallbackError::Open(_) => Self::StoreUnavailable,
            CallbackError::NotReady => Self::NotReady,
            CallbackError::Elsewhere { failure, .. } => *failure,
            CallbackError::UnknownAttempt
            | CallbackError::Expired
            | CallbackError::OtherHost
            | CallbackError::Issuer
            | CallbackError::Refused { .. }
            | CallbackError::LoginRequired { .. }
            | CallbackError::NoCode
            | CallbackError::LoggedOut
            | CallbackError::Abandoned => Self::Internal,
        }
    }
}
