//! Repeats a visit from another site, for which a browser withholds cookies.
//!
//! A browser does not send a `SameSite=Strict` cookie when a page of another site leads here (RFC 6265bis section
//! 8.8.2): a link in a mail, the way back from the IdP. Therefore a visit without it may come from a logged-in
//! person. Where that matters, one of our pages navigates to the same address again, and that is a visit from our own
//! site. At the callback this is impossible, because a code is valid once. There, another cookie says which session
//! the last login gave.

use axum::response::Response;
use http::{HeaderMap, HeaderValue, Method, Uri, header::CACHE_CONTROL};

use super::{
    Web, csrf,
    envelope::Envelope,
    navigation::Visit,
    page::{Action, Page},
};
use crate::{
    seal::Purpose,
    session::{Binding, SameSite, SessionKey},
};

/// The parameter of the second visit. It comes first, because everything after an unencoded target belongs to that
/// target.
pub(crate) const MARK: &str = "bff_again";

// === impl Web ===

impl Web {
    /// A page that navigates to the address of the request again, if a person comes from another site and the browser
    /// may withhold the session cookie. `None` if the request is complete.
    pub(crate) fn revisit(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<Response> {
        let is_held_back = self.cookies.same_site() == SameSite::Strict
            && Visit::of(method, headers) == Visit::Page
            && csrf::is_from_another_site(headers)
            && !self.cookies.sends_session(headers);
        if !is_held_back || is_revisit(uri) {
            return None;
        }
        let path = uri.path();
        let again = match uri.query() {
            None | Some("") => format!("{path}?{MARK}=1"),
            Some(query) => format!("{path}?{MARK}=1&{query}"),
        };
        let page = Page {
            key: "one_moment",
            fallback: ("One moment", "You are being taken to the application."),
            answer: None,
            action: Some(Action::Continue { href: &again }),
            start: None,
            footnote: None,
        };
        let mut response = self.pages.respond(headers, &page);
        let answer = response.headers_mut();
        answer.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Some(response)
    }

    /// `Set-Cookie` that names the session of a login, for a callback to which the browser does not send the session
    /// cookie itself.
    pub(crate) fn remember_latest(&self, key: &SessionKey) -> Option<HeaderValue> {
        if self.cookies.same_site() != SameSite::Strict {
            return None;
        }
        let value = self.sealer.seal_text(Purpose::LatestSession, &[], key.as_bytes());
        self.cookies.set_login(self.cookies.latest_name(), &value).ok()
    }

    /// The session that a login may replace: that of the browser, if the request fits its binding. A stolen cookie
    /// must not end the session of its victim.
    pub(crate) async fn replaceable(&self, request: Envelope<'_>) -> Option<SessionKey> {
        let key = self.known_session(request.headers)?;
        if self.binding == Binding::Off {
            return Some(key);
        }
        let stored = self.sessions.get(&key).await.ok()??;
        let bound = self.check_binding(&key, &stored.session, &request);
        bound.is_ok().then_some(key)
    }

    /// The session of the browser, as far as a request from another site shows it: only to replace it, never as an
    /// authentication.
    pub(crate) fn known_session(&self, headers: &HeaderMap) -> Option<SessionKey> {
        let sent = self.cookies.session_id(headers).map(|id| id.key());
        sent.or_else(|| {
            let value = self.cookies.value(headers, self.cookies.latest_name())?;
            let key = self.sealer.open_text(Purpose::LatestSession, &[], value)?;
            <[u8; 32]>::try_from(key.as_slice())
                .ok()
                .map(SessionKey::from_bytes)
        })
    }
}

/// Whether the browser comes from the page that [`Web::revisit`] has shown.
pub(crate) fn is_revisit(uri: &Uri) -> bool {
    let query = uri.query().unwrap_or_default();
    query
        .strip_prefix(MARK)
        .is_some_and(|rest| rest == "=1" || rest.starts_with("=1&"))
}
