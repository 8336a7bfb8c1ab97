//! `GET` and `POST /logout` (OpenID Connect RP-Initiated Logout 1.0). All clients of the session are notified before
//! the redirect.

use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse, Response},
};

use super::{
    Shared, cookies,
    interaction::{append, redirect, with_cookie},
    page,
    params::{Params, ParamsError},
};
use crate::{jws::Unverified, provider::Provider};

#[derive(Debug, thiserror::Error)]
pub(crate) enum LogoutError {
    #[error(transparent)]
    Params(#[from] ParamsError),
    #[error("{0} is there more than once")]
    Duplicate(String),
    #[error("id_token_hint is not an ID token of this IdP")]
    Hint,
    #[error("id_token_hint and client_id name different clients")]
    OtherClient,
    #[error("post_logout_redirect_uri needs id_token_hint or client_id")]
    NoClient,
    #[error("post_logout_redirect_uri is not registered for the client")]
    RedirectUri,
}

// === impl LogoutError ===

impl IntoResponse for LogoutError {
    fn into_response(self) -> Response {
        let status = match self {
            Self::Params(_)
            | Self::Duplicate(_)
            | Self::Hint
            | Self::OtherClient
            | Self::NoClient
            | Self::RedirectUri => StatusCode::BAD_REQUEST,
        };
        page::failure(status, "This logout cannot go on", &self.to_string())
    }
}

pub(crate) async fn get(
    State(provider): Shared,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, LogoutError> {
    let params = Params::parse(uri.query().unwrap_or_default().as_bytes())?;
    logout(&provider, &headers, &params).await
}

pub(crate) async fn post(
    State(provider): Shared,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, LogoutError> {
    let params = if body.is_empty() {
        Params::default()
    } else {
        Params::form(&headers, &body)?
    };
    logout(&provider, &headers, &params).await
}

async fn logout(provider: &Provider, headers: &HeaderMap, params: &Params) -> Result<Response, LogoutError> {
    let target = target(provider, params)?;
    let (session, cookie) = cookies::end_session(provider, headers);
    if let Some(session) = session {
        provider.tell_of_logout(&session.sub, &session.sid).await;
    }
    let response = match target {
        Some(target) => redirect(&target),
        None => page::page(
            StatusCode::OK,
            "Logged out",
            "<p>Your session at this IdP has ended. You can close this page.</p>",
        ),
    };
    Ok(with_cookie(response, cookie))
}

/// The target for the browser: only a URI that is registered exactly so.
fn target(provider: &Provider, params: &Params) -> Result<Option<String>, LogoutError> {
    if let Some(name) = params.duplicate() {
        return Err(LogoutError::Duplicate(name));
    }
    let hinted = params
        .get("id_token_hint")
        .map(|hint| hinted_client(provider, hint))
        .transpose()?;
    let named = params.get("client_id").map(str::to_owned);
    if let (Some(hinted), Some(named)) = (&hinted, &named)
        && hinted != named
    {
        return Err(LogoutError::OtherClient);
    }
    let Some(uri) = params.get("post_logout_redirect_uri") else {
        return Ok(None);
    };
    let client_id = hinted.or(named).ok_or(LogoutError::NoClient)?;
    let client = provider.client(&client_id).ok_or(LogoutError::RedirectUri)?;
    if !client
        .post_logout_redirect_uris
        .iter()
        .any(|registered| registered == uri)
    {
        return Err(LogoutError::RedirectUri);
    }
    let state = params
        .get("state")
        .map(|state| ("state".to_owned(), state.to_owned()));
    Ok(Some(append(uri, state.as_slice())))
}

/// The client that an ID token was issued to. An expired one is welcome: logout mostly comes later.
fn hinted_client(provider: &Provider, hint: &str) -> Result<String, LogoutError> {
    let token = Unverified::parse(hint).ok_or(LogoutError::Hint)?;
    let ours = provider.keys(|keys| keys.verify_ever(&token))
        && token.claim_str("iss") == Some(provider.issuer())
        // An access token is signed by the same key, but is not a hint.
        && token.header_str("typ") == Some("JWT");
    match token.claim_str("aud") {
        Some(client_id) if ours => Ok(client_id.to_owned()),
        _ => Err(LogoutError::Hint),
    }
}
