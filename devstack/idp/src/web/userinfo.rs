//! `GET` and `POST /userinfo` (OpenID Connect Core 5.3; RFC 6750).

use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::Value;

use super::{
    Shared,
    bearer::bearer,
    error::{OauthError, json_response},
    params::Params,
};
use crate::{jws::Unverified, provider::Provider, tokens::person_claims};

#[derive(Debug, thiserror::Error)]
pub(crate) enum UserInfoError {
    #[error("an access token is needed")]
    NoToken,
    #[error("the access token stands there twice")]
    TwoTokens,
    #[error("the access token is wrong, has expired or was revoked")]
    BadToken,
    #[error("the access token lacks the scope openid")]
    Scope,
}

// === impl UserInfoError ===

impl IntoResponse for UserInfoError {
    fn into_response(self) -> Response {
        let text = self.to_string();
        match self {
            // RFC 6750, section 3.1: a request without a token learns only the scheme.
            Self::NoToken => OauthError::new(StatusCode::UNAUTHORIZED, "invalid_token", text)
                .with_challenge("Bearer realm=\"idp\""),
            Self::TwoTokens => OauthError::bad_request("invalid_request", text),
            Self::BadToken => OauthError::invalid_token(text),
            Self::Scope => OauthError::new(StatusCode::FORBIDDEN, "insufficient_scope", text)
                .with_challenge("Bearer realm=\"idp\", error=\"insufficient_scope\", scope=\"openid\""),
        }
        .into_response()
    }
}

pub(crate) async fn get(State(provider): Shared, headers: HeaderMap) -> Result<Response, UserInfoError> {
    userinfo(&provider, bearer(&headers))
}

pub(crate) async fn post(
    State(provider): Shared,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, UserInfoError> {
    // RFC 6750, section 2.2.
    let params = Params::unique_form(&headers, &body).unwrap_or_default();
    match (
        headers.contains_key(header::AUTHORIZATION),
        params.get("access_token"),
    ) {
        (true, Some(_)) => Err(UserInfoError::TwoTokens),
        (false, token) => userinfo(&provider, token),
        (true, None) => userinfo(&provider, bearer(&headers)),
    }
}

fn userinfo(provider: &Provider, token: Option<&str>) -> Result<Response, UserInfoError> {
    let token = token.ok_or(UserInfoError::NoToken)?;
    // A token for another API is for no one else.
    let token = live_access_token(provider, token)
        .filter(|token| token.claim_str("aud") == Some(provider.audience()))
        .ok_or(UserInfoError::BadToken)?;
    let scope: Vec<String> = token
        .claim_str("scope")
        .unwrap_or_default()
        .split(' ')
        .map(str::to_owned)
        .collect();
    if !scope.iter().any(|scope| scope == "openid") {
        return Err(UserInfoError::Scope);
    }
    let sub = token.claim_str("sub").unwrap_or_default();
    let user = provider
        .state()
        .user(sub)
        .cloned()
        .ok_or(UserInfoError::BadToken)?;
    let mut claims = Value::Object(person_claims(&user, &scope));
    provider.hooks.userinfo.apply(&mut claims);
    Ok(json_response(StatusCode::OK, &claims))
}

/// One of our access tokens (RFC 9068, section 4) that is neither expired nor revoked.
pub(super) fn live_access_token<'t>(provider: &Provider, token: &'t str) -> Option<Unverified<'t>> {
    let token = Unverified::parse(token)?;
    let now = provider.now();
    let live = token.header_str("typ") == Some("at+jwt")
        && provider.keys(|keys| keys.verify(&token))
        && token.claim_str("iss") == Some(provider.issuer())
        && token
            .claims
            .get("exp")
            .and_then(Value::as_u64)
            .is_some_and(|exp| exp > now)
        && token
            .claim_str("jti")
            .is_some_and(|jti| provider.state().kept.grants.is_access_live(jti, now));
    live.then_some(token)
}
