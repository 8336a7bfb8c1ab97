//! The cookies of the IdP itself.

use axum::http::{HeaderMap, HeaderValue, header};

use crate::{provider::Provider, random, secret::Digest, state::Session};

/// The session of a browser: single sign-on.
pub(crate) const SESSION: &str = "idp_session";
/// Ties the forms that a browser sends to the pages that it opened.
const BROWSER: &str = "idp_browser";

const SESSION_LIFE: u64 = 8 * 3600;

/// The browser of a request, and the cookie to set if it has none yet.
pub(crate) struct Browser {
    pub(crate) digest: Digest,
    pub(crate) set_cookie: Option<HeaderValue>,
}

// === impl Browser ===

impl Browser {
    pub(crate) fn of(provider: &Provider, headers: &HeaderMap) -> Self {
        if let Some(digest) = Self::known(headers) {
            return Self {
                digest,
                set_cookie: None,
            };
        }
        let value = random::token();
        Self {
            digest: Digest::of(&value),
            set_cookie: set(provider, BROWSER, &value, SESSION_LIFE),
        }
    }

    pub(crate) fn known(headers: &HeaderMap) -> Option<Digest> {
        cookie(headers, BROWSER)
            .filter(|value| value.len() == 43)
            .map(Digest::of)
    }
}

/// The session that the browser's cookie names.
pub(crate) fn session(provider: &Provider, headers: &HeaderMap) -> Option<Session> {
    let key = Digest::of(cookie(headers, SESSION)?);
    provider.state().kept.sessions.get(&key, provider.now()).cloned()
}

/// Starts a session under a new id.
pub(crate) fn start_session(provider: &Provider, session: Session) -> Option<HeaderValue> {
    let value = random::token();
    let now = provider.now();
    provider
        .state()
        .kept
        .sessions
        .insert(Digest::of(&value), session, now + SESSION_LIFE, now);
    set(provider, SESSION, &value, SESSION_LIFE)
}

/// Ends the browser's session; returns that session, and the cookie that removes its cookie.
pub(crate) fn end_session(
    provider: &Provider,
    headers: &HeaderMap,
) -> (Option<Session>, Option<HeaderValue>) {
    let Some(value) = cookie(headers, SESSION) else {
        return (None, None);
    };
    let key = Digest::of(value);
    let session = provider.state().kept.sessions.remove(&key, provider.now());
    (session, set(provider, SESSION, "", 0))
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    lines
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value)
}

fn set(provider: &Provider, name: &str, value: &str, life: u64) -> Option<HeaderValue> {
    let secure = if provider.secure() { "; Secure" } else { "" };
    let path = if provider.base_path().is_empty() {
        "/"
    } else {
        provider.base_path()
    };
    let text = format!("{name}={value}; Path={path}; Max-Age={life}; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::try_from(text).ok()
}
