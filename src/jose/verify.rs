//! The only module that reads a foreign JWT.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::DecodingKey;
use serde::Deserialize;
use serde_json::Value;

use super::{Algorithm, KeySet, key_set::Candidates};
use crate::clock::Timestamp;

/// Longer tokens are refused before anything is parsed, in bytes.
pub const MAX_TOKEN_LENGTH: usize = 64 * 1024;

/// How far the issuer's clock may differ from ours.
const LEEWAY: Duration = Duration::from_mins(1);

/// An answer about a token is refused if it is older than this beside the leeway: it is made for one request.
const ANSWER_LIVES: Duration = Duration::from_mins(1);

/// The claims of a verified token.
pub type Claims = serde_json::Map<String, Value>;

/// The requirements for an accepted token.
#[derive(Clone, Copy, Debug)]
pub struct Policy<'a> {
    /// Algorithms that the configuration allows.
    pub algorithms: &'a [Algorithm],
    /// The allowed values of `typ`.
    pub typ: Typ,
    /// `iss` must be exactly this.
    pub issuer: &'a str,
    /// The party for which the token is.
    pub audience: Audience<'a>,
}

/// The party for which a token is.
#[derive(Clone, Copy, Debug)]
pub enum Audience<'a> {
    /// A client: `aud` has to be its id, alone or beside trusted ones; so has `azp`, if present.
    Client {
        /// Its id.
        id: &'a str,
        /// Others that `aud` may list; `azp` is required then.
        trusted: &'a [String],
    },
    /// A resource server: `aud` has to hold one of its names, beside any others (RFC 9068 section 4).
    Resource(&'a [String]),
}

/// The allowed values of `typ` in the header (RFC 8725 section 3.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typ {
    /// An ID token: absent or `JWT`.
    IdToken,
    /// A logout token: `logout+jwt`, absent or `JWT` (OpenID Connect Back-Channel Logout 1.0 section 2.4).
    LogoutToken,
    /// The proof of a device's key: `dbsc+jwt` (Device Bound Session Credentials).
    DeviceProof,
    /// An access token: `at+jwt` or `application/at+jwt` (RFC 9068 section 4).
    AccessToken,
    /// An access token of an issuer that may leave its type out: also absent or `JWT`.
    UntypedAccessToken,
    /// An answer about a token: `token-introspection+jwt` (RFC 9701 section 5). It has no end; its beginning counts.
    Introspection,
}

/// A part of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Header,
    Payload,
}

/// A token whose signature and common claims are right.
#[derive(Clone, Debug)]
pub struct Verified {
    /// The algorithm that signed it; `at_hash` depends on it.
    pub algorithm: Algorithm,
    /// All claims.
    pub claims: Claims,
}

/// Why a token is not accepted. Never contains a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// Longer than any honest token.
    #[error("the token is too long")]
    TooLong,
    /// Five parts: a JWE.
    #[error("the token is encrypted, which is not supported")]
    Encrypted,
    /// It is not three base64url parts with JSON objects.
    #[error("the token is malformed")]
    Malformed,
    /// `alg` is unknown or not allowed; `none` and `HS*` among them.
    #[error("the token's algorithm is not allowed")]
    Algorithm,
    /// A critical header extension (RFC 7515 section 4.1.11): we understand none.
    #[error("the token has a critical header that is not understood")]
    Critical,
    /// `typ` is of another kind of token.
    #[error("the token's type is wrong")]
    Type,
    /// No key of that id, use and algorithm is known: the issuer may have rotated its keys.
    #[error("no published key fits the token")]
    UnknownKey,
    /// The token names no key and several fit.
    #[error("the token names no key and several would fit")]
    AmbiguousKey,
    /// The signature is wrong.
    #[error("the token's signature is wrong")]
    Signature,
    /// `iss` is missing or another one.
    #[error("the token's issuer is wrong")]
    Issuer,
    /// `aud` is missing, foreign, or names untrusted others beside us.
    #[error("the token's audience is wrong: it lacks this client, or lists one that is not trusted")]
    Audience,
    /// `azp` does not name us, or is missing beside other audiences.
    #[error("the token's authorized party is wrong")]
    AuthorizedParty,
    /// `exp` is missing or over.
    #[error("the token has expired, or does not say when it expires")]
    Expired,
    /// The answer about a token was made some time ago: it may be a repetition.
    #[error("the answer is old")]
    Old,
    /// `iat` is missing or in the future, or `nbf` is in the future.
    #[error("the token is not valid yet, or does not say from when it is valid")]
    NotYetValid,
    /// A proof that has to contain its key does not, or contains an unacceptable one.
    #[error("the proof contains no acceptable key")]
    Key,
    /// A proof whose key is known contains another one.
    #[error("the proof contains a key although the session has one already")]
    SuperfluousKey,
}

/// The members of every header. A reader of one kind of token adds the members of that kind.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    // Presence is enough, also as `null`, which `Option` alone would take for absent.
    #[serde(default, deserialize_with = "present")]
    crit: bool,
    // Keys inside a token (`jwk`, `jku`, `x5u`, `x5c`) are not read at all.
}

/// A token in its three parts, whose header is right so far. Nothing of it is proven yet.
pub(super) struct Unverified<'a> {
    /// The signed bytes of header and payload.
    signed: &'a str,
    header: &'a str,
    payload: &'a str,
    signature: &'a str,
    kid: Option<String>,
    /// The algorithm that it names, which is one of the allowed ones.
    pub(super) algorithm: Algorithm,
}

/// Checks `token` completely, with `now` from our clock: length, algorithm, `crit`, `typ`, key, signature, `iss`,
/// `aud`, `azp`, `exp`, `iat`, `nbf`. What is special to one kind of token (`nonce`, `at_hash`) is its module's.
///
/// # Errors
///
/// [`VerifyError`], the first thing that is wrong.
pub fn verify(
    token: &str,
    keys: &KeySet,
    policy: &Policy<'_>,
    now: Timestamp,
) -> Result<Verified, VerifyError> {
    let token = Unverified::read(token, MAX_TOKEN_LENGTH, policy.algorithms, policy.typ)?;
    let candidates = match keys.find(token.kid.as_deref(), token.algorithm) {
        Candidates::Some(keys) => keys,
        Candidates::None => return Err(VerifyError::UnknownKey),
        Candidates::Ambiguous => return Err(VerifyError::AmbiguousKey),
    };
    let claims = token.verify(candidates)?;
    check_parties(&claims, policy)?;
    check_times(&claims, policy.typ, now)?;
    Ok(Verified {
        algorithm: token.algorithm,
        claims,
    })
}

// === impl Unverified ===

impl<'a> Unverified<'a> {
    /// Takes `token` apart and checks its header: length, algorithm, `crit`, `typ`.
    pub(super) fn read(
        token: &'a str,
        longest: usize,
        algorithms: &[Algorithm],
        typ: Typ,
    ) -> Result<Self, VerifyError> {
        if token.len() > longest {
            return Err(VerifyError::TooLong);
        }
        let parts: Vec<&str> = token.split('.').collect();
        let [header, payload, signature] = match parts.len() {
            5 => return Err(VerifyError::Encrypted),
            3 => [parts[0], parts[1], parts[2]],
            _ => return Err(VerifyError::Malformed),
        };
        let read: Header = json(header)?;
        let algorithm = Algorithm::from_name(&read.alg)
            .filter(|algorithm| algorithms.contains(algorithm))
            .ok_or(VerifyError::Algorithm)?;
        if read.crit {
            return Err(VerifyError::Critical);
        }
        if !typ.allows(read.typ.as_deref()) {
            return Err(VerifyError::Type);
        }
        Ok(Self {
            signed: &token[..header.len() + 1 + payload.len()],
            header,
            payload,
            signature,
            kid: read.kid,
            algorithm,
        })
    }

    /// A member of the header, or of the payload, that is needed before the signature check: the key inside a proof.
    pub(super) fn peek(&self, part: Part, name: &str) -> Result<Option<Value>, VerifyError> {
        let part = match part {
            Part::Header => self.header,
            Part::Payload => self.payload,
        };
        Ok(json::<Claims>(part)?.remove(name))
    }

    /// The claims, if one of `keys` has signed them. The keys are of the kind that the algorithm takes.
    pub(super) fn verify<'k>(
        &self,
        keys: impl IntoIterator<Item = &'k DecodingKey>,
    ) -> Result<Claims, VerifyError> {
        let algorithm = self.algorithm.for_library();
        let verifies = |key: &DecodingKey| {
            let valid = jsonwebtoken::crypto::verify(self.signature, self.signed.as_bytes(), key, algorithm);
            matches!(valid, Ok(true))
        };
        if !keys.into_iter().any(verifies) {
            return Err(VerifyError::Signature);
        }
        json(self.payload)
    }
}

/// The claims of a JWT of which nothing is proven, by which a reader chooses whom to ask about it. `None` if it is not
/// three parts with JSON objects in the first two: an opaque token.
#[must_use]
pub fn unproven_claims(token: &str) -> Option<Claims> {
    if token.len() > MAX_TOKEN_LENGTH {
        return None;
    }
    let mut parts = token.split('.');
    let (header, payload) = (parts.next()?, parts.next()?);
    let _signature = parts.next()?;
    if parts.next().is_some() {
        return None;
    }
    json::<Claims>(header).ok()?;
    json(payload).ok()
}

fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    serde::de::IgnoredAny::deserialize(deserializer).map(|_| true)
}

pub(super) fn json<T: serde::de::DeserializeOwned>(part: &str) -> Result<T, VerifyError> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| VerifyError::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| VerifyError::Malformed)
}

/// OpenID Connect Core 1.0 section 3.1.3.7, steps 2 to 5.
fn check_parties(claims: &Claims, policy: &Policy<'_>) -> Result<(), VerifyError> {
    if claims.get("iss").and_then(Value::as_str) != Some(policy.issuer) {
        return Err(VerifyError::Issuer);
    }
    let audiences = audiences(claims);
    match policy.audience {
        Audience::Client { id, trusted } => check_client(claims, &audiences, id, trusted),
        Audience::Resource(names) => {
            let is_ours = |audience: &&str| names.iter().any(|name| name == audience);
            if audiences.iter().any(is_ours) {
                Ok(())
            } else {
                Err(VerifyError::Audience)
            }
        }
    }
}

fn check_client(
    claims: &Claims,
    audiences: &[&str],
    id: &str,
    trusted: &[String],
) -> Result<(), VerifyError> {
    let (ours, others): (Vec<&str>, Vec<&str>) = audiences.iter().partition(|name| **name == id);
    let is_trusted = |name: &&str| trusted.iter().any(|trusted| trusted == name);
    if ours.is_empty() || !others.iter().all(is_trusted) {
        return Err(VerifyError::Audience);
    }
    match claims.get("azp") {
        None if others.is_empty() => Ok(()),
        Some(party) if party.as_str() == Some(id) => Ok(()),
        _ => Err(VerifyError::AuthorizedParty),
    }
}

/// The members of `aud`: text, or a list of texts (RFC 7519 section 4.1.3). None if it is anything else.
pub(crate) fn audiences(claims: &Claims) -> Vec<&str> {
    let audiences: Option<Vec<&str>> = match claims.get("aud") {
        Some(Value::String(audience)) => Some(vec![audience]),
        Some(Value::Array(audiences)) => audiences.iter().map(Value::as_str).collect(),
        _ => None,
    };
    audiences.unwrap_or_default()
}

fn check_times(claims: &Claims, typ: Typ, now: Timestamp) -> Result<(), VerifyError> {
    let is_answer = typ == Typ::Introspection;
    // RFC 9701 section 5: an answer has no `exp`.
    if !is_answer || claims.contains_key("exp") {
        let expires = numeric_date(claims, "exp").ok_or(VerifyError::Expired)?;
        if expires.saturating_add(LEEWAY) <= now {
            return Err(VerifyError::Expired);
        }
    }
    let latest = now.saturating_add(LEEWAY);
    let issued = numeric_date(claims, "iat").filter(|issued| *issued <= latest);
    let issued = issued.ok_or(VerifyError::NotYetValid)?;
    if is_answer && issued.saturating_add(ANSWER_LIVES).saturating_add(LEEWAY) <= now {
        return Err(VerifyError::Old);
    }
    if claims.contains_key("nbf") && numeric_date(claims, "nbf").is_none_or(|start| start > latest) {
        return Err(VerifyError::NotYetValid);
    }
    Ok(())
}

/// A `NumericDate` (RFC 7519 section 2): an integer or a decimal fraction, not negative.
pub(crate) fn numeric_date(claims: &Claims, name: &str) -> Option<Timestamp> {
    let value = claims.get(name)?;
    if let Some(seconds) = value.as_u64() {
        return Some(Timestamp::from_unix_seconds(seconds));
    }
    let seconds = Duration::try_from_secs_f64(value.as_f64()?).ok()?;
    Some(Timestamp::EPOCH.saturating_add(seconds))
}

// === impl Typ ===

impl Typ {
    fn allows(self, typ: Option<&str>) -> bool {
        let is = |name: &str| typ.is_some_and(|typ| typ.eq_ignore_ascii_case(name));
        let is_plain = typ.is_none() || is("JWT");
        match self {
            Self::IdToken => is_plain,
            Self::LogoutToken => is_plain || is("logout+jwt"),
            Self::DeviceProof => is("dbsc+jwt"),
            Self::AccessToken => is("at+jwt") || is("application/at+jwt"),
            Self::Introspection => is("token-introspection+jwt") || is("application/token-introspection+jwt"),
            Self::UntypedAccessToken => is_plain || is("at+jwt") || is("application/at+jwt"),
        }
    }
}

#[cfg(test)]
mod tests;
