//! The effect of an error on the process: stop, try again, or wait for a person.

use std::time::Duration;

use super::{CredentialsError, RegistrationError};

/// The effect of an error on the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The operator has to change something here: exit code 64.
    Configuration,
    /// Nobody has to change anything, and another attempt may help. A command that cannot wait exits with code 69.
    Unreachable,
    /// The IdP refused, or the server has no credential to ask with: exit code 77.
    Refused,
    /// A request was sent and its answer is lost. An automatic repetition would be wrong: a person must look. The
    /// server keeps running. A command that cannot wait exits with code 69.
    OutcomeUnknown,
}

// === impl RegistrationError ===

impl RegistrationError {
    /// The error's effect on the process.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Credentials(error) => match error {
                // A failure of shared data is fixed elsewhere, or it passes.
                CredentialsError::Unavailable { .. }
                | CredentialsError::Foreign
                | CredentialsError::LockLost => ErrorKind::Unreachable,
                _ => ErrorKind::Configuration,
            },
            Self::NotStored { .. }
            | Self::UnusableToken { .. }
            | Self::NoEndpoint { .. }
            | Self::Algorithm(_)
            | Self::NothingToSkipTo { .. } => ErrorKind::Configuration,
            Self::NoToken { .. }
            | Self::InitialTokenRefused { .. }
            | Self::TokenRequired { .. }
            | Self::MintRefused { .. }
            | Self::InvalidScope { .. }
            | Self::InvalidRedirectUri { .. }
            | Self::ClientIdTaken { .. }
            | Self::Refused { .. }
            | Self::RegistrationTokenRefused { .. }
            | Self::NotRegisteredAnew { .. }
            | Self::ClientGone { .. }
            | Self::ClientDeleted { .. }
            | Self::OtherClient { .. }
            | Self::CannotUpdate { .. }
            | Self::RedirectUrisUnknown { .. }
            | Self::NeedsToken { .. }
            | Self::NotWritten { .. }
            | Self::MethodReplaced { .. }
            | Self::AlgorithmReplaced { .. }
            | Self::NoSecret { .. } => ErrorKind::Refused,
            Self::UnusableEndpoint { .. }
            | Self::Unreachable { .. }
            | Self::Unavailable { .. }
            | Self::NotAnAnswer { .. }
            | Self::Redirected { .. } => ErrorKind::Unreachable,
            Self::OutcomeUnknown { .. } => ErrorKind::OutcomeUnknown,
        }
    }

    /// The time after which the IdP allows another attempt.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

// === impl ErrorKind ===

impl ErrorKind {
    /// The exit code of a process that cannot wait (sysexits: usage, unavailable, no permission).
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Configuration => 64,
            Self::Unreachable | Self::OutcomeUnknown => 69,
            Self::Refused => 77,
        }
    }
}
