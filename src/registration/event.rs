//! The outcome of an attempt, and its log lines.

use super::{
    diff::{Change, listed},
    error::{ErrorKind, RegistrationError},
    plan::Assigned,
};
use crate::{diagnostic::Explain as _, oidc::Client};

/// A client to continue with, and its origin.
#[derive(Debug)]
pub struct Outcome {
    /// Who we are.
    pub client: Client,
    /// The action.
    pub event: Event,
}

/// The outcome of an attempt.
#[derive(Clone, Debug)]
pub enum Event {
    /// A new client was registered.
    Registered {
        /// The id that the IdP gave it.
        assigned: String,
        /// The requested id.
        requested: Option<String>,
    },
    /// Nothing had to be done.
    Unchanged,
    /// The registration was updated in these fields.
    Updated(Vec<Change>),
    /// The registration should be another, and the IdP or its state does not allow it. What is stored still serves.
    UpdateRefused(RegistrationError),
    /// The registration could not be compared now. What is stored serves until it can.
    Postponed(RegistrationError),
    /// No call was made, as configured.
    Skipped,
}

// === impl Event ===

impl Event {
    pub(super) fn of_failure(error: RegistrationError) -> Self {
        match error.kind() {
            ErrorKind::Unreachable => Self::Postponed(error),
            _ => Self::UpdateRefused(error),
        }
    }

    pub(super) fn of_changes(changes: Vec<Change>) -> Self {
        if changes.is_empty() {
            Self::Unchanged
        } else {
            Self::Updated(changes)
        }
    }

    /// The error of an outcome that is not the wanted one.
    #[must_use]
    pub const fn error(&self) -> Option<&RegistrationError> {
        match self {
            Self::UpdateRefused(error) | Self::Postponed(error) => Some(error),
            Self::Registered { .. } | Self::Unchanged | Self::Updated(_) | Self::Skipped => None,
        }
    }

    /// The log lines that the documents name to operators.
    pub(super) fn log(&self) {
        match self {
            Self::Registered { assigned, requested } => match requested {
                Some(requested) if requested != assigned => {
                    tracing::info!("Client registered: {assigned} (asked for {requested})");
                    tracing::warn!(
                        "the IdP assigned the client id {assigned}, instead of the requested {requested}; the server \
                         uses {assigned}"
                    );
                }
                _ => tracing::info!("Client registered: {assigned}"),
            },
            Self::Unchanged => tracing::info!("registration unchanged"),
            Self::Updated(changes) => tracing::info!("registration updated: {}", listed(changes)),
            Self::UpdateRefused(error) => {
                tracing::error!("{} (the stored registration stays in use)", error.told());
            }
            Self::Postponed(error) => {
                tracing::warn!(
                    "{} (the stored registration stays in use; it is compared again later)",
                    error.told()
                );
            }
            Self::Skipped => tracing::info!("registration skipped, as configured"),
        }
    }
}

impl From<Assigned> for Event {
    fn from(new: Assigned) -> Self {
        Self::Registered {
            assigned: new.client_id,
            requested: new.requested,
        }
    }
}

/// A replaced client that we cannot manage: only a person can remove it.
pub(super) fn tell_left(client_id: &str) {
    tracing::warn!("the replaced client {client_id} cannot be deleted from here; remove it at the IdP");
}
