//! Binds a session to a key of the device (Device Bound Session Credentials, W3C draft): the browser registers a key
//! once, and proves every few minutes that it still has it.
//!
//! Challenges are stamps that are not stored, so that any replica can check a proof. The key is written into the
//! session once. A later proof reads only the session from the store, and needs nothing from the IdP.

use std::{sync::Arc, time::Duration};

use serde_json::Value;

use crate::{
    clock::{SharedClock, Timestamp},
    jose::{Claims, ProofKey, Typ, VerifyError, verify_first_proof, verify_proof},
    seal::Sealer,
    session::{DeviceKey, Due, Once, SessionKey, Sessions, Stamp, StoreError, Stored, UpdateError},
};

/// A challenge, and the right to register, count this long. A proof that was made just before a newer challenge came still
/// counts, so that parallel renewals all succeed.
const CHALLENGE_LIFETIME: Duration = Duration::from_mins(5);

/// Between the session's identifier and the stamp of an authorization.
const SEPARATOR: char = '.';

/// The keys of devices, and how they are proven.
#[derive(Debug)]
pub struct Devices {
    sessions: Sessions,
    /// Which invitations have led to a key.
    once: Arc<dyn Once>,
    sealer: Sealer,
    clock: SharedClock,
}

/// The permission for a browser to register a key for a session.
#[derive(Debug)]
pub struct Invitation {
    /// The challenge for the first proof (`jti`).
    pub challenge: String,
    /// The value to repeat (`authorization`): it names the session and the invitation. Valid for one key.
    pub authorization: String,
}

/// A key that was registered.
#[derive(Debug)]
pub struct Registered {
    /// The store's name for its session.
    pub key: SessionKey,
    /// The key.
    pub device: DeviceKey,
}

/// Why a proof does not count.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// It is not a valid proof, or has another key.
    #[error(transparent)]
    Proof(#[from] VerifyError),
    /// It answers no challenge of ours, or an old one.
    #[error("the proof answers no challenge that still counts")]
    Challenge,
    /// It does not repeat the permission to register a key, or the permission is too old.
    #[error("the proof does not show that it may register a key")]
    Authorization,
    /// The permission to register a key is already used.
    #[error("a key was registered by this login already")]
    Registered,
    /// The session has ended.
    #[error("the session has ended")]
    Gone,
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

// === impl Devices ===

impl Devices {
    pub(super) fn new(sessions: Sessions, once: Arc<dyn Once>, sealer: Sealer, clock: SharedClock) -> Self {
        Self {
            sessions,
            once,
            sealer,
            clock,
        }
    }

    /// Invites the browser of a new session to register a key.
    #[must_use]
    pub fn invite(&self, key: &SessionKey) -> Invitation {
        let write = |stamp: Stamp| stamp.write(&self.sealer, key, self.clock.now());
        Invitation {
            challenge: write(Stamp::Challenge),
            authorization: format!(
                "{}{SEPARATOR}{}",
                DeviceKey::identifier(key),
                write(Stamp::Registration)
            ),
        }
    }

    /// The challenge for the next proof.
    #[must_use]
    pub fn challenge(&self, key: &SessionKey) -> String {
        Stamp::Challenge.write(&self.sealer, key, self.clock.now())
    }

    /// Writes the key of a first proof into the inviting session. `cookie` is the session of the request's cookie, if
    /// it has one. The same key may come again, because its answer may have been lost; another key never replaces it.
    ///
    /// # Errors
    ///
    /// [`ProofError`]. The session is as it was.
    pub async fn register(&self, proof: &str, cookie: Option<SessionKey>) -> Result<Registered, ProofError> {
        let proven = verify_first_proof(proof, Typ::DeviceProof)?;
        let authorization = text(&proven.claims, "authorization").unwrap_or_default();
        let key = self
            .invited(authorization)
            .filter(|key| cookie.is_none_or(|cookie| cookie == *key))
            .ok_or(ProofError::Authorization)?;
        self.check_challenge(&key, &proven.claims)?;
        let stored = self.sessions.get(&key).await?.ok_or(ProofError::Gone)?;
        let device = self.write(&key, stored, proven.key, authorization).await?;
        Ok(Registered { key, device })
    }

    async fn write(
        &self,
        key: &SessionKey,
        stored: Stored,
        proven: ProofKey,
        authorization: &str,
    ) -> Result<DeviceKey, ProofError> {
        if let Some(known) = stored.session.bound.device.as_deref() {
            return if known.key == proven {
                Ok(known.clone())
            } else {
                Err(ProofError::Registered)
            };
        }
        let once = &self.once;
        let id = [b"device-registration\0", authorization.as_bytes()].concat();
        // Longer than its validity, because replicas' clocks differ.
        if !once.first(&id, 2 * CHALLENGE_LIFETIME).await? {
            return Err(ProofError::Registered);
        }
        let device = DeviceKey {
            key: proven,
            since: self.clock.now(),
        };
        let written = self
            .sessions
            .update(key, stored, |session| {
                session
                    .bound
                    .device
                    .get_or_insert_with(|| Box::new(device.clone()));
                Due::Unchanged
            })
            .await;
        match written {
            Ok(stored) if stored.session.bound.device.as_deref() == Some(&device) => Ok(device),
            Ok(_) => Err(ProofError::Registered),
            Err(UpdateError::Gone) => Err(ProofError::Gone),
            Err(UpdateError::Store(error)) => {
                // The browser may try again.
                once.forget(&id).await?;
                Err(error.into())
            }
        }
    }

    /// Checks a proof by the key that the session is bound to.
    ///
    /// # Errors
    ///
    /// [`ProofError`].
    pub fn check(&self, key: &SessionKey, device: &DeviceKey, proof: &str) -> Result<(), ProofError> {
        let claims = verify_proof(proof, Typ::DeviceProof, &device.key)?;
        self.check_challenge(key, &claims)
    }

    /// The session that has invited a browser to register a key.
    fn invited(&self, authorization: &str) -> Option<SessionKey> {
        let (identifier, stamp) = authorization.split_once(SEPARATOR)?;
        let key = DeviceKey::named(identifier)?;
        self.counts(Stamp::Registration, &key, stamp).then_some(key)
    }

    fn check_challenge(&self, key: &SessionKey, claims: &Claims) -> Result<(), ProofError> {
        let answered = text(claims, "jti").is_some_and(|jti| self.counts(Stamp::Challenge, key, jti));
        if answered {
            Ok(())
        } else {
            Err(ProofError::Challenge)
        }
    }

    /// Whether it is one of our stamps and young enough. A replica whose clock is ahead may have written it.
    fn counts(&self, stamp: Stamp, key: &SessionKey, text: &str) -> bool {
        let age = |written: Timestamp| self.clock.now().duration_since(written);
        stamp
            .read(&self.sealer, key, text.as_bytes())
            .is_some_and(|written| age(written) < CHALLENGE_LIFETIME)
    }
}

fn text<'a>(claims: &'a Claims, name: &str) -> Option<&'a str> {
    claims.get(name).and_then(Value::as_str)
}

#[cfg(test)]
mod tests;
