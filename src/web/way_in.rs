//! From a page without a session to the login, and back to exactly that page.

use std::{
    fmt::Write as _,
    sync::atomic::{AtomicBool, Ordering},
};

use axum::response::{IntoResponse as _, Response};
use http::{
    HeaderValue, StatusCode,
    header::{CACHE_CONTROL, LOCATION},
};
use url::Url;

use super::{Web, auth::login::again, peer::Client};
use crate::login::{hosts::LoginHost, return_to::ReturnToError};

/// A page on one of our hosts: the requested path and query, in the characters of a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Page(String);

// === impl Page ===

impl Page {
    /// The page of a request target in origin form (RFC 9112 section 3.2.1), or of an absolute URL, of which only
    /// path and query are used.
    ///
    /// Characters that a browser would have encoded are encoded, and nothing is decoded: the text comes back
    /// unchanged.
    pub(crate) fn of(target: &[u8]) -> Option<Self> {
        let target = path_and_query(target)?;
        let mut page = String::with_capacity(target.len());
        for &byte in target {
            if byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'#') {
                page.push(char::from(byte));
            } else {
                // Writing to a String cannot fail.
                let _ = write!(page, "%{byte:02X}");
            }
        }
        Some(Self(page))
    }

    /// As a URL on `origin`, which has the path `/`.
    fn on(&self, origin: &Url) -> String {
        format!("{}{}", origin.as_str().trim_end_matches('/'), self.0)
    }
}

/// The rest after scheme and host, if there are any.
fn path_and_query(target: &[u8]) -> Option<&[u8]> {
    let rest = [&b"https://"[..], b"http://"]
        .iter()
        .find_map(|scheme| target.strip_prefix(*scheme));
    match rest {
        None => target.starts_with(b"/").then_some(target),
        Some(rest) => rest
            .iter()
            .position(|byte| *byte == b'/')
            .map(|path| &rest[path..]),
    }
}

// === impl Web ===

impl Web {
    /// The path of the login that leads back to `page`, for a browser that is on our own host.
    pub(crate) fn login_path(&self, client: &Client, page: &Page) -> String {
        again(self.return_to_page(client, page).as_deref())
    }

    /// `page` as a target of a login, for a browser that is on our own host.
    pub(crate) fn return_to_page(&self, client: &Client, page: &Page) -> Option<String> {
        let hosts = self.login.hosts();
        let host = hosts.find(&client.host).unwrap_or_else(|| hosts.fallback());
        self.return_to(host, page)
    }

    /// The URL of the login that leads back to `page` on the host of `client`, from which a proxy asks. `None` if a
    /// login for that host is impossible: it has no redirect URI, and it does not share the session of the fallback
    /// host.
    pub(crate) fn login_url(&self, client: &Client, page: Option<&Page>) -> Option<Url> {
        let hosts = self.login.hosts();
        let (host, return_to) = match hosts.find(&client.host) {
            Some(host) => (host, page.and_then(|page| self.return_to(host, page))),
            None => (hosts.fallback(), Some(self.return_elsewhere(client, page)?)),
        };
        host.origin().join(&again(return_to.as_deref())).ok()
    }

    /// `page` as a target on `host`, if it may be one.
    fn return_to(&self, host: &LoginHost, page: &Page) -> Option<String> {
        // A path that begins with two slashes would be read as a host.
        let target = if page.0.starts_with("//") {
            page.on(host.origin())
        } else {
            page.0.clone()
        };
        self.allowed(target, host)
    }

    /// `page` on a host without logins that shares the session cookie and is an allowed target.
    fn return_elsewhere(&self, client: &Client, page: Option<&Page>) -> Option<String> {
        let scheme = if client.https == Some(false) {
            "http"
        } else {
            "https"
        };
        let origin = Url::parse(&format!("{scheme}://{}/", client.host)).ok()?;
        if !self.cookies.reaches(origin.host_str()?) {
            return None;
        }
        let host = self.login.hosts().fallback();
        page.and_then(|page| self.allowed(page.on(&origin), host))
            .or_else(|| self.allowed(origin.to_string(), host))
    }

    /// A page whose address is too long is omitted: the login then ends on the start page. The log says so once.
    fn allowed(&self, target: String, host: &LoginHost) -> Option<String> {
        static SAID: AtomicBool = AtomicBool::new(false);
        match self.login.targets().resolve(&target, host.origin()) {
            Ok(_) => Some(target),
            Err(error) => {
                if error == ReturnToError::TooLong && !SAID.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        bytes = target.len(),
                        "the address of a page is too long to come back to after the login, which ends on the start page"
                    );
                }
                None
            }
        }
    }
}

/// Sends the browser to `location`, for this once.
pub(crate) fn redirect(location: &str) -> Option<Response> {
    let location = HeaderValue::try_from(location).ok()?;
    let headers = [
        (LOCATION, location),
        // No cache may send a person to the login who has a session by now.
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Some((StatusCode::FOUND, headers).into_response())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn page(target: &[u8]) -> Option<String> {
        Page::of(target).map(|page| page.0)
    }

    #[test]
    fn a_page_keeps_every_byte() {
        for (target, expected) in [
            ("/", "/"),
            ("/a/b?c=d&e=f%26g&h=%20+%2B", "/a/b?c=d&e=f%26g&h=%20+%2B"),
            ("/a?b=/c?d&&=", "/a?b=/c?d&&="),
            ("/100%", "/100%"),
            ("/a b?c d", "/a%20b?c%20d"),
            ("/z\u{fc}rich?caf\u{e9}", "/z%C3%BCrich?caf%C3%A9"),
            ("/a\\b", "/a%5Cb"),
            ("/a#b", "/a%23b"),
            ("/a\r\nb\0", "/a%0D%0Ab%00"),
            ("//evil.example/a", "//evil.example/a"),
            ("https://app.example/a?b=c", "/a?b=c"),
            ("http://app.example:8080//a", "//a"),
        ] {
            assert_eq!(page(target.as_bytes()).as_deref(), Some(expected), "{target:?}");
        }
        assert_eq!(page(b"/\xff?\xfe").as_deref(), Some("/%FF?%FE"));
        for target in [
            "",
            "a",
            "*",
            "?a",
            "app.example/a",
            "https://app.example",
            "ftp://app.example/a",
        ] {
            assert_eq!(page(target.as_bytes()), None, "{target:?}");
        }
    }

    proptest! {
        #[test]
        fn attack_8_a_page_is_a_path_in_printable_ascii(target in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Some(page) = page(&target) {
                prop_assert!(page.starts_with('/'));
                prop_assert!(page.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\' && byte != b'#'));
            }
        }
    }
}
