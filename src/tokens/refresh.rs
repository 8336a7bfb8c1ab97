//! One refresh of one session, from the claim to the stored tokens.

use std::{sync::Arc, time::Duration};

use super::{
    Inner, Tokens, backoff,
    flights::{Flight, Outcome},
    revoke,
};
use crate::{
    clock::Timestamp,
    oidc::{Expect, Identity, TokenError, TokenResponse},
    session::{Lease, ReplaceError, Session, SessionKey, SessionRef, StoreError, Stored, user_claims},
};

/// Which access token a refresh is to replace: a refresh happens once per generation.
type Generation = Timestamp;

/// How often a process looks again where another one holds the session.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// The pause where the store failed.
const AFTER_STORE_ERROR: Duration = Duration::from_secs(5);

/// Why a refresh went no further.
enum Stop {
    /// The session has ended meanwhile.
    Gone,
    Store(StoreError),
}

/// Whether a session can be worked on.
enum Turn {
    Mine(Lease),
    Over(Outcome),
}

impl Tokens {
    /// Joins or starts the refresh that replaces the access token of `seen`.
    pub(super) fn fly(&self, key: SessionKey, seen: &Session) -> Flight {
        let inner = Arc::clone(&self.inner);
        let generation = seen.tokens.access_obtained_at;
        self.inner.flights.join(key, move || async move {
            match inner.turn(&key, generation).await {
                Ok(Turn::Mine(lease)) => inner.under(lease, generation).await,
                Ok(Turn::Over(outcome)) => outcome,
                Err(error) => inner.store_failed(&key, &error),
            }
        })
    }

    /// Like [`fly`](Self::fly) for a session that the background loop has claimed.
    pub(super) async fn fly_claimed(&self, lease: Lease) -> Outcome {
        let key = *lease.key();
        // The lease goes to the task if this starts it, and comes back if a request was quicker.
        let mut lease = Some(lease);
        let inner = Arc::clone(&self.inner);
        let flight = self.inner.flights.join(key, || {
            let lease = lease.take();
            async move {
                let Some(lease) = lease else {
                    return Outcome::Kept(LOOK_AGAIN);
                };
                match inner.store.get(&key).await {
                    Ok(Some(stored)) => inner.under(lease, stored.session.tokens.access_obtained_at).await,
                    Ok(None) => Outcome::Ended,
                    Err(error) => inner.store_failed(&key, &error),
                }
            }
        });
        if let Some(lease) = lease
            && let Err(error) = self.inner.store.release(lease).await
        {
            return self.inner.store_failed(&key, &error);
        }
        flight.outcome().await
    }
}

impl Inner {
    /// Waits until the session can be claimed, or somebody else has refreshed it.
    async fn turn(&self, key: &SessionKey, generation: Generation) -> Result<Turn, StoreError> {
        loop {
            let Some(stored) = self.store.get(key).await? else {
                return Ok(Turn::Over(Outcome::Ended));
            };
            if stored.session.tokens.access_obtained_at != generation {
                return Ok(Turn::Over(Outcome::Refreshed));
            }
            if let Some(lease) = self.store.claim(key, self.options.lease).await? {
                return Ok(Turn::Mine(lease));
            }
            self.clock.sleep(LOOK_AGAIN).await;
        }
    }

    /// Refreshes while the lease is held, and gives it back.
    async fn under(&self, lease: Lease, generation: Generation) -> Outcome {
        let key = *lease.key();
        let refresh = self.refresh(&key, generation);
        tokio::pin!(refresh);
        let outcome = loop {
            tokio::select! {
                biased;
                outcome = &mut refresh => break outcome,
                () = self.clock.sleep(self.options.lease / 3) => {
                    // An IdP slower than the lease must not make a second refresh start elsewhere.
                    if let Err(error) = self.store.renew(&lease, self.options.lease).await {
                        self.store_failed(&key, &error);
                    }
                }
            }
        };
        if let Err(error) = self.store.release(lease).await {
            self.store_failed(&key, &error);
        }
        outcome
    }

    async fn refresh(&self, key: &SessionKey, generation: Generation) -> Outcome {
        let Ok(_permit) = self.permits.acquire().await else {
            return Outcome::Kept(LOOK_AGAIN);
        };
        match self.try_refresh(key, generation).await {
            Ok(outcome) => outcome,
            Err(Stop::Gone) => Outcome::Ended,
            Err(Stop::Store(error)) => self.store_failed(key, &error),
        }
    }

    async fn try_refresh(&self, key: &SessionKey, generation: Generation) -> Result<Outcome, Stop> {
        let stored = self.store.get(key).await?.ok_or(Stop::Gone)?;
        let tokens = &stored.session.tokens;
        if tokens.access_obtained_at != generation {
            return Ok(Outcome::Refreshed);
        }
        let Some(refresh_token) = tokens.refresh_token().cloned() else {
            self.store.reschedule(key, None).await?;
            return Ok(Outcome::Kept(AFTER_STORE_ERROR));
        };
        if let Err(pause) = self.breaker.check(self.clock.now()) {
            return self.keep(key, &stored.session, Some(pause)).await;
        }
        // Recorded before the request is sent: if its answer gets lost, a later `invalid_grant` can be explained.
        let was_uncertain = tokens.uncertain;
        let stored = self
            .change(key, stored, |session| session.tokens.uncertain = true)
            .await?;

        match self.relying_party.refresh(&refresh_token).await {
            Ok(response) => {
                self.breaker.success();
                self.accept(key, stored, response).await
            }
            Err(error) if error.ends_session() => {
                self.breaker.success();
                let reason = if was_uncertain {
                    "answer_lost"
                } else {
                    "invalid_grant"
                };
                self.end(key, reason, &error).await
            }
            Err(error) => {
                if !error.outcome_unknown() {
                    self.change(key, stored.clone(), |session| {
                        session.tokens.uncertain = was_uncertain;
                    })
                    .await?;
                }
                self.failed(key, &stored.session, &error).await
            }
        }
    }

    /// Takes a token response: the rotated refresh token is stored before anything else is looked at, the access token
    /// serves only after a refreshed ID token, if there is one, has passed (OpenID Connect Core 1.0 section 12.2).
    async fn accept(
        &self,
        key: &SessionKey,
        stored: Stored,
        response: TokenResponse,
    ) -> Result<Outcome, Stop> {
        let rotated = response.refresh_token.clone();
        let stored = match self
            .change(key, stored, |session| {
                session.tokens.uncertain = false;
                if rotated.is_some() {
                    session.tokens.pending.clone_from(&rotated);
                }
            })
            .await
        {
            Err(Stop::Gone) => return Ok(self.arrived_too_late(&response).await),
            other => other?,
        };
        let previous = &stored.session;

        let id_token = match &response.id_token {
            None => None,
            Some(token) => {
                let identity = identity(previous);
                let expected = Expect::refreshed(&identity, &response.access_token);
                match self.relying_party.verify_id_token(token, expected).await {
                    Ok(verified) => Some(verified),
                    Err(error) if error.is_transient() => {
                        tracing::warn!(session = %self.reference(key), %error, "a refreshed ID token cannot be checked yet");
                        return self.keep(key, previous, None).await;
                    }
                    Err(error) => {
                        self.relying_party
                            .revoke_grant(response.refresh_token.as_ref(), &response.access_token)
                            .await;
                        return self.end(key, "id_token", &error).await;
                    }
                }
            }
        };
        let user_info = self
            .relying_party
            .user_info(&response.access_token, &previous.subject)
            .await;
        let user_info = match user_info {
            Ok(claims) => claims,
            Err(error) => {
                tracing::warn!(session = %self.reference(key), %error, "UserInfo could not be read again after a refresh");
                None
            }
        };

        let now = self.clock.now();
        let changed = self
            .change(key, stored, |session| {
                let tokens = &mut session.tokens;
                if let Some(refresh) = tokens.pending.take() {
                    tokens.refresh = Some(refresh);
                }
                tokens.access = response.access_token.clone();
                tokens.access_obtained_at = now;
                tokens.access_expires_at = now.saturating_add(response.expires_in);
                if let Some(scope) = &response.scope {
                    tokens.scope.clone_from(scope);
                }
                if let Some(token) = &response.id_token {
                    tokens.id_token = token.clone();
                }
                // A role that was taken away at the IdP must not live on here.
                if id_token.is_some() || user_info.is_some() {
                    session.user = user_claims(
                        id_token.as_ref().map(|verified| &verified.all),
                        user_info.as_ref(),
                    );
                }
            })
            .await;
        match changed {
            Err(Stop::Gone) => Ok(self.arrived_too_late(&response).await),
            other => {
                other?;
                tracing::debug!(session = %self.reference(key), "access token renewed");
                Ok(Outcome::Refreshed)
            }
        }
    }

    /// Tokens for a session that ended meanwhile: it stays ended, and they are revoked.
    async fn arrived_too_late(&self, response: &TokenResponse) -> Outcome {
        self.relying_party
            .revoke_grant(response.refresh_token.as_ref(), &response.access_token)
            .await;
        Outcome::Ended
    }

    /// A failure that does not end the session.
    async fn failed(&self, key: &SessionKey, session: &Session, error: &TokenError) -> Result<Outcome, Stop> {
        let session_ref = self.reference(key);
        tracing::warn!(session = %session_ref, %error, "the access token could not be renewed; the session stays");
        if error.is_outage() && self.breaker.failure(self.clock.now()) {
            tracing::warn!("refreshes pause, since the IdP fails repeatedly");
        }
        self.keep(key, session, error.retry_after()).await
    }

    /// Leaves the session as it is and says when to try again.
    async fn keep(
        &self,
        key: &SessionKey,
        session: &Session,
        asked: Option<Duration>,
    ) -> Result<Outcome, Stop> {
        let now = self.clock.now();
        let pause = backoff::pause(&session.tokens, now, asked, &*self.random);
        self.store
            .reschedule(key, Some(now.saturating_add(pause)))
            .await?;
        Ok(Outcome::Kept(pause))
    }

    async fn end(
        &self,
        key: &SessionKey,
        reason: &'static str,
        error: &(dyn std::error::Error + Send + Sync + 'static),
    ) -> Result<Outcome, Stop> {
        if let Some(session) = self.store.remove(key).await? {
            tracing::info!(session = %self.reference(key), reason, error, "the session has ended");
            if reason == "id_token" {
                revoke(&self.relying_party, &session.tokens).await;
            }
        }
        Ok(Outcome::Ended)
    }

    /// Stores `change`, repeated on the newest version where another write came first.
    async fn change(
        &self,
        key: &SessionKey,
        mut stored: Stored,
        mut change: impl FnMut(&mut Session),
    ) -> Result<Stored, Stop> {
        loop {
            let mut session = Session::clone(&stored.session);
            change(&mut session);
            let session = Arc::new(session);
            let due = session.tokens.due_at(self.options.threshold);
            match self
                .store
                .replace(key, stored.version, Arc::clone(&session), due)
                .await
            {
                Ok(version) => {
                    return Ok(Stored {
                        session,
                        version,
                        ..stored
                    });
                }
                Err(ReplaceError::Gone) => return Err(Stop::Gone),
                Err(ReplaceError::Conflict) => stored = self.store.get(key).await?.ok_or(Stop::Gone)?,
                Err(ReplaceError::Store(error)) => return Err(Stop::Store(error)),
            }
        }
    }

    fn reference(&self, key: &SessionKey) -> SessionRef {
        SessionRef::new(&self.sealer, key)
    }

    fn store_failed(&self, key: &SessionKey, error: &StoreError) -> Outcome {
        tracing::error!(session = %self.reference(key), %error, "the session store failed during a refresh");
        Outcome::Kept(AFTER_STORE_ERROR)
    }
}

/// What a refreshed ID token must not change.
fn identity(session: &Session) -> Identity {
    Identity {
        issuer: session.issuer.clone(),
        subject: session.subject.clone(),
        nonce: session.nonce.clone(),
        auth_time: session.auth_time,
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
