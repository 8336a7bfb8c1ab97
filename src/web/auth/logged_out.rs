//! `GET /auth/logged-out`: the IdP sends people back to it after a logout.

use axum::{extract::State, response::Response};
use http::{header::SET_COOKIE, request::Parts};

use super::{
    super::{
        Web,
        caller::Caller,
        envelope::Envelope,
        page::{Action, Label, Page},
        problem::Problem,
    },
    login::redirect,
};
use crate::{own_paths, seal::Purpose, session::csrf_token};

/// Redirects to the person's target, or shows that the logout is done.
pub(in super::super) async fn handle(State(web): State<Web>, request: Parts) -> Result<Response, Problem> {
    let name = web.cookies.logout_name();
    let host = web.login_host_or_fallback(&request);
    let kept = web
        .cookies
        .value(&request.headers, name)
        .and_then(|value| web.sealer.open_text(Purpose::LogoutReturn, &[], value));
    let has_logged_out = kept.is_some();
    let target = kept
        .and_then(|target| String::from_utf8(target).ok())
        .and_then(|target| web.login.targets().resolve(&target, host.origin()).ok());
    let mut response = match target {
        Some(target) => redirect(&target),
        None if has_logged_out => page(&web, &request).await?,
        // A person has opened this address, and the cookie of a session may not have been sent.
        None => match web.revisit(&request.method, &request.uri, &request.headers) {
            Some(page) => page,
            None => page(&web, &request).await?,
        },
    };
    for cleared in web.cookies.clear_sent(&request.headers, name) {
        response.headers_mut().append(SET_COOKIE, cleared);
    }
    Ok(response)
}

/// Anybody can open this address, also with a living session: the page must not claim then that it has ended.
async fn page(web: &Web, request: &Parts) -> Result<Response, Problem> {
    let caller = web
        .caller(Envelope::from(request))
        .await
        .map_err(|error| Problem::from(error).for_person(Label::GoToStartPage, "/"))?;
    Ok(match caller {
        Ok(caller) => not_done(web, request, &caller),
        Err(_) => done(web, request),
    })
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

fn not_done(web: &Web, request: &Parts, caller: &Caller) -> Response {
    let token = csrf_token(&web.sealer, &caller.key);
    let page = Page {
        key: "not_logged_out",
        fallback: (
            "You are still logged in",
            "Your session here has not ended. Press the button to end it.",
        ),
        answer: None,
        action: Some(Action::Post {
            label: Label::LogOut,
            path: own_paths::LOGOUT,
            fields: &[("csrf_token", token.as_str())],
        }),
        start: Some((Label::StayLoggedIn, "/")),
        footnote: None,
    };
    web.pages.respond(&request.headers, &page)
}
