//! `POST /par` (RFC 9126).

use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::{
    Shared,
    error::{OauthError, json_response},
    params::{Params, ParamsError},
};
use crate::{
    authorization_request::{AuthorizationRequest, RequestError},
    client_auth::{self, ClientAuthError},
    random,
};

/// RFC 9126, section 2.2: between 5 and 600 seconds.
const LIFE: u64 = 60;

#[derive(Debug, thiserror::Error)]
pub(crate) enum ParError {
    #[error(transparent)]
    Params(#[from] ParamsError),
    #[error(transparent)]
    Client(#[from] ClientAuthError),
    #[error("request_uri must not be pushed")]
    RequestUri,
    #[error(transparent)]
    Request(#[from] RequestError),
}

// === impl ParError ===

impl IntoResponse for ParError {
    fn into_response(self) -> Response {
        match self {
            Self::Client(error) => OauthError::from(error),
            Self::Params(error) => OauthError::bad_request("invalid_request", error.to_string()),
            Self::RequestUri => OauthError::bad_request("invalid_request", self.to_string()),
            Self::Request(RequestError::Untrusted(reason)) => {
                OauthError::bad_request("invalid_request", reason)
            }
            Self::Request(RequestError::Refused {
                code, description, ..
            }) => OauthError::bad_request(code, description),
        }
        .into_response()
    }
}

pub(crate) async fn post(
    State(provider): Shared,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ParError> {
    let params = Params::unique_form(&headers, &body)?;
    let client = client_auth::authenticate(&provider, &headers, &params, &provider.url("/par")).await?;
    if params.get("request_uri").is_some() {
        return Err(ParError::RequestUri);
    }
    let request = AuthorizationRequest::validate(
        &params,
        &client,
        provider.requires_pkce(&client),
        provider.resources(),
    )?;
    let request_uri = format!("urn:ietf:params:oauth:request_uri:{}", random::token());
    let now = provider.now();
    provider
        .state()
        .pushed
        .insert(request_uri.clone(), request, now + LIFE, now);
    let answer = json!({ "request_uri": request_uri, "expires_in": LIFE });
    Ok(json_response(StatusCode::CREATED, &answer))
}
