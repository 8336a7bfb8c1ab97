//! The answers on paths that browsers request by themselves, if no route serves them.

use axum::response::{IntoResponse as _, Response};
use http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{ACCEPT, CACHE_CONTROL},
};

use super::{
    Web,
    envelope::Envelope,
    page::{Action, Label, Page},
    problem::Problem,
};
use crate::own_paths;

/// An answer in place of 404, if there is one: on `/` a page that says whether the person is logged in, and for the icon of
/// that page nothing at all.
pub(super) async fn instead_of_nothing(
    web: &Web,
    method: &Method,
    path: &str,
    request: Envelope<'_>,
) -> Result<Response, Problem> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Err(Problem::not_found());
    }
    match path {
        "/" if takes_page(request.headers) => match web.revisit(method, request.uri, request.headers) {
            Some(page) => Ok(page),
            None => show(web, request).await,
        },
        // Every browser requests it, and nobody reads a refusal.
        "/favicon.ico" => Ok(StatusCode::NOT_FOUND.into_response()),
        _ => Err(Problem::not_found()),
    }
}

async fn show(web: &Web, request: Envelope<'_>) -> Result<Response, Problem> {
    let is_logged_in = web.caller(request).await?.is_ok();
    let (key, fallback, label, href) = if is_logged_in {
        (
            "start_logged_in",
            ("You are logged in", "There is no page at this address."),
            Label::LogOut,
            own_paths::LOGOUT,
        )
    } else {
        (
            "start_logged_out",
            (
                "You are not logged in",
                "There is no page at this address, but you can log in here.",
            ),
            Label::LogIn,
            own_paths::LOGIN,
        )
    };
    let page = Page {
        key,
        fallback,
        answer: None,
        action: Some(Action::Link { label, href }),
        start: None,
        footnote: None,
    };
    let mut response = web.pages.respond(request.headers, &page);
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Whether the request is one of a browser for a page.
fn takes_page(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT).iter().any(|accept| {
        let ranges = accept.to_str().unwrap_or_default().split([',', ';']);
        ranges
            .map(str::trim)
            .any(|range| range.eq_ignore_ascii_case("text/html"))
    })
}
