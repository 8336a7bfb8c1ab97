//! Rate limits of routes, and the fields that tell a client about them.

use http::{HeaderName, HeaderValue};

use super::{
    Web,
    caller::Caller,
    envelope::Envelope,
    problem::{Code, Problem},
};
use crate::{
    gateway::Route,
    limits::{Rate, Refused, Whose},
};

/// The fields of draft-ietf-httpapi-ratelimit-headers.
pub(super) const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
pub(super) const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Which limit was exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Address,
    Session,
    Route,
}

// === impl Kind ===

impl Kind {
    pub(super) const ALL: [Self; 3] = [Self::Address, Self::Session, Self::Route];

    /// Its name in fields and counters.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Session => "session",
            Self::Route => "route",
        }
    }
}

// === impl Web ===

impl Web {
    /// The limit per address, before anything is looked up.
    pub(super) async fn limit_address(&self, route: &Route, request: &Envelope<'_>) -> Result<(), Problem> {
        let Some(rate) = route.rate_limits().per_address else {
            return Ok(());
        };
        let client = self
            .trusted_proxies
            .client(request.peer, request.uri, request.headers);
        self.limit(Kind::Address, route, Whose::Address(client.address), rate)
            .await
    }

    /// The limit per session.
    pub(super) async fn limit_session(&self, route: &Route, caller: &Caller) -> Result<(), Problem> {
        let Some(rate) = route.rate_limits().per_session else {
            return Ok(());
        };
        let key = Whose::Session(caller.key.as_bytes());
        self.limit(Kind::Session, route, key, rate).await
    }

    /// The limit of all callers, for a request that the route would take.
    pub(super) async fn limit_route(&self, route: &Route) -> Result<(), Problem> {
        let Some(rate) = route.rate_limits().per_route else {
            return Ok(());
        };
        self.limit(Kind::Route, route, Whose::All, rate).await
    }

    async fn limit(&self, kind: Kind, route: &Route, whose: Whose<'_>, rate: Rate) -> Result<(), Problem> {
        let taken = self.limits.take(route.id(), whose, rate).await;
        taken.map_err(|refused| {
            self.0.measures.limited(kind);
            problem(kind, refused)
        })
    }
}

fn problem(kind: Kind, Refused { after, rate }: Refused) -> Problem {
    let (name, number, window) = (kind.name(), rate.number(), rate.window().as_secs());
    let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
    let problem = Problem::new(
        Code::RateLimited,
        "This path is called more often than it allows.",
    )
    .retry_after(after);
    // Structured fields (RFC 9651): a list with one string and its parameters.
    [
        (RATE_LIMIT_POLICY, format!("\"{name}\";q={number};w={window}")),
        (RATE_LIMIT, format!("\"{name}\";r=0;t={seconds}")),
    ]
    .into_iter()
    .fold(problem, |problem, (field, value)| {
        match HeaderValue::try_from(value) {
            Ok(value) => problem.with_field(field, value),
            Err(_) => problem,
        }
    })
}
