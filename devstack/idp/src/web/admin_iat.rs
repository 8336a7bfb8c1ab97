//! `POST /api/admin/dcr/initial-access-tokens`: how an operator gets an initial access token.

use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json;

use super::{
    Shared,
    bearer::bearer,
    error::{OauthError, json_response},
};
use crate::random;

const MAX_LIFE: u64 = 30 * 24 * 3600;
const MAX_USES: u32 = 1_000;
const MAX_LABEL: usize = 200;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    label: Option<String>,
    expires_in: Option<u64>,
    max_uses: Option<u32>,
    max_usages: Option<u32>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum MintError {
    #[error("the admin token is missing or wrong")]
    NotAdmin,
    #[error("{0}")]
    Invalid(String),
    #[error("there are too many initial access tokens")]
    TooMany,
}

// === impl MintError ===

impl IntoResponse for MintError {
    fn into_response(self) -> Response {
        let text = self.to_string();
        match self {
            Self::NotAdmin => OauthError::invalid_token(text),
            Self::Invalid(_) => OauthError::bad_request("invalid_request", text),
            Self::TooMany => {
                OauthError::new(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", text)
            }
        }
        .into_response()
    }
}

pub(crate) async fn post(
    State(provider): Shared,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, MintError> {
    if !bearer(&headers).is_some_and(|token| provider.is_admin(token)) {
        return Err(MintError::NotAdmin);
    }
    let wish: Wish = if body.is_empty() {
        Wish::default()
    } else {
        serde_json::from_slice(&body).map_err(|error| MintError::Invalid(error.to_string()))?
    };
    let expires_in = bounded("expires_in", wish.expires_in.unwrap_or(3600), MAX_LIFE)?;
    let max_uses = match (wish.max_uses, wish.max_usages) {
        (Some(uses), Some(usages)) if uses != usages => {
            return Err(MintError::Invalid("max_uses and max_usages differ".to_owned()));
        }
        (uses, usages) => bounded("max_uses", uses.or(usages).unwrap_or(1), MAX_USES)?,
    };
    let label = wish.label.unwrap_or_default();
    if label.len() > MAX_LABEL || label.chars().any(char::is_control) {
        return Err(MintError::Invalid(
            "label is too long or has control characters".to_owned(),
        ));
    }
    let token = random::token();
    let now = provider.now();
    let expires_at = now + expires_in;
    if !provider
        .state()
        .kept
        .iats
        .add(&token, label.clone(), expires_at, max_uses, now)
    {
        return Err(MintError::TooMany);
    }
    tracing::info!(label, max_uses, expires_in, "initial access token minted");
    let answer = json!({
        "token": token,
        "label": label,
        "expires_in": expires_in,
        "expires_at": expires_at,
        "max_uses": max_uses,
    });
    Ok(json_response(StatusCode::CREATED, &answer))
}

fn bounded<T: Copy + PartialOrd + From<u8> + std::fmt::Display>(
    name: &str,
    value: T,
    most: T,
) -> Result<T, MintError> {
    if value >= T::from(1) && value <= most {
        Ok(value)
    } else {
        Err(MintError::Invalid(format!("{name} must be 1 to {most}")))
    }
}
