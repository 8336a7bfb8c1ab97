//! `POST /introspect` (RFC 7662).

use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};

use super::{
    Shared,
    error::{OauthError, json_response},
    params::{Params, ParamsError},
    userinfo::live_access_token,
};
use crate::{
    client_auth::{self, ClientAuthError},
    control::Introspection,
};

#[derive(Debug, thiserror::Error)]
pub(crate) enum IntrospectError {
    #[error(transparent)]
    Params(#[from] ParamsError),
    #[error(transparent)]
    Client(#[from] ClientAuthError),
    #[error("token is missing")]
    Missing,
}

// === impl IntrospectError ===

impl IntoResponse for IntrospectError {
    fn into_response(self) -> Response {
        let text = self.to_string();
        match self {
            Self::Client(error) => OauthError::from(error),
            Self::Params(_) | Self::Missing => OauthError::bad_request("invalid_request", text),
        }
        .into_response()
    }
}

/// Section 2.1: only a client may ask. Section 2.2: an unknown token is not an error.
pub(crate) async fn post(
    State(provider): Shared,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, IntrospectError> {
    let params = Params::unique_form(&headers, &body)?;
    client_auth::authenticate(&provider, &headers, &params, &provider.url("/introspect")).await?;
    let token = params.get("token").ok_or(IntrospectError::Missing)?;
    let answer = match live_access_token(&provider, token) {
        Some(live) => {
            let mut claims: Map<String, Value> = live.claims;
            claims.insert("active".to_owned(), json!(true));
            claims.insert("token_type".to_owned(), json!("Bearer"));
            Value::Object(claims)
        }
        None => json!({"active": false}),
    };
    let mut introspection = Introspection {
        token: token.to_owned(),
        answer,
    };
    provider.hooks.introspection.apply(&mut introspection);
    Ok(json_response(StatusCode::OK, &introspection.answer))
}
