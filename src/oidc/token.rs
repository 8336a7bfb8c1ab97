//! The token endpoint: a code for tokens (OpenID Connect Core 1.0 section 3.1.3), a refresh token for new ones
//! (section 12, RFC 6749 section 6).

use std::time::Duration;

use serde_json::{Map, Value};
use zeroize::Zeroize as _;

use super::{
    CallError, MemberError, Metadata, NotReady, RelyingParty,
    member::{optional, required, scopes, seconds, text},
};
use crate::{
    clock::Timestamp,
    outbound::{Lane, Response},
    secret::Secret,
};

/// The assumed value for a token answer without a sensible `expires_in`.
const DEFAULT_LIFETIME: Duration = Duration::from_mins(5);

/// Longer lifetimes are cut.
const MAX_LIFETIME: Duration = Duration::from_hours(30 * 24);

/// Longer access, refresh and ID tokens are refused, in bytes.
const MAX_TOKEN: usize = crate::jose::MAX_TOKEN_LENGTH;

/// Longer scopes are ignored, in bytes.
const MAX_SCOPE: usize = 4 * 1024;

/// The providers' names for the life of a refresh token, the clearer name first.
const REFRESH_EXPIRES_IN: [&str; 2] = ["refresh_token_expires_in", "refresh_expires_in"];

/// Why there are no tokens.
pub type TokenError = CallError;

/// Tokens (RFC 6749 section 5.1). The ID token in it has not been verified yet.
#[derive(Clone, Debug)]
pub struct TokenResponse {
    /// A bearer token.
    pub access_token: Secret,
    /// How long the access token lives from now on.
    pub expires_in: Duration,
    /// The remaining life of the refresh token, if the provider states it. Neither of the two names is a standard:
    /// providers send `refresh_token_expires_in` and `refresh_expires_in`.
    pub refresh_expires_in: Option<Duration>,
    /// For the next tokens. Absent in the answer to a refresh: the old one stays good.
    pub refresh_token: Option<Secret>,
    /// Who logged in; after a refresh it is optional.
    pub id_token: Option<Secret>,
    /// The granted scope, if it differs from the requested one.
    pub scope: Option<String>,
}

/// The provider's answer. Leaves no copies of the tokens in memory.
struct Members(Map<String, Value>);

// === impl RelyingParty ===

impl RelyingParty {
    /// Exchanges `code` (RFC 6749 section 4.1.3, RFC 7636 section 4.5).
    ///
    /// # Errors
    ///
    /// [`CallError`]; after each of them the code must not be used again.
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
        self.tokens(Lane::Code, &fields, |_| Ok(())).await
    }

    /// Fetches new tokens for `refresh_token` (RFC 6749 section 6).
    ///
    /// # Errors
    ///
    /// [`CallError`]; [`meaning`](CallError::meaning) and [`outcome_unknown`](CallError::outcome_unknown) give its
    /// meaning for the session.
    pub async fn refresh(&self, refresh_token: &Secret) -> Result<TokenResponse, TokenError> {
        let fields = [
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token.expose()),
        ];
        self.tokens(Lane::Refresh, &fields, |_| Ok(())).await
    }

    /// Asks the token endpoint. `check` looks at members of the answer that this module does not know.
    pub(super) async fn tokens(
        &self,
        lane: Lane,
        fields: &[(&str, &str)],
        check: impl Fn(&Map<String, Value>) -> Result<(), MemberError>,
    ) -> Result<TokenResponse, TokenError> {
        let (metadata, _) = self.ready()?;
        self.tokens_at(&metadata, lane, fields, check).await
    }

    /// The same at the token endpoint of `place`.
    pub(super) async fn tokens_at(
        &self,
        place: &Metadata,
        lane: Lane,
        fields: &[(&str, &str)],
        check: impl Fn(&Map<String, Value>) -> Result<(), MemberError>,
    ) -> Result<TokenResponse, TokenError> {
        let client = self.shared.client.get().ok_or(NotReady::Client)?;
        let url = &place.token_endpoint;
        let response = self.post(lane, place, &client, url, fields).await?;
        let read = TokenResponse::read(&response, check, |error| {
            if self.shared.told.first(format!("token answer: {error}")) {
                tracing::warn!(%error, "a member of the IdP's token answer is ignored");
            }
        });
        read.map_err(CallError::Malformed)
    }
}

// === impl TokenResponse ===

impl TokenResponse {
    fn read(
        response: &Response,
        check: impl Fn(&Map<String, Value>) -> Result<(), MemberError>,
        ignored: impl FnMut(MemberError),
    ) -> Result<Self, MemberError> {
        let members = Members(
            response
                .json_object()
                .ok_or_else(|| MemberError::NotAnObject(response.unread()))?,
        );
        check(&members.0)?;
        Self::from_object(&members.0, ignored)
    }

    /// The expiry of the refresh token of this answer, which came at `arrived`. `None` if it is unknown.
    #[must_use]
    pub fn refresh_ends(&self, arrived: Timestamp) -> Option<Timestamp> {
        self.refresh_token.as_ref()?;
        Some(arrived.saturating_add(self.refresh_expires_in?))
    }

    pub(super) fn from_object(
        object: &Map<String, Value>,
        mut ignored: impl FnMut(MemberError),
    ) -> Result<Self, MemberError> {
        if !required(object, "token_type", MAX_SCOPE)?.eq_ignore_ascii_case("Bearer") {
            return Err(MemberError::Value {
                name: "token_type",
                expected: "Bearer",
            });
        }
        // RFC 6750 section 2.1: a header value has no spaces.
        let access_token = required(object, "access_token", MAX_TOKEN)?;
        if !access_token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(MemberError::Characters("access_token"));
        }
        // One that is there and cannot be used is refused, although it is optional: where refresh tokens are rotated, the
        // old one is worth nothing now.
        let secret = |name| text(object, name, MAX_TOKEN).map(|value| value.map(Secret::from));
        let expires_in = object.get("expires_in").filter(|value| !value.is_null());
        let lifetime = seconds(expires_in);
        if expires_in.is_some() && lifetime.is_none() {
            ignored(MemberError::Value {
                name: "expires_in",
                expected: "a number of seconds from 1",
            });
        }
        let refresh_expires_in = REFRESH_EXPIRES_IN
            .into_iter()
            .find_map(|name| refresh_lifetime(object, name, &mut ignored));
        Ok(Self {
            access_token: Secret::from(access_token),
            refresh_expires_in,
            expires_in: lifetime.unwrap_or(DEFAULT_LIFETIME).min(MAX_LIFETIME),
            refresh_token: secret("refresh_token")?,
            id_token: secret("id_token")?,
            scope: optional(scopes(object, "scope", MAX_SCOPE), ignored),
        })
    }
}

/// How long a refresh token lives. Zero says that its end is not known, or that it has none.
fn refresh_lifetime(
    object: &Map<String, Value>,
    name: &'static str,
    ignored: &mut impl FnMut(MemberError),
) -> Option<Duration> {
    let value = object.get(name).filter(|value| !value.is_null())?;
    if value.as_f64() == Some(0.0) || value.as_str().is_some_and(|text| text.trim() == "0") {
        return None;
    }
    let lifetime = seconds(Some(value));
    if lifetime.is_none() {
        ignored(MemberError::Value {
            name,
            expected: "a number of seconds",
        });
    }
    lifetime
}

// === impl Members ===

impl Drop for Members {
    fn drop(&mut self) {
        self.0.values_mut().for_each(wipe);
    }
}

fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(values) => values.iter_mut().for_each(wipe),
        Value::Object(members) => members.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests;
