//! `UserInfo` (OpenID Connect Core 1.0 section 5.3).

use http::{StatusCode, header::CONTENT_TYPE};
use serde_json::Value;

use super::{NotReady, RelyingParty};
use crate::{
    jose::Claims,
    outbound::{Lane, Request, Response, TransportError},
    secret::Secret,
};

/// Longer documents are refused, in bytes.
const MAX_DOCUMENT: usize = 64 * 1024;

/// Why there are no claims.
#[derive(Debug, thiserror::Error)]
pub enum UserInfoError {
    /// Nothing was sent.
    #[error(transparent)]
    NotReady(#[from] NotReady),
    /// No answer.
    #[error("cannot read UserInfo: {0}")]
    Transport(#[from] TransportError),
    /// An answer other than 200.
    #[error("the IdP answered {0} at its UserInfo endpoint (OIDC_USERINFO_URL)")]
    Status(StatusCode),
    /// A JWT, as a client may register for; we do not.
    #[error(
        "the IdP signs or encrypts UserInfo, which is not supported; remove `userinfo_signed_response_alg` and \
         `userinfo_encrypted_response_alg` from the client at the IdP"
    )]
    Signed,
    /// Not a JSON object, or too long.
    #[error("UserInfo is not a JSON object of reasonable size")]
    Malformed,
    /// `sub` is missing (section 5.3.2): whose claims they are is not known.
    #[error("UserInfo names no subject")]
    NoSubject,
    /// `sub` is another one (section 5.3.2): the access token is of somebody else.
    #[error("UserInfo is of another subject than the ID token")]
    Subject,
}

// === impl UserInfoError ===

impl UserInfoError {
    /// Whether a later try may succeed without anybody changing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::NotReady(_) => true,
            Self::Transport(error) => error.is_transient(),
            Self::Status(status) => status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS,
            Self::Signed | Self::Malformed | Self::NoSubject | Self::Subject => false,
        }
    }
}

// === impl RelyingParty ===

impl RelyingParty {
    /// The claims that the provider has for the holder of `access_token`, if they are of `subject`. `None` where the
    /// provider has no such endpoint.
    ///
    /// # Errors
    ///
    /// [`UserInfoError`].
    pub async fn user_info(
        &self,
        access_token: &Secret,
        subject: &str,
    ) -> Result<Option<Claims>, UserInfoError> {
        self.user_info_in(Lane::UserInfo, access_token, subject).await
    }

    /// Like [`user_info`](Self::user_info), as a part of a refresh: it takes a place among the refreshes, so that no
    /// flood of logins is in its way.
    ///
    /// # Errors
    ///
    /// [`UserInfoError`].
    pub async fn user_info_after_refresh(
        &self,
        access_token: &Secret,
        subject: &str,
    ) -> Result<Option<Claims>, UserInfoError> {
        self.user_info_in(Lane::Refresh, access_token, subject).await
    }

    async fn user_info_in(
        &self,
        lane: Lane,
        access_token: &Secret,
        subject: &str,
    ) -> Result<Option<Claims>, UserInfoError> {
        let metadata = self.metadata().ok_or(NotReady::Metadata)?;
        let Some(url) = metadata.userinfo_endpoint.clone() else {
            return Ok(None);
        };
        let request = Request::get(url).bearer(access_token);
        let response = self.shared.outbound.send(lane, request).await?;
        read(&response, subject).map(Some)
    }
}

fn read(response: &Response, subject: &str) -> Result<Claims, UserInfoError> {
    if response.status != StatusCode::OK {
        return Err(UserInfoError::Status(response.status));
    }
    let media_type = response
        .headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    if media_type.is_some_and(|media_type| media_type.to_ascii_lowercase().starts_with("application/jwt")) {
        return Err(UserInfoError::Signed);
    }
    if response.body.len() > MAX_DOCUMENT {
        return Err(UserInfoError::Malformed);
    }
    let claims = response.json_object().ok_or(UserInfoError::Malformed)?;
    match claims.get("sub").and_then(Value::as_str) {
        None => Err(UserInfoError::NoSubject),
        Some(found) if found != subject => Err(UserInfoError::Subject),
        Some(_) => Ok(claims),
    }
}

#[cfg(test)]
mod tests;
