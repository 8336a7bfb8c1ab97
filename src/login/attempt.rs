//! A login that has been started and has not come back yet, sealed in a cookie of the browser.

use serde::{Deserialize, Serialize};

use crate::{
    clock::Timestamp,
    seal::{Purpose, Sealer},
    secret::Secret,
    session::{LOGIN_COOKIE_LIFETIME, SessionKey},
};

/// The facts about a started login that the callback needs.
///
/// The `state` is not in it: it is the context that the attempt is sealed for, so an attempt opens only with the very
/// state that it was made with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts about the request, each of them one letter in the cookie"
)]
pub struct Attempt {
    /// `nonce` of the authorization request (OpenID Connect Core 1.0 section 3.1.2.1).
    #[serde(rename = "n")]
    pub nonce: Secret,
    /// PKCE code verifier (RFC 7636 section 4.1).
    #[serde(rename = "v")]
    pub code_verifier: Secret,
    /// When the login was started, by the clock that all replicas go by: another one may complete it.
    #[serde(rename = "t")]
    pub started_at: Timestamp,
    /// The redirect URI that was sent, by the authority of its host.
    #[serde(rename = "h")]
    pub host: String,
    /// The target after the login, as requested; checked on arrival and again before use.
    #[serde(rename = "u")]
    pub return_to: String,
    /// The requested `max_age`, in seconds; compared with the ID token's `auth_time`.
    #[serde(rename = "m", default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<u64>,
    /// The requested `acr_values`, of which the login has to return one: a logged-in person was asked for a stronger
    /// login (RFC 9470).
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    pub acr_values: Option<String>,
    /// Whether the login had to succeed without a person (`prompt=none`).
    #[serde(rename = "s", default, skip_serializing_if = "std::ops::Not::not")]
    pub silent: bool,
    /// Whether the login has requirements (`prompt`, `max_age`, `acr_values`), which an existing session does not
    /// satisfy.
    #[serde(rename = "d", default, skip_serializing_if = "std::ops::Not::not")]
    pub demanding: bool,
    /// Whether it was begun in the place of an attempt that the IdP sent back with an error.
    #[serde(rename = "r", default, skip_serializing_if = "std::ops::Not::not")]
    pub repeated: bool,
    /// Whether consent was requested.
    #[serde(rename = "c", default, skip_serializing_if = "std::ops::Not::not")]
    pub consent: bool,
    /// The session that the browser had when the login was started.
    #[serde(
        rename = "p",
        with = "key_text",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub previous: Option<SessionKey>,
}

// === impl Attempt ===

impl Attempt {
    /// The value of the cookie for this attempt.
    #[must_use]
    pub fn seal(&self, sealer: &Sealer, state: &str) -> String {
        // A struct of strings and numbers always serialises; an empty value would only fail to open.
        let plaintext = serde_json::to_vec(self).unwrap_or_default();
        sealer.seal_text(Purpose::LoginAttempt, state.as_bytes(), &plaintext)
    }

    /// Opens the value of a cookie with the `state` of the callback. `None` if it was made for another state, by
    /// another party, or has been changed.
    #[must_use]
    pub fn open(sealer: &Sealer, state: &str, value: &str) -> Option<Self> {
        let plaintext = sealer.open_text(Purpose::LoginAttempt, state.as_bytes(), value)?;
        serde_json::from_slice(&plaintext).ok()
    }

    /// Whether a logged-in person was asked for a stronger or newer login (RFC 9470).
    #[must_use]
    pub const fn steps_up(&self) -> bool {
        self.previous.is_some() && (self.acr_values.is_some() || self.max_age.is_some())
    }

    /// Whether the person took too long.
    #[must_use]
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.ends_at() <= now
    }

    /// When the person will have taken too long.
    #[must_use]
    pub fn ends_at(&self) -> Timestamp {
        self.started_at.saturating_add(LOGIN_COOKIE_LIFETIME)
    }
}

/// A session's key as text: a list of numbers would take four times as much of the cookie.
mod key_text {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use crate::session::SessionKey;

    #[expect(clippy::ref_option, reason = "the signature that serde calls")]
    pub(super) fn serialize<S: Serializer>(key: &Option<SessionKey>, to: S) -> Result<S::Ok, S::Error> {
        match key {
            Some(key) => to.serialize_str(&URL_SAFE_NO_PAD.encode(key.as_bytes())),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Option<SessionKey>, D::Error> {
        let text = String::deserialize(from)?;
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(D::Error::custom)?;
        let bytes = <[u8; 32]>::try_from(bytes).map_err(|_| D::Error::custom("not a key"))?;
        Ok(Some(SessionKey::from_bytes(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::*;
    use crate::{
        login::return_to,
        random::{RandomExt as _, SystemRandom},
        session::{CookieOptions, CookiePolicy},
    };

    fn sealer() -> Sealer {
        Sealer::new(&[[3; 32]], Arc::new(SystemRandom)).unwrap()
    }

    fn attempt(return_to: String) -> Attempt {
        Attempt {
            nonce: SystemRandom.base64url::<32>().into(),
            code_verifier: SystemRandom.base64url::<32>().into(),
            started_at: Timestamp::from_unix_seconds(1_800_000_000),
            host: "automate.ocg.labs.empowernow.ai".to_owned(),
            return_to,
            max_age: Some(86_400),
            acr_values: Some("urn:example:gold ".repeat(12)),
            silent: true,
            demanding: true,
            repeated: true,
            consent: true,
            previous: Some(SessionKey::from_bytes([7; 32])),
        }
    }

    #[test]
    fn opens_only_with_its_own_state() {
        let attempt = attempt("https://a.example/".to_owned());
        let sealed = attempt.seal(&sealer(), "state");
        assert_eq!(Attempt::open(&sealer(), "state", &sealed), Some(attempt));
        assert_eq!(Attempt::open(&sealer(), "another", &sealed), None);
        assert_eq!(Attempt::open(&sealer(), "state", "garbage"), None);
    }

    #[test]
    fn the_largest_attempt_fits_its_cookie() {
        let sealed = attempt("x".repeat(return_to::MAX_LENGTH)).seal(&sealer(), "state");
        let cookies = CookiePolicy::new(CookieOptions::default()).unwrap();
        assert!(
            cookies.set_login(&cookies.login_name("state"), &sealed).is_ok(),
            "{}",
            sealed.len()
        );
    }

    #[test]
    fn expires_after_ten_minutes() {
        let attempt = attempt(String::new());
        let end = attempt.started_at.saturating_add(LOGIN_COOKIE_LIFETIME);
        assert!(!attempt.has_expired(end.saturating_sub(Duration::from_millis(1))));
        assert!(attempt.has_expired(end));
    }
}
