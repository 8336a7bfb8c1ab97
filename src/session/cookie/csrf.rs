//! The CSRF token in a cookie, for pages that were written for the original system (`BFF_CSRF_COOKIE`).
//!
//! Scripts read it and send the token in a header. The cookie itself proves nothing: a browser sends it from any page, and a
//! sibling subdomain can set it.

use ::cookie::Cookie;
use http::{HeaderMap, HeaderValue};

use super::{
    CookiePolicy, header,
    read::{Sent, sent},
};

const NAME: &str = "_eid_csrf_v1";

/// Whether a name without prefix is that of this cookie, in any spelling.
pub(super) fn is_csrf(base: &[u8]) -> bool {
    base.eq_ignore_ascii_case(NAME.as_bytes())
}

// === impl CookiePolicy ===

impl CookiePolicy {
    /// `Set-Cookie` that tells pages the `token`, until the browser ends. `None` if that is not configured, or if the
    /// browser sent exactly this token.
    #[must_use]
    pub fn set_csrf(&self, request: &HeaderMap, token: &str) -> Option<HeaderValue> {
        if !self.csrf || sent(request, NAME) == Sent::Once(token.as_bytes()) {
            return None;
        }
        let cookie = Cookie::build((NAME, token))
            .path("/")
            .secure(self.secure)
            .same_site(self.same_site.into());
        Some(header(&cookie.build()))
    }

    /// `Set-Cookie` that takes it away, if the browser sent it.
    #[must_use]
    pub fn clear_csrf(&self, request: &HeaderMap) -> Option<HeaderValue> {
        if sent(request, NAME) == Sent::Never {
            return None;
        }
        let cookie = Cookie::build((NAME, ""))
            .path("/")
            .secure(self.secure)
            .same_site(self.same_site.into())
            .max_age(::cookie::time::Duration::ZERO);
        Some(header(&cookie.build()))
    }
}
