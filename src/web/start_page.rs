//! What a person gets on paths that browsers ask for by themselves, where no route serves them.

use axum::response::{IntoResponse as _, Response};
use http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{ACCEPT, CACHE_CONTROL},
};
use serde_json::Value;

use super::{Web, page, problem::Problem};

/// An answer in place of 404, if there is one: on `/` a page that says whether the person is logged in, and for the icon of
/// that page nothing at all.
pub(super) async fn instead_of_nothing(
    web: &Web,
    method: &Method,
    path: &str,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Err(Problem::not_found());
    }
    match path {
        "/" if takes_page(headers) => show(web, headers).await,
        // Every browser asks for it, and nobody reads what a refusal says.
        "/favicon.ico" => Ok(StatusCode::NOT_FOUND.into_response()),
        _ => Err(Problem::not_found()),
    }
}

async fn show(web: &Web, headers: &HeaderMap) -> Result<Response, Problem> {
    let name = web.caller(headers).await?.map(|caller| {
        let session = &caller.stored.session;
        let name = session.user.get("name").and_then(Value::as_str);
        name.unwrap_or(&session.subject).to_owned()
    });
    let (title, text, label, href) = match &name {
        Some(name) => (
            "You are logged in",
            format!("You are logged in as {name}. There is no page here."),
            "Log out",
            "/auth/logout",
        ),
        None => (
            "You are not logged in",
            "There is no page here, but you can log in.".to_owned(),
            "Log in",
            "/auth/login",
        ),
    };
    let mut response = page::respond(&page::Page {
        title,
        text: &text,
        action: Some(page::Action::Link { label, href }),
        footnote: None,
    });
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
