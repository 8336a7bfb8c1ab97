//! The facts of a plan, and the outcomes that an attempt adds to them.

use serde_json::{Map, Value};
use url::Url;

use super::super::{
    credentials::{Credentials, CredentialsError, Registered},
    diff::{Change, Difference, Remembered},
    error::{Again, RegistrationError, RequestedClientId},
    metadata::WantedMetadata,
    options::Options,
    refusal::shown,
    vault::Place,
};
use crate::{clock::Timestamp, jose::Algorithm, oidc::Standing};

/// The purpose of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Purpose {
    /// A start. Only a start makes a client: people are logged in with the present one, and a short confusion of the
    /// IdP must not end their sessions.
    Start,
    /// The comparison of a running server.
    Comparison,
    /// The deletion of replaced clients by a running server.
    Deletion,
    /// A look, which changes nothing and shows the plan of a start.
    Look,
}

/// Everything that decides about the next steps.
#[derive(Debug)]
pub(in super::super) struct Facts<'a> {
    pub(in super::super) purpose: Purpose,
    pub(in super::super) options: &'a Options,
    pub(in super::super) record: &'a Credentials,
    /// The wanted metadata, before `DCR_REDIRECT_UPDATE_MODE` is applied.
    pub(in super::super) wanted: &'a WantedMetadata,
    /// The algorithm of client assertions.
    pub(in super::super) algorithm: Option<Algorithm>,
    pub(in super::super) issuer: &'a str,
    /// The registration endpoint, or the reason why there is none.
    pub(in super::super) endpoint: Result<Url, RegistrationError>,
    /// Whether the stored client can be managed.
    pub(in super::super) reach: Reach,
    pub(in super::super) place: Place,
    pub(in super::super) now: Timestamp,
    pub(in super::super) learnt: &'a Learnt,
}

/// Whether the stored client can be managed (RFC 7592).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Reach {
    /// At its registration URI, with its registration access token.
    Managed,
    /// Its management endpoint is at another origin than registration, so the token is not sent there.
    Elsewhere { origin: String },
    /// The IdP names no endpoint for registration, so that nothing says where the token may be sent.
    NoEndpoint,
    /// The IdP gave no means.
    Unmanaged,
}

/// The outcomes of the steps of an attempt.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Learnt {
    /// The reason why the attempt has no lock.
    pub(in super::super) unlocked: Option<CredentialsError>,
    /// Whether the replaced clients that were due have had their turn.
    pub(in super::super) replaced_deleted: bool,
    /// The IdP's answer about the client; without metadata if it lets nobody read a client.
    pub(in super::super) reading: Option<Result<Option<Map<String, Value>>, RegistrationError>>,
    /// The answer of the admin API.
    pub(in super::super) renewal: Option<Renewal>,
    /// Whether the IdP still accepts the client.
    pub(in super::super) standing: Option<Standing>,
    /// The outcome of a registration.
    pub(in super::super) registration: Option<Result<Assigned, RegistrationError>>,
    /// The outcome of an update: the changed fields.
    pub(in super::super) update: Option<Result<Vec<Change>, RegistrationError>>,
    /// Whether an update reverted somebody's change and has to be read back.
    pub(in super::super) reads_back: bool,
    /// The outcome of the deletion of the stored client.
    pub(in super::super) freed: Option<Result<Freed, RegistrationError>>,
}

/// The answer of the admin API to a request for another registration access token.
#[derive(Clone, Debug)]
pub(in super::super) enum Renewal {
    /// The new token is stored. The client has not been read with it yet.
    Renewed,
    /// The IdP has no such API, or refuses.
    NotOffered,
    /// No answer, or a token that could not be stored.
    Failed(RegistrationError),
}

/// The id of a new client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Assigned {
    pub(in super::super) client_id: String,
    pub(in super::super) requested: Option<String>,
}

/// The outcome of the deletion of the stored client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Freed {
    Deleted,
    /// The IdP does not delete clients.
    Unsupported,
}

// === impl Facts ===

impl Facts<'_> {
    pub(super) fn remembered(&self) -> Remembered {
        let known = self.record.registered.as_ref();
        known.map(|known| known.remembered.clone()).unwrap_or_default()
    }

    /// The metadata of the client at the IdP, as far as they could be read.
    pub(in super::super) fn current(&self) -> Option<&Map<String, Value>> {
        match &self.learnt.reading {
            Some(Ok(current)) => current.as_ref(),
            _ => None,
        }
    }

    /// The difference between the wanted metadata and those at the IdP.
    pub(in super::super) fn difference(&self) -> Difference {
        let mode = self.options.redirect_update;
        Difference::new(self.wanted, mode, self.current(), &self.remembered())
    }

    /// `known` after the IdP's `metadata` have been agreed.
    pub(super) fn agreed(
        &self,
        known: &Registered,
        wanted: &WantedMetadata,
        metadata: &Map<String, Value>,
    ) -> Registered {
        let mut agreed = known.clone();
        agreed.agree(wanted, metadata, self.algorithm);
        agreed
    }

    /// The answer to an earlier registration request never arrived.
    pub(super) fn outcome_unknown(&self) -> RegistrationError {
        RegistrationError::OutcomeUnknown {
            url: self.endpoint.as_ref().map(shown).unwrap_or_default(),
            cause: "its answer never arrived here".to_owned(),
            client: RequestedClientId(self.options.client_id.clone()),
            again: Again::new(self.options.open_registration),
            place: self.place.clone(),
        }
    }
}
