//! What an error means for the process: stop, wait, or wait for a person.

use std::time::Duration;

use super::{CredentialsError, RegistrationError};

/// What an error means for the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The operator has to change something here: exit code 64.
    Configuration,
    /// Nobody has to change anything, trying again may help: exit code 69 where nobody can wait.
    Unreachable,
    /// The IdP said no, or we have nothing to ask with: exit code 77.
    Refused,
    /// Something was sent and its answer is lost. Trying again by itself would be wrong, a person must look; the server
    /// stays up: exit code 69 where nobody can wait.
    OutcomeUnknown,
}

// === impl RegistrationError ===

impl RegistrationError {
    /// What it means for the process.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Credentials(error) => match error {
                // What is wrong with what is shared is mended at another place, or passes.
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
            | Self::OtherClient { .. }
            | Self::CannotUpdate { .. }
            | Self::RedirectUrisUnknown { .. }
            | Self::NeedsToken { .. }
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

    /// When the IdP asked to come back.
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
