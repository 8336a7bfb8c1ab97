//! Access tokens as the API reads them (RFC 9068 section 4).

use bff::clock::Timestamp;
use jsonwebtoken::{Algorithm, Header, Validation};
use serde::Deserialize;

use super::keys::Key;

/// Longer tokens are refused unread, in bytes.
const MAX_LENGTH: usize = 16 * 1024;

/// The claims that the API uses.
#[derive(Debug, Deserialize)]
pub(super) struct Claims {
    pub(super) iss: String,
    pub(super) sub: String,
    pub(super) exp: u64,
    pub(super) iat: u64,
    pub(super) client_id: Option<String>,
    pub(super) scope: Option<String>,
    #[serde(default)]
    pub(super) roles: Vec<String>,
    name: Option<String>,
    preferred_username: Option<String>,
    email: Option<String>,
    nbf: Option<u64>,
}

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TokenError {
    #[error("the access token is not a signed JWT")]
    Malformed,
    #[error("the token is of another type than at+jwt")]
    Type,
    #[error("the token is signed in a way that is not accepted")]
    Algorithm,
    #[error("the issuer publishes no such key")]
    UnknownKey,
    #[error("the access token's signature, issuer or audience is wrong")]
    Wrong,
    #[error("the access token has expired")]
    Expired,
    #[error("the access token is not valid yet")]
    NotYetValid,
}

// === impl Claims ===

impl Claims {
    pub(super) fn display_name(&self) -> &str {
        [&self.name, &self.preferred_username, &self.email]
            .into_iter()
            .flatten()
            .find(|name| !name.is_empty())
            .unwrap_or(&self.sub)
    }
}

/// Reads only the header, to find the key.
#[expect(
    clippy::disallowed_methods,
    reason = "the API is no part of the server and shares no check with it"
)]
pub(super) fn header(token: &str) -> Result<Header, TokenError> {
    if token.len() > MAX_LENGTH {
        return Err(TokenError::Malformed);
    }
    let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Malformed)?;
    let typ = header.typ.as_deref().unwrap_or_default();
    let typ = typ.strip_prefix("application/").unwrap_or(typ);
    // An ID token of the same issuer is not an access token (RFC 9068 section 5).
    if !typ.eq_ignore_ascii_case("at+jwt") {
        return Err(TokenError::Type);
    }
    let accepted = matches!(
        header.alg,
        Algorithm::RS256 | Algorithm::PS256 | Algorithm::ES256 | Algorithm::EdDSA
    );
    if !accepted || header.crit.is_some() {
        return Err(TokenError::Algorithm);
    }
    Ok(header)
}

/// Checks everything else.
#[expect(
    clippy::disallowed_methods,
    reason = "the API is no part of the server and shares no check with it"
)]
pub(super) fn verify(
    token: &str,
    header: &Header,
    key: &Key,
    issuer: &str,
    audience: &str,
    now: Timestamp,
) -> Result<Claims, TokenError> {
    let mut validation = Validation::new(header.alg);
    validation.set_issuer(&[issuer]);
    validation.set_audience(&[audience]);
    validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
    // The library reads the machine's clock; ours can be moved by a test.
    validation.validate_exp = false;
    let claims = jsonwebtoken::decode::<Claims>(token, &key.decoding, &validation)
        .map_err(|_| TokenError::Wrong)?
        .claims;
    let now = now.unix_seconds();
    if claims.exp <= now {
        return Err(TokenError::Expired);
    }
    // Two machines, two clocks.
    let latest = now.saturating_add(30);
    if claims.iat > latest || claims.nbf.is_some_and(|start| start > latest) {
        return Err(TokenError::NotYetValid);
    }
    Ok(claims)
}
