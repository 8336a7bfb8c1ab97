//! `UserInfo` (OpenID Connect Core 1.0 section 5.3).

use std::time::Duration;

use http::{StatusCode, header::CONTENT_TYPE};
use serde_json::Value;

use super::{NotReady, RelyingParty};
use crate::{
    clock::timeout,
    diagnostic::{Explain, Fix, Knob, fix},
    jose::Claims,
    outbound::{Lane, Request, Response, TransportError, Unread},
    secret::Secret,
};

/// Longer documents are refused, in bytes.
const MAX_DOCUMENT: usize = 256 * 1024;

/// A login waits this long for optional data.
const LOGIN_WAITS: Duration = Duration::from_secs(5);

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
    #[error("the IdP answered {0} at its UserInfo endpoint")]
    Status(StatusCode),
    /// A JWT, as a client may register for; we do not.
    #[error("the IdP signs or encrypts UserInfo, which is not supported")]
    Signed,
    /// Not a JSON object.
    #[error("UserInfo is not a JSON object, but {0}")]
    Malformed(Unread),
    /// Longer than any honest one.
    #[error("UserInfo has {size} bytes; at most {MAX_DOCUMENT} are accepted")]
    TooLarge {
        /// Its length, in bytes.
        size: usize,
    },
    /// `sub` is missing (section 5.3.2): whose claims they are is not known.
    #[error("UserInfo names no subject")]
    NoSubject,
    /// `sub` differs (section 5.3.2): the access token belongs to another person.
    #[error("UserInfo is of another subject than the ID token")]
    Subject,
}

// === impl UserInfoError ===

impl Explain for UserInfoError {
    fn fix(&self) -> Option<Fix> {
        match self {
            Self::NotReady(error) => error.fix(),
            Self::Transport(error) => Some(error.fix().unwrap_or_else(pointer)),
            Self::Signed => Some(fix!(
                "remove `userinfo_signed_response_alg` and `userinfo_encrypted_response_alg` from {}, or set {}",
                Knob::ProviderClient,
                Knob::UserinfoEndpoint.to("none")
            )),
            Self::Malformed(found) => Some(found.fix().unwrap_or_else(pointer)),
            Self::Status(_) | Self::TooLarge { .. } | Self::NoSubject | Self::Subject => Some(pointer()),
        }
    }
}

fn pointer() -> Fix {
    fix!(
        "correct {}, or set {} if it is not to be used",
        Knob::UserinfoEndpoint,
        Knob::UserinfoEndpoint.to("none")
    )
}

impl UserInfoError {
    /// Whether the answer describes another person or none, so that the access token may be the wrong one (section
    /// 5.3.2).
    #[must_use]
    pub const fn is_foreign(&self) -> bool {
        matches!(self, Self::Subject | Self::NoSubject)
    }

    /// Whether a later attempt may succeed without any change.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::NotReady(_) => true,
            Self::Transport(error) => error.is_transient(),
            Self::Status(status) => status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS,
            Self::Signed | Self::Malformed(_) | Self::TooLarge { .. } | Self::NoSubject | Self::Subject => {
                false
            }
        }
    }
}

// === impl RelyingParty ===

impl RelyingParty {
    /// The provider's claims about the holder of `access_token`, if they are of `subject`. `None` if the provider has
    /// no such endpoint.
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

    /// Like [`user_info`](Self::user_info), as a part of a login, which continues with the claims of the ID token if
    /// there is no usable answer within five seconds. The log warns of that once, and again when the cause changes.
    ///
    /// # Errors
    ///
    /// [`UserInfoError`] that [is foreign](UserInfoError::is_foreign).
    pub async fn user_info_at_login(
        &self,
        access_token: &Secret,
        subject: &str,
    ) -> Result<Option<Claims>, UserInfoError> {
        let asked = self.user_info(access_token, subject);
        let outcome = timeout(&*self.shared.clock, LOGIN_WAITS, asked).await;
        let outcome = outcome.unwrap_or(Err(TransportError::TimedOut.into()));
        self.or_without(outcome, UserInfoError::is_foreign)
    }

    /// Like [`user_info_at_login`](Self::user_info_at_login), as a part of a refresh: it takes a place among the
    /// refreshes, so that no flood of logins is in its way, and takes `at_most` so long. An answer that names no subject
    /// is not used; the session has the claims of before.
    ///
    /// # Errors
    ///
    /// [`UserInfoError::Subject`].
    pub async fn user_info_after_refresh(
        &self,
        access_token: &Secret,
        subject: &str,
        at_most: Duration,
    ) -> Result<Option<Claims>, UserInfoError> {
        let asked = self.user_info_in(Lane::Refresh, access_token, subject);
        let outcome = timeout(&*self.shared.clock, at_most, asked).await;
        let outcome = outcome.unwrap_or(Err(TransportError::TimedOut.into()));
        self.or_without(outcome, |error| matches!(error, UserInfoError::Subject))
    }

    /// Continues without `UserInfo` after a failure, unless that is fatal. The log warns of it once, and again when
    /// the cause changes.
    fn or_without(
        &self,
        outcome: Result<Option<Claims>, UserInfoError>,
        is_fatal: impl FnOnce(&UserInfoError) -> bool,
    ) -> Result<Option<Claims>, UserInfoError> {
        let mut known = self.shared.user_info_failure.lock();
        let failure = match outcome {
            Ok(claims) => {
                *known = None;
                return Ok(claims);
            }
            Err(error) if is_fatal(&error) => return Err(error),
            Err(error) => error.told(),
        };
        if known.as_ref() == Some(&failure) {
            tracing::debug!(error = failure, "UserInfo failed again");
        } else {
            tracing::warn!(error = failure, "logins and renewals continue without UserInfo");
            *known = Some(failure);
        }
        Ok(None)
    }

    async fn user_info_in(
        &self,
        lane: Lane,
        access_token: &Secret,
        subject: &str,
    ) -> Result<Option<Claims>, UserInfoError> {
        let metadata = self.shared.provider.metadata().ok_or(NotReady::Metadata)?;
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
        return Err(UserInfoError::TooLarge {
            size: response.body.len(),
        });
    }
    let claims = response
        .json_object()
        .ok_or_else(|| UserInfoError::Malformed(response.unread()))?;
    match claims.get("sub") {
        Some(Value::String(found)) if found == subject => Ok(claims),
        // Some providers make a number of a subject that looks like one.
        Some(Value::Number(found)) if found.to_string() == subject => Ok(claims),
        Some(Value::String(_) | Value::Number(_)) => Err(UserInfoError::Subject),
        _ => Err(UserInfoError::NoSubject),
    }
}

#[cfg(test)]
mod tests;
