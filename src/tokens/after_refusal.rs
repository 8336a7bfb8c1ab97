//! A new token for a session whose API refused an unexpired token.

use std::{collections::HashMap, time::Duration};

use parking_lot::Mutex;

use super::{CredentialError, Tokens, flights::Outcome, of_token};
use crate::{
    clock::{Timestamp, timeout},
    credential::{Credential, Mode, TokenPolicy},
    session::{Session, SessionKey, UpdateError},
};

/// A younger token is not renewed: the API would refuse the next one for the same reason.
pub(super) const MIN_AGE: Duration = Duration::from_secs(30);

/// One session is renewed for this reason at most this often.
const EVERY: Duration = Duration::from_mins(1);

/// With fewer entries than this, expired ones are not removed.
const PRUNE_AT: usize = 1_024;

/// When sessions were last renewed because an API refused their token.
#[derive(Debug, Default)]
pub(super) struct Forced(Mutex<HashMap<SessionKey, Timestamp>>);

// === impl Tokens ===

impl Tokens {
    /// The credential for another call after an API answered `invalid_token` (RFC 6750 section 3.1) to the credential
    /// `refused`: a token that another call has obtained meanwhile, or one from a refresh. `None` if there is no
    /// other: the token is younger than 30 seconds, or the last refresh for this reason was less than a minute ago,
    /// or the refresh failed.
    ///
    /// # Errors
    ///
    /// [`CredentialError`]: the session has ended, or the store does not answer.
    pub async fn after_refusal(
        &self,
        key: &SessionKey,
        policy: &TokenPolicy,
        refused: &Credential,
    ) -> Result<Option<Credential>, CredentialError> {
        if !policy.is_own_token() {
            return self.another_for(key, policy, refused).await;
        }
        let inner = &self.inner;
        let current = inner.sessions.get(key).await?.ok_or(CredentialError::Ended)?;
        let tokens = &current.session.tokens;
        let now = inner.clock.now();
        if !refused.is(tokens.access.authorization()) {
            return self.if_valid(&current.session);
        }
        let is_young = now.duration_since(tokens.access_obtained_at) < MIN_AGE;
        // Other calls with the same token join the refresh that the first one has started.
        let flight = match inner.flights.under_way(key) {
            Some(flight) => flight,
            None if is_young || tokens.refresh_token().is_none() => return Ok(None),
            None if !inner.forced.begins(*key, now) => return self.other_than(key, refused).await,
            None => self.fly(*key, &current.session),
        };
        match timeout(&*inner.clock, inner.options.wait, flight.outcome()).await {
            Ok(Outcome::Ended) => Err(CredentialError::Ended),
            Ok(Outcome::Refreshed) => {
                let renewed = inner.sessions.get(key).await?.ok_or(CredentialError::Ended)?;
                self.if_valid(&renewed.session)
            }
            Ok(Outcome::Kept(_) | Outcome::Impossible) | Err(_) => Ok(None),
        }
    }

    /// The same for a token for one API: the refused one is forgotten, unless it is young.
    async fn another_for(
        &self,
        key: &SessionKey,
        policy: &TokenPolicy,
        refused: &Credential,
    ) -> Result<Option<Credential>, CredentialError> {
        let inner = &self.inner;
        let old_enough = inner.clock.now().saturating_sub(MIN_AGE);
        let mut current = inner.sessions.get(key).await?.ok_or(CredentialError::Ended)?;
        if policy.mode == Mode::ServiceToken {
            inner.service_tokens.forget(policy, refused, old_enough);
        } else if let Some(held) = current.session.tokens.for_targets.of(policy)
            && refused.is(held.access.authorization())
            && held.obtained_at <= old_enough
            && inner.forced.begins(*key, inner.clock.now())
        {
            let held = held.access.clone();
            let forget = |session: &mut Session| session.tokens.for_targets.forget(&held);
            current = match inner.update(key, current, forget).await {
                Ok(current) => current,
                Err(UpdateError::Gone) => return Err(CredentialError::Ended),
                Err(UpdateError::Store(error)) => return Err(error.into()),
            };
        }
        let credential = self.credential_for(key, &current, policy).await?;
        Ok((credential != *refused).then_some(credential))
    }

    /// The present token, if it differs from `refused`: a refresh may have ended since the session was read.
    async fn other_than(
        &self,
        key: &SessionKey,
        refused: &Credential,
    ) -> Result<Option<Credential>, CredentialError> {
        let current = self
            .inner
            .sessions
            .get(key)
            .await?
            .ok_or(CredentialError::Ended)?;
        if refused.is(current.session.tokens.access.authorization()) {
            return Ok(None);
        }
        self.if_valid(&current.session)
    }

    fn if_valid(&self, session: &Session) -> Result<Option<Credential>, CredentialError> {
        let tokens = &session.tokens;
        let is_valid = tokens.access_is_valid(self.inner.clock.now());
        is_valid.then(|| of_token(&tokens.access)).transpose()
    }
}

// === impl Forced ===

impl Forced {
    /// Whether `key` may be renewed for this reason now, which is noted.
    fn begins(&self, key: SessionKey, now: Timestamp) -> bool {
        let is_recent = |last: &Timestamp| now.duration_since(*last) < EVERY;
        let mut last = self.0.lock();
        if last.get(&key).is_some_and(is_recent) {
            return false;
        }
        if last.len() >= PRUNE_AT {
            last.retain(|_, last| is_recent(last));
        }
        last.insert(key, now);
        true
    }
}
