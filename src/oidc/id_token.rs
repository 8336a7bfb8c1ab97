//! ID tokens (OpenID Connect Core 1.0 sections 2, 3.1.3.7 and 12.2).
//!
//! [`jose::verify`](crate::jose::verify) checks signature, `iss`, `aud`, `azp` and times. This module checks the
//! claims that only an ID token has. A refreshed one is checked as fully as the first.

mod error;

use std::time::Duration;

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use subtle::ConstantTimeEq as _;

pub use self::error::IdTokenError;
use super::{
    RelyingParty,
    logout_token::is_logout,
    signed::{is_identifier, text_of},
};
use crate::{
    clock::Timestamp,
    jose::{Algorithm, Claims, Typ, Verified, numeric_date},
    secret::Secret,
};

/// A subject is at most this long (OpenID Connect Core 1.0 section 2), in bytes.
pub(super) const MAX_SUBJECT: usize = 255;

/// A longer `sid` is left out, in bytes.
pub(super) const MAX_SID: usize = 2048;

/// How far the provider's clock may differ from ours.
const LEEWAY: Duration = Duration::from_mins(1);

/// The requirements for an ID token.
#[derive(Clone, Copy, Debug)]
pub struct Expect<'a> {
    occasion: Occasion<'a>,
    access_token: &'a Secret,
    max_age: Option<Duration>,
}

/// The facts of a login itself.
#[derive(Clone, Copy, Debug)]
pub struct LoginFacts<'a> {
    /// The `nonce` that it sent.
    pub nonce: &'a Secret,
    /// The code that it exchanged.
    pub code: &'a Secret,
    /// When it began.
    pub started_at: Timestamp,
}

#[derive(Clone, Copy, Debug)]
enum Occasion<'a> {
    Login(LoginFacts<'a>),
    Refresh { previous: &'a Identity },
}

/// The claims that must not change while a session lives: kept in the session, and compared with a refreshed ID
/// token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// `iss`
    pub issuer: String,
    /// `sub`
    pub subject: String,
    /// The nonce of the login.
    pub nonce: Secret,
    /// `auth_time` of the first ID token, if it had one.
    pub auth_time: Option<Timestamp>,
}

/// An ID token that is right.
#[derive(Clone, Debug)]
pub struct IdTokenClaims {
    /// The values for the comparison with the next one.
    pub identity: Identity,
    /// The session at the provider (`sid`, for its logout).
    pub sid: Option<String>,
    /// When the person authenticated.
    pub auth_time: Option<Timestamp>,
    /// How the person authenticated.
    pub acr: Option<String>,
    /// The end of the session at the provider, if stated (`session_expiry` of IPSIE's session lifetime profile).
    pub session_ends: Option<Timestamp>,
    /// When the token was issued.
    pub issued_at: Timestamp,
    /// When the token expires; says nothing of the session.
    pub expires_at: Timestamp,
    /// All claims, these among them.
    pub all: Claims,
}

// === impl Expect ===

impl<'a> Expect<'a> {
    /// The ID token of a login, beside `access_token`.
    #[must_use]
    pub const fn login(facts: LoginFacts<'a>, access_token: &'a Secret) -> Self {
        Self {
            occasion: Occasion::Login(facts),
            access_token,
            max_age: None,
        }
    }

    /// A refreshed ID token, beside the new `access_token`, of a session whose first one had `previous`.
    #[must_use]
    pub const fn refreshed(previous: &'a Identity, access_token: &'a Secret) -> Self {
        Self {
            occasion: Occasion::Refresh { previous },
            access_token,
            max_age: None,
        }
    }

    /// The login requested an authentication not older than this.
    #[must_use]
    pub const fn max_age(mut self, max_age: Option<Duration>) -> Self {
        self.max_age = max_age;
        self
    }
}

// === impl RelyingParty ===

impl RelyingParty {
    /// Checks an ID token completely.
    ///
    /// # Errors
    ///
    /// [`IdTokenError`], the first thing that is wrong.
    pub async fn verify_id_token(
        &self,
        token: &Secret,
        expect: Expect<'_>,
    ) -> Result<IdTokenClaims, IdTokenError> {
        let now = self.shared.clock.wall();
        let verified = self
            .verify_signed::<IdTokenError>(token, Typ::IdToken, now)
            .await?;
        let claims = IdTokenClaims::read(verified, expect, now)?;
        self.tell_what_is_left_out(&claims);
        Ok(claims)
    }

    /// An unusable optional claim does not fail a login; the log mentions it once.
    fn tell_what_is_left_out(&self, claims: &IdTokenClaims) {
        for (claim, is_taken) in [
            ("sid", claims.sid.is_some()),
            ("auth_time", claims.auth_time.is_some()),
            ("acr", claims.acr.is_some()),
        ] {
            let unused = claims
                .all
                .get(claim)
                .filter(|value| !is_taken && !value.is_null());
            if let Some(value) = unused
                && self.shared.told.first(format!("ID token: {claim}"))
            {
                let size = value.to_string().len();
                tracing::warn!(claim, size, "an unusable claim of the ID token is ignored");
            }
        }
    }
}

// === impl IdTokenClaims ===

impl IdTokenClaims {
    fn read(verified: Verified, expect: Expect<'_>, now: Timestamp) -> Result<Self, IdTokenError> {
        let Verified { algorithm, claims } = verified;
        // A logout token without `typ` in the answer to a refresh would pass without this check.
        if is_logout(&claims) {
            return Err(IdTokenError::Claim("events"));
        }
        let issuer = text(&claims, "iss")?.ok_or(IdTokenError::Claim("iss"))?;
        let subject = text(&claims, "sub")
            .ok()
            .flatten()
            .filter(|subject| is_identifier(subject, MAX_SUBJECT))
            .ok_or(IdTokenError::Subject)?;
        let auth_time = lenient_time(&claims, "auth_time");
        let issued_at = numeric_date(&claims, "iat").ok_or(IdTokenError::Claim("iat"))?;
        let expires_at = numeric_date(&claims, "exp").ok_or(IdTokenError::Claim("exp"))?;
        let session_ends = session_ends(&claims)?;
        // Optional, and of use only for the provider's own logout.
        let sid = text(&claims, "sid").ok().flatten();
        let sid = sid.filter(|sid| is_identifier(sid, MAX_SID));
        check_half_hash(&claims, "at_hash", algorithm, expect.access_token)
            .map_err(|()| IdTokenError::AccessTokenHash)?;
        let known = match &expect.occasion {
            Occasion::Login(_) => None,
            Occasion::Refresh { previous } => previous.auth_time,
        };
        // A time that an earlier token stated was checked then. Our clock may have been set back since.
        if auth_time.is_none() || auth_time != known {
            check_age(auth_time, expect.max_age, now)?;
        }
        let identity = match expect.occasion {
            Occasion::Login(login) => {
                let found = text(&claims, "nonce").ok().flatten();
                if !found.is_some_and(|found| same(&found, login.nonce.expose())) {
                    return Err(IdTokenError::Nonce);
                }
                check_issued_since(&claims, login.started_at)?;
                if session_ends.is_some_and(|ends| ends <= now) {
                    return Err(IdTokenError::SessionOver);
                }
                // Section 3.3.2.11 requires it beside a code in the front channel; if present, it has to match.
                check_half_hash(&claims, "c_hash", algorithm, login.code)
                    .map_err(|()| IdTokenError::CodeHash)?;
                Identity {
                    issuer,
                    subject,
                    nonce: login.nonce.clone(),
                    auth_time,
                }
            }
            Occasion::Refresh { previous } => {
                check_unchanged(&claims, &issuer, &subject, auth_time, previous)?;
                previous.clone()
            }
        };
        Ok(Self {
            identity,
            sid,
            auth_time,
            acr: text(&claims, "acr").ok().flatten(),
            session_ends,
            issued_at,
            expires_at,
            all: claims,
        })
    }
}

/// OpenID Connect Core 1.0 section 12.2. An earlier check requires `aud` and `azp` to be only us.
fn check_unchanged(
    claims: &Claims,
    issuer: &str,
    subject: &str,
    auth_time: Option<Timestamp>,
    previous: &Identity,
) -> Result<(), IdTokenError> {
    if issuer != previous.issuer {
        return Err(IdTokenError::Changed("issuer"));
    }
    if subject != previous.subject {
        return Err(IdTokenError::Changed("subject"));
    }
    // The time of the person's authentication. Section 12.2 wants it unchanged, but people log in again for another
    // client of the same provider, so it moves forward. It never moves back. If the first token did not state it, a
    // later one may.
    if let (Some(now), Some(before)) = (auth_time, previous.auth_time)
        && now < before
    {
        return Err(IdTokenError::Claim("auth_time"));
    }
    match claims.get("nonce") {
        None => Ok(()),
        Some(nonce)
            if nonce
                .as_str()
                .is_some_and(|nonce| same(nonce, previous.nonce.expose())) =>
        {
            Ok(())
        }
        Some(_) => Err(IdTokenError::Nonce),
    }
}

/// OpenID Connect Core 1.0 section 3.1.3.7, step 10: no ID token of a login is older than the login.
fn check_issued_since(claims: &Claims, started_at: Timestamp) -> Result<(), IdTokenError> {
    match numeric_date(claims, "iat") {
        Some(issued) if issued.saturating_add(LEEWAY) >= started_at => Ok(()),
        Some(_) | None => Err(IdTokenError::Stale),
    }
}

/// `session_expiry`: whole seconds. It is a limit, so that one which cannot be read is not left out.
fn session_ends(claims: &Claims) -> Result<Option<Timestamp>, IdTokenError> {
    match claims.get("session_expiry") {
        None => Ok(None),
        Some(value) => match value.as_u64() {
            Some(seconds) => Ok(Some(Timestamp::from_unix_seconds(seconds))),
            None => Err(IdTokenError::Claim("session_expiry")),
        },
    }
}

/// OpenID Connect Core 1.0 sections 3.1.3.6 and 3.3.2.11: the left half of the hash of `value`, if the claim is
/// present.
fn check_half_hash(claims: &Claims, name: &str, algorithm: Algorithm, value: &Secret) -> Result<(), ()> {
    match claims.get(name) {
        None => Ok(()),
        Some(Value::String(hash)) if same(hash, &half_hash(algorithm, value.expose())) => Ok(()),
        Some(_) => Err(()),
    }
}

fn half_hash(algorithm: Algorithm, value: &str) -> String {
    let function = match algorithm {
        Algorithm::PS256 | Algorithm::RS256 | Algorithm::ES256 => &digest::SHA256,
        Algorithm::PS384 | Algorithm::RS384 | Algorithm::ES384 => &digest::SHA384,
        // Ed25519 uses SHA-512 itself (RFC 8032 section 5.1).
        Algorithm::PS512 | Algorithm::RS512 | Algorithm::EdDSA | Algorithm::Ed25519 => &digest::SHA512,
    };
    let hash = digest::digest(function, value.as_bytes());
    let (left, _) = hash.as_ref().split_at(hash.as_ref().len() / 2);
    URL_SAFE_NO_PAD.encode(left)
}

/// OpenID Connect Core 1.0 section 3.1.3.7, step 13.
fn check_age(
    auth_time: Option<Timestamp>,
    max_age: Option<Duration>,
    now: Timestamp,
) -> Result<(), IdTokenError> {
    if auth_time.is_some_and(|time| time > now.saturating_add(LEEWAY)) {
        return Err(IdTokenError::Claim("auth_time"));
    }
    let Some(max_age) = max_age else {
        return Ok(());
    };
    match auth_time {
        Some(time) if now.duration_since(time) <= max_age.saturating_add(LEEWAY) => Ok(()),
        Some(_) | None => Err(IdTokenError::TooOld),
    }
}

fn text(claims: &Claims, name: &'static str) -> Result<Option<String>, IdTokenError> {
    text_of(claims, name).map_err(|()| IdTokenError::Claim(name))
}

/// An optional time: as a number, or as text with a number; otherwise it counts as absent, which no check accepts as
/// valid.
fn lenient_time(claims: &Claims, name: &str) -> Option<Timestamp> {
    match claims.get(name)? {
        Value::String(text) => text.trim().parse().ok().map(Timestamp::from_unix_seconds),
        _ => numeric_date(claims, name),
    }
}

fn same(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

#[cfg(test)]
mod tests;
