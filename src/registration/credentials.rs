//! `bff_client.json`: what registration returned, and how far it had got.
//!
//! The record is written before anything that cannot be repeated and after everything that cannot be asked again, so
//! that a start after a crash finds out what is known. What a newer version wrote beside it is kept.

mod file;
mod superseded;

use std::{fmt, path::PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

pub use self::{file::CredentialsFile, superseded::Superseded};
use super::{diff::Remembered, vault::Place};
use crate::{clock::Timestamp, jose::Algorithm, private_file::Exposed, secret::Secret};

/// The version of the format that we write; a greater one is refused, since its meaning is unknown.
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

/// The content of the credentials file. It holds secrets: it goes only into a file with mode 0600.
#[derive(Clone, Serialize, Deserialize)]
pub struct Credentials {
    version: u32,
    /// How far registration has got, for a person who looks; derived from the rest when written.
    #[serde(default)]
    state: State,
    /// The issuer that it is registered at.
    pub issuer: String,
    /// The client id that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_client_id: Option<String>,
    /// The registration, once there is one; its members stand beside the others in the file.
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
    /// The client was registered anew because the registration access token of the one before was lost, and its own has
    /// not worked yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub renewed: bool,
    /// What we do not know, kept as it is.
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
    /// Where the registration is managed, as the IdP said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration_client_uri: Option<String>,
    /// The algorithm of client assertions, as the IdP answered.
    #[serde(
        default,
        rename = "token_endpoint_auth_signing_alg",
        skip_serializing_if = "Option::is_none"
    )]
    pub signing_algorithm: Option<Algorithm>,
    /// What was sent and answered, as digests.
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

/// Why the credentials file cannot be used.
#[derive(Debug, thiserror::Error)]
#[expect(
    missing_docs,
    reason = "the messages say it, and the fields are what they name"
)]
pub enum CredentialsError {
    #[error("{} cannot be read: {cause} - hint: it must be a file that the user of this process can read", path.display())]
    Unreadable { path: PathBuf, cause: String },
    #[error("{}: {exposed} - hint: only where that cannot be helped, set BFF_DANGER_ALLOW_OPEN_FILES=true", path.display())]
    Exposed { path: PathBuf, exposed: Exposed },
    #[error(
        "{place} is not a credentials file of this server: {reason} - hint: restore it from a backup; without one, move it \
         away, have the client removed at the IdP, and start with a fresh DCR_IAT"
    )]
    Corrupt { place: Place, reason: String },
    #[error(
        "{place} was written by a newer version of this server (format {version}) - hint: start that version, or restore \
         what belongs to this one"
    )]
    Newer { place: Place, version: u32 },
    #[error(
        "{place} belongs to the issuer {stored}, and this server is configured for {configured} - hint: correct OIDC_ISSUER \
         (or IDP_BASE_URL), or {}", place.way_elsewhere()
    )]
    OtherIssuer {
        place: Place,
        stored: String,
        configured: String,
    },
    #[error(
        "{place} belongs to a client that was asked for as {stored}, and this server is configured for {configured} - hint: \
         correct DCR_CLIENT_ID (or AUTH_CLIENT_ID), {}, or register anew with DCR_FORCE_REPLACE=true and a fresh DCR_IAT",
        place.way_elsewhere()
    )]
    OtherClient {
        place: Place,
        stored: String,
        configured: String,
    },
    #[error(
        "{} cannot be written: {cause} - hint: its folder (BFF_CLIENT_CRED_PATH, else BFF_STATE_DIR) must be writable \
         for the user of this process and have space left", path.display()
    )]
    NotWritable { path: PathBuf, cause: String },
    #[error(
        "the lock {} cannot be taken: {cause} - hint: its folder (BFF_CLIENT_CRED_PATH, else BFF_STATE_DIR) must be \
         writable and lie on a file system with locks", path.display()
    )]
    Lock { path: PathBuf, cause: String },
    #[error(
        "another process has held the lock of {place} for {seconds} s - hint: it registers, or waits for the IdP; try again \
         when it is done"
    )]
    Held { place: Place, seconds: u64 },
    #[error("the client record cannot be read or written now: {cause}; it is tried again")]
    Unavailable { cause: String },
    #[error(
        "the client record in Redis is sealed with a SESSION_SECRET that this process does not have - hint: give all replicas \
         the same SESSION_SECRET; a former one stays behind the new one until no replica has it first"
    )]
    Foreign,
    #[error(
        "this process has lost the right to register, as after a pause of the whole process: another one goes on - hint: \
         nothing; it is tried again"
    )]
    LockLost,
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
        // The parser's own messages can quote values, and values here are secrets: only the place is told.
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

    /// The record as text, which [`parse`](Self::parse) reads. It holds secrets.
    ///
    /// # Errors
    ///
    /// Those of the library.
    pub fn to_text(&self) -> Result<Zeroizing<Vec<u8>>, serde_json::Error> {
        let mut text = Zeroizing::new(serde_json::to_vec_pretty(&self.to_json()?)?);
        text.push(b'\n');
        Ok(text)
    }

    /// Reads a record from JSON. The reason of a refusal quotes no value, since values here are secrets.
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

    /// What is wrong with a record that was read, if anything. The file is ours, but anyone may have edited it.
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

/// What may stand in an `Authorization` header (RFC 6750 section 2.1): visible ASCII.
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
