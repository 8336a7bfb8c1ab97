//! The issuer's keys: fetched when a token names an unknown one, with a cool-down.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bff::clock::{SharedClock, Timestamp};
use jsonwebtoken::{DecodingKey, Header, jwk::Jwk};
use serde::Deserialize;
use tokio::sync::Mutex;

/// Tokens that name unknown keys fetch them at most this often.
const COOL_DOWN: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(5);
/// The maximum size of the document, in bytes.
const MAX_DOCUMENT: usize = 256 * 1024;

/// The keys of one issuer.
pub(super) struct Keys {
    uri: String,
    client: reqwest::Client,
    clock: SharedClock,
    /// Held while the keys are fetched: a request that comes meanwhile waits for the same answer.
    known: Mutex<Known>,
}

/// A public key.
pub(super) struct Key {
    pub(super) decoding: DecodingKey,
    algorithm: Option<String>,
}

/// Why the keys are not there.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeysError {
    #[error("the JWKS cannot be fetched: {0}")]
    Fetch(#[from] reqwest::Error),
    #[error("the JWKS is answered with {0}")]
    Status(reqwest::StatusCode),
    #[error("the JWKS is too large")]
    TooLarge,
    #[error("what should be a JWKS is none")]
    NotAJwkSet,
    #[error("the last fetch failed and the next one is not due yet")]
    CoolingDown,
}

#[derive(Default)]
struct Known {
    keys: HashMap<String, Arc<Key>>,
    asked_at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<serde_json::Value>,
}

// === impl Keys ===

impl Keys {
    #[expect(
        clippy::disallowed_methods,
        reason = "the API is no part of the server; its client follows no redirect and is bounded as well"
    )]
    pub(super) fn new(uri: String, clock: SharedClock) -> Result<Self, reqwest::Error> {
        bff::jose::install_crypto();
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(TIMEOUT)
            .build()?;
        Ok(Self {
            uri,
            client,
            clock,
            known: Mutex::default(),
        })
    }

    /// The key that `header` names, if the issuer publishes it for that algorithm.
    pub(super) async fn find(&self, header: &Header) -> Result<Option<Arc<Key>>, KeysError> {
        let Some(kid) = &header.kid else {
            return Ok(None);
        };
        let mut known = self.known.lock().await;
        if !known.keys.contains_key(kid) {
            let now = self.clock.now();
            let due = known
                .asked_at
                .is_none_or(|at| at.saturating_add(COOL_DOWN) <= now);
            if due {
                known.asked_at = Some(now);
                known.keys = self.fetch().await?;
            } else if known.keys.is_empty() {
                return Err(KeysError::CoolingDown);
            }
        }
        let key = known.keys.get(kid).cloned();
        drop(known);
        // A key serves the algorithm that it is published for (RFC 8725 section 3.1).
        let named = format!("{:?}", header.alg);
        Ok(key.filter(|key| key.algorithm.as_ref().is_none_or(|published| *published == named)))
    }

    async fn fetch(&self) -> Result<HashMap<String, Arc<Key>>, KeysError> {
        let mut response = self.client.get(&self.uri).send().await?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(KeysError::Status(response.status()));
        }
        let mut document = Vec::new();
        while let Some(piece) = response.chunk().await? {
            if document.len() + piece.len() > MAX_DOCUMENT {
                return Err(KeysError::TooLarge);
            }
            document.extend_from_slice(&piece);
        }
        let document: Document = serde_json::from_slice(&document).map_err(|_| KeysError::NotAJwkSet)?;
        // A key that is of no use here does not spoil the others.
        let keys = document.keys.into_iter().filter_map(|jwk| {
            let jwk: Jwk = serde_json::from_value(jwk).ok()?;
            let key = Key {
                decoding: DecodingKey::from_jwk(&jwk).ok()?,
                algorithm: jwk.common.key_algorithm.map(|algorithm| algorithm.to_string()),
            };
            Some((jwk.common.key_id?, Arc::new(key)))
        });
        Ok(keys.collect())
    }
}
