//! `bff_client.json`: the result and the progress of registration.
//!
//! The server writes the record before each step that cannot be repeated and after each step whose answer cannot be
//! read again. A start after a crash therefore knows the state. Members that a newer version wrote are kept.

mod error;
mod file;
mod superseded;

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

pub use self::{error::CredentialsError, file::CredentialsFile, superseded::Superseded};
use super::{diff::Remembered, vault::Place};
use crate::{clock::Timestamp, jose::Algorithm, secret::Secret};

/// The version of the format that this server writes. A greater one is refused, because its meaning is unknown.
const VERSION: u32 = 1;
/// Longest client id, in bytes.
const MAX_ID: usize = 1024;
/// Longest token or secret, in bytes.
const MAX_SECRET: usize = 16 * 1024;
/// Longest registration URI, in bytes.
const MAX_URI: usize = 4 * 1024;
/// The members that we know; all others are a newer version's.
const MEMBERS: [&str; 17] = [
    "version",
    "state",
    "issuer",
    "requested_client_id",
    "client_id",
    "client_secret",
    "client_secret_expires_at",
    "registration_access_token",
    "registration_client_uri",
    "token_endpoint_auth_signing_alg",
    "metadata_sent",
    "metadata_replaced",
    "metadata_refused",
    "spent_initial_access_tokens",
    "pending",
    "superseded",
    "renewed",
];
/// Most initial access tokens that are remembered as spent; the oldest go first.
const MAX_SPENT: usize = 64;

/// The content of the credentials file. It contains secrets, so it is written only to a file with mode 0600.
#[derive(Clone, Serialize, Deserialize)]
pub struct Credentials {
    version: u32,
    /// How far registration has got, for a person who looks; derived from the rest when written.
    #[serde(default)]
    state: State,
    /// The issuer that it is registered at.
    pub issuer: String,
    /// The requested client id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_client_id: Option<String>,
    /// The registration, if there is one; in the file its members are beside the others.
    #[serde(skip)]
    pub registered: Option<Registered>,
    /// Hashes of the initial access tokens that led to a registration.
    #[serde(default)]
    pub spent_initial_access_tokens: Vec<String>,
    /// A registration request whose answer has not arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<Pending>,
    /// Replaced clients that are still to be deleted.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "superseded::one_or_more"
    )]
    pub superseded: Vec<Superseded>,
    /// The client replaced one whose registration access token was lost, and its own token has not worked yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub renewed: bool,
    /// Unknown members, kept unchanged.
    #[serde(skip)]
    unknown: Map<String, Value>,
}

/// How far registration has got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nothing is registered.
    #[default]
    Unregistered,
    /// A request was sent and its answer has not arrived.
    Requesting,
    /// There is a registered client.
    Registered,
    /// A state of a newer version.
    #[serde(other)]
    Unknown,
}

/// A registered client (RFC 7591 section 3.2.1).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    /// The id that the IdP assigned.
    pub client_id: String,
    /// The client secret, for the methods that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<Secret>,
    /// When the secret ends, in seconds since the epoch; 0 is never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret_expires_at: Option<u64>,
    /// The token for the management of the registration (RFC 7592 section 1.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration_access_token: Option<Secret>,
    /// The management endpoint of the registration, as the IdP gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration_client_uri: Option<String>,
    /// The algorithm of client assertions, as the IdP answered.
    #[serde(
        default,
        rename = "token_endpoint_auth_signing_alg",
        skip_serializing_if = "Option::is_none"
    )]
    pub signing_algorithm: Option<Algorithm>,
    /// Digests of the sent and the received fields.
    #[serde(flatten)]
    pub remembered: Remembered,
}

/// A registration request whose answer has not arrived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Hash of the initial access token that was sent.
    pub initial_access_token: String,
    /// When it was sent.
    pub since: Timestamp,
}

// === impl Credentials ===

impl Credentials {
    /// An empty record.
    #[must_use]
    pub fn new(issuer: String, requested_client_id: Option<String>) -> Self {
        Self {
            version: VERSION,
            state: State::Unregistered,
            issuer,
            requested_client_id,
            registered: None,
            spent_initial_access_tokens: Vec::new(),
            pending: None,
            superseded: Vec::new(),
            renewed: false,
            unknown: Map::new(),
        }
    }

    /// How far registration has got.
    #[must_use]
    pub const fn state(&self) -> State {
        match (&self.registered, &self.pending) {
            (Some(_), _) => State::Registered,
            (None, Some(_)) => State::Requesting,
            (None, None) => State::Unregistered,
        }
    }

    /// Whether it says nothing that would be missed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.registered.is_none()
            && self.pending.is_none()
            && self.superseded.is_empty()
            && self.spent_initial_access_tokens.is_empty()
            && self.unknown.is_empty()
    }

    /// Whether the initial access token with this hash has led to a registration.
    #[must_use]
    pub fn is_spent(&self, hash: &str) -> bool {
        self.spent_initial_access_tokens.iter().any(|spent| spent == hash)
    }

    /// Remembers that the initial access token with this hash has led to a registration.
    pub fn spend(&mut self, hash: String) {
        self.pending = None;
        if !self.is_spent(&hash) {
            self.spent_initial_access_tokens.push(hash);
        }
        let surplus = self.spent_initial_access_tokens.len().saturating_sub(MAX_SPENT);
        self.spent_initial_access_tokens.drain(..surplus);
    }

    /// Reads a record that was kept in `place`.
    ///
    /// # Errors
    ///
    /// [`CredentialsError`]: not a record, or one of a newer version.
    pub fn parse(text: &[u8], place: &Place) -> Result<Self, CredentialsError> {
        let corrupt = |reason: &str| CredentialsError::Corrupt {
            place: place.clone(),
            reason: reason.to_owned(),
        };
        // The parser's own messages can quote values, which are secrets here: the error gives only the position.
        let value: Value = serde_json::from_slice(text).map_err(|error| {
            corrupt(&format!(
                "no JSON at line {}, column {}",
                error.line(),
                error.column()
            ))
        })?;
        let Value::Object(members) = value else {
            return Err(corrupt("no JSON object"));
        };
        let Some(version) = members.get("version").and_then(Value::as_u64) else {
            return Err(corrupt("no number `version`"));
        };
        if version > u64::from(VERSION) {
            return Err(CredentialsError::Newer {
                place: place.clone(),
                version: u32::try_from(version).unwrap_or(u32::MAX),
            });
        }
        Self::from_json(members).map_err(corrupt)
    }

    /// The record as text, which [`parse`](Self::parse) reads. It contains secrets.
    ///
    /// # Errors
    ///
    /// Those of the library.
    pub fn to_text(&self) -> Result<Zeroizing<Vec<u8>>, serde_json::Error> {
        let mut text = Zeroizing::new(serde_json::to_vec_pretty(&self.to_json()?)?);
        text.push(b'\n');
        Ok(text)
    }

    /// Reads a record from JSON. The reason for a refusal quotes no value, because the values are secrets.
    fn from_json(members: Map<String, Value>) -> Result<Self, &'static str> {
        const WRONG: &str = "a member is missing or of another type";
        let mut unknown = members.clone();
        unknown.retain(|name, _| !MEMBERS.contains(&name.as_str()));
        let has_client = members.contains_key("client_id");
        let members = Value::Object(members);
        let mut record = Self::deserialize(&members).map_err(|_| WRONG)?;
        if has_client {
            record.registered = Some(Registered::deserialize(&members).map_err(|_| WRONG)?);
        } else if record.state == State::Registered {
            // Taken for an empty record, this would make a second client.
            return Err("its state is `registered`, but it has no `client_id`");
        }
        record.unknown = unknown;
        record.check()?;
        Ok(record)
    }

    /// The record as JSON.
    fn to_json(&self) -> Result<Value, serde_json::Error> {
        let mut members = self.unknown.clone();
        let mut known = self.clone();
        known.version = VERSION;
        known.state = self.state();
        if let Value::Object(known) = serde_json::to_value(&known)? {
            members.extend(known);
        }
        if let Value::Object(registered) = serde_json::to_value(&self.registered)? {
            members.extend(registered);
        }
        Ok(Value::Object(members))
    }

    /// The mistake in a record, if it has one. The server owns the file, but anyone may have edited it.
    fn check(&self) -> Result<(), &'static str> {
        if self.issuer.is_empty() {
            return Err("`issuer` is empty");
        }
        if let Some(registered) = &self.registered {
            registered.check()?;
        }
        self.superseded.iter().try_for_each(Superseded::check)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("state", &self.state())
            .field("issuer", &self.issuer)
            .field("requested_client_id", &self.requested_client_id)
            .field("registered", &self.registered)
            .finish_non_exhaustive()
    }
}

// === impl Registered ===

impl Registered {
    fn check(&self) -> Result<(), &'static str> {
        if !is_client_id(&self.client_id) {
            return Err("`client_id` is not valid");
        }
        if self
            .client_secret
            .as_ref()
            .is_some_and(|secret| !is_client_secret(secret.expose()))
        {
            return Err("`client_secret` is not valid");
        }
        if self
            .registration_access_token
            .as_ref()
            .is_some_and(|token| !is_token(token.expose()))
        {
            return Err("`registration_access_token` is not valid");
        }
        if self
            .registration_client_uri
            .as_ref()
            .is_some_and(|uri| !is_uri(uri))
        {
            return Err("`registration_client_uri` is not a URL");
        }
        Ok(())
    }
}

impl fmt::Debug for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registered")
            .field("client_id", &self.client_id)
            .field("signing_algorithm", &self.signing_algorithm)
            .finish_non_exhaustive()
    }
}

/// RFC 6749 appendix A.1: printable ASCII.
pub(super) fn is_client_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_ID && text.bytes().all(|byte| matches!(byte, 0x20..=0x7e))
}

/// RFC 6749 appendix A.2: printable ASCII.
pub(super) fn is_client_secret(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_SECRET && text.bytes().all(|byte| matches!(byte, 0x20..=0x7e))
}

/// The characters allowed in an `Authorization` header (RFC 6750 section 2.1): visible ASCII.
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_SECRET && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// An absolute http or https URL without user name and fragment.
pub(super) fn is_uri(text: &str) -> bool {
    text.len() <= MAX_URI
        && url::Url::parse(text).is_ok_and(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.username().is_empty()
                && url.password().is_none()
                && url.fragment().is_none()
        })
}

#[cfg(test)]
mod tests;
