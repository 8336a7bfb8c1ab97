//! The needs that tokens for single APIs have at the IdP.

use std::collections::BTreeSet;

use crate::{
    config::Config,
    credential::Mode,
    gateway::Routes,
    oidc::{CLIENT_CREDENTIALS, TOKEN_EXCHANGE},
};

/// The audiences for which a login asks, because their tokens may come with its refresh token.
pub(super) fn audiences(routes: &Routes) -> Vec<String> {
    let of_sessions = routes
        .tokens_for_apis()
        .filter(|policy| policy.mode == Mode::SessionPassthrough);
    let audiences: BTreeSet<&String> = of_sessions
        .filter_map(|policy| policy.target.audience.as_ref())
        .collect();
    audiences.into_iter().cloned().collect()
}

/// The grants that the client needs beside those of logins and refreshes.
pub(super) fn grants(routes: &Routes) -> Vec<&'static str> {
    let needed: BTreeSet<&'static str> = routes
        .tokens_for_apis()
        .map(|policy| match policy.mode {
            Mode::ServiceToken => CLIENT_CREDENTIALS,
            Mode::OnBehalfOf | Mode::SessionPassthrough => TOKEN_EXCHANGE,
        })
        .collect();
    needed.into_iter().collect()
}

/// The scopes of the client: those of logins, and those of tokens that do not come from a login's grant.
pub(super) fn scopes(config: &Config, routes: &Routes) -> Vec<String> {
    let mut scopes = config.provider.scopes.clone();
    for policy in routes.tokens_for_apis() {
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
