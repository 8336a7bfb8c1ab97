//! The bound cookie: it lives for minutes, and the browser gets the next one only for a proof of its key (Device Bound
//! Session Credentials).

use std::time::Duration;

use http::{HeaderMap, HeaderValue};

use super::{
    CookieName, CookiePolicy, HOST_PREFIX, SameSite, header, is_base64url,
    read::{Sent, sent},
};

/// Its name: only this host can set it. Chromium 156 binds no cookie whose name begins with `__Host-Http-`. Without
/// `Secure` there is no such cookie, because browsers bind nothing over plain http.
const NAME: &str = "__Host-bff_bound";

/// The browser sends it when another site leads here, together with a session cookie that is not strict. It also
/// sends it with the callback, where it proves which session the new one may replace. It opens nothing by itself.
const SAME_SITE: SameSite = SameSite::Lax;

/// Whether a name without the prefix `__Host-` or `__Secure-` is that of the bound cookie, in any spelling.
pub(super) fn is_bound(base: &[u8]) -> bool {
    let own = NAME.as_bytes().get(HOST_PREFIX.len()..).unwrap_or_default();
    base.eq_ignore_ascii_case(own)
}

// === impl CookiePolicy ===

impl CookiePolicy {
    /// The name of the bound cookie.
    #[must_use]
    pub const fn bound_name(&self) -> &'static str {
        NAME
    }

    /// `Set-Cookie` that gives the browser `value`, in base64url, for `max_age`.
    #[must_use]
    pub fn set_bound(&self, value: &str, max_age: Duration) -> HeaderValue {
        let name = CookieName(NAME.to_owned());
        let cookie = self.cookie(&name, value, max_age);
        header(&cookie.secure(true).same_site(SAME_SITE.into()).build())
    }

    /// `Set-Cookie` that takes it away, so that the browser has to prove its key again.
    #[must_use]
    pub fn clear_bound(&self) -> HeaderValue {
        self.set_bound("", Duration::ZERO)
    }

    /// Its attributes as announced to the browser: those of [`set_bound`](Self::set_bound).
    #[must_use]
    pub const fn bound_attributes(&self) -> &'static str {
        "Path=/; Secure; HttpOnly; SameSite=Lax"
    }

    /// The value that the browser sent. `None` if it sent none, several, or one that is not base64url.
    #[must_use]
    pub fn bound<'a>(&self, headers: &'a HeaderMap) -> Option<&'a [u8]> {
        match sent(headers, NAME) {
            Sent::Once(value) if value.iter().copied().all(is_base64url) => Some(value),
            Sent::Once(_) | Sent::Never | Sent::Often => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::header::COOKIE;

    use super::super::CookieOptions;
    use super::*;

    fn policy() -> CookiePolicy {
        CookiePolicy::new(CookieOptions::default()).unwrap()
    }

    fn sent(lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, HeaderValue::from_str(line).unwrap());
        }
        headers
    }

    #[test]
    fn it_is_set_as_the_browser_was_told() {
        let policy = policy();
        let set = policy.set_bound("abc", Duration::from_mins(10));
        let set: Vec<&str> = set.to_str().unwrap().split("; ").collect();
        assert_eq!(set[0], "__Host-bff_bound=abc");
        let mut told: Vec<&str> = policy.bound_attributes().split("; ").collect();
        told.push("Max-Age=600");
        told.sort_unstable();
        let mut rest = set[1..].to_vec();
        rest.sort_unstable();
        assert_eq!(rest, told);
        let cleared = policy.clear_bound();
        assert!(cleared.to_str().unwrap().contains("Max-Age=0"));
    }

    #[test]
    fn one_that_is_sent_twice_or_is_none_of_ours_counts_as_absent() {
        let policy = policy();
        let read = |lines: &[&str]| policy.bound(&sent(lines)).map(<[u8]>::to_vec);
        assert_eq!(read(&["a=1; __Host-bff_bound=abc; b=2"]).unwrap(), b"abc");
        for lines in [
            &["a=1"] as &[&str],
            &["__Host-bff_bound=abc; __Host-bff_bound=abc"],
            &["__Host-bff_bound=abc", "__Host-bff_bound=abd"],
            &["__Host-bff_bound=a b"],
            &["__host-bff_bound=abc"],
            &["bff_bound=abc"],
        ] {
            assert_eq!(read(lines), None, "{lines:?}");
        }
    }

    #[test]
    fn attack_6_and_28_no_api_sees_it_or_sets_it() {
        let policy = policy();
        for name in [
            "__Host-bff_bound",
            "__HOST-BFF_BOUND",
            "bff_bound",
            "__Secure-bff_bound",
        ] {
            assert!(policy.is_ours(name.as_bytes()), "{name}");
            let sent = sent(&[&format!("a=1; {name}=abc")]);
            assert_eq!(policy.strip_ours(&sent).unwrap(), "a=1");
            assert!(policy.drops_ours(&HeaderValue::from_str(&format!("{name}=x")).unwrap()));
        }
    }
}
