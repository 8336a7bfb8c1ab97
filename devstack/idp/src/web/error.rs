//! OAuth errors on the wire (RFC 6749, section 5.2; RFC 6750, section 3; RFC 7591, section 3.2.2).

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use crate::client_auth::ClientAuthError;

/// An error answer in JSON.
#[derive(Debug)]
pub(crate) struct OauthError {
    status: StatusCode,
    code: &'static str,
    description: String,
    challenge: Option<String>,
}

// === impl OauthError ===

impl OauthError {
    pub(crate) fn new(status: StatusCode, code: &'static str, description: impl AsRef<str>) -> Self {
        let description = printable(description.as_ref());
        Self {
            status,
            code,
            description,
            challenge: None,
        }
    }

    pub(crate) fn bad_request(code: &'static str, description: impl AsRef<str>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, description)
    }

    /// Our own fault: the answer says nothing about it.
    pub(crate) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "server_error",
            "the IdP failed",
        )
    }

    /// RFC 6750, section 3.1.
    pub(crate) fn invalid_token(description: impl AsRef<str>) -> Self {
        let mut error = Self::new(StatusCode::UNAUTHORIZED, "invalid_token", description);
        error.challenge = Some(format!(
            "Bearer realm=\"idp\", error=\"invalid_token\", error_description=\"{}\"",
            error.description
        ));
        error
    }

    pub(crate) fn with_challenge(mut self, challenge: &str) -> Self {
        self.challenge = Some(challenge.to_owned());
        self
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn body(&self) -> Value {
        json!({ "error": self.code, "error_description": self.description })
    }

    /// The answer with another status and body, as a hook left them.
    pub(crate) fn respond_with(&self, status: StatusCode, body: &Value) -> Response {
        let mut response = json_response(status, body);
        if let Some(Ok(challenge)) = self.challenge.as_ref().map(HeaderValue::try_from) {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

impl IntoResponse for OauthError {
    fn into_response(self) -> Response {
        tracing::info!(
            status = self.status.as_u16(),
            code = self.code,
            reason = self.description,
            "refused"
        );
        self.respond_with(self.status, &self.body())
    }
}

impl From<ClientAuthError> for OauthError {
    fn from(error: ClientAuthError) -> Self {
        match error {
            ClientAuthError::Malformed(reason) => Self::bad_request("invalid_request", reason),
            ClientAuthError::Failed { reason, basic } => {
                let error = Self::new(StatusCode::UNAUTHORIZED, "invalid_client", reason);
                // RFC 6749, section 5.2: the scheme that the client used.
                if basic {
                    error.with_challenge("Basic realm=\"idp\"")
                } else {
                    error
                }
            }
        }
    }
}

/// JSON that no cache keeps.
pub(crate) fn json_response(status: StatusCode, body: &Value) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
        (header::PRAGMA, "no-cache"),
    ];
    (status, headers, body.to_string()).into_response()
}

/// RFC 6749, section 5.2: printable ASCII without quote and backslash.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '"' | '\\' => '\'',
            ' '..='~' => c,
            _ => '?',
        })
        .take(600)
        .collect()
}
