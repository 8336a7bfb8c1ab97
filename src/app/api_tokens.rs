//! The needs that tokens for single APIs have at the IdP, and warnings of those that are not met.

use std::{collections::BTreeSet, fmt};

use crate::{
    config::Config,
    credential::{Mode, TokenPolicy},
    diagnostic::{Explain, Fix, Knob, fix},
    gateway::Routes,
    oidc::{CLIENT_CREDENTIALS, Metadata, ResourceIndicators, TOKEN_EXCHANGE},
    registration::Needs,
};

/// Tokens that routes need and cannot get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Lack {
    /// The IdP does not list a grant.
    Grant {
        /// The service of the tokens.
        service: String,
        /// Their mode.
        mode: Mode,
        /// The grant.
        grant: &'static str,
    },
    /// The IdP has no way from the grant of a login to a token for an audience.
    Audience {
        /// The service of the tokens.
        service: String,
        /// Their audience.
        audience: String,
    },
    /// The client at the IdP does not have a grant that the IdP has.
    Client {
        /// The service of the tokens.
        service: String,
        /// Their mode.
        mode: Mode,
        /// The grant.
        grant: &'static str,
    },
}

/// The knowledge about the IdP and the client there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<'a> {
    pub(super) metadata: &'a Metadata,
    /// Whether the client exchanges tokens that callers bring.
    pub(super) of_callers: bool,
    pub(super) indicators: ResourceIndicators,
    /// The grants of the client, if the IdP names them.
    pub(super) granted: Option<&'a [String]>,
}

/// The last warnings, so that each is told once.
#[derive(Debug, Default)]
pub(super) struct Told(Vec<Lack>);

/// The audiences for which a login asks, because their tokens may come with its refresh token.
pub(super) fn audiences(routes: &Routes) -> Vec<String> {
    let of_sessions = routes
        .tokens_for_apis(false)
        .filter(|policy| policy.mode == Mode::SessionPassthrough);
    let audiences: BTreeSet<&String> = of_sessions
        .filter_map(|policy| policy.target.audience.as_ref())
        .collect();
    audiences.into_iter().cloned().collect()
}

/// The needs that the client of `routes` has at its registration. With `of_callers`, it exchanges tokens that callers bring.
pub(super) fn needs(config: &Config, routes: &Routes, of_callers: bool) -> Needs {
    Needs {
        scopes: scopes(config, routes, of_callers),
        grants: grants(routes, of_callers),
    }
}

/// The grants that the client needs beside those of logins and refreshes.
fn grants(routes: &Routes, of_callers: bool) -> Vec<&'static str> {
    let needed: BTreeSet<&'static str> = routes
        .tokens_for_apis(of_callers)
        .map(|policy| grant_of(policy.mode))
        .collect();
    needed.into_iter().collect()
}

/// The scopes of the client: those of logins, and those of tokens that do not come from a login's grant.
fn scopes(config: &Config, routes: &Routes, of_callers: bool) -> Vec<String> {
    let mut scopes = config.provider.scopes.clone();
    for policy in routes.tokens_for_apis(of_callers) {
        for scope in policy
            .target
            .scopes
            .iter()
            .filter(|_| policy.mode != Mode::SessionPassthrough)
        {
            if !scopes.contains(scope) {
                scopes.push(scope.clone());
            }
        }
    }
    scopes
}

const fn grant_of(mode: Mode) -> &'static str {
    match mode {
        Mode::ServiceToken => CLIENT_CREDENTIALS,
        Mode::OnBehalfOf | Mode::SessionPassthrough => TOKEN_EXCHANGE,
    }
}

/// The tokens of `routes` that the IdP will not issue, as far as it says.
fn lacks(routes: &Routes, known: &Known<'_>) -> Vec<Lack> {
    let mut lacks: Vec<Lack> = Vec::new();
    let needed = routes.tokens_for_apis(known.of_callers);
    for lack in needed.filter_map(|policy| lack(policy, known)) {
        if !lacks.contains(&lack) {
            lacks.push(lack);
        }
    }
    lacks
}

fn lack(policy: &TokenPolicy, known: &Known<'_>) -> Option<Lack> {
    let Known {
        metadata,
        indicators,
        granted,
        ..
    } = *known;
    let (mode, grant, service) = (policy.mode, grant_of(policy.mode), policy.service.clone());
    let is_offered = metadata.offers_grant(grant);
    if mode == Mode::SessionPassthrough {
        let audience = policy.target.audience.clone()?;
        if indicators.names(metadata, &audience) {
            return None;
        }
        if !is_offered {
            return Some(Lack::Audience { service, audience });
        }
    } else if metadata.grant_types.is_some() && !is_offered {
        return Some(Lack::Grant { service, mode, grant });
    }
    let is_missing = granted.is_some_and(|granted| !granted.iter().any(|one| one == grant));
    is_missing.then_some(Lack::Client { service, mode, grant })
}

// === impl Told ===

impl Told {
    /// Logs the warnings about `routes` that were not the case before.
    pub(super) fn tell(&mut self, routes: &Routes, known: &Known<'_>) {
        let lacks = lacks(routes, known);
        for lack in lacks.iter().filter(|lack| !self.0.contains(lack)) {
            tracing::warn!("{}", lack.told());
        }
        self.0 = lacks;
    }
}

// === impl Lack ===

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Grant { service, mode, grant } => write!(
                f,
                "the service `{service}` needs tokens of the mode {}, and the IdP does not offer the grant {grant}",
                mode.word()
            )?,
            Self::Audience { service, audience } => write!(
                f,
                "the service `{service}` needs tokens for {audience}, and the IdP offers neither resource indicators for it nor \
                 the grant {TOKEN_EXCHANGE}"
            )?,
            Self::Client { service, mode, grant } => write!(
                f,
                "the service `{service}` needs tokens of the mode {}, and the client of this server does not have the grant \
                 {grant} at the IdP",
                mode.word()
            )?,
        }
        f.write_str(": calls get 502 upstream_auth_failed")
    }
}

impl Explain for Lack {
    fn fix(&self) -> Option<Fix> {
        Some(match self {
            Self::Grant { .. } => fix!(
                "switch the grant on at the IdP, or change token_policy in {}",
                Knob::RoutesFile
            ),
            Self::Audience { .. } => fix!(
                "set {} if the IdP has resource indicators and does not say so, or remove the audience of the service in {} \
                 if the access token of the login serves it",
                Knob::ResourceIndicators.to("always"),
                Knob::RoutesFile
            ),
            Self::Client { .. } => fix!(
                "allow the grant to the client at the IdP, or change token_policy in {}",
                Knob::RoutesFile
            ),
        })
    }
}

#[cfg(test)]
mod tests;
