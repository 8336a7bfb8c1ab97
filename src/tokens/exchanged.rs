//! Tokens for calls of service clients, which bring a token of their own: that of this server, or one that is exchanged for
//! the caller's (RFC 8693). The process keeps the exchanged ones, each under the token that it was exchanged for.

use std::{fmt, sync::Arc, time::Duration};

use aws_lc_rs::digest::{SHA256, digest};
use moka::sync::Cache;

use super::{
    CredentialError, Tokens,
    after_refusal::MIN_AGE,
    flights::Flights,
    for_api::{Failed, Landed, for_target},
    of_token,
};
use crate::{
    clock::{SharedClock, Timestamp, timeout},
    credential::{Credential, Mode, Target, TokenPolicy},
    instruments::Counter,
    oidc::Exchange,
    secret::Secret,
    session::ForTarget,
};

/// At most this many exchanged tokens are kept.
const MOST: u64 = 10_000;

/// A token that a caller has brought, and that is good.
#[derive(Clone, Copy, Debug)]
pub struct Brought<'a, E> {
    /// The token.
    pub token: &'a Secret,
    /// Its end, if it is known: an exchanged one does not outlive it here.
    pub expires_at: Option<Timestamp>,
    /// Its issuer exchanges it, and nobody else.
    pub exchange: &'a E,
}

/// The exchanged tokens, and the flights that obtain new ones.
pub(super) struct Exchanged {
    held: Cache<ForCaller, Arc<Held>>,
    flights: Flights<ForCaller, Landed>,
}

/// The name that a token is kept under. Nobody can find the token of the caller by it.
#[derive(Clone, PartialEq, Eq, Hash)]
struct ForCaller {
    settings: u64,
    token: [u8; 32],
    target: Target,
}

struct Held {
    token: ForTarget,
    /// The end of the caller's token.
    caller_until: Option<Timestamp>,
}

// === impl Tokens ===

impl Tokens {
    /// The credential that `policy` says for a call of the caller with the token `brought`. It is never one of another mode,
    /// caller or target, and never the caller's own.
    ///
    /// # Errors
    ///
    /// [`CredentialError::Refused`]: the caller's issuer, or the IdP, gives none for this API.
    pub async fn credential_of_caller<E: Exchange>(
        &self,
        policy: &TokenPolicy,
        brought: &Brought<'_, E>,
    ) -> Result<Credential, CredentialError> {
        match policy.mode {
            Mode::ServiceToken => self.service_credential(policy).await,
            Mode::OnBehalfOf | Mode::SessionPassthrough => self.exchanged_credential(policy, brought).await,
        }
    }

    /// The credential for another call after an API has refused `refused`, as of
    /// [`after_refusal`](Self::after_refusal) for sessions.
    ///
    /// # Errors
    ///
    /// [`CredentialError`], as of [`credential_of_caller`](Self::credential_of_caller).
    pub async fn another_of_caller<E: Exchange>(
        &self,
        policy: &TokenPolicy,
        brought: &Brought<'_, E>,
        refused: &Credential,
    ) -> Result<Option<Credential>, CredentialError> {
        let inner = &self.inner;
        let old_enough = inner.clock.now().saturating_sub(MIN_AGE);
        if policy.mode == Mode::ServiceToken {
            inner.service_tokens.forget(policy, refused, old_enough);
        } else {
            let what = ForCaller::of(policy, brought);
            inner.exchanged.forget(&what, refused, old_enough);
        }
        let credential = self.credential_of_caller(policy, brought).await?;
        Ok((credential != *refused).then_some(credential))
    }

    /// The token for which that of the caller is exchanged. It is renewed ahead of its end, for which no call waits.
    async fn exchanged_credential<E: Exchange>(
        &self,
        policy: &TokenPolicy,
        brought: &Brought<'_, E>,
    ) -> Result<Credential, CredentialError> {
        let inner = &self.inner;
        let now = inner.clock.now();
        let what = ForCaller::of(policy, brought);
        let held = inner.exchanged.held(&what, now);
        if let Some(held) = &held
            && held.is_fresh(now, inner.options.threshold, policy)
        {
            return of_token(&held.token.access);
        }
        let flight = inner.exchanged.flights.join(what.clone(), || {
            let (this, policy, exchange) = (self.clone(), policy.clone(), brought.exchange.clone());
            let (token, until) = (brought.token.clone(), brought.expires_at);
            async move { this.exchange(what, &policy, &token, until, &exchange).await }
        });
        if let Some(held) = &held
            && held.is_within(now, policy)
        {
            return of_token(&held.token.access);
        }
        match timeout(&*inner.clock, inner.options.wait, flight.outcome()).await {
            Ok(Landed::Issued(credential)) => Ok(credential),
            Ok(Landed::Failed(failed)) => match held {
                Some(held) if failed.may_pass => of_token(&held.token.access),
                _ => Err(CredentialError::Refused(failed.reason)),
            },
            Ok(Landed::Ended) => Err(CredentialError::Ended),
            Err(_) => Err(CredentialError::Refused("timeout")),
        }
    }

    async fn exchange<E: Exchange>(
        &self,
        what: ForCaller,
        policy: &TokenPolicy,
        token: &Secret,
        caller_until: Option<Timestamp>,
        exchange: &E,
    ) -> Landed {
        let inner = &self.inner;
        let Ok(permit) = inner.exchange_permits.acquire().await else {
            return Failed::passing("stopping").into();
        };
        let issued = exchange.exchange(token, &policy.target).await;
        drop(permit);
        match issued {
            Ok(issued) => {
                let token = for_target(policy, &issued, inner.clock.now(), None);
                let landed = Landed::of(&token);
                let held = Held { token, caller_until };
                inner.exchanged.held.insert(what, Arc::new(held));
                landed
            }
            Err(error) => inner.not_issued(None, policy, &error).into(),
        }
    }
}

// === impl Exchanged ===

impl Exchanged {
    pub(super) fn new(clock: SharedClock, joined: Counter) -> Self {
        Self {
            held: Cache::new(MOST),
            flights: Flights::new(clock, joined),
        }
    }

    /// Resolves when no exchange is under way any more.
    pub(super) async fn drain(&self) {
        self.flights.drain().await;
    }

    fn held(&self, what: &ForCaller, now: Timestamp) -> Option<Arc<Held>> {
        let held = self.held.get(what)?;
        if held.is_valid(now) {
            return Some(held);
        }
        self.held.invalidate(what);
        None
    }

    /// Forgets the token of `what` if it is the one of `refused` and was obtained before `before`.
    fn forget(&self, what: &ForCaller, refused: &Credential, before: Timestamp) {
        let is_refused =
            |held: &Held| refused.is(held.token.access.authorization()) && held.token.obtained_at <= before;
        if self.held.get(what).is_some_and(|held| is_refused(&held)) {
            self.held.invalidate(what);
        }
    }
}

#[cfg(test)]
impl Exchanged {
    /// How many are kept.
    pub(super) fn count(&self) -> u64 {
        self.held.run_pending_tasks();
        self.held.entry_count()
    }
}

impl fmt::Debug for Exchanged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchanged").finish_non_exhaustive()
    }
}

// === impl ForCaller ===

impl ForCaller {
    fn of<E: Exchange>(policy: &TokenPolicy, brought: &Brought<'_, E>) -> Self {
        let hash = digest(&SHA256, brought.token.expose().as_bytes());
        let mut token = [0; 32];
        // Of the same length.
        for (byte, from) in token.iter_mut().zip(hash.as_ref()) {
            *byte = *from;
        }
        Self {
            settings: brought.exchange.settings(),
            token,
            target: policy.target.clone(),
        }
    }
}

impl fmt::Debug for ForCaller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForCaller")
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

// === impl Held ===

impl Held {
    /// Whether neither it nor the token of the caller has expired.
    fn is_valid(&self, now: Timestamp) -> bool {
        self.token.is_valid(now) && self.caller_until.is_none_or(|until| now < until)
    }

    /// Whether it is no older than `cache_ttl`.
    fn is_within(&self, now: Timestamp, policy: &TokenPolicy) -> bool {
        let ttl = policy.cache_ttl;
        ttl.is_none_or(|ttl| now < self.token.obtained_at.saturating_add(ttl))
    }

    /// Whether a call simply uses it. One that ends with the token of the caller is not renewed ahead: another would end then
    /// too.
    fn is_fresh(&self, now: Timestamp, threshold: Duration, policy: &TokenPolicy) -> bool {
        let ends_with_caller = self
            .caller_until
            .is_some_and(|until| until <= self.token.expires_at);
        let generation = self.token.obtained_at;
        self.is_valid(now)
            && self.is_within(now, policy)
            && (ends_with_caller || self.token.is_fresh(now, threshold, policy.cache_ttl, generation))
    }
}
