//! Rate limits of routes and of logins, and the fields that tell a client about them.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, request::Parts};
use parking_lot::Mutex;

use super::{
    Web,
    caller::Caller,
    envelope::Envelope,
    problem::{Code, Problem},
    request_context::RequestContext,
};
use crate::{
    gateway::Route,
    limits::{Allowance, Rate, Refused, Whose},
    own_paths,
};

/// The fields of draft-ietf-httpapi-ratelimit-headers.
pub(super) const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
pub(super) const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Which limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Address,
    Session,
    Route,
    Login,
}

/// The limits that an answer names. Empty, and without cost, on a route without them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told(Option<Arc<Mutex<Lists>>>);

/// Two lists of structured fields (RFC 9651).
#[derive(Debug, Default)]
struct Lists {
    policies: String,
    limits: String,
}

// === impl Kind ===

impl Kind {
    pub(super) const ALL: [Self; 4] = [Self::Address, Self::Session, Self::Route, Self::Login];

    /// Its name in fields and counters.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Session => "session",
            Self::Route => "route",
            Self::Login => "login",
        }
    }
}

// === impl Told ===

impl Told {
    /// For an answer on `route`.
    pub(super) fn of(route: &Route) -> Self {
        let limits = route.rate_limits();
        let policies = [
            (Kind::Address, limits.per_address),
            (Kind::Session, limits.per_session),
            (Kind::Route, limits.per_route),
        ];
        let mut lists: Option<Lists> = None;
        for (kind, rate) in policies {
            if let Some(rate) = rate {
                lists.get_or_insert_default().policy(kind, rate);
            }
        }
        Self(lists.map(|lists| Arc::new(Mutex::new(lists))))
    }

    /// A limit of the caller, after one use.
    fn left(&self, kind: Kind, Allowance { left, whole_in }: Allowance) {
        if let Some(lists) = &self.0 {
            lists.lock().limit(kind, left, whole_in);
        }
    }

    /// A limit that was exceeded.
    fn refused(&self, kind: Kind, after: Duration) {
        if let Some(lists) = &self.0 {
            lists.lock().limit(kind, 0, after);
        }
    }

    /// Tells the client, beside what a service tells of its own limits.
    pub(super) fn apply(&self, headers: &mut HeaderMap) {
        if let Some(lists) = &self.0 {
            for (name, value) in lists.lock().fields() {
                headers.append(name, value);
            }
        }
    }
}

// === impl Lists ===

impl Lists {
    fn policy(&mut self, kind: Kind, rate: Rate) {
        let (number, window) = (rate.number(), rate.window().as_secs());
        member(&mut self.policies, kind, format_args!("q={number};w={window}"));
    }

    fn limit(&mut self, kind: Kind, left: u32, time: Duration) {
        let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
        member(&mut self.limits, kind, format_args!("r={left};t={seconds}"));
    }

    fn fields(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        [(RATE_LIMIT_POLICY, &self.policies), (RATE_LIMIT, &self.limits)]
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .filter_map(|(name, value)| Some((name, HeaderValue::from_str(value).ok()?)))
    }
}

/// Adds a string with its parameters to a list.
fn member(list: &mut String, kind: Kind, parameters: std::fmt::Arguments<'_>) {
    let comma = if list.is_empty() { "" } else { ", " };
    // Writing to a string cannot fail.
    let _ = write!(list, "{comma}\"{}\";{parameters}", kind.name());
}

// === impl Web ===

impl Web {
    /// The limit per address, before anything is looked up.
    pub(super) async fn limit_address(
        &self,
        told: &Told,
        route: &Route,
        request: &Envelope<'_>,
    ) -> Result<(), Problem> {
        let Some(rate) = route.rate_limits().per_address else {
            return Ok(());
        };
        let client = self
            .trusted_proxies
            .client(request.peer, request.uri, request.headers);
        let whose = Whose::Address(client.address);
        let allowance = self.limit(Kind::Address, told, route, whose, rate).await?;
        told.left(Kind::Address, allowance);
        Ok(())
    }

    /// The limit per session.
    pub(super) async fn limit_session(
        &self,
        told: &Told,
        route: &Route,
        caller: &Caller,
    ) -> Result<(), Problem> {
        let Some(rate) = route.rate_limits().per_session else {
            return Ok(());
        };
        let whose = Whose::Session(caller.key.as_bytes());
        let allowance = self.limit(Kind::Session, told, route, whose, rate).await?;
        told.left(Kind::Session, allowance);
        Ok(())
    }

    /// The limit of all callers, for a request that the route would take. An answer does not say what is left of it: that
    /// is how busy the others are.
    pub(super) async fn limit_route(&self, told: &Told, route: &Route) -> Result<(), Problem> {
        let Some(rate) = route.rate_limits().per_route else {
            return Ok(());
        };
        self.limit(Kind::Route, told, route, Whose::All, rate).await?;
        Ok(())
    }

    async fn limit(
        &self,
        kind: Kind,
        told: &Told,
        route: &Route,
        whose: Whose<'_>,
        rate: Rate,
    ) -> Result<Allowance, Problem> {
        let taken = self.limits.take(route.id(), whose, rate).await;
        taken.map_err(|Refused { after, .. }| {
            self.0.measures.limited(kind);
            told.refused(kind, after);
            Problem::new(
                Code::RateLimited,
                "This path is called more often than it allows.",
            )
            .retry_after(after)
        })
    }

    /// The limit of logins per address. Each login that starts costs a signature, and a call to the IdP.
    pub(super) async fn limit_logins(&self, request: &Parts) -> Result<(), Problem> {
        let Some(rate) = self.login_rate else {
            return Ok(());
        };
        let peer = RequestContext::peer_of(request);
        let client = self.trusted_proxies.client(peer, &request.uri, &request.headers);
        let whose = Whose::Address(client.address);
        let taken = self.limits.take(own_paths::LOGIN, whose, rate).await;
        taken.map(drop).map_err(|Refused { after, .. }| {
            self.0.measures.limited(Kind::Login);
            let mut lists = Lists::default();
            lists.policy(Kind::Login, rate);
            lists.limit(Kind::Login, 0, after);
            let problem = Problem::new(
                Code::RateLimited,
                "Too many logins begin at this address. Try again in a while.",
            );
            lists
                .fields()
                .fold(problem.retry_after(after), |problem, (name, value)| {
                    problem.with_field(name, value)
                })
        })
    }
}
