//! `POST /api/admin/dcr/clients/{client_id}/tokens`: another registration access token for a client that has lost its own.
//! No standard has this; an identity provider that we know does it so.

use axum::{
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::{
    Shared,
    bearer::bearer,
    error::{OauthError, json_response},
};
use crate::{random, secret::Digest};

#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("the admin token is missing or wrong")]
    NotAdmin,
    #[error("there is no such client")]
    NoClient,
    #[error("{0}")]
    NotStored(String),
}

// === impl TokenError ===

impl IntoResponse for TokenError {
    fn into_response(self) -> Response {
        let text = self.to_string();
        match self {
            Self::NotAdmin => OauthError::invalid_token(text),
            Self::NoClient => OauthError::new(StatusCode::NOT_FOUND, "not_found", text),
            Self::NotStored(_) => OauthError::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", text),
        }
        .into_response()
    }
}

pub(crate) async fn post(
    State(provider): Shared,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, TokenError> {
    if !bearer(&headers).is_some_and(|token| provider.is_admin(token)) {
        return Err(TokenError::NotAdmin);
    }
    let mut client = provider.client(&id).ok_or(TokenError::NoClient)?;
    let token = random::token();
    client.registration_access_token_sha256 = Some(Digest::of(&token));
    let stored = provider.state().clients.insert(client);
    stored.map_err(|error| TokenError::NotStored(error.to_string()))?;
    tracing::info!(client_id = id, "registration access token renewed");
    Ok(json_response(
        StatusCode::CREATED,
        &json!({"client_id": id, "token": token}),
    ))
}
