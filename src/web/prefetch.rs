//! Requests that no person has made: a prefetch, a prerender, a HEAD. They change nothing.
//!
//! `/auth/login` starts an attempt, `/auth/callback` uses up a code, and `/auth/logout` ends a session, each with a
//! GET, because browsers get there by links and redirects. Therefore a prefetch, or a scanner that follows links
//! before a person does, must not act there (attack 45).

use axum::{
    extract::Request,
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderName, Method, StatusCode};

use super::{
    page::Label,
    problem::{Code, Problem},
};

/// The fields in which browsers announce it, old and new.
const FIELDS: [HeaderName; 4] = [
    HeaderName::from_static("sec-purpose"),
    HeaderName::from_static("purpose"),
    HeaderName::from_static("x-purpose"),
    HeaderName::from_static("x-moz"),
];

/// The layer around the endpoints that act on GET.
///
/// HEAD gets an empty answer: a client that only checks a link learns that it works. A prefetch is refused, so that
/// the browser drops it and asks again when the person really goes there.
pub(super) async fn keep_from_acting(request: Request, next: Next) -> Response {
    if request.method() == Method::HEAD {
        return StatusCode::NO_CONTENT.into_response();
    }
    if is_ahead(request.headers()) {
        let detail =
            "The browser loaded this page before you opened it, so nothing has happened. Open it again.";
        let problem = Problem::new(Code::PrefetchRefused, detail);
        return problem.for_person(Label::GoToStartPage, "/").into_response();
    }
    next.run(request).await
}

/// Whether the browser says that this is a prefetch.
pub(super) fn is_ahead(headers: &HeaderMap) -> bool {
    FIELDS
        .iter()
        .filter(|field| headers.contains_key(*field))
        .flat_map(|field| headers.get_all(field))
        .any(|value| {
            let value = value.as_bytes().to_ascii_lowercase();
            ["prefetch", "prerender", "preview"].iter().any(|purpose| {
                value
                    .windows(purpose.len())
                    .any(|part| part == purpose.as_bytes())
            })
        })
}
