//! The keys that an issuer publishes, ready to verify with.

mod rejected;

use std::fmt;

use jsonwebtoken::{DecodingKey, jwk::Jwk};
use serde::Deserialize;
use serde_json::Value;

pub use self::rejected::{Rejected, Unusable};
use super::{Algorithm, KeyType};

/// The maximum number of keys that are read from one set.
const MAX_KEYS: usize = 100;

/// The number of keys with one kid that are tried: each costs a verification.
const MAX_OF_ONE_KID: usize = 4;

/// The usable keys of a JWK Set (RFC 7517 section 5).
///
/// A key that cannot be used (unknown type, encryption only, malformed) is left out and does not spoil the others.
#[derive(Default)]
pub struct KeySet {
    keys: Vec<Key>,
    rejected: Vec<Rejected>,
    beyond: usize,
}

/// Why a document is not a JWK Set.
#[derive(Debug, thiserror::Error)]
pub enum KeySetError {
    /// Not JSON, or no array `keys`.
    #[error("not a JWK Set (an object with an array `keys`)")]
    NotAJwkSet,
}

/// The result of [`KeySet::find`].
pub(super) enum Candidates<'a> {
    /// At least one.
    Some(Vec<&'a DecodingKey>),
    None,
    Ambiguous,
}

struct Key {
    kid: Option<String>,
    algorithm: Option<Algorithm>,
    kind: KeyType,
    decoding: DecodingKey,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

// === impl KeySet ===

impl KeySet {
    /// Reads a JWK Set document.
    ///
    /// # Errors
    ///
    /// [`KeySetError::NotAJwkSet`]; single unusable keys are not an error.
    pub fn parse(document: &[u8]) -> Result<Self, KeySetError> {
        let document: Document = serde_json::from_slice(document).map_err(|_| KeySetError::NotAJwkSet)?;
        let beyond = document.keys.len().saturating_sub(MAX_KEYS);
        let mut set = Self {
            beyond,
            ..Self::default()
        };
        for value in document.keys.into_iter().take(MAX_KEYS) {
            match usable(&value) {
                Ok(key) => set.keys.push(key),
                Err(why) => set.rejected.push(Rejected::new(&value, why)),
            }
        }
        Ok(set)
    }

    /// How many usable keys there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.keys.len()
    }

    /// The keys that cannot be used.
    #[must_use]
    pub fn rejected(&self) -> &[Rejected] {
        &self.rejected
    }

    /// The keys that were meant to verify signatures and cannot, with the reasons. `None` if there are none.
    #[must_use]
    pub fn broken(&self) -> Option<String> {
        let broken = Rejected::told(self.rejected.iter().filter(|key| key.is_broken()));
        (!broken.is_empty()).then_some(broken)
    }

    /// The number of ignored keys, because a set has at most 100.
    #[must_use]
    pub const fn beyond(&self) -> usize {
        self.beyond
    }

    /// Whether there is no usable key.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether a key is called `kid`.
    #[must_use]
    pub fn contains(&self, kid: &str) -> bool {
        self.keys.iter().any(|key| key.kid.as_deref() == Some(kid))
    }

    /// The keys for a token that names `kid` and `algorithm`. Several keys with one kid are unusual but allowed (RFC
    /// 7517 section 4.5): each may be the right one. A token without a kid matches only if exactly one key fits
    /// (OpenID Connect Core 1.0 section 10.1).
    pub(super) fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Candidates<'_> {
        let mut fitting = self.keys.iter().filter(|key| {
            (kid.is_none() || key.kid.as_deref() == kid)
                && key.kind == algorithm.key_type()
                && key
                    .algorithm
                    .is_none_or(|declared| declared.is_same_as(algorithm))
        });
        let keys: Vec<_> = fitting.by_ref().take(MAX_OF_ONE_KID).collect();
        match (keys.len(), kid) {
            (0, _) => Candidates::None,
            (2.., None) => Candidates::Ambiguous,
            (1, _) | (_, Some(_)) => Candidates::Some(keys.into_iter().map(|key| &key.decoding).collect()),
        }
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.keys.iter().map(|key| &key.kid))
            .finish()
    }
}

/// The key, ready to verify with.
fn usable(value: &Value) -> Result<Key, Unusable> {
    let mut value = value.clone();
    let members = value.as_object_mut().ok_or(Unusable::NotAnObject)?;
    // Taken out before the library reads it, which does not know the names of RFC 9864.
    let algorithm = match members.remove("alg") {
        None | Some(Value::Null) => None,
        Some(declared) => Some(
            declared
                .as_str()
                .and_then(Algorithm::from_name)
                .ok_or_else(|| Unusable::of("alg", &declared))?,
        ),
    };
    rejected::check(members)?;
    let jwk: Jwk = serde_json::from_value(value).map_err(|_| Unusable::Unreadable)?;
    Ok(Key {
        kind: KeyType::of(&jwk.algorithm).ok_or(Unusable::Unreadable)?,
        decoding: DecodingKey::from_jwk(&jwk).map_err(|_| Unusable::Unreadable)?,
        kid: jwk.common.key_id,
        algorithm,
    })
}
