//! The client's preferences: a page or a document, and its language.

use http::{
    HeaderMap, HeaderValue,
    header::{ACCEPT, ACCEPT_LANGUAGE},
};

/// The client's preferences according to the request.
#[derive(Clone, Debug)]
pub(in super::super) struct Preferences {
    pub(super) accept: Option<HeaderValue>,
    pub(super) accept_language: Option<HeaderValue>,
}

// === impl Preferences ===

impl Preferences {
    /// Those of a request.
    pub(in super::super) fn of(headers: &HeaderMap) -> Self {
        Self {
            accept: headers.get(ACCEPT).cloned(),
            accept_language: headers.get(ACCEPT_LANGUAGE).cloned(),
        }
    }
}

/// Whether the request asks for JSON rather than for a page.
pub(crate) fn wants_json(headers: &HeaderMap) -> bool {
    accepts_json(headers.get(ACCEPT))
}

/// The same, given the value of `Accept`.
pub(super) fn accepts_json(accept: Option<&HeaderValue>) -> bool {
    !accepts(accept, "text/html")
        && (accepts(accept, "application/json") || accepts(accept, "application/problem+json"))
}

/// Whether `Accept` lists a media type by its name.
pub(super) fn accepts(accept: Option<&HeaderValue>, wanted: &str) -> bool {
    let accept = accept.and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    accept.split(',').any(|range| {
        range
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .eq_ignore_ascii_case(wanted)
    })
}
