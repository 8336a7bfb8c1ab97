//! Handles the IdP's answer to a refresh, from the rotated refresh token to the claims of the person.

use std::{pin::pin, sync::Arc, task::Poll, time::Duration};

use futures_util::{FutureExt as _, future};

use super::{
    Inner,
    attempt::{Attempt, Generation, Wanted, is_of},
    fate::Answer,
    refresh::Failure,
    revocations::Grant,
};
use crate::{
    clock::Timestamp,
    credential::TokenPolicy,
    jose::Claims,
    oidc::{Expect, IdTokenClaims, IdTokenError, Identity, TokenResponse},
    session::{
        Due, EmailTrust, EndReason, ForTarget, Lease, Session, SessionKey, Stored, UpdateError, user_claims,
    },
};

/// A store that does not take renewed tokens is asked again so often, for so long.
const STORE_AGAIN: Duration = Duration::from_millis(250);
const STORE_PATIENCE: Duration = Duration::from_mins(10);

/// Why the tokens of an answer must not be used.
enum Refusal {
    /// They are of another person, issuer or client.
    Foreign(Box<dyn std::error::Error + Send + Sync>),
    /// They cannot be trusted, or not yet.
    Unproven(IdTokenError),
}

/// The statements of an answer about the person.
struct Person {
    id_token: Option<IdTokenClaims>,
    user_info: Option<Claims>,
}

// === impl Inner ===

impl Inner {
    /// Accepts a token response that arrived at `arrived`. The rotated refresh token is stored before anything else
    /// is waited for. The access token serves only after a refreshed ID token, if there is one, has passed (OpenID
    /// Connect Core 1.0 section 12.2).
    pub(super) async fn accept(
        &self,
        lease: &Lease,
        stored: Stored,
        response: &TokenResponse,
        arrived: Timestamp,
        wanted: Wanted<'_>,
    ) -> Result<Attempt, UpdateError> {
        match self.try_accept(lease, stored, response, arrived, wanted).await {
            Err(UpdateError::Gone) => {
                // Tokens for a session that ended meanwhile: it stays ended, and they are revoked.
                self.revocations.start(Grant::from(response));
                Ok(Attempt::Ended)
            }
            other => other,
        }
    }

    async fn try_accept(
        &self,
        lease: &Lease,
        stored: Stored,
        response: &TokenResponse,
        arrived: Timestamp,
        wanted: Wanted<'_>,
    ) -> Result<Attempt, UpdateError> {
        let key = lease.key();
        let previous = Arc::clone(&stored.session);
        let generation = Generation::of(&previous);
        let mut person = pin!(self.person(key, &previous, response, wanted));
        // Mostly the answer can be checked at once, and one write is enough.
        let at_once = futures_util::poll!(person.as_mut());
        let (stored, rotates, person) = match at_once {
            Poll::Ready(Ok(person)) => (stored, true, Ok(person)),
            Poll::Ready(refusal) => {
                let stored = self.store_rotated(key, &stored, response, arrived).await?;
                (stored, false, refusal)
            }
            Poll::Pending => {
                let storing = self.store_rotated(key, &stored, response, arrived);
                let (stored, person) = future::try_join(storing, person.map(Ok)).await?;
                (stored, false, person)
            }
        };
        let person = match person {
            Ok(person) => person,
            Err(refusal) => return self.refused(key, stored, response, refusal).await,
        };
        // An ID token without it changes nothing.
        let ends_there = (person.id_token.as_ref())
            .and_then(|verified| verified.session_ends)
            .map(|ends| self.clock.awaited(ends));
        let complete = || {
            self.sessions.complete(lease, stored.clone(), |session| {
                if is_of(generation, session) {
                    if rotates {
                        rotate(session, response, arrived);
                    }
                    match wanted {
                        Wanted::Session => renew_access(session, response, arrived),
                        Wanted::Api(policy) => put_for_api(session, policy, response, arrived),
                    }
                    renew(session, response, &person, self.options.email_trust);
                    if let Some(ends) = ends_there {
                        let latest = session
                            .created_at
                            .saturating_add(self.sessions.lifespan().lifetime);
                        session.expires_at = ends.min(latest);
                    }
                }
                Due::at(session.tokens.due_at(self.options.threshold))
            })
        };
        self.patiently(key, arrived, complete).await?;
        tracing::debug!(session = %self.sessions.reference(key), "access token renewed");
        Ok(Attempt::Renewed)
    }

    /// The tokens of an answer must not be used. The rotated refresh token is stored.
    async fn refused(
        &self,
        key: &SessionKey,
        stored: Stored,
        response: &TokenResponse,
        refusal: Refusal,
    ) -> Result<Attempt, UpdateError> {
        match refusal {
            Refusal::Unproven(error) => {
                let failure = Failure {
                    answer: Answer::of_id_token(&error),
                    error: &error,
                    explained: &error,
                    uncertain: false,
                    asked: None,
                };
                self.failed(key, stored, failure).await
            }
            Refusal::Foreign(error) => {
                self.sessions
                    .end_because(key, EndReason::Identity, Some(&*error))
                    .await?;
                self.revoke_foreign(&stored.session, response);
                Ok(Attempt::Ended)
            }
        }
    }

    async fn store_rotated(
        &self,
        key: &SessionKey,
        stored: &Stored,
        response: &TokenResponse,
        arrived: Timestamp,
    ) -> Result<Stored, UpdateError> {
        let generation = Generation::of(&stored.session);
        let rotate = |session: &mut Session| {
            if is_of(generation, session) {
                rotate(session, response, arrived);
            }
        };
        let store = || self.update(key, stored.clone(), rotate);
        self.patiently(key, arrived, store).await
    }

    /// Stores the rotated refresh token, of which no other copy exists. It waits for a store that does not respond:
    /// without that token the session is lost.
    async fn patiently<F: Future<Output = Result<Stored, UpdateError>>>(
        &self,
        key: &SessionKey,
        arrived: Timestamp,
        store: impl Fn() -> F,
    ) -> Result<Stored, UpdateError> {
        let patience = arrived.saturating_add(STORE_PATIENCE);
        let mut is_told = false;
        loop {
            match store().await {
                Err(UpdateError::Store(error))
                    if !self.permits.is_closed() && self.clock.now() < patience =>
                {
                    if !is_told {
                        let session = self.sessions.reference(key);
                        tracing::warn!(%session, %error, "renewed tokens are kept in memory until the session store takes them");
                        is_told = true;
                    }
                    self.clock.sleep(STORE_AGAIN).await;
                }
                done => return done,
            }
        }
    }

    /// Checks the ID token, if there is one, and asks UserInfo.
    async fn person(
        &self,
        key: &SessionKey,
        previous: &Session,
        response: &TokenResponse,
        wanted: Wanted<'_>,
    ) -> Result<Person, Refusal> {
        let id_token = match &response.id_token {
            None => None,
            Some(token) => {
                let identity = identity(previous);
                let expected = Expect::refreshed(&identity, &response.access_token);
                match self.relying_party.verify_id_token(token, expected).await {
                    Ok(verified) => {
                        self.notice_later_login(key, previous, &verified);
                        Some(verified)
                    }
                    Err(error) if Answer::of_id_token(&error) == Answer::Foreign => {
                        return Err(Refusal::Foreign(error.into()));
                    }
                    Err(error) => return Err(Refusal::Unproven(error)),
                }
            }
        };
        if let Wanted::Api(_) = wanted {
            // Its access token is for another server than the UserInfo endpoint.
            return Ok(Person {
                id_token,
                user_info: None,
            });
        }
        let user_info = self
            .relying_party
            .user_info_after_refresh(&response.access_token, &previous.subject, self.options.user_info)
            .await
            .map_err(|error| Refusal::Foreign(error.into()))?;
        Ok(Person { id_token, user_info })
    }

    /// The person has logged in again, for another client of the same IdP. Said once for each such login.
    fn notice_later_login(&self, key: &SessionKey, previous: &Session, verified: &IdTokenClaims) {
        let later = later_auth_time(previous, verified);
        if later.is_some() && later != previous.tokens.later_auth_time {
            tracing::warn!(
                session = %self.sessions.reference(key),
                "a refreshed ID token names a later login than the session's own (auth_time); it is accepted"
            );
        }
    }

    /// All tokens of a session that received another person's tokens: the other person's, and its own.
    fn revoke_foreign(&self, session: &Session, response: &TokenResponse) {
        self.revocations.start(Grant::from(response));
        // If the refresh token was rotated, the new one is already the session's own.
        if response.refresh_token.is_none() {
            self.revocations.start(Grant::from(&session.tokens));
        }
    }
}

/// Notes the rotated refresh token.
fn rotate(session: &mut Session, response: &TokenResponse, arrived: Timestamp) {
    let tokens = &mut session.tokens;
    tokens.uncertain = false;
    if response.refresh_token.is_some() {
        tokens.pending.clone_from(&response.refresh_token);
        tokens.refresh_expires_at = response.refresh_ends(arrived);
    } else if let Some(life) = response.refresh_expires_in {
        // The same one, which lives longer now.
        tokens.refresh_expires_at = Some(arrived.saturating_add(life));
    }
}

/// Replaces the access token of the session.
fn renew_access(session: &mut Session, response: &TokenResponse, arrived: Timestamp) {
    let tokens = &mut session.tokens;
    tokens.access = response.access_token.clone().into();
    tokens.access_obtained_at = arrived;
    tokens.access_expires_at = arrived.saturating_add(response.expires_in);
    tokens.strikes = None;
    if let Some(scope) = &response.scope {
        tokens.scope.clone_from(scope);
    }
}

/// Takes an access token for one API in, unless it grants less than was asked for.
fn put_for_api(session: &mut Session, policy: &TokenPolicy, response: &TokenResponse, arrived: Timestamp) {
    let tokens = &mut session.tokens;
    tokens.api_refreshed_at = Some(arrived);
    if response.grants(&policy.target) {
        let token = ForTarget {
            mode: policy.mode,
            target: policy.target.clone(),
            access: response.access_token.clone().into(),
            obtained_at: arrived,
            expires_at: arrived.saturating_add(response.expires_in),
            exchanged: None,
        };
        tokens.for_targets.put(token, arrived);
    }
}

/// Takes the rest of an answer in.
fn renew(session: &mut Session, response: &TokenResponse, person: &Person, email_trust: EmailTrust) {
    let tokens = &mut session.tokens;
    if let Some(refresh) = tokens.pending.take() {
        tokens.refresh = Some(refresh);
    }
    if let Some(token) = &response.id_token {
        tokens.id_token = token.clone();
    }
    // A role that was removed at the IdP must not survive here.
    if person.id_token.is_some() || person.user_info.is_some() {
        let id_token = person.id_token.as_ref().map(|verified| &verified.all);
        // The login has already logged the omitted claims.
        session.user = user_claims(id_token, person.user_info.as_ref(), email_trust);
    }
    if let Some(verified) = &person.id_token {
        session.tokens.later_auth_time = later_auth_time(session, verified);
    }
}

/// `auth_time` of a refreshed ID token, if it is later than that of the session's own login, which the session keeps.
fn later_auth_time(session: &Session, verified: &IdTokenClaims) -> Option<Timestamp> {
    let own = session.auth_time?;
    verified.auth_time.filter(|later| *later > own)
}

/// The claims that a refreshed ID token must not change.
fn identity(session: &Session) -> Identity {
    Identity {
        issuer: session.issuer.clone(),
        subject: session.subject.clone(),
        nonce: session.nonce.clone(),
        auth_time: session.auth_time,
    }
}

// === impl Grant ===

impl From<&TokenResponse> for Grant {
    fn from(response: &TokenResponse) -> Self {
        Self {
            refresh: response.refresh_token.clone(),
            access: response.access_token.clone(),
            others: Vec::new(),
        }
    }
}
