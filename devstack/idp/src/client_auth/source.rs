//! The source of a client's keys: its inline `jwks`, or its `jwks_uri`, fetched and cached.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use reqwest::redirect;
use serde_json::Value;

use crate::{client::Client, clock::Clock};

const TIMEOUT: Duration = Duration::from_secs(3);
const MAX_BODY: usize = 64 * 1024;
/// A key that the client has withdrawn must not stay valid for ever.
const MAX_AGE: u64 = 300;
/// An unknown `kid` fetches again, but a flood of them does not.
const COOL_DOWN: u64 = 1;

/// Fetches and remembers the keys of clients.
pub(crate) struct KeySource {
    http: reqwest::Client,
    clock: Clock,
    cache: Mutex<HashMap<String, Cached>>,
    keeps: AtomicBool,
}

#[derive(Clone)]
struct Cached {
    jwks: Arc<Value>,
    fetched_at: u64,
}

/// The `jwks_uri` did not give a JWK Set.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("it cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    #[error("it answered with status {0}")]
    Status(u16),
    #[error("the answer is longer than {MAX_BODY} bytes")]
    TooLong,
    #[error("the answer is not a JWK Set")]
    NotAJwkSet,
}

// === impl KeySource ===

impl KeySource {
    pub(crate) fn new(clock: Clock) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .redirect(redirect::Policy::none())
            .timeout(TIMEOUT)
            .no_proxy()
            .build()?;
        Ok(Self {
            http,
            clock,
            cache: Mutex::default(),
            keeps: AtomicBool::new(false),
        })
    }

    /// The cached keys.
    pub(crate) async fn current(&self, client: &Client) -> Result<Arc<Value>, FetchError> {
        match (&client.jwks, &client.jwks_uri) {
            (Some(jwks), _) => Ok(Arc::new(jwks.clone())),
            (None, Some(uri)) => match self.cached(uri) {
                Some(cached) if self.age(&cached) < MAX_AGE => Ok(cached.jwks),
                _ => self.fetch(uri).await,
            },
            (None, None) => Err(FetchError::NotAJwkSet),
        }
    }

    /// The keys once more, if the cached ones did not match and the cool-down allows it.
    pub(crate) async fn refreshed(&self, client: &Client) -> Option<Arc<Value>> {
        let uri = client.jwks_uri.as_ref()?;
        if self.keeps.load(Ordering::SeqCst) {
            return None;
        }
        let waited = self
            .cached(uri)
            .is_none_or(|cached| self.age(&cached) >= COOL_DOWN);
        if waited { self.fetch(uri).await.ok() } else { None }
    }

    pub(crate) async fn fetch(&self, uri: &str) -> Result<Arc<Value>, FetchError> {
        let mut response = self.http.get(uri).send().await.map_err(FetchError::Unreachable)?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(FetchError::Status(response.status().as_u16()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(FetchError::Unreachable)? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_BODY {
                return Err(FetchError::TooLong);
            }
        }
        let jwks: Value = serde_json::from_slice(&body).map_err(|_| FetchError::NotAJwkSet)?;
        if !jwks.get("keys").is_some_and(Value::is_array) {
            return Err(FetchError::NotAJwkSet);
        }
        let jwks = Arc::new(jwks);
        let cached = Cached {
            jwks: Arc::clone(&jwks),
            fetched_at: (self.clock)(),
        };
        self.cache.lock().insert(uri.to_owned(), cached);
        Ok(jwks)
    }

    /// Drops the cache, so that the next assertion fetches again.
    pub(crate) fn forget(&self) {
        self.cache.lock().clear();
    }

    /// Whether the cache is kept for its whole age, even if an assertion names another key.
    pub(crate) fn keep(&self, on: bool) {
        self.keeps.store(on, Ordering::SeqCst);
    }

    fn cached(&self, uri: &str) -> Option<Cached> {
        self.cache.lock().get(uri).cloned()
    }

    fn age(&self, cached: &Cached) -> u64 {
        (self.clock)().saturating_sub(cached.fetched_at)
    }
}
