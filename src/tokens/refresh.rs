//! One refresh of one session, from the claim to the stored tokens.

use std::{error::Error, sync::Arc, time::Duration};

use super::{
    Inner, Tokens, backoff,
    fate::{Answer, EndReason, Verdict},
    flights::{Flight, Outcome},
};
use crate::{
    clock::Timestamp,
    session::{Ended, Lease, ReplaceError, Session, SessionKey, SessionRef, StoreError, Stored},
};

/// Which access token a refresh is to replace: a refresh happens once per generation.
type Generation = Timestamp;

/// How often a process looks again where another one holds the session.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// The pause where the store failed.
const AFTER_STORE_ERROR: Duration = Duration::from_secs(5);

/// Why a refresh went no further.
pub(super) enum Stop {
    /// The session has ended meanwhile.
    Gone,
    Store(StoreError),
}

/// A refresh that brought no tokens to use.
pub(super) struct Failure<'a> {
    pub(super) answer: Answer,
    pub(super) error: &'a (dyn Error + Send + Sync + 'static),
    /// Whether the refresh token may have been used up.
    pub(super) uncertain: bool,
    /// When the IdP wants to be asked again.
    pub(super) asked: Option<Duration>,
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
    pub(super) async fn fly_claimed(&self, lease: Lease) {
        let key = *lease.key();
        // The lease goes to the task if this starts it, and comes back if a request was quicker or the last attempt
        // failed a moment ago.
        let mut lease = Some(lease);
        let inner = Arc::clone(&self.inner);
        let flight = self.inner.flights.join(key, || {
            let lease = lease.take();
            async move {
                match lease {
                    Some(lease) => inner.claimed(lease).await,
                    None => Outcome::Kept(LOOK_AGAIN),
                }
            }
        });
        let Some(lease) = lease else {
            flight.outcome().await;
            return;
        };
        // Due a little later, so that the loop does not claim the same session over and over.
        let pause = match flight {
            Flight::Under(_) => LOOK_AGAIN,
            Flight::Resting(pause) => pause,
        };
        let again = self.inner.clock.now().saturating_add(pause);
        if let Err(error) = self.inner.store.reschedule(&key, Some(again)).await {
            self.inner.store_failed(&key, &error);
        }
        self.inner.release(lease).await;
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
            if self.permits.is_closed() {
                return Ok(Turn::Over(Outcome::Kept(LOOK_AGAIN)));
            }
            self.clock.sleep(LOOK_AGAIN).await;
        }
    }

    /// Refreshes a session that was found due, unless somebody else has done so between the finding and the claim.
    async fn claimed(&self, lease: Lease) -> Outcome {
        let key = *lease.key();
        let outcome = match self.store.get(&key).await {
            Ok(None) => Outcome::Ended,
            Err(error) => self.store_failed(&key, &error),
            Ok(Some(stored)) => {
                let tokens = &stored.session.tokens;
                let due = tokens.due_at(self.options.threshold);
                if due.is_some_and(|due| due <= self.clock.now()) {
                    return self.under(lease, tokens.access_obtained_at).await;
                }
                match self.store.reschedule(&key, due).await {
                    Ok(()) => Outcome::Refreshed,
                    Err(error) => self.store_failed(&key, &error),
                }
            }
        };
        self.release(lease).await;
        outcome
    }

    async fn release(&self, lease: Lease) {
        let key = *lease.key();
        if let Err(error) = self.store.release(lease).await {
            self.store_failed(&key, &error);
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
        self.release(lease).await;
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
                let arrived = self.clock.now();
                self.breaker.success();
                self.accept(key, stored, &response, arrived).await
            }
            Err(error) => {
                let answer = Answer::of_call(&error, was_uncertain);
                self.note(answer);
                let uncertain = was_uncertain || error.outcome_unknown();
                let failure = Failure {
                    answer,
                    error: &error,
                    uncertain,
                    asked: error.retry_after(),
                };
                self.failed(key, stored, failure).await
            }
        }
    }

    /// Tells the breaker what an answer says of the IdP as a whole.
    fn note(&self, answer: Answer) {
        let opened = match answer.idp_works() {
            Some(true) => {
                self.breaker.success();
                false
            }
            Some(false) => self.breaker.failure(self.clock.now()),
            None => false,
        };
        if opened {
            tracing::warn!("refreshes pause, since the IdP fails repeatedly");
        }
    }

    /// A refresh that brought no tokens to use: the session ends or stays as the table says ([`Answer`]).
    pub(super) async fn failed(
        &self,
        key: &SessionKey,
        stored: Stored,
        failure: Failure<'_>,
    ) -> Result<Outcome, Stop> {
        let Failure { answer, error, .. } = failure;
        let tokens = &stored.session.tokens;
        match answer.verdict(error, tokens, self.clock.now()) {
            Verdict::Ends(reason) => {
                if let Some(session) = self.end(key, reason, error).await?
                    && reason.leaves_tokens()
                {
                    self.revocations.start_unshared([Ended { key: *key, session }]);
                }
                Ok(Outcome::Ended)
            }
            Verdict::Stays(strikes) => {
                self.tell_of(key, answer, error);
                let stored = if tokens.uncertain == failure.uncertain && tokens.strikes == strikes {
                    stored
                } else {
                    self.change(key, stored, |session| {
                        session.tokens.uncertain = failure.uncertain;
                        session.tokens.strikes.clone_from(&strikes);
                    })
                    .await?
                };
                self.keep(key, &stored.session, failure.asked).await
            }
        }
    }

    fn tell_of(&self, key: &SessionKey, answer: Answer, error: &(dyn Error + 'static)) {
        let session = self.reference(key);
        match answer {
            // What an operator has to mend, here or at the IdP.
            Answer::FaultyIdToken => tracing::error!(
                %session,
                error,
                "the IdP sent a refreshed ID token that is not right: the access token beside it is not used"
            ),
            Answer::UnknownClient => {
                tracing::error!(%session, error, "the access token could not be renewed; the session stays");
            }
            _ => tracing::warn!(%session, error, "the access token could not be renewed; the session stays"),
        }
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

    /// Ends the session; its last state, if nobody else was quicker.
    pub(super) async fn end(
        &self,
        key: &SessionKey,
        reason: EndReason,
        error: &(dyn Error + Send + Sync + 'static),
    ) -> Result<Option<Arc<Session>>, Stop> {
        let ended = self.store.remove(key).await?;
        if ended.is_some() {
            let reason = reason.as_str();
            tracing::info!(session = %self.reference(key), reason, error, "the session has ended");
        }
        Ok(ended)
    }

    /// Stores `change`, repeated on the newest version where another write came first.
    pub(super) async fn change(
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

    pub(super) fn reference(&self, key: &SessionKey) -> SessionRef {
        SessionRef::new(&self.sealer, key)
    }

    fn store_failed(&self, key: &SessionKey, error: &StoreError) -> Outcome {
        tracing::error!(session = %self.reference(key), %error, "the session store failed during a refresh");
        Outcome::Kept(AFTER_STORE_ERROR)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
