//! The two CSRF checks of a call that changes state: it comes from one of our own origins, and it carries the CSRF token
//! of its session.

use http::{
    HeaderMap, HeaderName, Method,
    header::{ORIGIN, SET_COOKIE, UPGRADE},
    request::Parts,
};
use hyper::ext::Protocol;
use url::Origin;

use super::Web;
use crate::{
    seal::Sealer,
    session::{SessionKey, csrf_token, csrf_token_matches},
};

/// The header that carries the CSRF token.
const X_CSRF_TOKEN: HeaderName = HeaderName::from_static("x-csrf-token");
/// Its name in older pages of the original system. Some proxies drop it because of its `_`.
const OLD_CSRF_TOKEN: HeaderName = HeaderName::from_static("_csrf_token");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Origins whose pages may change state.
///
/// Taken from the configuration, never from the request: a `Host` header proves nothing. Kept in serialised form
/// (RFC 6454 section 6.2), in which browsers send them.
#[derive(Clone, Debug)]
pub struct OwnOrigins(Vec<String>);

/// The CSRF check that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CsrfError {
    /// The call comes from a foreign origin or does not name its origin.
    #[error(
        "the request does not come from an origin of this application, by its `Origin`, or without one by `Sec-Fetch-Site`"
    )]
    Origin,
    /// The CSRF token is absent or belongs to another session.
    #[error("the CSRF token is missing or not that of the session; read it from /auth/session")]
    Token,
}

/// Whether `method` may change state: all except those that RFC 9110 section 9.2.1 calls safe.
pub(crate) fn changes_state(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Whether the request opens a connection with unrestricted content, such as a WebSocket. Browsers send it from a
/// page of any origin, with cookies and without a preflight (RFC 6455 section 10.2).
///
/// Each sign counts alone, because proxies that ask for a decision omit some of them: nginx and Traefik drop
/// `Upgrade`, browsers send `Sec-Fetch-*` only over TLS, and Traefik calls the scheme `ws` or `wss`.
pub(crate) fn opens_tunnel(request: &Parts) -> bool {
    let headers = &request.headers;
    let any = |name: &HeaderName, sign: fn(&[u8]) -> bool| {
        headers
            .get_all(name)
            .iter()
            .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
            .any(|member| sign(member.trim_ascii()))
    };
    // RFC 8441 section 4: HTTP/2 has `:protocol` instead of `Upgrade`.
    request.extensions.get::<Protocol>().is_some()
        // An offer to continue in HTTP/2 (RFC 9110 section 7.8) stays a request.
        || any(&UPGRADE, |protocol| !protocol.is_empty() && !protocol.eq_ignore_ascii_case(b"h2c"))
        || headers.keys().any(|name| name.as_str().starts_with("sec-websocket-"))
        || [SEC_FETCH_MODE, SEC_FETCH_DEST].iter().any(|name| {
            any(name, |value| {
                value.eq_ignore_ascii_case(b"websocket") || value.eq_ignore_ascii_case(b"webtransport")
            })
        })
        || any(&X_FORWARDED_PROTO, |scheme| {
            scheme.eq_ignore_ascii_case(b"ws") || scheme.eq_ignore_ascii_case(b"wss")
        })
}

/// Whether the browser says that a page of the same origin led a person here by a click or a redirect of its own.
pub(crate) fn is_own_navigation(headers: &HeaderMap) -> bool {
    is(headers, &SEC_FETCH_SITE, "same-origin") && is(headers, &SEC_FETCH_MODE, "navigate")
}

/// Whether the browser says that a page of another site led here. Then a cookie with `SameSite=Strict` stays behind.
pub(crate) fn is_from_another_site(headers: &HeaderMap) -> bool {
    is(headers, &SEC_FETCH_SITE, "cross-site")
}

/// The second check: the header carries the CSRF token of the session.
pub(crate) fn check_token(headers: &HeaderMap, sealer: &Sealer, key: &SessionKey) -> Result<(), CsrfError> {
    let token = token(headers).ok_or(CsrfError::Token)?;
    if csrf_token_matches(sealer, key, token.as_bytes()) {
        Ok(())
    } else {
        Err(CsrfError::Token)
    }
}

/// The CSRF token that a request carries in its header, if there is exactly one.
pub(crate) fn token(headers: &HeaderMap) -> Option<&str> {
    let name = if headers.contains_key(X_CSRF_TOKEN) {
        &X_CSRF_TOKEN
    } else {
        &OLD_CSRF_TOKEN
    };
    single(headers, name)
}

fn is(headers: &HeaderMap, name: &HeaderName, value: &str) -> bool {
    single(headers, name) == Some(value)
}

fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

// === impl Web ===

impl Web {
    /// Tells pages of the original system the CSRF token of a session in a cookie, if that is configured.
    pub(crate) fn tell_csrf_token(&self, request: &HeaderMap, key: &SessionKey, answer: &mut HeaderMap) {
        let cookie = self.cookies.set_csrf(request, &csrf_token(&self.sealer, key));
        answer.extend(cookie.map(|cookie| (SET_COOKIE, cookie)));
    }
}

// === impl OwnOrigins ===

impl OwnOrigins {
    /// These origins are ours. An opaque origin is ignored: it serialises to `null`, which any sandboxed page sends.
    #[must_use]
    pub fn new(origins: &[Origin]) -> Self {
        let named = origins.iter().filter(|origin| origin.is_tuple());
        Self(named.map(Origin::ascii_serialization).collect())
    }

    /// The first check: `Origin` equals one of ours byte for byte. Without `Origin`, `Sec-Fetch-Site` has to be
    /// `same-origin`. The check does not parse the value, because browsers send exactly the serialised form.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<(), CsrfError> {
        let proven = if headers.contains_key(ORIGIN) {
            single(headers, &ORIGIN).is_some_and(|origin| self.0.iter().any(|own| own == origin))
        } else {
            is(headers, &SEC_FETCH_SITE, "same-origin")
        };
        if proven { Ok(()) } else { Err(CsrfError::Origin) }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Request};
    use url::Url;

    use super::*;

    fn check(headers: &[(&'static str, &str)]) -> bool {
        let own = [
            "https://automate.example",
            "https://b\u{fc}cher.example:8443",
            "http://[::1]:80",
            "data:x",
        ];
        let own = OwnOrigins::new(&own.map(|url| Url::parse(url).unwrap().origin()));
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        own.check(&map).is_ok()
    }

    #[test]
    fn an_own_origin_proves_itself() {
        assert!(check(&[("origin", "https://automate.example")]));
        assert!(check(&[("origin", "https://xn--bcher-kva.example:8443")]));
        assert!(check(&[("origin", "http://[::1]")]));
        assert!(check(&[("sec-fetch-site", "same-origin")]));
    }

    #[test]
    fn anything_else_proves_nothing() {
        for headers in [
            &[][..],
            &[("origin", "null")],
            &[("origin", "")],
            &[
                ("origin", "https://evil.example"),
                ("sec-fetch-site", "same-origin"),
            ],
            &[("origin", "http://automate.example")],
            // The same place in another spelling, which no browser sends.
            &[("origin", "https://automate.example:443")],
            &[("origin", "https://automate.example/")],
            &[("origin", "https://AUTOMATE.example")],
            &[("origin", "HTTPS://automate.example")],
            &[("origin", "https://automate.example.")],
            &[("origin", "https://user@automate.example")],
            &[("origin", "https://automate.example/x?y#z")],
            &[("origin", "https:\\\\automate.example")],
            &[("origin", "https:automate.example")],
            &[("origin", "https://automate%2eexample")],
            &[("origin", "https://automate.example https://automate.example")],
            &[("origin", "https://automate.example, https://automate.example")],
            &[("origin", "https://[0:0:0:0:0:0:0:1]")],
            &[("origin", "http://[::1]:80")],
            &[("origin", "https://b\u{fc}cher.example:8443")],
            &[("origin", "https://automate.example:444")],
            &[("origin", "https://automate.example.evil.example")],
            &[
                ("origin", "https://automate.example"),
                ("origin", "https://evil.example"),
            ],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "none")],
            &[
                ("host", "automate.example"),
                ("referer", "https://automate.example/"),
            ],
        ] {
            assert!(!check(headers), "{headers:?}");
        }
    }

    #[test]
    fn only_safe_methods_change_nothing() {
        for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
            assert!(!changes_state(&method));
        }
        for method in ["POST", "PUT", "PATCH", "DELETE", "TRACE", "PURGE", "get"] {
            assert!(
                changes_state(&Method::from_bytes(method.as_bytes()).unwrap()),
                "{method}"
            );
        }
    }

    fn opens(headers: &[(&str, &str)]) -> bool {
        let mut request = Request::get("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        opens_tunnel(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn attack_56_each_sign_of_a_websocket_counts_alone() {
        for header in [
            ("upgrade", "websocket"),
            ("upgrade", "WebSocket"),
            ("upgrade", "h2c, websocket"),
            ("upgrade", "something-new/1"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-websocket-version", "13"),
            ("sec-websocket-protocol", ""),
            ("sec-websocket-extensions", "permessage-deflate"),
            ("sec-fetch-mode", "websocket"),
            ("sec-fetch-dest", "websocket"),
            ("sec-fetch-mode", "webtransport"),
            ("x-forwarded-proto", "wss"),
            ("x-forwarded-proto", "https, ws"),
        ] {
            assert!(opens(&[header]), "{header:?}");
        }
        assert!(opens(&[("upgrade", "h2c"), ("upgrade", "websocket")]));
        let mut request = Request::get("/").body(()).unwrap().into_parts().0;
        request.extensions.insert(Protocol::from_static("websocket"));
        assert!(opens_tunnel(&request));
    }

    #[test]
    fn an_ordinary_request_opens_no_tunnel() {
        assert!(!opens(&[]));
        for header in [
            ("upgrade", "h2c"),
            ("upgrade", ""),
            ("connection", "upgrade"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
            ("x-forwarded-proto", "https"),
        ] {
            assert!(!opens(&[header]), "{header:?}");
        }
    }
}
