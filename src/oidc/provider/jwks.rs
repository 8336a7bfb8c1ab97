//! The provider's keys, cached.
//!
//! A token with an unknown key id makes one call read the set again for all waiting callers, at most once per
//! cool-down. If that fails, the known keys stay in use. No lock is held during the network call.

use std::{fmt, sync::Arc, time::Duration};

use http::StatusCode;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::{NotDiscovered, Provider, discovery::may_pass};
use crate::{
    clock::Timestamp,
    diagnostic::{Explain, Fix, Knob, fix},
    jose::{KeySet, Rejected},
    outbound::{Lane, Request, TransportError, Unread},
};

/// How the provider's keys are cached.
#[derive(Clone, Copy, Debug)]
pub struct JwksOptions {
    /// An unknown key id, or a fetch that failed, is followed by no other fetch for this long.
    pub cooldown: Duration,
    /// The same while there are no keys at all, so that logins work soon after the provider does.
    pub first_cooldown: Duration,
    /// Older keys are read again, so that a withdrawn one stops being trusted.
    pub max_age: Duration,
}

/// Why the provider's keys are not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwksError {
    /// Discovery has not succeeded yet.
    #[error(transparent)]
    NotDiscovered(#[from] NotDiscovered),
    /// No answer.
    #[error("cannot read the IdP's keys at {url}: {source}")]
    Unreachable {
        /// Where.
        url: String,
        /// Why.
        source: TransportError,
    },
    /// An answer other than 200; redirects are not followed.
    #[error("the IdP answered {status} instead of its keys at {url}")]
    Status {
        /// Where.
        url: String,
        /// The answer.
        status: StatusCode,
    },
    /// Not a JWK Set, or one without any key that verifies signatures.
    #[error("the answer at {url} is not a JWK Set with a key for signatures: {cause}")]
    NoKeys {
        /// Where.
        url: String,
        /// Why.
        cause: NoKeys,
    },
    /// The server is stopping.
    #[error("the call for the IdP's keys was abandoned")]
    Abandoned,
}

/// Why a document has no usable key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoKeys {
    /// It is something else.
    NotJson(Unread),
    /// It is an object of another kind.
    NoMember,
    /// It has no key.
    Empty,
    /// None of its keys can be used.
    Rejected(Vec<Rejected>),
}

// === impl NoKeys ===

impl fmt::Display for NoKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson(found) => write!(f, "it is {found}"),
            Self::NoMember => f.write_str("it has no array `keys`"),
            Self::Empty => f.write_str("its array `keys` is empty"),
            Self::Rejected(keys) => f.write_str(&Rejected::told(keys)),
        }
    }
}

// === impl JwksError ===

impl Explain for JwksError {
    fn fix(&self) -> Option<Fix> {
        let pointer = || {
            fix!(
                "correct jwks_uri in the IdP's metadata or the keys there, or {} if it is set",
                Knob::ProviderKeys
            )
        };
        match self {
            Self::NotDiscovered(NotDiscovered) | Self::Abandoned => None,
            Self::Unreachable { source, .. } => Some(source.fix().unwrap_or_else(pointer)),
            Self::NoKeys {
                cause: NoKeys::NotJson(found),
                ..
            } => Some(found.fix().unwrap_or_else(pointer)),
            Self::Status { status, .. } if may_pass(*status) => Some(fix!(
                "try again later, and see in the log of the IdP why it fails; jwks_uri in its metadata, or {} if it is set, points there",
                Knob::ProviderKeys
            )),
            Self::Status { .. } | Self::NoKeys { .. } => Some(pointer()),
        }
    }
}

type Outcome = Result<Arc<KeySet>, JwksError>;

#[derive(Default)]
pub(super) struct JwksCache {
    state: Mutex<State>,
}

struct State {
    keys: Option<Cached>,
    /// No fetch before this.
    cooling_until: Timestamp,
    last_error: Option<JwksError>,
    /// The fetch that is under way.
    flight: Option<watch::Receiver<Option<Outcome>>>,
}

#[derive(Clone)]
struct Cached {
    set: Arc<KeySet>,
    fetched_at: Timestamp,
}

/// The result of a look at the cache.
enum Next {
    Known(Outcome),
    Wait(watch::Receiver<Option<Outcome>>),
}

// === impl State ===

impl State {
    fn known(&self) -> Option<Arc<KeySet>> {
        self.keys.as_ref().map(|cached| Arc::clone(&cached.set))
    }
}

impl Default for State {
    fn default() -> Self {
        Self {
            keys: None,
            cooling_until: Timestamp::EPOCH,
            last_error: None,
            flight: None,
        }
    }
}

// === impl JwksOptions ===

impl Default for JwksOptions {
    fn default() -> Self {
        Self {
            cooldown: Duration::from_mins(1),
            first_cooldown: Duration::from_secs(5),
            max_age: Duration::from_hours(1),
        }
    }
}

// === impl Provider ===

impl Provider {
    /// The provider's keys: cached ones, or read now if there are none or they are old.
    ///
    /// # Errors
    ///
    /// [`JwksError`] if none were ever read.
    pub async fn keys(&self) -> Result<Arc<KeySet>, JwksError> {
        let next = {
            let now = self.shared.clock.now();
            let mut state = self.shared.keys.state.lock();
            let max_age = self.shared.jwks_options.max_age;
            match &state.keys {
                Some(cached) if now < cached.fetched_at.saturating_add(max_age) => {
                    Next::Known(Ok(Arc::clone(&cached.set)))
                }
                _ => self.fetch_or_join(&mut state, now),
            }
        };
        self.outcome(next).await
    }

    /// The provider's keys after `known` turned out to lack the needed one: newer ones if there are any, otherwise
    /// `known` again.
    pub async fn keys_after(&self, known: &Arc<KeySet>) -> Arc<KeySet> {
        let next = {
            let now = self.shared.clock.now();
            let mut state = self.shared.keys.state.lock();
            match &state.keys {
                // Another caller was faster.
                Some(cached) if !Arc::ptr_eq(&cached.set, known) => Next::Known(Ok(Arc::clone(&cached.set))),
                _ => {
                    let next = self.fetch_or_join(&mut state, now);
                    if matches!(next, Next::Wait(_)) {
                        // The cool-down also starts after a success, so unknown key ids cause at most one fetch per
                        // cool-down.
                        let cooldown = self.shared.jwks_options.cooldown;
                        state.cooling_until = state.cooling_until.max(now.saturating_add(cooldown));
                    }
                    next
                }
            }
        };
        self.outcome(next).await.unwrap_or_else(|_| Arc::clone(known))
    }

    /// Whether the provider's keys were read a moment ago, without a failure since: a key that is missing then is
    /// unpublished.
    pub(super) fn keys_are_current(&self) -> bool {
        let now = self.shared.clock.now();
        let state = self.shared.keys.state.lock();
        let cooldown = self.shared.jwks_options.cooldown;
        state.last_error.is_none()
            && (state.keys.as_ref()).is_some_and(|cached| now <= cached.fetched_at.saturating_add(cooldown))
    }

    fn fetch_or_join(&self, state: &mut State, now: Timestamp) -> Next {
        // A closed one was cut off before it could land.
        if let Some(flight) = state
            .flight
            .as_ref()
            .filter(|flight| flight.has_changed().is_ok())
        {
            return Next::Wait(flight.clone());
        }
        if now < state.cooling_until {
            let known = state.known();
            let error = state.last_error.clone().unwrap_or(JwksError::Abandoned);
            return Next::Known(known.ok_or(error));
        }
        let (done, flight) = watch::channel(None);
        state.flight = Some(flight.clone());
        // In its own task: a caller that stops waiting must not stop the fetch of the others.
        let provider = self.clone();
        tokio::spawn(async move {
            let fetched = provider.fetch_keys().await;
            done.send_replace(Some(provider.settle(fetched)));
        });
        Next::Wait(flight)
    }

    async fn outcome(&self, next: Next) -> Outcome {
        let mut flight = match next {
            Next::Known(outcome) => return outcome,
            Next::Wait(flight) => flight,
        };
        let landed = flight.wait_for(Option::is_some).await.ok();
        landed
            .and_then(|outcome| outcome.clone())
            .unwrap_or(Err(JwksError::Abandoned))
    }

    /// Stores the result of a fetch; after a failure the known keys stay.
    fn settle(&self, fetched: Result<KeySet, JwksError>) -> Outcome {
        let options = &self.shared.jwks_options;
        let now = self.shared.clock.now();
        let mut state = self.shared.keys.state.lock();
        state.flight = None;
        match fetched {
            Ok(set) => {
                let set = Arc::new(set);
                tracing::info!(keys = set.len(), "the IdP's keys were read");
                if set.beyond() > 0 && self.shared.told.first("keys beyond the limit") {
                    tracing::warn!(
                        left_out = set.beyond(),
                        "the IdP publishes more than 100 keys; the last ones are ignored"
                    );
                }
                if let Some(keys) = set.broken()
                    && self.shared.told.first(&keys)
                {
                    tracing::warn!(
                        keys,
                        "the IdP publishes keys that cannot be used; what they sign is refused"
                    );
                }
                state.last_error = None;
                state.keys = Some(Cached {
                    set: Arc::clone(&set),
                    fetched_at: now,
                });
                Ok(set)
            }
            Err(error) => {
                let known = state.known();
                tracing::warn!(
                    error = error.told(),
                    kept = known.is_some(),
                    "the IdP's keys could not be read"
                );
                let cooldown = match known {
                    Some(_) => options.cooldown,
                    None => options.first_cooldown,
                };
                state.cooling_until = now.saturating_add(cooldown);
                state.last_error = Some(error.clone());
                known.ok_or(error)
            }
        }
    }

    async fn fetch_keys(&self) -> Result<KeySet, JwksError> {
        // The settings can name the place of the keys of a provider without metadata.
        let jwks_uri = match self.metadata() {
            Some(metadata) => metadata.jwks_uri.clone(),
            None => (self.shared.options.overrides.jwks.clone()).ok_or(NotDiscovered)?,
        };
        let url = jwks_uri.to_string();
        let request = Request::get(jwks_uri);
        let response = match self.shared.outbound.send(Lane::Metadata, request).await {
            Ok(response) => response,
            Err(source) => return Err(JwksError::Unreachable { url, source }),
        };
        if response.status != StatusCode::OK {
            return Err(JwksError::Status {
                url,
                status: response.status,
            });
        }
        let cause = match KeySet::parse(&response.body) {
            Ok(set) if !set.is_empty() => return Ok(set),
            Ok(set) if set.rejected().is_empty() => NoKeys::Empty,
            Ok(set) => NoKeys::Rejected(set.rejected().to_vec()),
            Err(_) if response.json_object().is_some() => NoKeys::NoMember,
            Err(_) => NoKeys::NotJson(response.unread()),
        };
        Err(JwksError::NoKeys { url, cause })
    }
}

#[cfg(test)]
mod tests;
