//! Callers with an access token of their own: RFC 6750, and the metadata of this resource, RFC 9728.

use std::{collections::BTreeSet, time::Duration};

use axum::{Json, extract::State, response::IntoResponse as _, response::Response};
use http::{
    HeaderMap, HeaderValue,
    header::{AUTHORIZATION, CACHE_CONTROL},
};
use serde_json::json;

use super::{
    Web,
    problem::{Code, Problem},
};
use crate::{
    bearer::{Bearer, Exchanger, Good, Refusal},
    credential::{Credential, TokenPolicy},
    gateway::{Auth, Denied, Facts, Route},
    own_paths,
    secret::Secret,
    tokens::{Brought, CredentialError},
};

/// A caller who cannot be checked comes again after this.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// A caller with a good token.
#[derive(Clone, Debug)]
pub(super) struct Bringer {
    good: Good,
    token: Secret,
    /// `Authorization`, as it was checked.
    authorization: HeaderValue,
}

/// The message of a challenge (RFC 6750 section 3).
enum Error<'a> {
    /// The request brings no token.
    None,
    InvalidToken,
    InsufficientScope(&'a [String]),
}

/// The metadata of this resource (RFC 9728 section 2). They exist while a route takes tokens.
pub(super) async fn metadata(State(web): State<Web>) -> Result<Response, Problem> {
    let table = web.gateway.table();
    let (Some(resource), true) = (&web.resource, table.routes().has_bearers()) else {
        return Err(Problem::not_found());
    };
    let bearers = table.routes().iter().filter(|route| route.auth() == Auth::Bearer);
    let scopes: BTreeSet<&String> = bearers.flat_map(|route| route.policy().scopes()).collect();
    let mut document = json!({
        "resource": resource,
        "authorization_servers": web.bearers.issuers(),
        "bearer_methods_supported": ["header"],
    });
    if let (Some(members), false) = (document.as_object_mut(), scopes.is_empty()) {
        members.insert("scopes_supported".to_owned(), json!(scopes));
    }
    let caching = [(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"))];
    Ok((caching, Json(document)).into_response())
}

// === impl Web ===

impl Web {
    /// The caller by the token in `headers`, if it is good and meets the demands of `route`.
    pub(super) async fn bringer(&self, route: &Route, headers: &HeaderMap) -> Result<Bringer, Problem> {
        let mut lines = headers.get_all(AUTHORIZATION).iter();
        let (first, second) = (lines.next(), lines.next());
        if second.is_some() {
            return Err(Problem::new(
                Code::InvalidRequest,
                "The request has several Authorization header fields.",
            ));
        }
        let Some((authorization, token)) = first.and_then(|line| Some((line, token_of(line)?))) else {
            return Err(Problem::new(
                Code::TokenRequired,
                "The path takes calls with `Authorization: Bearer` and an access token only.",
            )
            .challenge(self.challenge(&Error::None)));
        };
        // Two credentials could be those of two people.
        if self.cookies.sends_session(headers) {
            return Err(Problem::new(
                Code::CookieAndBearer,
                "The request has a session cookie beside its access token. Send one of them.",
            ));
        }
        let good = match self.bearers.check(&token).await {
            Ok(good) => good,
            Err(Refusal::Bad(_)) => return Err(self.refused_token()),
            Err(Refusal::Unavailable) => {
                return Err(Problem::unavailable(Code::TokenCheckUnavailable).retry_after(RETRY_AFTER));
            }
        };
        self.check_token_demands(route, &good.bearer)?;
        Ok(Bringer {
            good,
            token,
            authorization: authorization.clone(),
        })
    }

    /// The credential of a call of `bringer` under `policy`.
    pub(super) async fn credential_of(
        &self,
        bringer: &Bringer,
        policy: &TokenPolicy,
    ) -> Result<Credential, CredentialError> {
        if policy.is_own_token() {
            return Ok(Credential::bearer(bringer.authorization.clone()));
        }
        self.tokens.credential_of_caller(policy, &bringer.brought()).await
    }

    fn refused_token(&self) -> Problem {
        Problem::new(
            Code::InvalidToken,
            "The access token has expired, is revoked, or was not issued for this server.",
        )
        .challenge(self.challenge(&Error::InvalidToken))
    }

    fn check_token_demands(&self, route: &Route, bearer: &Bearer) -> Result<(), Problem> {
        let facts = Facts {
            scope: &bearer.scope,
            issuer: &bearer.issuer,
            acr: bearer.acr.as_deref(),
            user: &bearer.claims,
            token: Some(&bearer.claims),
        };
        route.policy().check(&facts).map_err(|denied| match denied {
            Denied::Scope(scopes) => Problem::new(
                Code::InsufficientScope,
                "The access token lacks a scope that this path requires.",
            )
            .challenge(self.challenge(&Error::InsufficientScope(scopes))),
            Denied::Claim(claim) => {
                tracing::debug!(
                    route = route.id(),
                    claim,
                    "a token does not meet a rule of the route"
                );
                Problem::new(
                    Code::ClaimRequired,
                    "The access token does not have the rights that this path requires.",
                )
            }
        })
    }

    /// RFC 6750 section 3 with RFC 9728 section 5.1.
    fn challenge(&self, error: &Error<'_>) -> Option<HeaderValue> {
        let mut parameters = Vec::new();
        match error {
            Error::None => {}
            Error::InvalidToken => parameters.push("error=\"invalid_token\"".to_owned()),
            Error::InsufficientScope(scopes) => {
                parameters.push("error=\"insufficient_scope\"".to_owned());
                parameters.push(format!("scope=\"{}\"", scopes.join(" ")));
            }
        }
        if let Some(resource) = &self.resource {
            parameters.push(format!(
                "resource_metadata=\"{resource}{}\"",
                own_paths::PROTECTED_RESOURCE
            ));
        }
        let challenge = format!("Bearer {}", parameters.join(", "));
        HeaderValue::try_from(challenge.trim_end()).ok()
    }
}

// === impl Bringer ===

impl Bringer {
    pub(super) fn bearer(&self) -> &Bearer {
        &self.good.bearer
    }

    /// The token, for its exchange.
    pub(super) fn brought(&self) -> Brought<'_, Exchanger> {
        Brought {
            token: &self.token,
            expires_at: self.good.bearer.expires_at,
            exchange: &self.good.exchanger,
        }
    }
}

/// The token of `Authorization: Bearer` (RFC 6750 section 2.1).
fn token_of(line: &HeaderValue) -> Option<Secret> {
    let (scheme, token) = line.to_str().ok()?.split_once(' ')?;
    let token = token.trim_start_matches(' ');
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    let is_bearer = scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && token.bytes().all(is_token);
    is_bearer.then(|| Secret::from(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_word_after_bearer() {
        let token = |line: &'static str| token_of(&HeaderValue::from_static(line));
        for line in ["Bearer a.b-c_~+/=", "bearer a.b-c_~+/=", "BEARER   a.b-c_~+/="] {
            assert_eq!(token(line), Some("a.b-c_~+/=".into()), "{line}");
        }
        for line in [
            "Bearer",
            "Bearer ",
            "Basic YTpi",
            "DPoP x",
            "Bearer a b",
            "Bearer a,b",
            "Bearer\ta",
            "",
        ] {
            assert_eq!(token(line), None, "{line}");
        }
    }
}
