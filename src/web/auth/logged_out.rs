//! `GET /auth/logged-out`: where the IdP sends people back after a logout.

use axum::{extract::State, response::Response};
use http::{header::SET_COOKIE, request::Parts};

use super::{
    super::{
        Web,
        page::{Action, Label, Page},
    },
    login::redirect,
};
use crate::seal::Purpose;

/// Goes on to where the person wanted to be, or says that it is done.
pub(in super::super) async fn handle(State(web): State<Web>, request: Parts) -> Response {
    let name = web.cookies.logout_name();
    let host = web.login_host_or_fallback(&request);
    let kept = web.cookies.value(&request.headers, name);
    let target = kept
        .and_then(|value| web.sealer.open_text(Purpose::LogoutReturn, &[], value))
        .and_then(|target| String::from_utf8(target).ok())
        .and_then(|target| web.login.targets().resolve(&target, host.origin()).ok());
    let mut response = target.map_or_else(|| done(&web, &request), |target| redirect(&target));
    if kept.is_some() {
        response.headers_mut().append(SET_COOKIE, web.cookies.clear(name));
    }
    response
}

fn done(web: &Web, request: &Parts) -> Response {
    let page = Page {
        key: "logged_out",
        fallback: ("You are logged out", "Your session here has ended."),
        answer: None,
        action: Some(Action::Link {
            label: Label::GoToStartPage,
            href: "/",
        }),
        start: None,
        footnote: None,
    };
    web.pages.respond(&request.headers, &page)
}
