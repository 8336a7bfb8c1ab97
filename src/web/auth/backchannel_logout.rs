//! `POST /auth/backchannel-logout`: the IdP says that a person has logged out there (OpenID Connect Back-Channel Logout
//! 1.0).
//!
//! The IdP calls, not a browser. There is no cookie, and the signature of the token replaces both CSRF checks. The
//! host of the request does not matter, because an IdP may reach this server by another name than browsers do.

use std::{error::Error, time::Duration};

use axum::{
    Json,
    body::Body,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, StatusCode, header::CONTENT_TYPE};
use http_body_util::{BodyExt as _, Limited};
use serde::Serialize;

use super::super::Web;
use crate::{
    clock::{Clock, timeout},
    diagnostic::Explain as _,
    jose::MAX_TOKEN_LENGTH,
    login::BackChannelError,
    secret::Secret,
};

/// A longer form is refused, in bytes: a token, and room for further parameters (section 2.5).
const MAX_FORM_LENGTH: usize = MAX_TOKEN_LENGTH + 4 * 1024;

/// A form has this long to arrive.
const FORM_TIMEOUT: Duration = Duration::from_secs(15);

/// The answer to the IdP if nothing was done: section 2.8, after RFC 6749 section 5.2.
#[derive(Serialize)]
struct Refusal {
    error: &'static str,
    error_description: String,
}

/// Ends the sessions that the token names. Section 2.8 knows two answers: 200 once they have ended or if there were
/// none, and 400 for a wrong request or a failed logout. The code distinguishes them.
pub(in super::super) async fn handle(State(web): State<Web>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Some(token) = token_of(&head.headers, body, &*web.clock).await else {
        return refused(
            "invalid_request",
            "the body has to be a form (application/x-www-form-urlencoded) with one logout_token",
        );
    };
    let outcome = web.login.end_by_logout_token(&token).await;
    web.0.measures.logout(&outcome);
    match outcome {
        Ok(ended) => {
            tracing::info!(sessions = ended, "the identity provider has logged a person out");
            StatusCode::OK.into_response()
        }
        Err(error) => failed(&error),
    }
}

/// Events that anybody can cause are at debug. Events with the IdP's signature are for the operator.
fn failed(error: &BackChannelError) -> Response {
    match error {
        BackChannelError::Token(cause) if cause.is_transient() => {
            tracing::warn!(
                error = error.told(),
                "a logout token cannot be checked at the moment"
            );
            let description = "the token cannot be checked at the moment; send it again";
            return refused("temporarily_unavailable", description);
        }
        BackChannelError::Store(cause) => {
            tracing::error!(
                error = cause as &dyn Error,
                "the identity provider has logged a person out, and the sessions could not be ended"
            );
            let description = "the sessions cannot be ended at the moment; send the token again";
            return refused("temporarily_unavailable", description);
        }
        BackChannelError::Token(cause) if !cause.is_signed() => {
            tracing::debug!(%error, "a logout token was refused");
        }
        BackChannelError::Token(_) | BackChannelError::Replayed => {
            tracing::warn!(%error, "a logout token of the identity provider was refused");
        }
    }
    refused("invalid_request", &error.to_string())
}

/// The token, if the request is a form with exactly one. Other parameters are ignored (section 2.5).
async fn token_of(headers: &HeaderMap, body: Body, clock: &dyn Clock) -> Option<Secret> {
    if !is_form(headers) {
        return None;
    }
    let body = Limited::new(body, MAX_FORM_LENGTH).collect();
    let body = timeout(clock, FORM_TIMEOUT, body).await.ok()?.ok()?.to_bytes();
    let mut tokens = url::form_urlencoded::parse(&body).filter(|(name, _)| name == "logout_token");
    let (_, token) = tokens.next()?;
    let is_only = tokens.next().is_none();
    (is_only && !token.is_empty()).then(|| Secret::from(token.into_owned()))
}

/// One content type, which may have parameters.
fn is_form(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (types.next(), types.next()) else {
        return false;
    };
    let essence = value.to_str().unwrap_or_default().split(';').next();
    essence
        .unwrap_or_default()
        .trim()
        .eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

fn refused(error: &'static str, description: &str) -> Response {
    let refusal = Refusal {
        error,
        // RFC 6749 section 5.2 lets it have neither quotation marks nor backslashes.
        error_description: description.replace(['"', '\\', '`'], "'"),
    };
    (StatusCode::BAD_REQUEST, Json(refusal)).into_response()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;
    use crate::clock::{ManualClock, Timestamp};

    const FORM: &str = "application/x-www-form-urlencoded";

    async fn token(content_type: &[&str], body: impl Into<Body>) -> Option<Secret> {
        let mut headers = HeaderMap::new();
        for value in content_type {
            headers.append(CONTENT_TYPE, HeaderValue::from_str(value).unwrap());
        }
        let clock = ManualClock::starting_at(Timestamp::EPOCH);
        token_of(&headers, body.into(), &clock).await
    }

    #[tokio::test]
    async fn one_logout_token_in_a_form_is_read() {
        for content_type in [
            FORM,
            "application/x-www-form-urlencoded; charset=UTF-8",
            "Application/X-WWW-Form-Urlencoded",
        ] {
            let token = token(&[content_type], "x=1&logout_token=a.b.c&y=2&x=1").await;
            assert_eq!(token.unwrap().expose(), "a.b.c", "{content_type}");
        }
        for content_type in [
            &[] as &[&str],
            &[""],
            &["application/json"],
            &["multipart/form-data"],
            &["application/x-www-form-urlencodedx"],
            &[FORM, FORM],
        ] {
            assert!(
                token(content_type, "logout_token=a.b.c").await.is_none(),
                "{content_type:?}"
            );
        }
        for body in [
            "",
            "logout_token=",
            "logout_token",
            "token=a",
            "logout_token=a&logout_token=a",
            "Logout_Token=a",
        ] {
            assert!(token(&[FORM], body).await.is_none(), "{body}");
        }
        let long = format!("logout_token={}", "x".repeat(MAX_FORM_LENGTH));
        assert!(token(&[FORM], long).await.is_none());
    }

    proptest! {
        #[test]
        fn no_body_panics(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let _ = runtime.block_on(token(&[FORM], body));
        }
    }
}
