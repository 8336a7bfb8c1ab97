//! The client information response (RFC 7591, section 3.2.1; RFC 7592, section 3), shared by registration and its
//! management.

use axum::{
    http::{HeaderMap, StatusCode, header},
    response::Response,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::error::{OauthError, json_response};
use crate::{
    client::Client, clients_file::StoreError, control::RegistrationAnswer, provider::Provider,
    registration::MetadataError, state::iats::IatError,
};

/// Why a registration, or a change of one, is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistrationError {
    #[error("an initial access token is needed")]
    NoIat,
    #[error(transparent)]
    Iat(#[from] IatError),
    #[error("the registration access token is wrong, or there is no such client")]
    Rat,
    #[error("{0}")]
    Request(String),
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("use {0}")]
    Method(&'static str),
}

// === impl RegistrationError ===

impl RegistrationError {
    fn wire(&self) -> OauthError {
        let text = self.to_string();
        match self {
            Self::NoIat | Self::Iat(_) | Self::Rat => OauthError::invalid_token(text),
            Self::Request(_) => OauthError::bad_request("invalid_request", text),
            Self::Metadata(MetadataError::RedirectUri(_)) => {
                OauthError::bad_request("invalid_redirect_uri", text)
            }
            Self::Metadata(MetadataError::Scope(_)) => OauthError::bad_request("invalid_scope", text),
            Self::Metadata(MetadataError::Metadata(_)) => {
                OauthError::bad_request("invalid_client_metadata", text)
            }
            Self::Store(error) => {
                tracing::error!(%error, "clients.yaml could not be written");
                OauthError::internal()
            }
            Self::Method(_) => OauthError::new(StatusCode::METHOD_NOT_ALLOWED, "invalid_request", text),
        }
    }

    /// The answer, after the hook of a test has seen it.
    pub(crate) fn respond(&self, provider: &Provider) -> Response {
        let wire = self.wire();
        tracing::info!(reason = %self, "registration refused");
        let (status, body) = hooked(provider, wire.status(), wire.body());
        wire.respond_with(status, &body)
    }
}

/// A good answer with the client's metadata, after the hook of a test has seen it.
pub(crate) fn respond(
    provider: &Provider,
    status: StatusCode,
    client: &Client,
    registration_access_token: &str,
    client_secret: Option<&str>,
) -> Response {
    let mut map = client.wire();
    let uri = provider.url(&format!("/register/{}", client.client_id));
    map.insert("registration_client_uri".to_owned(), json!(uri));
    map.insert(
        "registration_access_token".to_owned(),
        json!(registration_access_token),
    );
    if let Some(secret) = client_secret {
        map.insert("client_secret".to_owned(), json!(secret));
        map.insert("client_secret_expires_at".to_owned(), json!(0));
    }
    let (status, body) = hooked(provider, status, Value::Object(map));
    json_response(status, &body)
}

/// Reads a JSON body; the content type must say that it is one.
pub(crate) fn read<T: DeserializeOwned>(headers: &HeaderMap, body: &[u8]) -> Result<T, RegistrationError> {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let media_type = content_type
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default();
    if !media_type.trim().eq_ignore_ascii_case("application/json") {
        return Err(RegistrationError::Request(
            "the content type must be application/json".to_owned(),
        ));
    }
    serde_json::from_slice(body)
        .map_err(|error| MetadataError::Metadata(format!("the metadata cannot be read: {error}")).into())
}

fn hooked(provider: &Provider, status: StatusCode, body: Value) -> (StatusCode, Value) {
    let mut answer = RegistrationAnswer {
        status: status.as_u16(),
        body,
    };
    provider.hooks.registration.apply(&mut answer);
    (StatusCode::from_u16(answer.status).unwrap_or(status), answer.body)
}
