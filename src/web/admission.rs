//! Admission: whether a request may use a route. The limit of its address, the caller, the limit of its session, its
//! proofs, the demands of the route, the limit of the route, in this order.
//!
//! Calls that the gateway passes on and calls that a proxy asks about are admitted alike.

use super::{
    Web,
    bearer::Bringer,
    caller::{Absent, Caller},
    csrf,
    envelope::Envelope,
    limits::Told,
    problem::{Code, Problem},
    request_context::RequestContext,
};
use crate::{
    gateway::{Auth, Denied, Facts, Route},
    jose::kept_claims,
};

/// A request that asks for admission.
pub(super) struct Asked<'a> {
    pub(super) envelope: Envelope<'a>,
    /// Whether it may change state: it owes both proofs.
    pub(super) changes_state: bool,
    /// Whether it opens a connection with unrestricted content. It owes the proof of its origin; a page cannot add a
    /// header field to it.
    pub(super) opens_tunnel: bool,
}

/// Who may use a route.
#[derive(Debug)]
pub(super) enum Admitted {
    /// Anybody.
    Anybody,
    /// The caller with this session.
    Session(Box<Caller>),
    /// The caller with this token.
    Bearer(Bringer),
}

// === impl Web ===

impl Web {
    /// Who makes the request, if they may use `route`. [`Absent`] if a session is missing. Any other refusal is a problem.
    pub(super) async fn admit(
        &self,
        context: &RequestContext,
        route: &Route,
        asked: &Asked<'_>,
    ) -> Result<Result<Admitted, Absent>, Problem> {
        let told = context.limits.get_or_init(|| Told::of(route));
        self.limit_address(told, route, &asked.envelope).await?;
        let policy = route.policy();
        let caller = match policy.auth() {
            // No cookie counts, so that no page of another origin can act for anybody.
            Auth::Bearer => {
                // Rare, and large.
                let bringer = Box::pin(self.bringer(route, asked.envelope.headers)).await?;
                self.limit_route(told, route).await?;
                return Ok(Ok(Admitted::Bearer(bringer)));
            }
            Auth::None => None,
            Auth::Optional => self.caller(asked.envelope).await?.ok(),
            Auth::Session => match self.caller(asked.envelope).await? {
                Ok(caller) => Some(caller),
                Err(absent) => return Ok(Err(absent)),
            },
        };
        if let Some(caller) = &caller {
            context.notes.session(self, caller);
            self.limit_session(told, route, caller).await?;
        }
        if (asked.changes_state || asked.opens_tunnel) && policy.proves_origin() {
            self.own_origins.check(asked.envelope.headers)?;
            if let Some(caller) = caller.as_ref().filter(|_| asked.changes_state) {
                csrf::check_token(asked.envelope.headers, &self.sealer, &caller.key)?;
            }
        }
        if let Some(caller) = &caller {
            check_demands(route, caller)?;
        }
        self.limit_route(told, route).await?;
        Ok(Ok(match caller {
            Some(caller) => Admitted::Session(Box::new(caller)),
            None => Admitted::Anybody,
        }))
    }
}

fn check_demands(route: &Route, caller: &Caller) -> Result<(), Problem> {
    let session = &caller.stored.session;
    let token = route
        .policy()
        .reads_token()
        .then(|| kept_claims(session.tokens.id_token.expose()))
        .flatten();
    let facts = Facts {
        scope: &session.tokens.scope,
        issuer: &session.issuer,
        acr: session.assurance.acr.as_deref(),
        user: &session.user,
        token: token.as_ref(),
    };
    route.policy().check(&facts).map_err(|denied| match denied {
        Denied::Scope(scopes) => {
            tracing::debug!(
                route = route.id(),
                ?scopes,
                "a session lacks a scope that the route requires"
            );
            Problem::new(
                Code::InsufficientScope,
                "The session lacks a scope that this path requires.",
            )
        }
        Denied::Claim(claim) => {
            tracing::debug!(
                route = route.id(),
                claim,
                "a person does not meet a rule of the route"
            );
            Problem::new(
                Code::ClaimRequired,
                "The person does not have the rights that this path requires.",
            )
        }
    })
}
