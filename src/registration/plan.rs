//! The plan of a registration: typed steps, each with its reason.
//!
//! [`plan()`](rules::plan) makes it of [`Facts`], without I/O and without a clock. The executor performs the first step,
//! adds the outcome to the facts and asks again. A look performs only the steps that change nothing; the dry run and
//! the doctor print the rest in the words of the server's log.

mod access;
mod describe;
mod facts;
mod rules;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

pub(super) use self::{
    access::{InitialAccess, configured_access},
    facts::{Assigned, Facts, Freed, Learnt, Purpose, Reach, Renewal},
    rules::{due_at, plan},
};
use super::{diff::Change, error::RegistrationError, event::Event, metadata::WantedMetadata};

/// The next steps. Each one assumes that the steps before it succeed and reveal nothing new.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    steps: Vec<Step>,
    /// The reason why the client is not replaced, although `DCR_FORCE_REPLACE` requests that.
    not_replaced: Option<Box<RegistrationError>>,
    /// The file whose record becomes the stored one before the first step.
    imports: Option<PathBuf>,
}

/// A step, with its reason.
#[derive(Clone, Debug)]
pub enum Step {
    /// Deletes clients that were replaced long enough ago (RFC 7592 section 2.3).
    DeleteReplaced {
        /// Their ids.
        client_ids: Vec<String>,
    },
    /// Reads the client (RFC 7592 section 2.1).
    Read {
        /// Its id.
        client_id: String,
    },
    /// Has the IdP's admin API make another registration access token, because the IdP refuses the present one.
    RenewToken {
        /// The client of the token.
        client_id: String,
        /// Whether the client is registered anew if the IdP has no such API.
        or_anew: bool,
    },
    /// Asks the token endpoint whether the IdP still accepts the client, because it refuses the registration access token.
    Prove {
        /// The client.
        client_id: String,
    },
    /// Registers a client (RFC 7591 section 3).
    Register(Box<Registering>),
    /// Deletes the replaced client, once no process uses it any more.
    DeleteLater {
        /// The replaced client.
        client_id: String,
        /// The time until then.
        after: Duration,
    },
    /// Leaves the replaced client at the IdP, because the server has no means to delete it.
    Leave {
        /// The replaced client.
        client_id: String,
    },
    /// Writes the wanted metadata (RFC 7592 section 2.2).
    Update(Box<Updating>),
    /// Reads the client again after an update that reverted somebody's change.
    ReadBack {
        /// The client.
        client_id: String,
    },
    /// Stores the IdP's values as agreed: they are the wanted ones.
    Remember {
        /// The client.
        client_id: String,
    },
    /// Deletes the stored client, because the IdP neither registers its id a second time nor updates it.
    Free {
        /// The client.
        client_id: String,
    },
    /// The end: the stored client stays in use.
    Keep {
        /// The client.
        client_id: String,
        /// Why.
        event: Box<Event>,
    },
    /// The end: there is no client.
    Refuse(Box<RegistrationError>),
    /// The end: no call is made, as configured.
    Skip,
}

/// A registration.
#[derive(Clone, Debug)]
pub struct Registering {
    /// The issuer of the new client.
    pub issuer: String,
    /// The source of the initial access token.
    pub access: TokenSource,
    /// Why.
    pub why: Why,
    /// The requested metadata.
    pub wanted: WantedMetadata,
}

/// The reason for a registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// No client exists yet.
    First,
    /// `DCR_FORCE_REPLACE` with an initial access token that has not been used.
    Forced {
        /// The stored client.
        client_id: String,
    },
    /// The IdP refuses the registration access token.
    TokenLost {
        /// The stored client.
        client_id: String,
    },
    /// The client was deleted at the IdP.
    Deleted {
        /// The stored client.
        client_id: String,
    },
    /// The stored client was deleted to release its id.
    Freed,
}

/// The source of the initial access token for a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenSource {
    /// `DCR_IAT`.
    Configured,
    /// Minted with `BOOTSTRAP_ADMIN_TOKEN`.
    Minted,
    /// None is needed (`DCR_IAT=none`).
    Open,
}

/// An update.
#[derive(Clone, Debug)]
pub struct Updating {
    /// The client.
    pub client_id: String,
    /// The fields with other values at the IdP.
    pub changes: Vec<Change>,
    /// The changes that somebody made at the IdP, in words.
    pub drifted: Vec<String>,
    /// Whether the update replaces a new registration that the IdP refused, because the id is taken.
    pub in_place: bool,
}

// === impl Plan ===

impl Plan {
    pub(super) fn of(step: Step) -> Self {
        Self::default().then(step)
    }

    /// The stored client stays in use.
    pub(super) fn keep(client_id: &str, event: Event) -> Self {
        Self::of(Step::Keep {
            client_id: client_id.to_owned(),
            event: Box::new(event),
        })
    }

    pub(super) fn refuse(error: RegistrationError) -> Self {
        Self::of(Step::Refuse(Box::new(error)))
    }

    /// The same with another step at its end.
    pub(super) fn then(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// The same, followed by the steps of `next`.
    pub(super) fn followed_by(mut self, next: Self) -> Self {
        self.steps.extend(next.steps);
        Self {
            steps: self.steps,
            not_replaced: self.not_replaced.or(next.not_replaced),
            imports: self.imports.or(next.imports),
        }
    }

    /// The same, with the reason why the client is not replaced.
    pub(super) fn without_replacing(mut self, reason: RegistrationError) -> Self {
        self.not_replaced = Some(Box::new(reason));
        self
    }

    /// The reason why the client is not replaced, although `DCR_FORCE_REPLACE` requests that.
    #[must_use]
    pub fn not_replaced(&self) -> Option<&RegistrationError> {
        self.not_replaced.as_deref()
    }

    /// The same, after the record in the file `path` has become the stored one.
    pub(super) fn importing(self, path: PathBuf) -> Self {
        Self {
            imports: Some(path),
            ..self
        }
    }

    /// The file whose record becomes the stored one before the first step.
    #[must_use]
    pub fn imports(&self) -> Option<&Path> {
        self.imports.as_deref()
    }

    /// The steps in their order.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The first step, without the others.
    pub(super) fn into_first(self) -> Option<Step> {
        self.steps.into_iter().next()
    }

    /// Whether nothing is left to do.
    pub(super) fn is_at_end(&self) -> bool {
        self.steps.first().is_none_or(Step::is_end)
    }

    /// Whether it changes something at the IdP.
    #[must_use]
    pub fn changes_something(&self) -> bool {
        self.steps.iter().any(Step::changes_something)
    }

    /// The registration in it, if there is one.
    #[must_use]
    pub fn registering(&self) -> Option<&Registering> {
        self.steps.iter().find_map(|step| match step {
            Step::Register(registering) => Some(&**registering),
            _ => None,
        })
    }

    /// The reason why the registration does not become the wanted one, if the plan cannot lead there.
    #[must_use]
    pub fn refusal(&self) -> Option<&RegistrationError> {
        self.steps.iter().find_map(|step| match step {
            Step::Refuse(error) => Some(&**error),
            Step::Keep { event, .. } => event.error(),
            _ => None,
        })
    }

    /// Whether it asks the IdP for another registration access token.
    #[must_use]
    pub fn renews_token(&self) -> bool {
        self.steps
            .iter()
            .any(|step| matches!(step, Step::RenewToken { .. }))
    }

    /// The fields that it writes, with their present and their new values.
    #[must_use]
    pub fn changes(&self) -> Vec<Change> {
        let of = |step: &Step| match step {
            Step::Register(registering) => Some(registering.wanted.as_changes()),
            Step::Update(updating) => Some(updating.changes.clone()),
            _ => None,
        };
        self.steps.iter().find_map(of).unwrap_or_default()
    }
}

// === impl Step ===

impl Step {
    /// Whether it changes something at the IdP.
    pub(super) const fn changes_something(&self) -> bool {
        match self {
            Self::DeleteReplaced { .. }
            | Self::RenewToken { .. }
            | Self::Register(_)
            | Self::DeleteLater { .. }
            | Self::Update(_)
            | Self::Free { .. } => true,
            Self::Read { .. }
            | Self::Prove { .. }
            | Self::Leave { .. }
            | Self::ReadBack { .. }
            | Self::Remember { .. }
            | Self::Keep { .. }
            | Self::Refuse(_)
            | Self::Skip => false,
        }
    }

    const fn is_end(&self) -> bool {
        matches!(self, Self::Keep { .. } | Self::Refuse(_) | Self::Skip)
    }

    /// Whether a look may perform it.
    pub(super) const fn only_looks(&self) -> bool {
        matches!(self, Self::Read { .. } | Self::Prove { .. })
    }
}

// === impl Why ===

impl Why {
    /// The stored client that a new one replaces.
    #[must_use]
    pub fn replaces(&self) -> Option<&str> {
        match self {
            Self::First | Self::Freed => None,
            Self::Forced { client_id } | Self::TokenLost { client_id } | Self::Deleted { client_id } => {
                Some(client_id)
            }
        }
    }
}

#[cfg(test)]
mod tests;
