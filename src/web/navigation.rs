//! Whether a person opens a page with the request, so that a login may take its place.

use http::{
    HeaderMap, HeaderName, Method,
    header::{ACCEPT, HeaderValue},
};

use super::prefetch;
use crate::gateway::Unauthenticated;

const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// The purpose of a request without a session, as far as it states one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Visit {
    /// A person opens a page: the browser's window shows the answer.
    Page,
    /// A GET of unknown purpose.
    Unsaid,
    /// A call of a script, a part of a page, a frame, a form, or something fetched ahead of time.
    Other,
}

// === impl Visit ===

impl Visit {
    /// The purpose of a request with this method and these header fields.
    ///
    /// Browsers say it in `Sec-Fetch-Mode` and `Sec-Fetch-Dest` (Fetch Metadata), but only over TLS and on loopback. Where
    /// both are absent, `Accept` decides: scripts do not ask for HTML.
    pub(crate) fn of(method: &Method, headers: &HeaderMap) -> Self {
        if method != Method::GET {
            return Self::Other;
        }
        let visit = match (one(headers, &SEC_FETCH_MODE), one(headers, &SEC_FETCH_DEST)) {
            (Some(b"navigate"), Some(b"document")) => Self::Page,
            (None, None) if accepts_html(headers) => Self::Page,
            (None, None) => Self::Unsaid,
            _ => return Self::Other,
        };
        if prefetch::is_ahead(headers) {
            Self::Other
        } else {
            visit
        }
    }
}

impl Visit {
    /// Whether the login is the answer to this visit without a session, on a route with this setting.
    pub(crate) fn goes_to_the_login(self, unauthenticated: Unauthenticated) -> bool {
        match unauthenticated {
            Unauthenticated::ByRequest => self == Self::Page,
            Unauthenticated::Login => self != Self::Other,
            Unauthenticated::Refuse => false,
        }
    }
}

/// Whether the browser shows the answer as a page, in its window or in a frame, or would show it so later.
pub(crate) fn wants_page(headers: &HeaderMap) -> bool {
    match one(headers, &SEC_FETCH_MODE) {
        Some(mode) => mode == b"navigate",
        None => one(headers, &SEC_FETCH_DEST).is_none() && accepts_html(headers),
    }
}

/// The value of a field; an impossible value if there are several lines.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut lines = headers.get_all(name).iter().map(HeaderValue::as_bytes);
    let first = lines.next()?;
    Some(if lines.next().is_some() { b"" } else { first })
}

fn accepts_html(headers: &HeaderMap) -> bool {
    headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .any(|range| {
            let mut parts = range.split(';').map(str::trim);
            let html = parts.next().is_some_and(|media| {
                media.eq_ignore_ascii_case("text/html") || media.eq_ignore_ascii_case("application/xhtml+xml")
            });
            // RFC 9110 section 12.4.2: a weight of nothing means "not this".
            html && !parts.any(|part| {
                part.split_once('=').is_some_and(|(name, weight)| {
                    name.trim().eq_ignore_ascii_case("q")
                        && weight.trim().parse::<f32>().is_ok_and(|q| q <= 0.0)
                })
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visit(method: &Method, headers: &[(&'static str, &'static str)]) -> Visit {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        Visit::of(method, &map)
    }

    const PAGE: [(&str, &str); 2] = [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
    const HTML: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");

    #[test]
    fn a_page_is_wanted_by_navigations_alone() {
        for (headers, expected) in [
            (&PAGE[..], true),
            (
                &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")],
                true,
            ),
            (&[HTML], true),
            (
                &[("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty"), HTML],
                false,
            ),
            (
                &[("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "script")],
                false,
            ),
            (&[("sec-fetch-dest", "script"), HTML], false),
            (&[("accept", "*/*")], false),
            (&[], false),
        ] {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(*name, HeaderValue::from_static(value));
            }
            assert_eq!(wants_page(&map), expected, "{headers:?}");
        }
    }

    #[test]
    fn a_person_who_opens_a_page_is_known_by_what_the_browser_says() {
        assert_eq!(visit(&Method::GET, &PAGE), Visit::Page);
        assert_eq!(
            visit(&Method::GET, &[PAGE[0], PAGE[1], ("accept", "*/*")]),
            Visit::Page
        );
        assert_eq!(visit(&Method::GET, &[HTML]), Visit::Page);
        assert_eq!(
            visit(&Method::GET, &[("accept", "TEXT/HTML;charset=utf-8")]),
            Visit::Page
        );
        assert_eq!(visit(&Method::GET, &[("accept", "a/b"), HTML]), Visit::Page);
    }

    #[test]
    fn a_get_that_says_nothing_is_left_open() {
        for accept in [
            "*/*",
            "application/json",
            "text/html;q=0",
            "text/html; Q=0.000",
            "text/htm",
            "",
        ] {
            assert_eq!(
                visit(&Method::GET, &[("accept", accept)]),
                Visit::Unsaid,
                "{accept}"
            );
        }
        assert_eq!(visit(&Method::GET, &[]), Visit::Unsaid);
    }

    #[test]
    fn calls_forms_frames_and_parts_of_a_page_are_something_else() {
        for method in [Method::POST, Method::HEAD, Method::PUT, Method::OPTIONS] {
            assert_eq!(visit(&method, &PAGE), Visit::Other, "{method}");
            assert_eq!(visit(&method, &[HTML]), Visit::Other, "{method}");
        }
        for (mode, dest) in [
            ("cors", "empty"),
            ("same-origin", "empty"),
            ("no-cors", "image"),
            ("navigate", "iframe"),
            ("navigate", "frame"),
            ("navigate", "embed"),
            ("navigate", "object"),
            ("navigate", "empty"),
            ("websocket", "websocket"),
            ("cors", "document"),
        ] {
            let headers = [("sec-fetch-mode", mode), ("sec-fetch-dest", dest), HTML];
            assert_eq!(visit(&Method::GET, &headers), Visit::Other, "{mode} {dest}");
        }
        for half in PAGE {
            assert_eq!(visit(&Method::GET, &[half, HTML]), Visit::Other, "{half:?}");
        }
        let twice = [PAGE[0], PAGE[0], PAGE[1], HTML];
        assert_eq!(visit(&Method::GET, &twice), Visit::Other);
    }

    #[test]
    fn attack_45_what_is_fetched_ahead_of_time_begins_no_login() {
        for sign in [
            ("sec-purpose", "prefetch"),
            ("sec-purpose", "prefetch;prerender"),
            ("sec-purpose", "prefetch;anonymous-client-ip"),
            ("purpose", "prefetch"),
            ("purpose", "Prerender"),
            ("x-moz", "prefetch"),
            ("x-purpose", "preview"),
        ] {
            assert_eq!(
                visit(&Method::GET, &[PAGE[0], PAGE[1], sign]),
                Visit::Other,
                "{sign:?}"
            );
            assert_eq!(visit(&Method::GET, &[HTML, sign]), Visit::Other, "{sign:?}");
        }
    }
}
