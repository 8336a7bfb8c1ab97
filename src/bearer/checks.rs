//! The checks of a token beyond its signature, and of an answer about a token.

use serde_json::Value;

use super::{
    idps::Idp,
    subject::{Bearer, name_of},
};
use crate::{
    clock::Timestamp,
    jose::{Claims, audiences, numeric_date},
};

/// A longer `sub` or `client_id` is refused, in bytes.
const MAX_NAME: usize = 255;

/// Why a token is not good. Never contains a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    /// No entry takes tokens of its issuer and audience; or it is opaque, and no entry takes those.
    #[error("no configured issuer has issued it for this server")]
    Issuer,
    /// It fails a check common to all JWTs (signature, type, times), or its issuer does not publish its key.
    #[error("its signature, type or time is wrong")]
    Signed,
    /// Its issuer says that it is not active.
    #[error("it is not active")]
    Inactive,
    /// The answer about it is for another issuer or audience.
    #[error("the answer about it names another issuer or audience")]
    Other,
    /// It is over, or does not say when it began.
    #[error("it has expired, or is not valid yet")]
    Time,
    /// A claim that has to be there is not, or is not usable.
    #[error("`{0}` is missing or not usable")]
    Claim(&'static str),
    /// It is bound to a key of its client (RFC 7800), whose proof is not checked here.
    #[error("it is bound to a key whose proof is not checked")]
    Bound,
    /// It is an ID token.
    #[error("it is an ID token")]
    IdToken,
}

/// The bearer by the claims of a verified JWT (RFC 9068 section 2.2).
pub(super) fn of_jwt(idp: &Idp, claims: Claims) -> Result<Bearer, BadToken> {
    check_binding(&claims)?;
    let client = if idp.accepts_untyped {
        // An ID token of the same issuer must not pass.
        if claims.contains_key("nonce") || claims.contains_key("at_hash") {
            return Err(BadToken::IdToken);
        }
        optional(&claims, "client_id")?.or(optional(&claims, "azp")?)
    } else {
        required(&claims, "jti")?;
        Some(required(&claims, "client_id")?)
    };
    let subject = required(&claims, "sub")?;
    let expires_at = numeric_date(&claims, "exp").ok_or(BadToken::Time)?;
    Bearer::new(idp, &subject, client.as_deref(), Some(expires_at), claims)
}

/// The bearer by the answer about a token (RFC 7662 section 2.2).
pub(super) fn of_answer(idp: &Idp, claims: Claims, now: Timestamp) -> Result<Bearer, BadToken> {
    if claims.get("active") != Some(&Value::Bool(true)) {
        return Err(BadToken::Inactive);
    }
    if claims
        .get("iss")
        .is_some_and(|issuer| issuer.as_str() != Some(&idp.issuer))
    {
        return Err(BadToken::Other);
    }
    // Required here: without it, a token for another service would be good for this one.
    let is_ours = |audience: &&str| idp.audiences.iter().any(|name| name == audience);
    if !audiences(&claims).iter().any(is_ours) {
        return Err(BadToken::Other);
    }
    // A refresh token is active too.
    let is_bearer = |kind: &Value| {
        kind.as_str()
            .is_some_and(|kind| kind.eq_ignore_ascii_case("bearer"))
    };
    if claims.get("token_type").is_some_and(|kind| !is_bearer(kind)) {
        return Err(BadToken::Claim("token_type"));
    }
    check_binding(&claims)?;
    let time = |name: &str| match claims.get(name) {
        None => Ok(None),
        Some(_) => numeric_date(&claims, name).map(Some).ok_or(BadToken::Time),
    };
    let (expires_at, begins_at) = (time("exp")?, time("nbf")?);
    if expires_at.is_some_and(|end| end <= now) || begins_at.is_some_and(|begin| begin > now) {
        return Err(BadToken::Time);
    }
    let client = optional(&claims, "client_id")?;
    let subject = match optional(&claims, "sub")? {
        Some(subject) => subject,
        None => client.clone().ok_or(BadToken::Claim("sub"))?,
    };
    Bearer::new(idp, &subject, client.as_deref(), expires_at, claims)
}

/// RFC 7800 section 3.1: a bound token counts only with the proof of its key.
fn check_binding(claims: &Claims) -> Result<(), BadToken> {
    if claims.contains_key("cnf") {
        Err(BadToken::Bound)
    } else {
        Ok(())
    }
}

fn required(claims: &Claims, name: &'static str) -> Result<String, BadToken> {
    optional(claims, name)?.ok_or(BadToken::Claim(name))
}

fn optional(claims: &Claims, name: &'static str) -> Result<Option<String>, BadToken> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) if is_name(text) => Ok(Some(text.clone())),
        Some(_) => Err(BadToken::Claim(name)),
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_NAME && !text.chars().any(char::is_control)
}

// === impl Bearer ===

impl Bearer {
    fn new(
        idp: &Idp,
        subject: &str,
        client: Option<&str>,
        expires_at: Option<Timestamp>,
        claims: Claims,
    ) -> Result<Self, BadToken> {
        let scope = match claims.get("scope") {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(scope)) => scope.clone(),
            Some(_) => return Err(BadToken::Claim("scope")),
        };
        Ok(Self {
            name: name_of(&idp.provider, subject, client),
            issuer: idp.issuer.clone(),
            scope,
            acr: claims.get("acr").and_then(Value::as_str).map(str::to_owned),
            roles: super::subject::mapped(&claims, &idp.roles),
            permissions: super::subject::mapped(&claims, &idp.permissions),
            expires_at,
            claims,
        })
    }
}

#[cfg(test)]
mod tests;
