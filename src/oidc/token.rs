//! The token endpoint: a code for tokens (OpenID Connect Core 1.0 section 3.1.3), a refresh token for new ones
//! (section 12, RFC 6749 section 6).

use std::time::Duration;

use serde_json::{Map, Value};
use zeroize::Zeroize as _;

use super::{CallError, RelyingParty};
use crate::{
    outbound::{Lane, Response},
    secret::Secret,
};

/// A token answer without `expires_in`, or with one that makes no sense, counts as this.
const DEFAULT_LIFETIME: Duration = Duration::from_mins(5);

/// Longer lifetimes are cut.
const MAX_LIFETIME: Duration = Duration::from_hours(30 * 24);

/// Longer access and refresh tokens are refused, in bytes.
const MAX_TOKEN: usize = 16 * 1024;

/// Longer ID tokens are refused, in bytes.
const MAX_ID_TOKEN: usize = 32 * 1024;

/// Longer scopes are refused, in bytes.
const MAX_SCOPE: usize = 4 * 1024;

/// Why there are no tokens.
pub type TokenError = CallError;

/// Tokens (RFC 6749 section 5.1). The ID token in it has not been verified yet.
#[derive(Clone, Debug)]
pub struct TokenResponse {
    /// A bearer token.
    pub access_token: Secret,
    /// How long the access token lives from now on.
    pub expires_in: Duration,
    /// For the next tokens. Absent in the answer to a refresh: the old one stays good.
    pub refresh_token: Option<Secret>,
    /// Who logged in; after a refresh it is optional.
    pub id_token: Option<Secret>,
    /// What was granted, where that differs from what was asked for.
    pub scope: Option<String>,
}

// === impl RelyingParty ===

impl RelyingParty {
    /// Exchanges `code` (RFC 6749 section 4.1.3, RFC 7636 section 4.5).
    ///
    /// # Errors
    ///
    /// [`CallError`]; whatever it is, the code is not to be used again.
    pub async fn exchange_code(
        &self,
        code: &Secret,
        redirect_uri: &str,
        verifier: &Secret,
    ) -> Result<TokenResponse, TokenError> {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code.expose()),
            ("redirect_uri", redirect_uri),
            ("code_verifier", verifier.expose()),
        ];
        self.tokens(Lane::Code, &fields).await
    }

    /// Fetches new tokens for `refresh_token` (RFC 6749 section 6).
    ///
    /// # Errors
    ///
    /// [`CallError`]; [`meaning`](CallError::meaning) and [`outcome_unknown`](CallError::outcome_unknown) tell what it
    /// means for the session.
    pub async fn refresh(&self, refresh_token: &Secret) -> Result<TokenResponse, TokenError> {
        let fields = [
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token.expose()),
        ];
        self.tokens(Lane::Refresh, &fields).await
    }

    async fn tokens(&self, lane: Lane, fields: &[(&str, &str)]) -> Result<TokenResponse, TokenError> {
        let (metadata, client) = self.ready()?;
        let url = &metadata.token_endpoint;
        let response = self.post(lane, &metadata, &client, url, fields).await?;
        TokenResponse::read(&response)
    }
}

// === impl TokenResponse ===

impl TokenResponse {
    fn read(response: &Response) -> Result<Self, TokenError> {
        let mut object = response
            .json_object()
            .ok_or(CallError::Malformed("not a JSON object"))?;
        let tokens = Self::from_object(&object);
        wipe(&mut object);
        tokens
    }

    pub(super) fn from_object(object: &Map<String, Value>) -> Result<Self, TokenError> {
        let token_type = text(object, "token_type", MAX_SCOPE).map_err(CallError::Malformed)?;
        if !token_type.is_some_and(|kind| kind.eq_ignore_ascii_case("Bearer")) {
            return Err(CallError::Malformed("`token_type` is not Bearer"));
        }
        // RFC 6750 section 2.1: what goes into a header has no spaces.
        let access_token = text(object, "access_token", MAX_TOKEN)
            .map_err(CallError::Malformed)?
            .filter(|token| token.bytes().all(|byte| byte.is_ascii_graphic()))
            .ok_or(CallError::Malformed("no usable `access_token`"))?;
        let secret = |name, longest| {
            text(object, name, longest)
                .map(|value| value.map(Secret::from))
                .map_err(CallError::Malformed)
        };
        Ok(Self {
            access_token: Secret::from(access_token),
            expires_in: lifetime(object.get("expires_in")),
            refresh_token: secret("refresh_token", MAX_TOKEN)?,
            id_token: secret("id_token", MAX_ID_TOKEN)?,
            scope: text(object, "scope", MAX_SCOPE)
                .map_err(CallError::Malformed)?
                .map(str::to_owned),
        })
    }
}

/// Leaves no token in memory beside those that are taken.
fn wipe(object: &mut Map<String, Value>) {
    for value in object.values_mut() {
        if let Value::String(text) = value {
            text.zeroize();
        }
    }
}

/// A member that is text of printable ASCII (RFC 6749 appendix A); absent, null and empty are the same.
fn text<'a>(
    object: &'a Map<String, Value>,
    name: &str,
    longest: usize,
) -> Result<Option<&'a str>, &'static str> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.len() > longest => Err("a member is too long"),
        Some(Value::String(text)) if !text.bytes().all(|byte| matches!(byte, b' '..=b'~')) => {
            Err("a member holds characters that OAuth does not allow")
        }
        Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
        Some(_) => Err("a member is not text"),
    }
}

/// `expires_in` as a number or as text with one in it, as some providers send it.
fn lifetime(value: Option<&Value>) -> Duration {
    let seconds = match value {
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.trim().parse().ok(),
        _ => None,
    };
    seconds
        // Seconds that do not fit are a very long time; those that are no positive number are none.
        .filter(|seconds: &f64| *seconds >= 1.0)
        .map_or(DEFAULT_LIFETIME, |seconds| {
            Duration::try_from_secs_f64(seconds.floor()).unwrap_or(MAX_LIFETIME)
        })
        .min(MAX_LIFETIME)
}

#[cfg(test)]
mod tests;
