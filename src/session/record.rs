//! The stored facts about a session.

use std::{fmt, time::Duration};

use http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{AccessToken, Bound, Device, ForTargets, Memo};
use crate::{clock::Timestamp, jose::Claims, secret::Secret};

/// The first byte of an encoded record. Another layout takes another number, so that an older or newer server says so
/// instead of misreading it.
const FORMAT: u8 = 1;

/// A stored token is used while more than this remains of it, or more than a tenth of its life if that is less.
const FRESH_MARGIN: Duration = Duration::from_secs(10);

/// The size of the header fields of [`Session::identity`], in bytes: five of them, with their table. Longer claims
/// come on top.
const IDENTITY: usize = 1024;

/// No header field of [`Session::identity`] is longer, in bytes; a claim may become three times as long in it.
const IDENTITY_VALUE: usize = 1024;

/// The size of a node of a map of claims, in bytes: eleven entries and the links to other nodes.
const NODE: usize = 11 * (size_of::<String>() + size_of::<Value>()) + 13 * size_of::<usize>() + ALLOCATION;

/// The overhead of an allocation, in bytes: header and rounding.
const ALLOCATION: usize = 16;

/// A person's session. It is changed by storing a new one; the stored one is shared by all readers.
///
/// The stored fields have short names, because there are many sessions. The long names of an earlier version are
/// still read.
#[derive(Clone, Serialize, Deserialize)]
pub struct Session {
    /// `iss` of the ID token.
    #[serde(rename = "i", alias = "issuer")]
    pub issuer: String,
    /// `sub` of the ID token: the person, at this issuer.
    #[serde(rename = "s", alias = "subject")]
    pub subject: String,
    /// `sid` of the ID token (OpenID Connect Back-Channel Logout 1.0 section 2.1), if the IdP sends one.
    #[serde(rename = "d", alias = "sid", default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// The time of the person's authentication (`auth_time`), if the IdP states it.
    #[serde(
        rename = "a",
        alias = "auth_time",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub auth_time: Option<Timestamp>,
    /// `nonce` of the login: a refreshed ID token that has one has this one (OpenID Connect Core 1.0 section 12.2).
    #[serde(rename = "n", alias = "nonce")]
    pub nonce: Secret,
    /// The claims about the person that the application may know, from the ID token and UserInfo; bounded when they
    /// are selected.
    #[serde(rename = "u", alias = "user")]
    pub user: Claims,
    /// The tokens.
    #[serde(rename = "t", alias = "tokens")]
    pub tokens: Tokens,
    /// Where it was logged in. Unknown for a session that an earlier version has stored.
    #[serde(
        rename = "v",
        alias = "device",
        default,
        skip_serializing_if = "Device::is_unknown"
    )]
    pub device: Device,
    /// When the login was completed.
    #[serde(rename = "c", alias = "created_at")]
    pub created_at: Timestamp,
    /// The end of the session by its own claims, even if it is in use. See [`ends_at`](Session::ends_at).
    #[serde(rename = "e", alias = "expires_at")]
    pub expires_at: Timestamp,
    /// How strong the login was.
    #[serde(
        rename = "r",
        alias = "assurance",
        default,
        skip_serializing_if = "Assurance::is_unstated"
    )]
    pub assurance: Assurance,
    /// The binding of the session (`SESSION_BINDING`).
    #[serde(
        rename = "b",
        alias = "bound",
        default,
        skip_serializing_if = "Bound::is_empty"
    )]
    pub bound: Bound,
    /// The header fields about the session for a proxy (`/auth/verify`).
    #[serde(skip)]
    pub identity: Memo<HeaderMap>,
}

/// How strong the login of a session was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assurance {
    /// `acr` of its ID token (OpenID Connect Core 1.0 section 2), if the IdP states it and it is short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acr: Option<String>,
    /// Whether this login was requested to be stronger than the one before it (RFC 9470).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stepped_up: bool,
}

/// The tokens of a session.
#[derive(Clone, Serialize, Deserialize)]
pub struct Tokens {
    /// The access token that is in use.
    #[serde(rename = "a", alias = "access")]
    pub access: AccessToken,
    /// When it was obtained.
    #[serde(rename = "o", alias = "access_obtained_at")]
    pub access_obtained_at: Timestamp,
    /// When it expires.
    #[serde(rename = "e", alias = "access_expires_at")]
    pub access_expires_at: Timestamp,
    /// The refresh token that belongs to it.
    #[serde(
        rename = "r",
        alias = "refresh",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub refresh: Option<Secret>,
    /// A rotated refresh token whose answer has not been accepted yet. It is stored before anything else of that
    /// answer is read, because the IdP no longer accepts the former one.
    #[serde(
        rename = "p",
        alias = "pending",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub pending: Option<Secret>,
    /// When the refresh token expires, if the IdP states it.
    #[serde(
        rename = "x",
        alias = "refresh_expires_at",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub refresh_expires_at: Option<Timestamp>,
    /// The newest ID token, for `id_token_hint` at logout.
    #[serde(rename = "i", alias = "id_token")]
    pub id_token: Secret,
    /// The scope granted (RFC 6749 section 5.1).
    #[serde(rename = "s", alias = "scope")]
    pub scope: String,
    /// The answer to a refresh was lost: the refresh token may have been used up by it.
    #[serde(
        rename = "u",
        alias = "uncertain",
        default,
        skip_serializing_if = "std::ops::Not::not"
    )]
    pub uncertain: bool,
    /// The fault of every refresh since the last successful one, for faults whose number is limited.
    #[serde(
        rename = "k",
        alias = "strikes",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub strikes: Option<Strikes>,
    /// `auth_time` of the newest ID token, if the person has logged in again since this session's own login.
    #[serde(
        rename = "l",
        alias = "later_auth_time",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub later_auth_time: Option<Timestamp>,
    /// The access tokens for single APIs.
    #[serde(
        rename = "g",
        alias = "for_targets",
        default,
        skip_serializing_if = "ForTargets::is_empty"
    )]
    pub for_targets: ForTargets,
    /// When one of them came with the refresh token last, which the IdP may have rotated then.
    #[serde(
        rename = "w",
        alias = "api_refreshed_at",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub api_refreshed_at: Option<Timestamp>,
}

/// A fault that came again with each refresh.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Strikes {
    /// The fault, in the words of a log line. Contains no token.
    pub fault: String,
    /// How often it counted.
    pub count: u32,
}

/// Why a stored record cannot be read. Never contains a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Written by a server with another layout.
    #[error("the session record has a layout that this version does not know")]
    Format,
    /// Not a record.
    #[error("the session record is malformed")]
    Malformed,
}

// === impl Assurance ===

impl Assurance {
    /// Whether nothing is known of it.
    fn is_unstated(&self) -> bool {
        *self == Self::default()
    }
}

// === impl Session ===

impl Session {
    /// How much memory the session takes, in bytes: an estimate on the safe side for `SESSION_MEMORY_LIMIT`.
    #[must_use]
    pub fn weight(&self) -> usize {
        let texts = [
            &*self.issuer,
            &*self.subject,
            self.sid.as_deref().unwrap_or_default(),
            self.assurance.acr.as_deref().unwrap_or_default(),
            self.tokens.access.expose(),
            // A copy in the wire form.
            self.tokens.access.expose(),
            self.tokens.refresh.as_ref().map_or("", Secret::expose),
            self.tokens.pending.as_ref().map_or("", Secret::expose),
            self.tokens.id_token.expose(),
            &*self.tokens.scope,
            self.tokens.strikes.as_ref().map_or("", |strikes| &strikes.fault),
        ];
        size_of::<Self>()
            + IDENTITY
            + self.identity_weight()
            + texts.map(text_weight).iter().sum::<usize>()
            + self.device.texts().map(text_weight).iter().sum::<usize>()
            + self.bound.weight()
            + self.tokens.for_targets.weight()
            + claims_weight(&self.user)
    }

    fn identity_weight(&self) -> usize {
        let claims =
            ["email", "name"].map(|name| self.user.get(name).and_then(Value::as_str).unwrap_or_default());
        let values = claims.into_iter().chain([&*self.subject]);
        values.map(|value| (value.len() * 3).min(IDENTITY_VALUE)).sum()
    }

    /// The end of the session, even if it is in use: by its own claims, or with its refresh token. After that,
    /// nothing more can be learnt about the person.
    #[must_use]
    pub fn ends_at(&self) -> Timestamp {
        let with_tokens = self.tokens.refresh_expires_at;
        with_tokens.map_or(self.expires_at, |ends| ends.min(self.expires_at))
    }

    /// The record as bytes, tokens included: only ever for something sealed.
    ///
    /// # Errors
    ///
    /// [`RecordError::Malformed`] if the claims do not serialise.
    pub fn encode(&self) -> Result<Vec<u8>, RecordError> {
        let mut encoded = Vec::new();
        encoded.push(FORMAT);
        serde_json::to_writer(&mut encoded, self).map_err(|_| RecordError::Malformed)?;
        Ok(encoded)
    }

    /// Reads the output of [`encode`](Self::encode).
    ///
    /// # Errors
    ///
    /// [`RecordError`] for anything else.
    pub fn decode(encoded: &[u8]) -> Result<Self, RecordError> {
        match encoded.split_first() {
            Some((&FORMAT, record)) => serde_json::from_slice(record).map_err(|_| RecordError::Malformed),
            Some(_) => Err(RecordError::Format),
            None => Err(RecordError::Malformed),
        }
    }
}

impl fmt::Debug for Session {
    /// Prints neither tokens nor claims about the person.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("issuer", &self.issuer)
            .field("tokens", &self.tokens)
            .field("auth_time", &self.auth_time)
            .field("created_at", &self.created_at)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

fn text_weight(text: &str) -> usize {
    if text.is_empty() {
        0
    } else {
        text.len() + ALLOCATION
    }
}

fn claims_weight(claims: &Claims) -> usize {
    // A map keeps its entries in nodes of eleven places. All nodes except the first have at least five entries. An
    // object with a single member takes a whole node, which adds up for thousands of them.
    let nodes = claims.len().div_ceil(5);
    let contents: usize = claims
        .iter()
        .map(|(name, value)| text_weight(name) + value_weight(value))
        .sum();
    nodes * NODE + contents
}

/// The memory that a value takes outside itself. The recursion is as deep as the value, which its parser has bounded.
fn value_weight(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text_weight(text),
        Value::Array(values) => {
            let contents: usize = values.iter().map(value_weight).sum();
            ALLOCATION + values.capacity() * size_of::<Value>() + contents
        }
        Value::Object(claims) => ALLOCATION + claims_weight(claims),
    }
}

// === impl Tokens ===

impl Tokens {
    /// The refresh token to use next: the pending one, because the IdP no longer accepts the former one.
    #[must_use]
    pub const fn refresh_token(&self) -> Option<&Secret> {
        match &self.pending {
            Some(pending) => Some(pending),
            None => self.refresh.as_ref(),
        }
    }

    /// When the access token is to be renewed: `threshold` before it expires, at most half of its life. `None` without
    /// a refresh token.
    #[must_use]
    pub fn due_at(&self, threshold: Duration) -> Option<Timestamp> {
        self.refresh_token()?;
        Some(
            self.access_expires_at
                .saturating_sub(threshold.min(self.life() / 2)),
        )
    }

    /// Whether a request simply uses the access token: more than 10 seconds, or a tenth of its life if that is less,
    /// remain of it. Below that it joins or starts a refresh.
    #[must_use]
    pub fn access_is_fresh(&self, now: Timestamp) -> bool {
        self.access_expires_at.duration_since(now) > FRESH_MARGIN.min(self.life() / 10)
    }

    /// Whether the access token has not expired. It still serves then, even if it cannot be renewed.
    #[must_use]
    pub fn access_is_valid(&self, now: Timestamp) -> bool {
        now < self.access_expires_at
    }

    fn life(&self) -> Duration {
        self.access_expires_at.duration_since(self.access_obtained_at)
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens")
            .field("access_obtained_at", &self.access_obtained_at)
            .field("access_expires_at", &self.access_expires_at)
            .field("refresh", &self.refresh.is_some())
            .field("pending", &self.pending.is_some())
            .field("scope", &self.scope)
            .field("uncertain", &self.uncertain)
            .field("strikes", &self.strikes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
