//! Our cookies: their names, their attributes, and how to distinguish them from the application's.
//!
//! | cookie | name | for |
//! | --- | --- | --- |
//! | session | `__Host-Http-bff_session`, by the rule below, or `SESSION_COOKIE_NAME` | the [`SessionId`] |
//! | login | `__Host-Http-bff_login_` and a hash of `state` | one login attempt, sealed |
//! | logout | `__Host-Http-bff_logout` | where to go after the IdP's logout page, sealed |
//! | latest | `__Host-Http-bff_latest` | which session the last login gave, sealed; with `SameSite=Strict` alone |
//! | CSRF | `_eid_csrf_v1` | the CSRF token, for scripts (`BFF_CSRF_COOKIE`) |
//! | bound | `__Host-bff_bound` | that the browser has proven its key, for some minutes (`SESSION_BINDING=device`) |
//!
//! `__Host-` keeps sibling subdomains and plain http from planting a cookie (RFC 6265bis section 4.1.3.2). It
//! requires `Secure`, `Path=/` and no `Domain`. `__Host-Http-` keeps scripts from it too; a browser that does not
//! know it sees `__Host-`. Therefore the session cookie is `__Http-` if `BFF_COOKIE_DOMAIN` shares it with
//! subdomains, and no cookie has a prefix without `Secure`. The other cookies are never shared: an attempt ends on
//! the host where it began. They keep `__Host-Http-` with a domain too, because a planted attempt logs a person in as
//! another one (attack 27).
//!
//! The names of the release before ([`former`]) are still read, and replaced.

mod bound;
mod csrf;
mod former;
mod read;

use std::{borrow::Cow, fmt, time::Duration};

use ::cookie::{Cookie, CookieBuilder};
use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::HeaderValue;

use super::SessionId;

pub use self::read::LoginCookie;

const HOST_HTTP_PREFIX: &str = "__Host-Http-";
const HTTP_PREFIX: &str = "__Http-";
const HOST_PREFIX: &str = "__Host-";
const SECURE_PREFIX: &str = "__Secure-";

const SESSION_NAME: &str = "bff_session";
const LOGIN_NAME: &str = "bff_login_";
const LOGOUT_NAME: &str = "bff_logout";
const LATEST_NAME: &str = "bff_latest";

/// 128 bits of the hash of `state`: 22 characters in a login cookie's name.
const LOGIN_HASH_LENGTH: usize = 16;

/// The maximum length of a cookie name, in bytes.
const MAX_NAME_LENGTH: usize = 64;

/// How many login cookies a browser may hold; an answer that sets one more clears the oldest.
pub const MAX_LOGIN_COOKIES: usize = 5;

/// Name and value of a login cookie together, in bytes; the limit of the logout cookie too. Browsers keep 4,096.
pub const MAX_LOGIN_COOKIE_LENGTH: usize = 3_500;

/// The maximum size of all login cookies of a browser together, in bytes on the wire. An answer that sets one more
/// clears the oldest. Proxies refuse a line of 8 KiB (nginx's default), and the application has cookies too.
pub const MAX_LOGIN_COOKIES_LENGTH: usize = 6 * 1024;

/// How long a login attempt, and the way back from a logout, may take.
pub const LOGIN_COOKIE_LIFETIME: Duration = Duration::from_mins(10);

/// The `SameSite` attribute of the session cookie (RFC 6265bis section 4.1.2.7). There is no `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SameSite {
    /// Sent when another site links here.
    Lax,
    /// Not even then.
    #[default]
    Strict,
}

/// The configuration of cookies.
#[derive(Clone, Debug)]
pub struct CookieOptions {
    /// `BFF_COOKIE_SECURE`: sent only over https.
    pub secure: bool,
    /// `BFF_COOKIE_DOMAIN`: the subdomains of this share the session cookie.
    pub domain: Option<String>,
    /// `BFF_COOKIE_SAMESITE`, for the session cookie.
    pub same_site: SameSite,
    /// `SESSION_COOKIE_NAME`, if it overrides the default.
    pub session_name: Option<String>,
    /// `BFF_CSRF_COOKIE`: whether scripts read the CSRF token from a cookie.
    pub csrf: bool,
}

/// Names, sets, clears, reads and recognises our cookies.
#[derive(Clone, Debug)]
pub struct CookiePolicy {
    secure: bool,
    domain: Option<String>,
    same_site: SameSite,
    csrf: bool,
    session: CookieName,
    /// The name of the session cookie in the former release, if that chose the name.
    former_session: Option<CookieName>,
    logout: CookieName,
    latest: CookieName,
    login_prefix: String,
}

/// The name of one of our cookies; only a [`CookiePolicy`] makes one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CookieName(String);

/// Options that contradict the rules of cookies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CookieOptionsError {
    /// Not a token (RFC 6265 section 4.1.1), or too long.
    #[error("a cookie's name is up to {MAX_NAME_LENGTH} letters, digits or any of !#$%&'*+-.^_`|~")]
    Name,
    /// The name of the login, logout or bound cookie.
    #[error("the name of the session cookie belongs to another cookie of the BFF")]
    NameTaken,
    /// `__Host-` with a domain or without `Secure`, or one of the other prefixes without `Secure`.
    #[error(
        "browsers refuse the prefix of the session cookie here: __Host- needs Secure and no domain, __Http- and __Secure- \
         need Secure"
    )]
    Prefix,
    /// Not a host name.
    #[error("the domain of cookies is not a host name")]
    Domain,
}

/// Why a login or logout cookie was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetCookieError {
    /// Longer than [`MAX_LOGIN_COOKIE_LENGTH`].
    #[error("the cookie would be longer than {MAX_LOGIN_COOKIE_LENGTH} bytes")]
    TooLong,
    /// Something else than letters, digits, `-` and `_`.
    #[error("the cookie's value is not base64url")]
    Value,
}

// === impl SameSite ===

impl From<SameSite> for ::cookie::SameSite {
    fn from(same_site: SameSite) -> Self {
        match same_site {
            SameSite::Lax => Self::Lax,
            SameSite::Strict => Self::Strict,
        }
    }
}

// === impl CookieOptions ===

impl Default for CookieOptions {
    fn default() -> Self {
        Self {
            secure: true,
            domain: None,
            same_site: SameSite::default(),
            session_name: None,
            csrf: false,
        }
    }
}

// === impl CookiePolicy ===

impl CookiePolicy {
    /// Checks `options` and decides on the names.
    ///
    /// # Errors
    ///
    /// [`CookieOptionsError`], the first thing that is wrong.
    pub fn new(options: CookieOptions) -> Result<Self, CookieOptionsError> {
        let CookieOptions {
            secure,
            domain,
            same_site,
            session_name,
            csrf,
        } = options;
        let domain = domain.as_deref().map(host_name).transpose()?;
        let private = if secure { HOST_HTTP_PREFIX } else { "" };
        let prefix = if secure && domain.is_some() {
            HTTP_PREFIX
        } else {
            private
        };
        let default = CookieName(format!("{prefix}{SESSION_NAME}"));
        let session = match session_name {
            Some(name) => CookieName(checked_name(name, secure, domain.is_some())?),
            None => default.clone(),
        };
        Ok(Self {
            former_session: default.former().filter(|_| session == default),
            secure,
            domain,
            same_site,
            csrf,
            session,
            logout: CookieName(format!("{private}{LOGOUT_NAME}")),
            latest: CookieName(format!("{private}{LATEST_NAME}")),
            login_prefix: format!("{private}{LOGIN_NAME}"),
        })
    }

    /// The session cookie's name.
    #[must_use]
    pub const fn session_name(&self) -> &CookieName {
        &self.session
    }

    /// The `SameSite` attribute of the session cookie.
    #[must_use]
    pub const fn same_site(&self) -> SameSite {
        self.same_site
    }

    /// The name of the cookie that keeps where to go after a logout.
    #[must_use]
    pub const fn logout_name(&self) -> &CookieName {
        &self.logout
    }

    /// The name of the cookie that keeps which session the last login gave.
    #[must_use]
    pub const fn latest_name(&self) -> &CookieName {
        &self.latest
    }

    /// The name of the cookie that keeps the login attempt with `state`: a hash, so that it names the attempt without
    /// giving `state` away.
    #[must_use]
    pub fn login_name(&self, state: &str) -> CookieName {
        let hash = digest::digest(&digest::SHA256, state.as_bytes());
        let hash = URL_SAFE_NO_PAD.encode(&hash.as_ref()[..LOGIN_HASH_LENGTH]);
        CookieName(format!("{}{hash}", self.login_prefix))
    }

    /// Whether a session of another host reaches `host`, because `BFF_COOKIE_DOMAIN` shares the cookie with it.
    #[must_use]
    pub fn reaches(&self, host: &str) -> bool {
        self.domain.as_deref().is_some_and(|domain| {
            let sub = host.strip_suffix(domain);
            sub.is_some_and(|sub| sub.is_empty() || sub.ends_with('.'))
        })
    }

    /// `Set-Cookie` that gives the browser a session for `max_age`.
    #[must_use]
    pub fn set_session(&self, id: &SessionId, max_age: Duration) -> HeaderValue {
        self.session_cookie(&self.session, &id.expose(), max_age)
    }

    /// `Set-Cookie` that takes the session cookie away.
    #[must_use]
    pub fn clear_session(&self) -> HeaderValue {
        self.session_cookie(&self.session, "", Duration::ZERO)
    }

    /// `Set-Cookie` that keeps `value`, which is sealed, in one of the other cookies for
    /// [`LOGIN_COOKIE_LIFETIME`]. Always `SameSite=Lax`: the IdP leads the browser back here from its own site.
    ///
    /// # Errors
    ///
    /// [`SetCookieError`] if the value is too long or not base64url.
    pub fn set_login(&self, name: &CookieName, value: &str) -> Result<HeaderValue, SetCookieError> {
        if name.0.len() + value.len() > MAX_LOGIN_COOKIE_LENGTH {
            return Err(SetCookieError::TooLong);
        }
        if !value.bytes().all(is_base64url) {
            return Err(SetCookieError::Value);
        }
        Ok(self.private_cookie(name, value, LOGIN_COOKIE_LIFETIME))
    }

    /// `Set-Cookie` that takes the cookie called `name` away.
    #[must_use]
    pub fn clear(&self, name: &CookieName) -> HeaderValue {
        if *name == self.session || self.former_session.as_ref() == Some(name) {
            return self.session_cookie(name, "", Duration::ZERO);
        }
        self.private_cookie(name, "", Duration::ZERO)
    }

    fn session_cookie(&self, name: &CookieName, value: &str, max_age: Duration) -> HeaderValue {
        let mut cookie = self.cookie(name, value, max_age).same_site(self.same_site.into());
        if let Some(domain) = &self.domain {
            cookie = cookie.domain(domain);
        }
        header(&cookie.build())
    }

    fn private_cookie(&self, name: &CookieName, value: &str, max_age: Duration) -> HeaderValue {
        header(
            &self
                .cookie(name, value, max_age)
                .same_site(::cookie::SameSite::Lax)
                .build(),
        )
    }

    /// The common attributes. The path is `/` for all: `__Host-` requires it, and a cookie that changed its path with
    /// its prefix could not be cleared after a change of the configuration.
    fn cookie<'a>(&self, name: &'a CookieName, value: &'a str, max_age: Duration) -> CookieBuilder<'a> {
        let max_age = max_age.try_into().unwrap_or(::cookie::time::Duration::MAX);
        Cookie::build((Cow::Borrowed(&*name.0), Cow::Borrowed(value)))
            .path("/")
            .max_age(max_age)
            .http_only(true)
            .secure(self.secure)
    }
}

fn header(cookie: &Cookie<'_>) -> HeaderValue {
    let mut header = HeaderValue::try_from(cookie.to_string()).unwrap_or_else(|_| {
        // Names, domains and values were checked on entry. A browser ignores an empty `Set-Cookie`, and without its
        // cookie the browser is logged out.
        tracing::error!("a cookie did not become a header");
        HeaderValue::from_static("")
    });
    header.set_sensitive(true);
    header
}

/// A domain for the `Domain` attribute: a leading dot means nothing (RFC 6265 section 5.2.3).
fn host_name(domain: &str) -> Result<String, CookieOptionsError> {
    let domain = domain.strip_prefix('.').unwrap_or(domain).to_ascii_lowercase();
    let label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if domain.len() <= 253 && domain.split('.').all(label) {
        Ok(domain)
    } else {
        Err(CookieOptionsError::Domain)
    }
}

/// `SESSION_COOKIE_NAME` as configured, if a browser takes it and it is not one of our other names.
fn checked_name(name: String, secure: bool, shared: bool) -> Result<String, CookieOptionsError> {
    if !(1..=MAX_NAME_LENGTH).contains(&name.len()) || !name.bytes().all(is_token) {
        return Err(CookieOptionsError::Name);
    }
    // Browsers compare prefixes without regard to case (RFC 6265bis section 5.7).
    let (prefix, base) = read::split_prefix(name.as_bytes());
    let refused = match prefix {
        Some(HOST_HTTP_PREFIX | HOST_PREFIX) => !secure || shared,
        Some(_) => !secure,
        None => false,
    };
    if refused {
        return Err(CookieOptionsError::Prefix);
    }
    if read::is_private(base) || bound::is_bound(base) || csrf::is_csrf(base) {
        return Err(CookieOptionsError::NameTaken);
    }
    Ok(name)
}

/// RFC 9110 section 5.6.2, `tchar`.
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
}

const fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

// === impl CookieName ===

impl CookieName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CookieName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests;
