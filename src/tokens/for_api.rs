//! Tokens of a session for one API: exchanged for its access token, or obtained with its refresh token.

use std::time::Duration;

use super::{
    CredentialError, Inner, Tokens,
    attempt::{Attempt, Wanted},
    flights::Landing,
    of_token,
    refresh::LOOK_BY_ITSELF,
    revocations::Grant,
};
use crate::{
    clock::{Timestamp, timeout},
    credential::{Credential, Mode, Target, TokenPolicy},
    diagnostic::Explain,
    oidc::{IssueError, Issued, Way},
    session::{Claim, Due, ForTarget, Session, SessionKey, Stored, UpdateError},
};

/// The pause after a refusal: the configuration here or at the IdP has to change.
const AFTER_REFUSAL: Duration = Duration::from_secs(5);

/// The pause after a failure that may pass.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// The assumed outcome of a task that died.
const CRASHED: Failed = Failed {
    reason: "crashed",
    may_pass: true,
    pause: AFTER_REFUSAL,
};

/// One token at a time is obtained for each of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ForWhat {
    key: SessionKey,
    mode: Mode,
    target: Target,
}

/// How an attempt to obtain a token for an API has ended.
#[derive(Clone, Debug)]
pub(super) enum Landed {
    /// With this token.
    Issued(Credential),
    /// The session is over.
    Ended,
    /// Without one.
    Failed(Failed),
}

/// Why there is no token for an API.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failed {
    /// In one word.
    pub(super) reason: &'static str,
    /// Whether it may pass: a token that is still valid serves meanwhile.
    pub(super) may_pass: bool,
    /// The time before the next attempt.
    pub(super) pause: Duration,
}

// === impl Tokens ===

impl Tokens {
    /// The credential that `policy` says for a call of this session. It is never one of another mode, session or target.
    ///
    /// # Errors
    ///
    /// [`CredentialError`]: the session has ended, there is no valid token at the moment, or the IdP gives none for this API.
    pub async fn credential_for(
        &self,
        key: &SessionKey,
        stored: &Stored,
        policy: &TokenPolicy,
    ) -> Result<Credential, CredentialError> {
        if policy.is_own_token() {
            return self.credential(key, stored).await;
        }
        if policy.mode == Mode::ServiceToken {
            return self.service_credential(policy).await;
        }
        let inner = &self.inner;
        if let Some(credential) = inner.fresh_for(&stored.session, policy) {
            return Ok(credential);
        }
        // Waits for a refresh of the session that is due or under way: its outcome is what an exchange needs.
        self.credential(key, stored).await?;
        let what = ForWhat {
            key: *key,
            mode: policy.mode,
            target: policy.target.clone(),
        };
        let flight = inner.issues.join(what, || {
            let (inner, key, policy) = (inner.clone(), *key, policy.clone());
            async move { inner.issue(&key, &policy).await }
        });
        let landed = timeout(&*inner.clock, inner.options.wait, flight.outcome()).await;
        let failed = match landed {
            Ok(Landed::Issued(credential)) => return Ok(credential),
            Ok(Landed::Ended) => return Err(CredentialError::Ended),
            Ok(Landed::Failed(failed)) => failed,
            Err(_) => Failed::passing("timeout"),
        };
        let current = inner.sessions.get(key).await?.ok_or(CredentialError::Ended)?;
        let held = current.session.tokens.for_targets.of(policy);
        match held.filter(|held| failed.may_pass && held.is_valid(inner.clock.now())) {
            Some(held) => of_token(&held.access),
            None => Err(CredentialError::Refused(failed.reason)),
        }
    }
}

// === impl Inner ===

impl Inner {
    /// The stored token for calls under `policy`, if it can simply be used.
    pub(super) fn fresh_for(&self, session: &Session, policy: &TokenPolicy) -> Option<Credential> {
        let held = session.tokens.for_targets.of(policy)?;
        let generation = session.tokens.access_obtained_at;
        let is_fresh = held.is_fresh(
            self.clock.now(),
            self.options.threshold,
            policy.cache_ttl,
            generation,
        );
        is_fresh.then(|| of_token(&held.access).ok()).flatten()
    }

    /// Obtains a token for calls of this session under `policy`, and stores it with the session.
    async fn issue(&self, key: &SessionKey, policy: &TokenPolicy) -> Landed {
        let stored = match self.sessions.get_newest(key).await {
            Ok(Some(stored)) => stored,
            Ok(None) => return Landed::Ended,
            Err(error) => return Failed::store(self.store_failed(key, &error)).into(),
        };
        // Another process may have obtained it meanwhile.
        if let Some(credential) = self.fresh_for(&stored.session, policy) {
            return Landed::Issued(credential);
        }
        match self.way_for(policy) {
            Ok(Way::Exchange) => {}
            Ok(Way::Resource) => return self.issue_by_refresh(key, policy).await,
            Err(error) => return self.not_issued(Some(key), policy, &error).into(),
        }
        // A permit for one call to the IdP, as for a refresh.
        let Ok(permit) = self.issue_permits.acquire().await else {
            return Failed::passing("stopping").into();
        };
        let tokens = &stored.session.tokens;
        let issued = self
            .relying_party
            .exchange_token(&tokens.access, &policy.target)
            .await;
        drop(permit);
        let exchanged = Some(tokens.access_obtained_at);
        let token = match issued {
            Ok(issued) => for_target(policy, &issued, self.clock.now(), exchanged),
            Err(error) => return self.not_issued(Some(key), policy, &error).into(),
        };
        let now = self.clock.now();
        let put = |session: &mut Session| session.tokens.for_targets.put(token.clone(), now);
        match self.update(key, stored, put).await {
            Ok(_) => {
                tracing::debug!(
                    session = %self.sessions.reference(key),
                    service = policy.service,
                    mode = policy.mode.word(),
                    "a token for an API was issued"
                );
                Landed::of(&token)
            }
            // Nothing of the session remains that would revoke it.
            Err(UpdateError::Gone) => {
                self.revocations.start(Grant::of_one(&token.access));
                Landed::Ended
            }
            Err(UpdateError::Store(error)) => {
                self.revocations.start(Grant::of_one(&token.access));
                Failed::store(self.store_failed(key, &error)).into()
            }
        }
    }

    /// Obtains a token for an API with the refresh token, which one process at a time may use.
    async fn issue_by_refresh(&self, key: &SessionKey, policy: &TokenPolicy) -> Landed {
        let mut watch = self.sessions.watch(key);
        loop {
            let (stored, held_for) = match self.sessions.claim(key, self.options.lease).await {
                Ok(Claim::Gone) => return Landed::Ended,
                Ok(Claim::Held(stored, held_for)) => (stored, held_for),
                Ok(Claim::Claimed(claimed)) => {
                    if let Some(credential) = self.fresh_for(&claimed.stored.session, policy) {
                        self.give_back(claimed, Due::Unchanged).await;
                        return Landed::Issued(credential);
                    }
                    match self.under(claimed, Wanted::Api(policy)).await {
                        Some(attempt) => return self.landed(key, policy, &attempt).await,
                        None => continue,
                    }
                }
                Err(error) => return Failed::store(self.store_failed(key, &error)).into(),
            };
            if let Some(credential) = self.fresh_for(&stored.session, policy) {
                return Landed::Issued(credential);
            }
            if self.permits.is_closed() {
                return Failed::passing("stopping").into();
            }
            tokio::select! {
                () = watch.changed() => {}
                () = self.clock.sleep(held_for.min(LOOK_BY_ITSELF)) => {}
            }
        }
    }

    /// The outcome of an attempt with the refresh token, with the token that the session has then.
    async fn landed(&self, key: &SessionKey, policy: &TokenPolicy, attempt: &Attempt) -> Landed {
        let failed = match attempt {
            Attempt::Renewed | Attempt::Overtaken => None,
            Attempt::Ended => return Landed::Ended,
            Attempt::NotIssued(failed) => return Landed::Failed(*failed),
            Attempt::Kept(pause) => Some(Failed::kept(*pause)),
            Attempt::Impossible => Some(Failed::NO_REFRESH_TOKEN),
            Attempt::Lost | Attempt::Unsettled => Some(Failed::passing("store")),
        };
        if let Some(failed) = failed {
            self.tell_not_issued(Some(key), policy, failed.reason, "no answer that can be used");
            return failed.into();
        }
        match self.sessions.get_newest(key).await {
            Ok(None) => Landed::Ended,
            Ok(Some(stored)) => match stored.session.tokens.for_targets.of(policy) {
                Some(token) if token.is_valid(self.clock.now()) => Landed::of(token),
                _ => self.not_issued(Some(key), policy, &IssueError::LessScope).into(),
            },
            Err(error) => Failed::store(self.store_failed(key, &error)).into(),
        }
    }

    fn way_for(&self, policy: &TokenPolicy) -> Result<Way, IssueError> {
        match policy.mode {
            Mode::OnBehalfOf | Mode::ServiceToken => Ok(Way::Exchange),
            Mode::SessionPassthrough => self.relying_party.way_to(&policy.target),
        }
    }

    /// Logs why there is no token for an API. Neither the log nor the answer contains a token.
    pub(super) fn not_issued(
        &self,
        key: Option<&SessionKey>,
        policy: &TokenPolicy,
        error: &IssueError,
    ) -> Failed {
        let failed = Failed::of(error);
        self.tell_not_issued(key, policy, failed.reason, &error.told());
        failed
    }

    pub(super) fn tell_not_issued(
        &self,
        key: Option<&SessionKey>,
        policy: &TokenPolicy,
        reason: &'static str,
        error: &str,
    ) {
        let session = key.map(|key| self.sessions.reference(key).to_string());
        tracing::error!(
            session,
            service = policy.service,
            mode = policy.mode.word(),
            audience = policy.target.audience,
            scope = policy.target.scope(),
            reason,
            error,
            "NO_TOKEN_AVAILABLE: the IdP issued no token for an API"
        );
    }
}

pub(super) fn for_target(
    policy: &TokenPolicy,
    issued: &Issued,
    arrived: Timestamp,
    exchanged: Option<Timestamp>,
) -> ForTarget {
    ForTarget {
        mode: policy.mode,
        target: policy.target.clone(),
        access: issued.access_token.clone().into(),
        obtained_at: arrived,
        expires_at: arrived.saturating_add(issued.expires_in),
        exchanged,
    }
}

// === impl Landed ===

impl Landed {
    pub(super) fn of(token: &ForTarget) -> Self {
        match of_token(&token.access) {
            Ok(credential) => Self::Issued(credential),
            Err(_) => Self::Failed(Failed::passing("unusable_answer")),
        }
    }
}

impl From<Failed> for Landed {
    fn from(failed: Failed) -> Self {
        Self::Failed(failed)
    }
}

impl Landing for Landed {
    fn crashed() -> Self {
        Self::Failed(CRASHED)
    }

    fn pause(&self) -> Option<Duration> {
        match self {
            Self::Failed(failed) => Some(failed.pause),
            Self::Issued(_) | Self::Ended => None,
        }
    }

    fn with_pause(&self, left: Duration) -> Self {
        match self {
            Self::Failed(failed) => Self::Failed(Failed {
                pause: left,
                ..*failed
            }),
            other => other.clone(),
        }
    }
}

// === impl Failed ===

impl Failed {
    const NO_REFRESH_TOKEN: Self = Self {
        reason: "no_refresh_token",
        may_pass: false,
        pause: AFTER_REFUSAL,
    };

    const fn kept(pause: Duration) -> Self {
        Self {
            reason: "unreachable",
            may_pass: true,
            pause,
        }
    }

    pub(super) const fn passing(reason: &'static str) -> Self {
        Self {
            reason,
            may_pass: true,
            pause: AFTER_FAILURE,
        }
    }

    const fn store(pause: Duration) -> Self {
        Self {
            reason: "store",
            may_pass: true,
            pause,
        }
    }

    fn of(error: &IssueError) -> Self {
        let may_pass = error.may_pass();
        let pause = if may_pass { AFTER_FAILURE } else { AFTER_REFUSAL };
        Self {
            reason: error.reason(),
            may_pass,
            pause: error.retry_after().map_or(pause, |asked| asked.max(pause)),
        }
    }
}
