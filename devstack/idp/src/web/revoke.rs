//! `POST /revoke` (RFC 7009).

use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{
    Shared,
    error::OauthError,
    params::{Params, ParamsError},
};
use crate::{
    client::Client,
    client_auth::{self, ClientAuthError},
    jws::Unverified,
    provider::Provider,
};

#[derive(Debug, thiserror::Error)]
pub(crate) enum RevokeError {
    #[error(transparent)]
    Params(#[from] ParamsError),
    #[error(transparent)]
    Client(#[from] ClientAuthError),
    #[error("token is missing")]
    Missing,
    #[error("the token was issued to another client")]
    OtherClient,
}

// === impl RevokeError ===

impl IntoResponse for RevokeError {
    fn into_response(self) -> Response {
        let text = self.to_string();
        match self {
            Self::Client(error) => OauthError::from(error),
            Self::Params(_) | Self::Missing => OauthError::bad_request("invalid_request", text),
            Self::OtherClient => OauthError::bad_request("unauthorized_client", text),
        }
        .into_response()
    }
}

pub(crate) async fn post(
    State(provider): Shared,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, RevokeError> {
    let params = Params::unique_form(&headers, &body)?;
    let client = client_auth::authenticate(&provider, &headers, &params, &provider.url("/revoke")).await?;
    let token = params.get("token").ok_or(RevokeError::Missing)?;
    revoke(&provider, &client, token)?;
    // Section 2.2: also for a token that is not known.
    Ok((StatusCode::OK, [(header::CACHE_CONTROL, "no-store")]).into_response())
}

/// `token_type_hint` is not needed: the two kinds of tokens cannot be confused.
fn revoke(provider: &Provider, client: &Client, token: &str) -> Result<(), RevokeError> {
    let now = provider.now();
    let as_refresh = provider
        .state()
        .kept
        .grants
        .revoke_refresh(token, &client.client_id, now);
    if let Some(outcome) = as_refresh {
        return outcome.map_err(|_| RevokeError::OtherClient);
    }
    let Some(token) = Unverified::parse(token).filter(|token| provider.keys(|keys| keys.verify(token)))
    else {
        return Ok(());
    };
    if token.claim_str("client_id") != Some(client.client_id.as_str()) {
        return Err(RevokeError::OtherClient);
    }
    if let Some(jti) = token.claim_str("jti") {
        provider.state().kept.grants.revoke_access(jti, now);
    }
    Ok(())
}
