//! The two proofs that a call which changes state needs: that it comes from one of our own origins, and that it knows
//! the CSRF token of its session.

use http::{HeaderMap, HeaderName, Method, header::ORIGIN};
use url::{Origin, Url};

use crate::{
    seal::Sealer,
    session::{SessionKey, csrf_token_matches},
};

/// The header that carries the CSRF token.
pub(crate) const X_CSRF_TOKEN: HeaderName = HeaderName::from_static("x-csrf-token");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// Origins whose pages may change state.
///
/// Taken from the configuration, never from the request: a `Host` header proves nothing.
#[derive(Clone, Debug)]
pub struct OwnOrigins(Vec<Origin>);

/// Which proof is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProofError {
    /// The call comes from a foreign origin, or does not say where from.
    #[error("the request does not come from an origin of this application")]
    Origin,
    /// No CSRF token, or not that of the session.
    #[error("the CSRF token is missing or not that of the session; read it from /auth/session")]
    Token,
}

/// Whether `method` may change state: all but those that RFC 9110 section 9.2.1 calls safe.
pub(crate) fn changes_state(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Whether the browser says that a page of the same origin led a person here by a click or a redirect of its own.
pub(crate) fn is_own_navigation(headers: &HeaderMap) -> bool {
    is(headers, &SEC_FETCH_SITE, "same-origin") && is(headers, &SEC_FETCH_MODE, "navigate")
}

/// The second proof: the token in its header is the session's.
pub(crate) fn check_token(headers: &HeaderMap, sealer: &Sealer, key: &SessionKey) -> Result<(), ProofError> {
    let token = single(headers, &X_CSRF_TOKEN).ok_or(ProofError::Token)?;
    if csrf_token_matches(sealer, key, token.as_bytes()) {
        Ok(())
    } else {
        Err(ProofError::Token)
    }
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

// === impl OwnOrigins ===

impl OwnOrigins {
    /// These origins are ours.
    #[must_use]
    pub const fn new(origins: Vec<Origin>) -> Self {
        Self(origins)
    }

    /// The first proof: `Origin` is one of ours; where there is none, `Sec-Fetch-Site` says `same-origin`.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<(), ProofError> {
        let proven = if headers.contains_key(ORIGIN) {
            single(headers, &ORIGIN)
                .filter(|origin| *origin != "null")
                .and_then(|origin| Url::parse(origin).ok())
                .is_some_and(|origin| self.0.contains(&origin.origin()))
        } else {
            is(headers, &SEC_FETCH_SITE, "same-origin")
        };
        if proven { Ok(()) } else { Err(ProofError::Origin) }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn check(headers: &[(&'static str, &str)]) -> bool {
        let own = OwnOrigins::new(vec![Url::parse("https://automate.example").unwrap().origin()]);
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        own.check(&map).is_ok()
    }

    #[test]
    fn an_own_origin_proves_itself() {
        assert!(check(&[("origin", "https://automate.example")]));
        assert!(check(&[("origin", "https://automate.example:443")]));
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
}
