//! Tokens of this server itself for an API (client credentials). The process keeps them.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::{
    CredentialError, Tokens,
    flights::Flights,
    for_api::{Landed, for_target},
    of_token,
};
use crate::{
    clock::{SharedClock, Timestamp, timeout},
    credential::{Credential, Target, TokenPolicy},
    instruments::Counter,
    session::ForTarget,
};

/// The tokens, and the flights that obtain new ones.
#[derive(Debug)]
pub(super) struct ServiceTokens {
    held: Mutex<HashMap<ForService, ForTarget>>,
    flights: Flights<ForService, Landed>,
}

/// The name that a token is kept under.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ForService {
    service: String,
    target: Target,
}

// === impl Tokens ===

impl Tokens {
    /// The token of this server for calls under `policy`. It is renewed ahead of its end, for which no request waits.
    pub(super) async fn service_credential(
        &self,
        policy: &TokenPolicy,
    ) -> Result<Credential, CredentialError> {
        let inner = &self.inner;
        let (now, threshold) = (inner.clock.now(), inner.options.threshold);
        let what = ForService::of(policy);
        let held = inner.service_tokens.held(&what, now);
        if let Some(held) = &held
            && held.is_fresh(now, threshold, policy.cache_ttl, now)
        {
            return of_token(&held.access);
        }
        let flight = inner.service_tokens.flights.join(what.clone(), || {
            let (this, policy) = (self.clone(), policy.clone());
            async move { this.obtain(what, &policy).await }
        });
        if let Some(held) = &held
            && policy
                .cache_ttl
                .is_none_or(|ttl| now < held.obtained_at.saturating_add(ttl))
        {
            return of_token(&held.access);
        }
        match timeout(&*inner.clock, inner.options.wait, flight.outcome()).await {
            Ok(Landed::Issued(credential)) => Ok(credential),
            Ok(Landed::Failed(failed)) => match held {
                Some(held) if failed.may_pass => of_token(&held.access),
                _ => Err(CredentialError::Refused(failed.reason)),
            },
            Ok(Landed::Ended) => Err(CredentialError::Ended),
            Err(_) => Err(CredentialError::Refused("timeout")),
        }
    }

    async fn obtain(&self, what: ForService, policy: &TokenPolicy) -> Landed {
        let inner = &self.inner;
        let Ok(permit) = inner.issue_permits.acquire().await else {
            return super::for_api::Failed::passing("stopping").into();
        };
        let issued = inner.relying_party.service_token(&policy.target).await;
        drop(permit);
        match issued {
            Ok(issued) => {
                let token = for_target(policy, &issued, inner.clock.now(), None);
                let landed = Landed::of(&token);
                inner.service_tokens.put(what, token, inner.clock.now());
                landed
            }
            Err(error) => inner.not_issued(None, policy, &error).into(),
        }
    }
}

// === impl ServiceTokens ===

impl ServiceTokens {
    pub(super) fn new(clock: SharedClock, joined: Counter) -> Self {
        Self {
            held: Mutex::default(),
            flights: Flights::new(clock, joined),
        }
    }

    /// Resolves when none is being obtained any more.
    pub(super) async fn drain(&self) {
        self.flights.drain().await;
    }

    /// Forgets the token of `policy` if it is the one of `refused` and was obtained before `before`.
    pub(super) fn forget(&self, policy: &TokenPolicy, refused: &Credential, before: Timestamp) {
        let mut held = self.held.lock();
        let what = ForService::of(policy);
        if held
            .get(&what)
            .is_some_and(|held| refused.is(held.access.authorization()) && held.obtained_at <= before)
        {
            held.remove(&what);
        }
    }

    fn held(&self, what: &ForService, now: Timestamp) -> Option<ForTarget> {
        let held = self.held.lock();
        held.get(what).filter(|held| held.is_valid(now)).cloned()
    }

    /// Keeps `token`. Expired ones go, also those of routes that are no more.
    fn put(&self, what: ForService, token: ForTarget, now: Timestamp) {
        let mut held = self.held.lock();
        held.retain(|_, held| held.is_valid(now));
        held.insert(what, token);
    }
}

// === impl ForService ===

impl ForService {
    fn of(policy: &TokenPolicy) -> Self {
        Self {
            service: policy.service.clone(),
            target: policy.target.clone(),
        }
    }
}
