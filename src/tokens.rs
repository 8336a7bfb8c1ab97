//! The life of a session's tokens: due times, one refresh at a time, and the failures that end a session.
//!
//! A background loop ([`Tokens::run`]) renews due tokens. A request whose access token is about to expire joins the
//! same refresh ([`Tokens::credential`]) and never starts a second one.

mod accept;
mod after_refusal;
mod attempt;
mod backoff;
mod exchanged;
mod fate;
mod flights;
mod for_api;
mod measures;
mod refresh;
mod revocations;
mod service_tokens;
mod uncertain;
mod worker;

use std::{sync::Arc, time::Duration};

use tokio::sync::Semaphore;

use self::{
    after_refusal::Forced,
    exchanged::Exchanged,
    flights::{Flights, Outcome},
    for_api::{ForWhat, Landed},
    measures::Measures,
    revocations::Revocations,
    service_tokens::ServiceTokens,
};
pub use self::{exchanged::Brought, fate::table as session_fates};
use crate::{
    clock::{SharedClock, timeout},
    credential::Credential,
    instruments::Instruments,
    oidc::RelyingParty,
    random::SharedRandom,
    retry::{Backoff, Breaker, BreakerOptions},
    session::{AccessToken, EmailTrust, Session, SessionKey, Sessions, StoreError, Stored},
};

/// When refreshes pause to spare an IdP that is down. The longest pause is how late sessions notice that it is back. Not
/// spread: one process asks for all of its sessions, and their refreshes are spread themselves.
const BREAKER: BreakerOptions = BreakerOptions {
    failures: 5,
    pauses: Backoff {
        first: Duration::from_secs(5),
        longest: Duration::from_mins(1),
    },
    trials: 1,
};

/// How tokens are kept fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Renewed this long before the access token expires, at most half of its life (`TOKEN_REFRESH_THRESHOLD`).
    pub threshold: Duration,
    /// The maximum number of concurrent refreshes (`TOKEN_REFRESH_CONCURRENCY`).
    pub concurrency: usize,
    /// The maximum number of concurrent requests for tokens for single APIs that need no refresh token.
    pub issues: usize,
    /// The maximum number of concurrent exchanges of tokens that callers bring.
    pub exchanges: usize,
    /// A request waits this long for a refresh.
    pub wait: Duration,
    /// The interval at which the background loop looks for due tokens.
    pub poll: Duration,
    /// How long a claim on a session lasts; extended while its refresh is under way.
    pub lease: Duration,
    /// How long a refresh waits for UserInfo, whose answer no token depends on.
    pub user_info: Duration,
    /// Which e-mail addresses the application may know.
    pub email_trust: EmailTrust,
}

/// Keeps the tokens of all sessions fresh. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tokens {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    measures: Measures,
    options: Options,
    relying_party: RelyingParty,
    sessions: Sessions,
    clock: SharedClock,
    random: SharedRandom,
    flights: Flights<SessionKey, Outcome>,
    /// Of tokens of sessions for single APIs.
    issues: Flights<ForWhat, Landed>,
    service_tokens: ServiceTokens,
    exchanged: Exchanged,
    forced: Forced,
    /// Closed when the server stops: no new task begins then.
    permits: Semaphore,
    /// The same for tokens for single APIs: a slow exchange must not stand in line before refreshes.
    issue_permits: Semaphore,
    /// The same for exchanges of tokens of callers, whose issuers may be others.
    exchange_permits: Semaphore,
    /// Over all refreshes of this process.
    breaker: Breaker,
    revocations: Revocations,
}

/// Why there is no credential for a call.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The session is over: 401.
    #[error("the session has ended")]
    Ended,
    /// The access token has expired and could not be renewed yet: 503, worth another try after this.
    #[error("the access token has expired and could not be renewed yet")]
    Pending(Duration),
    /// The IdP gives no token for the API, for this reason: 502.
    #[error("the IdP issued no token for the API: {0}")]
    Refused(&'static str),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

// === impl Options ===

impl Default for Options {
    fn default() -> Self {
        Self {
            threshold: Duration::from_mins(5),
            concurrency: 32,
            issues: 8,
            exchanges: 4,
            wait: Duration::from_secs(10),
            poll: Duration::from_secs(1),
            lease: Duration::from_secs(30),
            user_info: Duration::from_secs(5),
            email_trust: EmailTrust::default(),
        }
    }
}

// === impl Tokens ===

impl Tokens {
    /// Puts the parts together. Nothing runs in the background before [`run`](Self::run).
    #[must_use]
    pub fn new(
        options: Options,
        relying_party: RelyingParty,
        sessions: Sessions,
        clock: SharedClock,
        random: SharedRandom,
        instruments: &dyn Instruments,
    ) -> Self {
        let revocations = Revocations::new(relying_party.clone());
        sessions.subscribe(Arc::new(revocations.clone()));
        let measures = Measures::new(instruments);
        let inner = Inner {
            permits: Semaphore::new(options.concurrency),
            issue_permits: Semaphore::new(options.issues),
            exchange_permits: Semaphore::new(options.exchanges),
            flights: Flights::new(Arc::clone(&clock), measures.joined.clone()),
            issues: Flights::new(Arc::clone(&clock), measures.joined.clone()),
            service_tokens: ServiceTokens::new(Arc::clone(&clock), measures.joined.clone()),
            exchanged: Exchanged::new(Arc::clone(&clock), measures.joined.clone()),
            measures,
            forced: Forced::default(),
            breaker: Breaker::new(BREAKER),
            revocations,
            options,
            relying_party,
            sessions,
            clock,
            random,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The credential for a call of this session. Returns at once if the access token is fresh. Otherwise joins or
    /// starts a refresh. While an IdP fails, the old token serves as long as it is valid.
    ///
    /// # Errors
    ///
    /// [`CredentialError`]: the session has ended, or there is no valid token at the moment.
    pub async fn credential(&self, key: &SessionKey, stored: &Stored) -> Result<Credential, CredentialError> {
        let inner = &self.inner;
        let tokens = &stored.session.tokens;
        if tokens.access_is_fresh(inner.clock.now()) {
            return of_token(&tokens.access);
        }
        let outcome = if tokens.refresh_token().is_some() {
            let flight = self.fly(*key, &stored.session);
            timeout(&*inner.clock, inner.options.wait, flight.outcome())
                .await
                .ok()
        } else {
            None
        };
        let pause = match outcome {
            Some(Outcome::Ended) => return Err(CredentialError::Ended),
            Some(Outcome::Refreshed) => Duration::ZERO,
            Some(Outcome::Kept(pause)) => pause,
            Some(Outcome::Impossible) | None => Duration::from_secs(1),
        };
        // Read again: while this waited the tokens may have become newer, and the session may have ended.
        let current = inner.sessions.get(key).await?.ok_or(CredentialError::Ended)?;
        self.while_valid(&current.session, pause)
    }

    /// Resolves when no refresh and no revocation is under way any more: a rotated refresh token must reach the store
    /// before the process ends. Refreshes that still wait for their turn do not begin any more, so this takes no longer
    /// than the calls that have been sent. To be called when no request is served any more.
    pub async fn drain(&self) {
        self.inner.permits.close();
        self.inner.issue_permits.close();
        self.inner.exchange_permits.close();
        self.inner.flights.drain().await;
        self.inner.issues.drain().await;
        self.inner.service_tokens.drain().await;
        self.inner.exchanged.drain().await;
        self.inner.revocations.drain().await;
    }

    fn while_valid(&self, session: &Session, pause: Duration) -> Result<Credential, CredentialError> {
        if session.tokens.access_is_valid(self.inner.clock.now()) {
            of_token(&session.tokens.access)
        } else {
            Err(CredentialError::Pending(pause.max(Duration::from_secs(1))))
        }
    }
}

fn of_token(token: &AccessToken) -> Result<Credential, CredentialError> {
    // A token that is not a header value was refused on arrival, so this does not happen.
    let authorization = token.authorization().ok_or(CredentialError::Ended)?;
    Ok(Credential::bearer(authorization.clone()))
}

#[cfg(test)]
mod tests;
