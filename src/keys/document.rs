//! The JWK Set that the world sees.

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use serde_json::{Value, json};

use super::KeysError;
use crate::jose::{Algorithm, SigningKey};

/// The answer at `/.well-known/jwks.json` (RFC 7517 section 5): public members only, the same bytes for the same keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwksDocument {
    /// The document, JSON.
    pub body: Bytes,
    /// A strong entity tag with its quotes (RFC 9110 section 8.8.3).
    pub etag: String,
}

/// One published key.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Published {
    pub(super) kid: String,
    /// Its RFC 7638 thumbprint, which is not always its kid.
    pub(super) thumbprint: String,
    pub(super) jwk: Value,
}

// === impl Published ===

impl Published {
    /// The public half of `key`, with `alg` if the key type leaves no choice, or if `algorithm` is configured and the
    /// key supports it.
    pub(super) fn new(key: &SigningKey, algorithm: Option<Algorithm>) -> Result<Self, KeysError> {
        let mut jwk = serde_json::to_value(key.public()).map_err(|_| KeysError::Publish)?;
        let algorithm = algorithm.filter(|algorithm| key.algorithms().contains(algorithm));
        if let (Some(algorithm), Some(members)) = (algorithm, jwk.as_object_mut()) {
            members.insert("alg".to_owned(), algorithm.name().into());
        }
        Ok(Self {
            kid: key.kid().to_owned(),
            thumbprint: key.thumbprint().map_err(|_| KeysError::Publish)?,
            jwk,
        })
    }

    /// Whether both are the same key, also with another `alg`.
    fn same_key(&self, other: &Self) -> bool {
        ["kty", "crv", "n", "e", "x", "y"]
            .iter()
            .all(|member| self.jwk.get(member) == other.jwk.get(member))
    }
}

// === impl JwksDocument ===

impl JwksDocument {
    pub(super) fn new(keys: &[Published]) -> Self {
        let body = set(keys).to_string();
        let etag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(digest(&SHA256, body.as_bytes())));
        Self {
            body: Bytes::from(body),
            etag,
        }
    }
}

/// The JWK Set as a value.
pub(super) fn set(keys: &[Published]) -> Value {
    json!({ "keys": keys.iter().map(|key| &key.jwk).collect::<Vec<_>>() })
}

/// The signing key, then the others by kid, so that the order in which files are named does not matter. One key that is
/// named twice appears once.
///
/// # Errors
///
/// [`KeysError::DuplicateKid`] if two different keys have one kid.
pub(super) fn arrange(signing: Published, mut others: Vec<Published>) -> Result<Vec<Published>, KeysError> {
    others.sort_by(|one, other| one.kid.cmp(&other.kid));
    let mut keys = vec![signing];
    for key in others {
        match keys.iter().find(|known| known.kid == key.kid) {
            None => keys.push(key),
            Some(known) if known.same_key(&key) => {}
            Some(_) => return Err(KeysError::DuplicateKid(key.kid)),
        }
    }
    Ok(keys)
}
