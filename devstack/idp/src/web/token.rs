//! `POST /token` (RFC 6749, sections 4.1.3 and 6; OpenID Connect Core 3.1.3 and 12).

use aws_lc_rs::digest::{SHA256, digest};
use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};
use subtle::ConstantTimeEq as _;

use super::{
    Shared,
    api_tokens::{self, CLIENT_CREDENTIALS, TOKEN_EXCHANGE},
    error::{OauthError, json_response},
    params::{Params, ParamsError},
};
use crate::{
    authorization_request::AuthorizationRequest,
    client::Client,
    client_auth::{self, ClientAuthError},
    keys::KeyError,
    options::User,
    provider::Provider,
    state::grants::GrantError,
    tokens::Issue,
};

#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    #[error(transparent)]
    Params(#[from] ParamsError),
    #[error(transparent)]
    Client(#[from] ClientAuthError),
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("grant_type is not supported")]
    UnsupportedGrantType,
    #[error("the client has not registered the grant type {0}")]
    UnauthorizedClient(&'static str),
    #[error("the {0} is not good: {1}")]
    Grant(&'static str, GrantError),
    #[error("{0}")]
    Mismatch(&'static str),
    #[error("the scope is more than was granted")]
    Scope,
    #[error("the person is not known any more")]
    Person,
    #[error("{0}")]
    Target(&'static str),
    #[error("{0}")]
    Exchange(&'static str),
    #[error(transparent)]
    Key(#[from] KeyError),
}

// === impl TokenError ===

impl IntoResponse for TokenError {
    fn into_response(self) -> Response {
        let text = self.to_string();
        match self {
            Self::Client(error) => OauthError::from(error),
            Self::Params(_) | Self::Missing(_) | Self::Exchange(_) => {
                OauthError::bad_request("invalid_request", text)
            }
            Self::UnsupportedGrantType => OauthError::bad_request("unsupported_grant_type", text),
            Self::UnauthorizedClient(_) => OauthError::bad_request("unauthorized_client", text),
            Self::Grant(..) | Self::Mismatch(_) | Self::Person => {
                OauthError::bad_request("invalid_grant", text)
            }
            Self::Scope => OauthError::bad_request("invalid_scope", text),
            Self::Target(_) => OauthError::bad_request("invalid_target", text),
            Self::Key(error) => {
                tracing::error!(%error, "a token could not be signed");
                OauthError::internal()
            }
        }
        .into_response()
    }
}

pub(crate) async fn post(
    State(provider): Shared,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, TokenError> {
    let params = Params::unique_form(&headers, &body)?;
    let client = client_auth::authenticate(&provider, &headers, &params, &provider.url("/token")).await?;
    let answer = match params.get("grant_type") {
        None => Err(TokenError::Missing("grant_type")),
        Some("authorization_code") => redeem_code(&provider, &client, &params),
        Some("refresh_token") => refresh(&provider, &client, &params),
        Some(CLIENT_CREDENTIALS) => api_tokens::client_credentials(&provider, &client, &params),
        Some(TOKEN_EXCHANGE) => api_tokens::exchange(&provider, &client, &params),
        Some(_) => Err(TokenError::UnsupportedGrantType),
    }?;
    let mut answer = Value::Object(answer);
    provider.hooks.token_response.apply(&mut answer);
    Ok(json_response(StatusCode::OK, &answer))
}

fn redeem_code(
    provider: &Provider,
    client: &Client,
    params: &Params,
) -> Result<Map<String, Value>, TokenError> {
    if !client.allows_grant("authorization_code") {
        return Err(TokenError::UnauthorizedClient("authorization_code"));
    }
    let raw = params.get("code").ok_or(TokenError::Missing("code"))?;
    let now = provider.now();
    let switches = provider.switches();
    let expires_at = now + switches.refresh_token_lifetime.as_secs();
    let redeemed = provider
        .state()
        .kept
        .grants
        .redeem(raw, &client.client_id, expires_at, now);
    let (code, grant) = redeemed.map_err(|error| TokenError::Grant("code", error))?;
    check_binding(&code.request, params)?;
    let user = user(provider, &code.sub)?;
    let issue = Issue {
        client,
        user: &user,
        grant: &grant,
        scope: &code.scope,
        nonce: code.request.nonce.as_deref(),
        audience: None,
        refreshed: false,
    };
    let mut answer = answer(provider, &issue, true)?;
    let offline = code.scope.iter().any(|scope| scope == "offline_access");
    if offline && switches.issue_refresh_tokens {
        let token = provider.state().kept.grants.issue_refresh(&grant, now);
        answer.insert("refresh_token".to_owned(), json!(token));
    }
    Ok(answer)
}

fn refresh(provider: &Provider, client: &Client, params: &Params) -> Result<Map<String, Value>, TokenError> {
    if !client.allows_grant("refresh_token") {
        return Err(TokenError::UnauthorizedClient("refresh_token"));
    }
    let raw = params
        .get("refresh_token")
        .ok_or(TokenError::Missing("refresh_token"))?;
    let audience = api_tokens::single(params, "resource")?;
    let now = provider.now();
    let switches = provider.switches();
    let (grant, scope, user, next) = {
        // One lock from the check to the rotation: of two requests with one token, one is a reuse.
        let mut state = provider.state();
        let checked = state.kept.grants.check_refresh(raw, &client.client_id, now);
        let grant = checked.map_err(|error| TokenError::Grant("refresh token", error))?;
        // RFC 8707, section 2.2: of what was granted.
        if audience.is_some_and(|audience| !grant.resources.iter().any(|granted| granted == audience)) {
            return Err(TokenError::Target("resource was not granted"));
        }
        let scope = narrowed(&grant.scope, params.get("scope"))?;
        let user = state.user(&grant.sub).cloned().ok_or(TokenError::Person)?;
        let next = switches
            .rotate_refresh_tokens
            .then(|| state.kept.grants.rotate(raw, &grant, now));
        (grant, scope, user, next)
    };
    let issue = Issue {
        client,
        user: &user,
        grant: &grant,
        scope: &scope,
        nonce: None,
        audience,
        refreshed: true,
    };
    let mut answer = answer(provider, &issue, switches.id_token_on_refresh)?;
    if let Some(token) = next {
        answer.insert("refresh_token".to_owned(), json!(token));
    }
    Ok(answer)
}

/// A code is bound to the redirect URI and to the PKCE verifier (RFC 6749, section 4.1.3; RFC 7636, section 4.6).
fn check_binding(request: &AuthorizationRequest, params: &Params) -> Result<(), TokenError> {
    match params.get("redirect_uri") {
        None => return Err(TokenError::Missing("redirect_uri")),
        Some(uri) if uri != request.redirect_uri => {
            return Err(TokenError::Mismatch(
                "redirect_uri is not the one of the authorization request",
            ));
        }
        Some(_) => {}
    }
    match (&request.code_challenge, params.get("code_verifier")) {
        (None, None) => Ok(()),
        // RFC 9700, section 2.1.1: a verifier without a challenge is an attack on PKCE.
        (None, Some(_)) => Err(TokenError::Mismatch("code_verifier without a code_challenge")),
        (Some(_), None) => Err(TokenError::Missing("code_verifier")),
        (Some(challenge), Some(verifier)) => {
            let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
            let well_formed = (43..=128).contains(&verifier.len()) && verifier.bytes().all(unreserved);
            let hash = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
            if well_formed && bool::from(hash.as_bytes().ct_eq(challenge.as_bytes())) {
                Ok(())
            } else {
                Err(TokenError::Mismatch(
                    "code_verifier does not fit the code_challenge",
                ))
            }
        }
    }
}

/// RFC 6749, section 6: a refresh may ask for less, never for more.
fn narrowed(granted: &[String], asked: Option<&str>) -> Result<Vec<String>, TokenError> {
    let Some(asked) = asked else {
        return Ok(granted.to_vec());
    };
    let asked: Vec<String> = asked
        .split(' ')
        .filter(|scope| !scope.is_empty())
        .map(str::to_owned)
        .collect();
    if asked.iter().all(|scope| granted.contains(scope)) {
        Ok(asked)
    } else {
        Err(TokenError::Scope)
    }
}

fn user(provider: &Provider, sub: &str) -> Result<User, TokenError> {
    provider.state().user(sub).cloned().ok_or(TokenError::Person)
}

fn answer(provider: &Provider, issue: &Issue<'_>, id_token: bool) -> Result<Map<String, Value>, TokenError> {
    let access = issue.access_token(provider)?;
    let mut answer = Map::new();
    if id_token && issue.scope.iter().any(|scope| scope == "openid") {
        let id_token = issue.id_token(provider, &access.token)?;
        answer.insert("id_token".to_owned(), json!(id_token));
    }
    answer.insert("access_token".to_owned(), json!(access.token));
    answer.insert("token_type".to_owned(), json!("Bearer"));
    answer.insert("expires_in".to_owned(), json!(access.expires_in));
    answer.insert("scope".to_owned(), json!(issue.scope.join(" ")));
    Ok(answer)
}
