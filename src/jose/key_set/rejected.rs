//! Why a key of a JWK Set cannot verify a signature.

use std::fmt::{self, Write as _};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

/// Values of a document are shown up to this length, in characters.
const MAX_SHOWN: usize = 60;

/// At most this many keys are told.
const MAX_TOLD: usize = 5;

/// The sizes of RSA keys that the library verifies with, in bits.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// The types of keys (RFC 7518 section 6.1, RFC 8037 section 2), with their curves and their members.
const TYPES: [(&str, &[&str], &[&str]); 3] = [
    ("RSA", &[], &["n", "e"]),
    ("EC", &["P-256", "P-384"], &["x", "y"]),
    ("OKP", &["Ed25519"], &["x"]),
];

/// A key that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Its key id, fit for a log line.
    pub kid: Option<String>,
    /// The reason.
    pub why: Unusable,
}

/// Why a key cannot be used. Holds public members only.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// It is something else.
    #[error("it is not a JSON object")]
    NotAnObject,
    /// A member that has to be there is not.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// It is of a kind that is not supported, or for another purpose.
    #[error("its `{member}` is {value}")]
    Other {
        /// The member that says so.
        member: &'static str,
        /// Its value.
        value: String,
    },
    /// A number of the key is not encoded as it has to be (RFC 7518 section 6).
    #[error("its `{0}` is not base64url without padding")]
    Encoding(&'static str),
    /// An RSA key of another size.
    #[error("it has {0} bits, and RSA keys have 2048 to 8192 here")]
    Size(usize),
    /// The library does not take it.
    #[error("its members do not make a key")]
    Unreadable,
}

// === impl Rejected ===

impl Rejected {
    pub(super) fn new(key: &Value, why: Unusable) -> Self {
        let kid = key.get("kid").and_then(Value::as_str).map(displayable);
        Self { kid, why }
    }

    /// These keys with the reason of each; of many the first ones.
    #[must_use]
    pub fn told<'a>(keys: impl IntoIterator<Item = &'a Self>) -> String {
        let all: Vec<String> = keys.into_iter().map(ToString::to_string).collect();
        let mut text = all.iter().take(MAX_TOLD).cloned().collect::<Vec<_>>().join("; ");
        if let Some(more) = all.len().checked_sub(MAX_TOLD).filter(|more| *more > 0) {
            // Writing to a string cannot fail.
            let _ = write!(text, "; and {more} more");
        }
        text
    }

    /// Whether the key was meant to verify signatures, and is broken. Keys for encryption, and of other types, stand
    /// beside those of signatures at many issuers.
    #[must_use]
    pub const fn is_broken(&self) -> bool {
        !matches!(self.why, Unusable::Other { .. })
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kid {
            Some(kid) => write!(f, "key {kid}: {}", self.why),
            None => write!(f, "a key without kid: {}", self.why),
        }
    }
}

// === impl Unusable ===

impl Unusable {
    /// The member has a value with which the key is of no use here.
    pub(super) fn of(member: &'static str, value: &Value) -> Self {
        let value = match value {
            Value::String(text) => displayable(text),
            other => displayable(&other.to_string()),
        };
        Self::Other { member, value }
    }
}

/// Whether the members, without `alg`, can be those of a key for signatures.
pub(super) fn check(members: &Map<String, Value>) -> Result<(), Unusable> {
    match members.get("use") {
        None | Some(Value::Null) => {}
        Some(usage) if usage == "sig" => {}
        Some(other) => return Err(Unusable::of("use", other)),
    }
    match members.get("key_ops") {
        None | Some(Value::Null) => {}
        Some(Value::Array(allowed)) if allowed.iter().any(|one| one == "verify") => {}
        Some(other) => return Err(Unusable::of("key_ops", other)),
    }
    let kind = members.get("kty").ok_or(Unusable::Missing("kty"))?;
    let known = TYPES.into_iter().find(|(name, ..)| kind == name);
    let (name, curves, numbers) = known.ok_or_else(|| Unusable::of("kty", kind))?;
    if !curves.is_empty() {
        let curve = members.get("crv").ok_or(Unusable::Missing("crv"))?;
        if !curves.iter().any(|known| curve == known) {
            return Err(Unusable::of("crv", curve));
        }
    }
    for member in numbers {
        let value = members.get(*member).ok_or(Unusable::Missing(member))?;
        let text = value.as_str().ok_or(Unusable::Encoding(member))?;
        let number = URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|_| Unusable::Encoding(member))?;
        if name == "RSA" && *member == "n" && !RSA_BITS.contains(&bits(&number)) {
            return Err(Unusable::Size(bits(&number)));
        }
    }
    match members.get("kid") {
        None | Some(Value::Null | Value::String(_)) => Ok(()),
        Some(other) => Err(Unusable::of("kid", other)),
    }
}

fn bits(number: &[u8]) -> usize {
    let leading = number.iter().take_while(|byte| **byte == 0).count();
    let significant = number.get(leading..).unwrap_or_default();
    let first = significant.first().map_or(0, |byte| byte.leading_zeros());
    (significant.len() * 8).saturating_sub(usize::try_from(first).unwrap_or(0))
}

fn displayable(text: &str) -> String {
    text.chars()
        .filter(|character| !character.is_control())
        .take(MAX_SHOWN)
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::jose::KeySet;

    #[test]
    fn each_rejected_key_says_why() {
        let large = |bytes: usize| {
            let number = vec![0xff; bytes];
            base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, number)
        };
        for (key, why) in [
            (json!("text"), "it is not a JSON object"),
            (json!({"n": "AQAB", "e": "AQAB"}), "`kty` is missing"),
            (json!({"kty": "oct", "k": "c2VjcmV0"}), "its `kty` is oct"),
            (
                json!({"kty": "RSA", "use": "enc", "n": large(256), "e": "AQAB"}),
                "its `use` is enc",
            ),
            (
                json!({"kty": "RSA", "use": "sig", "x5c": ["MIIB"]}),
                "`n` is missing",
            ),
            (json!({"kty": "RSA", "n": large(256)}), "`e` is missing"),
            (
                json!({"kty": "RSA", "n": large(128), "e": "AQAB"}),
                "it has 1024 bits, and RSA keys have 2048 to 8192 here",
            ),
            (
                json!({"kty": "RSA", "n": "a+b/", "e": "AQAB"}),
                "its `n` is not base64url without padding",
            ),
            (
                json!({"kty": "RSA", "n": 65537, "e": "AQAB"}),
                "its `n` is not base64url without padding",
            ),
            (
                json!({"kty": "RSA", "alg": "RS1", "n": large(256), "e": "AQAB"}),
                "its `alg` is RS1",
            ),
            (
                json!({"kty": "RSA", "key_ops": ["encrypt"], "n": large(256), "e": "AQAB"}),
                "its `key_ops` is [\"encrypt\"]",
            ),
            (json!({"kty": "EC", "x": "AA", "y": "AA"}), "`crv` is missing"),
            (
                json!({"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"}),
                "its `crv` is secp256k1",
            ),
            (json!({"kty": "EC", "crv": "P-256", "x": "AA"}), "`y` is missing"),
            (
                json!({"kty": "OKP", "crv": "X25519", "x": "AA"}),
                "its `crv` is X25519",
            ),
            (
                json!({"kty": "RSA", "kid": 7, "n": large(256), "e": "AQAB"}),
                "its `kid` is 7",
            ),
        ] {
            let set = KeySet::parse(json!({"keys": [key]}).to_string().as_bytes()).unwrap();
            assert!(set.is_empty(), "{key}");
            assert_eq!(set.rejected()[0].why.to_string(), why, "{key}");
        }
    }

    /// Keycloak and others publish one of each.
    #[test]
    fn a_key_for_another_purpose_is_not_broken() {
        let set = json!({"keys": [
            {"kid": "e", "kty": "RSA", "use": "enc", "alg": "RSA-OAEP", "n": "AA", "e": "AQAB"},
            {"kid": "b", "kty": "RSA", "use": "sig", "e": "AQAB"},
        ]});
        let set = KeySet::parse(set.to_string().as_bytes()).unwrap();
        let told: Vec<String> = set.rejected().iter().map(ToString::to_string).collect();
        assert_eq!(told, ["key e: its `alg` is RSA-OAEP", "key b: `n` is missing"]);
        let broken: Vec<bool> = set.rejected().iter().map(super::Rejected::is_broken).collect();
        assert_eq!(broken, [false, true]);
    }
}
