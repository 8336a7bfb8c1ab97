//! One refresh of one session, from the claim to the stored tokens.

use std::{error::Error, sync::Arc, time::Duration};

use super::{
    Inner, Tokens,
    attempt::{AFTER_STORE_ERROR, Attempt, Generation, Wanted, is_of},
    backoff,
    fate::{Answer, Verdict},
    flights::{Flight, Landing as _, Outcome},
};
use crate::{
    clock::Timestamp,
    diagnostic::Explain,
    oidc::Meaning,
    session::{Claim, Claimed, Due, Lease, Session, SessionKey, StoreError, Stored, UpdateError},
};

/// The pause before a refresh that was not possible at the moment, through no fault of the IdP.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// If another process holds the session, this one is notified when that has finished. It also polls at this interval.
pub(super) const LOOK_BY_ITSELF: Duration = Duration::from_secs(1);

/// A refresh that brought no usable tokens.
pub(super) struct Failure<'a> {
    pub(super) answer: Answer,
    pub(super) error: &'a (dyn Error + Send + Sync + 'static),
    /// The same, for the operator.
    pub(super) explained: &'a (dyn Explain + Sync),
    /// Whether the refresh token may have been used up.
    pub(super) uncertain: bool,
    /// The pause that the IdP requests.
    pub(super) asked: Option<Duration>,
}

/// Whether a session can be worked on.
enum Turn {
    Mine(Claimed),
    Over(Outcome),
}

impl Tokens {
    /// Joins or starts the refresh that replaces the access token of `seen`.
    pub(super) fn fly(&self, key: SessionKey, seen: &Session) -> Flight<Outcome> {
        let inner = Arc::clone(&self.inner);
        let generation = seen.tokens.access_obtained_at;
        self.inner
            .flights
            .join(key, move || async move { inner.replace(&key, generation).await })
    }

    /// Like [`fly`](Self::fly) for a session that the background loop has claimed.
    pub(super) async fn fly_claimed(&self, claimed: Claimed) {
        let key = *claimed.lease.key();
        // The claim goes to the task if this starts it, and comes back if a request was quicker or the last attempt
        // failed a moment ago.
        let mut claimed = Some(claimed);
        let inner = Arc::clone(&self.inner);
        let flight = self.inner.flights.join(key, || {
            let claimed = claimed.take();
            async move {
                match claimed {
                    Some(claimed) => inner.claimed(claimed).await,
                    None => Outcome::Kept(LOOK_AGAIN),
                }
            }
        });
        let Some(claimed) = claimed else {
            flight.outcome().await;
            return;
        };
        // Due a little later, so that the loop does not claim the same session over and over.
        let pause = match flight {
            Flight::Under(_) => LOOK_AGAIN,
            Flight::BackingOff(landing) => landing.pause().unwrap_or(LOOK_AGAIN),
        };
        let again = self.inner.clock.now().saturating_add(pause);
        self.inner.give_back(claimed, Due::At(again)).await;
    }
}

impl Inner {
    /// Replaces the access token of `generation`, or waits until another process has.
    async fn replace(&self, key: &SessionKey, generation: Timestamp) -> Outcome {
        loop {
            match self.turn(key, generation).await {
                Ok(Turn::Mine(claimed)) => {
                    if let Some(attempt) = self.under(claimed, Wanted::Session).await {
                        return attempt.into();
                    }
                }
                Ok(Turn::Over(outcome)) => return outcome,
                Err(error) => return Outcome::Kept(self.store_failed(key, &error)),
            }
        }
    }

    /// Waits until the session can be claimed, or another process has refreshed it.
    async fn turn(&self, key: &SessionKey, generation: Timestamp) -> Result<Turn, StoreError> {
        let mut watch = self.sessions.watch(key);
        loop {
            let (stored, held_for) = match self.sessions.claim(key, self.options.lease).await? {
                Claim::Gone => return Ok(Turn::Over(Outcome::Ended)),
                Claim::Claimed(claimed) if obtained_at(&claimed.stored) == generation => {
                    return Ok(Turn::Mine(claimed));
                }
                Claim::Claimed(claimed) => {
                    self.give_back(claimed, Due::Unchanged).await;
                    return Ok(Turn::Over(Outcome::Refreshed));
                }
                Claim::Held(stored, held_for) => (stored, held_for),
            };
            if obtained_at(&stored) != generation {
                return Ok(Turn::Over(Outcome::Refreshed));
            }
            if self.permits.is_closed() {
                return Ok(Turn::Over(Outcome::Kept(LOOK_AGAIN)));
            }
            tokio::select! {
                () = watch.changed() => {}
                () = self.clock.sleep(held_for.min(LOOK_BY_ITSELF)) => {}
            }
        }
    }

    /// Refreshes a due session, unless another process has done so between the search and the claim.
    async fn claimed(&self, claimed: Claimed) -> Outcome {
        let due = claimed.stored.session.tokens.due_at(self.options.threshold);
        if due.is_some_and(|due| due <= self.clock.now()) {
            let key = *claimed.lease.key();
            let generation = claimed.stored.session.tokens.access_obtained_at;
            return match self.under(claimed, Wanted::Session).await {
                Some(attempt) => attempt.into(),
                None => self.replace(&key, generation).await,
            };
        }
        self.give_back(claimed, Due::at(due)).await;
        Outcome::Refreshed
    }

    pub(super) async fn release(&self, lease: Lease, due: Due) {
        let key = *lease.key();
        if let Err(error) = self.sessions.release(lease, due).await {
            self.store_failed(&key, &error);
        }
    }

    /// Uses the refresh token while the lease is held, and gives the lease back. `None` where it was lost before the request
    /// to the IdP.
    pub(super) async fn under(&self, claimed: Claimed, wanted: Wanted<'_>) -> Option<Attempt> {
        let Claimed {
            lease,
            stored,
            taken_over,
        } = claimed;
        let attempt = self.attempt(&lease, stored, taken_over, wanted).await;
        match &attempt {
            // The lease has ended, or is the mark of a request without an answer.
            Attempt::Renewed | Attempt::Ended | Attempt::Unsettled => {}
            Attempt::Lost => return None,
            Attempt::Kept(pause) => {
                let again = self.clock.now().saturating_add(*pause);
                self.release(lease, Due::At(again)).await;
            }
            Attempt::Impossible => self.release(lease, Due::Never).await,
            Attempt::Overtaken | Attempt::NotIssued(_) => self.release(lease, Due::Unchanged).await,
        }
        Some(attempt)
    }

    /// Refreshes, and extends the lease meanwhile.
    async fn attempt(&self, lease: &Lease, stored: Stored, taken_over: bool, wanted: Wanted<'_>) -> Attempt {
        let key = lease.key();
        let refresh = self.refresh(lease, stored, taken_over, wanted);
        tokio::pin!(refresh);
        loop {
            tokio::select! {
                biased;
                attempt = &mut refresh => return match attempt {
                    Ok(attempt) => attempt,
                    Err(UpdateError::Gone) => Attempt::Ended,
                    Err(UpdateError::Store(error)) => Attempt::Kept(self.store_failed(key, &error)),
                },
                () = self.clock.sleep(self.options.lease / 3) => {
                    // An IdP slower than the lease must not make a second refresh start elsewhere.
                    if let Err(error) = self.sessions.extend(lease, self.options.lease).await {
                        self.store_failed(key, &error);
                    }
                }
            }
        }
    }

    /// Refreshes the session of `lease`. `taken_over` says that the holder of before did not give it back.
    pub(super) async fn refresh(
        &self,
        lease: &Lease,
        mut stored: Stored,
        taken_over: bool,
        wanted: Wanted<'_>,
    ) -> Result<Attempt, UpdateError> {
        let (key, generation) = (lease.key(), Generation::of(&stored.session));
        match self.note_uncertain(key, stored, taken_over).await {
            Ok(noted) => stored = noted,
            Err(error) => return self.unsettled(key, Err(error)),
        }
        // A permit for one call to the IdP. It ends with the call, because a slow store must not leave the IdP idle.
        let Ok(permit) = self.permits.acquire().await else {
            return Ok(Attempt::Kept(LOOK_AGAIN));
        };
        // A process that stood still, or waited for long, may have lost the lease, and the token may be used up.
        let held_for = self.clock.now().duration_since(lease.since());
        if held_for >= self.options.lease / 3 && !self.sessions.extend(lease, self.options.lease).await? {
            return Ok(Attempt::Lost);
        }
        if stored.session.tokens.uncertain {
            // A former holder that stalled may have stored its answer since. A lease does not stop it.
            stored = self.sessions.get_newest(key).await?.ok_or(UpdateError::Gone)?;
        }
        if !is_of(generation, &stored.session) {
            return Ok(Attempt::Overtaken);
        }
        let Some(refresh_token) = stored.session.tokens.refresh_token().cloned() else {
            return Ok(Attempt::Impossible);
        };
        // Asked last: a trial that sends nothing would keep all others waiting.
        if let Err(pause) = self.breaker.check(self.clock.now()) {
            return Ok(Attempt::Kept(self.pause(&stored.session, Some(pause))));
        }

        let answer = match wanted {
            Wanted::Session => self.relying_party.refresh(&refresh_token).await,
            Wanted::Api(policy) => {
                self.relying_party
                    .refresh_for(&refresh_token, &policy.target)
                    .await
            }
        };
        drop(permit);
        match answer {
            Ok(response) => {
                let arrived = self.clock.now();
                self.breaker.success();
                let accepted = self.accept(lease, stored, &response, arrived, wanted).await;
                let attempt = self.unsettled(key, accepted)?;
                if matches!((&attempt, wanted), (Attempt::Renewed, Wanted::Session)) {
                    self.measures.renewed(self.clock.now());
                }
                Ok(attempt)
            }
            Err(error) => {
                let was_uncertain = stored.session.tokens.uncertain;
                let answer = Answer::of_call(&error, was_uncertain);
                self.note(answer);
                if let Wanted::Api(policy) = wanted
                    && error.meaning() == Meaning::Refused
                {
                    // The IdP refuses this API, and the session has its tokens all the same.
                    return Ok(Attempt::NotIssued(self.not_issued(
                        Some(key),
                        policy,
                        &error.into(),
                    )));
                }
                let uncertain = was_uncertain || error.outcome_unknown();
                let failure = Failure {
                    answer,
                    error: &error,
                    explained: &error,
                    uncertain,
                    asked: error.retry_after(),
                };
                let failed = self.failed(key, stored, failure).await;
                if uncertain {
                    self.unsettled(key, failed)
                } else {
                    failed
                }
            }
        }
    }

    /// Reports to the breaker what an answer says about the IdP as a whole.
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
            tracing::warn!("refreshes pause, because the IdP fails repeatedly");
        }
    }

    /// A refresh that brought no usable tokens: the session ends or stays as the table says ([`Answer`]).
    pub(super) async fn failed(
        &self,
        key: &SessionKey,
        stored: Stored,
        failure: Failure<'_>,
    ) -> Result<Attempt, UpdateError> {
        let Failure { answer, error, .. } = failure;
        self.measures.failed(answer);
        let tokens = &stored.session.tokens;
        match answer.verdict(error, tokens, self.clock.now()) {
            Verdict::Ends(reason) => {
                self.sessions.end_because(key, reason, Some(error)).await?;
                Ok(Attempt::Ended)
            }
            Verdict::Stays(strikes) => {
                self.tell_of(key, answer, failure.explained);
                let stored = if tokens.uncertain == failure.uncertain && tokens.strikes == strikes {
                    stored
                } else {
                    let generation = Generation::of(&stored.session);
                    self.update(key, stored, |session| {
                        // Another process may have renewed them meanwhile: nothing is known against the new ones.
                        if is_of(generation, session) {
                            session.tokens.uncertain = failure.uncertain;
                            session.tokens.strikes.clone_from(&strikes);
                        }
                    })
                    .await?
                };
                Ok(Attempt::Kept(self.pause(&stored.session, failure.asked)))
            }
        }
    }

    fn tell_of(&self, key: &SessionKey, answer: Answer, error: &dyn Explain) {
        let session = self.sessions.reference(key);
        let error = error.told();
        match answer {
            // The part that an operator has to fix, here or at the IdP.
            Answer::FaultyIdToken => tracing::error!(
                %session,
                error,
                "refreshed ID token failed validation; the new access token was discarded"
            ),
            Answer::UnknownClient => {
                tracing::error!(%session, error, "the access token could not be renewed; the session stays");
            }
            _ => tracing::warn!(%session, error, "the access token could not be renewed; the session stays"),
        }
    }

    /// The pause before the next attempt.
    fn pause(&self, session: &Session, asked: Option<Duration>) -> Duration {
        backoff::pause(&session.tokens, self.clock.now(), asked, &*self.random)
    }

    /// Stores `change`, after which the session is due when its tokens say.
    pub(super) async fn update(
        &self,
        key: &SessionKey,
        stored: Stored,
        mut change: impl FnMut(&mut Session),
    ) -> Result<Stored, UpdateError> {
        let change = |session: &mut Session| {
            change(session);
            Due::at(session.tokens.due_at(self.options.threshold))
        };
        self.sessions.update(key, stored, change).await
    }

    pub(super) fn store_failed(&self, key: &SessionKey, error: &StoreError) -> Duration {
        self.measures.store_failed.count();
        let session = self.sessions.reference(key);
        tracing::error!(%session, %error, "the session store failed during a refresh");
        AFTER_STORE_ERROR
    }
}

/// When the access token of the session was obtained: a refresh replaces it once.
fn obtained_at(stored: &Stored) -> Timestamp {
    stored.session.tokens.access_obtained_at
}
