//! Reads cookies as a browser, or an attacker, sends them.
//!
//! All functions here make one pass over the bytes. A part is the trimmed text between semicolons. Its name is either
//! foreign or ours. One of our names with a malformed value counts as absent.

use std::fmt;

use http::{HeaderMap, HeaderValue, header::COOKIE};

use super::{
    CookieName, CookiePolicy, HOST_HTTP_PREFIX, HOST_PREFIX, HTTP_PREFIX, LATEST_NAME, LOGIN_NAME,
    LOGOUT_NAME, MAX_LOGIN_COOKIE_LENGTH, MAX_NAME_LENGTH, SECURE_PREFIX, SESSION_NAME, bound, csrf,
    is_base64url,
};
use crate::session::SessionId;

/// If the cookies of a request take more bytes than this, none is read. No browser sends so many.
const MAX_COOKIE_BYTES: usize = 64 * 1024;

/// At most this many login cookies of a request are listed. An honest browser has no more than
/// [`MAX_LOGIN_COOKIES`](super::MAX_LOGIN_COOKIES), plus those of attempts that began at the same moment.
const MAX_LISTED: usize = 32;

/// A login cookie as received. It opens, or it is garbage to be cleared.
#[derive(Clone, PartialEq, Eq)]
pub struct LoginCookie<'a> {
    /// Its name, for [`CookiePolicy::clear`].
    pub name: CookieName,
    /// Its value; empty if it was sent twice or is malformed.
    pub value: &'a str,
    /// How much of the `Cookie` field it takes, in bytes, with `=` and the separator.
    pub length: usize,
}

/// How often a request carries a cookie with one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent<'a> {
    Never,
    /// With this value.
    Once(&'a [u8]),
    /// None of them counts then, even if their values are one.
    Often,
}

impl fmt::Debug for LoginCookie<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginCookie")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

// === impl CookiePolicy ===

impl CookiePolicy {
    /// The session id that the browser sent. `None` if it sent none, a malformed one, or several under one name,
    /// because a sibling subdomain may have planted some of them (attack 27). Allocates nothing.
    #[must_use]
    pub fn session_id(&self, headers: &HeaderMap) -> Option<SessionId> {
        match self.session_sent(headers) {
            Sent::Once(value) => SessionId::parse(value),
            Sent::Never | Sent::Often => None,
        }
    }

    /// The session cookie; under the name of the former release if its own name is absent.
    fn session_sent<'a>(&self, headers: &'a HeaderMap) -> Sent<'a> {
        match (sent(headers, self.session_name().as_str()), &self.former_session) {
            (Sent::Never, Some(former)) => sent(headers, former.as_str()),
            (sent, _) => sent,
        }
    }

    /// Whether the browser sent a session cookie, good or not.
    #[must_use]
    pub fn sends_session(&self, headers: &HeaderMap) -> bool {
        self.session_sent(headers) != Sent::Never
    }

    /// Whether the browser sent several cookies under the session cookie's name. None of them counts then.
    #[must_use]
    pub fn session_is_doubled(&self, headers: &HeaderMap) -> bool {
        self.session_sent(headers) == Sent::Often
    }

    /// The value of the login, logout or latest cookie called `name`, on the same terms.
    #[must_use]
    pub fn value<'a>(&self, headers: &'a HeaderMap, name: &CookieName) -> Option<&'a str> {
        let value = match sent(headers, name.as_str()) {
            Sent::Never => sent(headers, name.former()?.as_str()),
            sent => sent,
        };
        match value {
            Sent::Once(value) => sealed(name, value),
            Sent::Never | Sent::Often => None,
        }
    }

    /// All login cookies that the browser sent, each name once, in their order; bounded in number. One that is not as
    /// we set it is listed with an empty value, so that it can be cleared.
    #[must_use]
    pub fn login_cookies<'a>(&self, headers: &'a HeaderMap) -> Vec<LoginCookie<'a>> {
        let mut found: Vec<LoginCookie<'a>> = Vec::new();
        for (name, value) in parts(headers).map(split) {
            let Some(name) = self.as_login_name(name) else {
                continue;
            };
            if let Some(twice) = found.iter_mut().find(|cookie| cookie.name.as_str() == name) {
                twice.value = "";
                twice.length += sent_length(name, value);
            } else if found.len() < MAX_LISTED {
                let length = sent_length(name, value);
                let name = CookieName(name.to_owned());
                let value = sealed(&name, value).unwrap_or_default();
                found.push(LoginCookie { name, value, length });
            }
        }
        found
    }

    /// Whether a cookie with this name is ours, in any spelling that some parser may accept: without regard to case,
    /// and with any of the prefixes, because cookies of an earlier configuration may still exist.
    #[must_use]
    pub fn is_ours(&self, name: &[u8]) -> bool {
        let name = name.trim_ascii();
        let (_, base) = split_prefix(name);
        base.eq_ignore_ascii_case(SESSION_NAME.as_bytes())
            || is_private(base)
            || bound::is_bound(base)
            || csrf::is_csrf(base)
            || name.eq_ignore_ascii_case(self.session_name().as_str().as_bytes())
    }

    /// The `Cookie` header for an API: the application's own cookies, byte for byte and in order, without ours
    /// (attack 6). `None` where nothing remains.
    #[must_use]
    pub fn strip_ours(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let lines = headers.get_all(COOKIE);
        let first = lines.iter().next()?;
        let is_single = lines.iter().nth(1).is_none();
        let mut has_ours = false;
        let mut kept = Vec::new();
        for part in lines.iter().map(HeaderValue::as_bytes).flat_map(parts_of) {
            if self.mentions_ours(part) {
                has_ours = true;
                continue;
            }
            if part.is_empty() {
                continue;
            }
            if !kept.is_empty() {
                kept.extend_from_slice(b"; ");
            }
            kept.extend_from_slice(part);
        }
        if kept.is_empty() {
            return None;
        }
        if is_single && !has_ours {
            return Some(sensitive(first.clone()));
        }
        // Bytes of header values make a header value; if they should not, an API gets no cookies.
        HeaderValue::from_bytes(&kept).ok().map(sensitive)
    }

    /// Whether this `Set-Cookie` of an API would set one of our cookies in some browser (attack 28): by its name, by
    /// the value of a nameless cookie, which older browsers send back as if it were a name, or after a comma.
    #[must_use]
    pub fn drops_ours(&self, set_cookie: &HeaderValue) -> bool {
        self.mentions_ours(set_cookie.as_bytes())
    }

    /// Whether some parser could read a cookie with one of our names here. Old parsers also split at commas; no
    /// honest value contains one of our names after a comma.
    fn mentions_ours(&self, cookies: &[u8]) -> bool {
        cookies
            .split(|byte| matches!(byte, b';' | b','))
            .any(|piece| self.is_ours(split(without_leading_equals(piece)).0))
    }

    fn as_login_name<'a>(&self, name: &'a [u8]) -> Option<&'a str> {
        let former = || {
            let base = name.strip_prefix(HOST_PREFIX.as_bytes())?;
            base.strip_prefix(LOGIN_NAME.as_bytes()).filter(|_| self.secure)
        };
        let hash = name.strip_prefix(self.login_prefix.as_bytes()).or_else(former)?;
        let well_formed = name.len() <= MAX_NAME_LENGTH && hash.iter().copied().all(is_base64url);
        if hash.is_empty() || !well_formed {
            return None;
        }
        str::from_utf8(name).ok()
    }
}

/// How much of a `Cookie` field a cookie takes: `name=value; `.
const fn sent_length(name: &str, value: &[u8]) -> usize {
    name.len() + 1 + value.len() + 2
}

fn sensitive(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

/// A sealed value, in the form that [`CookiePolicy::set_login`] writes.
fn sealed<'a>(name: &CookieName, value: &'a [u8]) -> Option<&'a str> {
    let fits = name.as_str().len() + value.len() <= MAX_LOGIN_COOKIE_LENGTH;
    if !fits || value.is_empty() || !value.iter().copied().all(is_base64url) {
        return None;
    }
    str::from_utf8(value).ok()
}

/// The cookie called exactly `name`.
pub(super) fn sent<'a>(headers: &'a HeaderMap, name: &str) -> Sent<'a> {
    let mut values = parts(headers).filter_map(|part| {
        // As `split` would take it, but most parts have another name.
        let rest = part.strip_prefix(name.as_bytes())?.trim_ascii_start();
        match rest.split_first() {
            None => Some(rest),
            Some((b'=', value)) => Some(value.trim_ascii_start()),
            Some(_) => None,
        }
    });
    match (values.next(), values.next()) {
        (None, _) => Sent::Never,
        (Some(value), None) => Sent::Once(value),
        (Some(_), Some(_)) => Sent::Often,
    }
}

/// All parts of all `Cookie` lines, of which HTTP/2 may send several (RFC 9113 section 8.2.3); none if they are too
/// long together.
fn parts(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let lines = headers.get_all(COOKIE);
    let length: usize = lines.iter().map(HeaderValue::len).sum();
    let bounded = length <= MAX_COOKIE_BYTES;
    lines
        .into_iter()
        .filter(move |_| bounded)
        .map(HeaderValue::as_bytes)
        .flat_map(parts_of)
}

fn parts_of(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| *byte == b';').map(<[u8]>::trim_ascii)
}

/// Name and value. Without `=` the whole part is the name: a cookie without a value, or without a name, may be sent
/// like that, and it must count if it has one of our names.
fn split(part: &[u8]) -> (&[u8], &[u8]) {
    let end = part.iter().position(|byte| *byte == b'=');
    let (name, value) = part.split_at(end.unwrap_or(part.len()));
    (name.trim_ascii(), value.get(1..).unwrap_or_default().trim_ascii())
}

fn without_leading_equals(mut piece: &[u8]) -> &[u8] {
    while let [b'=' | b' ' | b'\t', rest @ ..] = piece {
        piece = rest;
    }
    piece
}

/// The prefix (RFC 6265bis section 4.1.3), in any case, and the rest of the name.
pub(super) fn split_prefix(name: &[u8]) -> (Option<&'static str>, &[u8]) {
    for prefix in [HOST_HTTP_PREFIX, HTTP_PREFIX, HOST_PREFIX, SECURE_PREFIX] {
        if let Some((start, base)) = name.split_at_checked(prefix.len())
            && start.eq_ignore_ascii_case(prefix.as_bytes())
        {
            return (Some(prefix), base);
        }
    }
    (None, name)
}

/// Whether a name without its prefix is that of a cookie that is never shared: login, logout and latest.
pub(super) fn is_private(base: &[u8]) -> bool {
    base.eq_ignore_ascii_case(LOGOUT_NAME.as_bytes())
        || base.eq_ignore_ascii_case(LATEST_NAME.as_bytes())
        || base
            .get(..LOGIN_NAME.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(LOGIN_NAME.as_bytes()))
}
