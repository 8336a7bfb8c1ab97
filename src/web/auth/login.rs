//! `GET /auth/login`: sends the browser to the IdP.

mod initiated;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{LOCATION, SET_COOKIE},
    request::Parts,
};
use tracing::Level;
use url::Url;

pub(in super::super) use self::initiated::post;
use super::{
    super::{
        Web,
        envelope::Envelope,
        page::Label,
        problem::{Code, Problem},
        query::Parameters,
        revisit::{self, is_revisit},
    },
    Elsewhere, FALLBACK_MARK,
};
use crate::{
    diagnostic::Explain as _,
    login::{LoginQuery, Start, StartError, hosts::LoginHost, return_to::ReturnToError},
    oidc::CallError,
    own_paths,
    session::{MAX_LOGIN_COOKIES, MAX_LOGIN_COOKIES_LENGTH, SetCookieError},
};

/// The parameters that name where to go afterwards.
const TARGETS: [&str; 3] = ["return_to", "returnUrl", initiated::TARGET];

/// All the others.
const OTHERS: [&str; 11] = [
    "prompt",
    "login_hint",
    "ui_locales",
    "acr_values",
    "max_age",
    "domain_hint",
    "tenant",
    "iss",
    "client_id",
    FALLBACK_MARK,
    revisit::MARK,
];

/// Starts a login.
pub(in super::super) async fn handle(State(web): State<Web>, request: Parts) -> Response {
    let mut query = match read(&request) {
        Ok(query) => query,
        Err(problem) => return problem.for_person(Label::GoToStartPage, "/").into_response(),
    };
    let Some(host) = web.login_host(&request) else {
        web.notice_unknown_host(&web.client(&request).host);
        return match web.elsewhere(&request) {
            Elsewhere::Redirect(url) => redirect(&url),
            Elsewhere::Refuse(problem) => problem.into_response(),
        };
    };
    if let Some(page) = web.revisit(&request.method, &request.uri, &request.headers) {
        return page;
    }
    let again = again(query.return_to.as_deref());
    match session_of_a_revisit(&web, &request, &query).await {
        Ok(false) => {}
        Ok(true) => return go_on(&web, host, query.return_to.as_deref()),
        Err(problem) => return problem.for_person(Label::TryAgain, again).into_response(),
    }
    if let Err(problem) = web.limit_logins(&request).await {
        return problem.for_person(Label::TryAgain, again).into_response();
    }
    query.previous = web.replaceable(Envelope::from(&request)).await;
    let start = match web.login.start(host, query).await {
        Ok(start) => start,
        Err(error) => return problem(&error, again).into_response(),
    };
    begin(&web, &request.headers, &start, again)
}

/// Whether a person from another site is logged in here, which the first visit could not show. A login with
/// requirements, or one that another site requests, goes to the IdP all the same.
async fn session_of_a_revisit(web: &Web, request: &Parts, query: &LoginQuery) -> Result<bool, Problem> {
    let needs_the_idp = query.is_demanding() || query.initiated.is_some();
    Ok(is_revisit(&request.uri) && !needs_the_idp && web.caller(Envelope::from(request)).await?.is_ok())
}

/// Sends a logged-in person to the target of the login.
fn go_on(web: &Web, host: &LoginHost, return_to: Option<&str>) -> Response {
    let target = return_to.unwrap_or("/");
    match web.login.targets().resolve(target, host.origin()) {
        Ok(target) => redirect(&target),
        Err(error) => problem(&StartError::ReturnTo(error), again(return_to)).into_response(),
    }
}

/// Sends the browser to the IdP with a cookie for the started login; `again` is the URL to start it again.
pub(super) fn begin(web: &Web, request: &HeaderMap, start: &Start, again: String) -> Response {
    let name = web.cookies.login_name(start.state.expose());
    let cookie = match web.cookies.set_login(&name, &start.cookie_value) {
        Ok(cookie) => cookie,
        // Only `return_to` has no bound of its own in the sealed form, where some characters take two bytes.
        Err(SetCookieError::TooLong) => {
            return problem(&StartError::ReturnTo(ReturnToError::TooLong), again).into_response();
        }
        Err(error) => {
            return Problem::internal()
                .because(Level::ERROR, "a login attempt did not fit its cookie", &error)
                .into_response();
        }
    };
    let mut response = redirect(&start.location);
    let length = name.as_str().len() + start.cookie_value.len();
    drop_oldest_attempts(web, request, length, response.headers_mut());
    response.headers_mut().append(SET_COOKIE, cookie);
    response
}

fn read(request: &Parts) -> Result<LoginQuery, Problem> {
    let mut query = Parameters::parse_with_target(request.uri.query(), &TARGETS, &OTHERS)?;
    let initiated = initiated::read(&mut query)?;
    let return_to = match &initiated {
        Some((_, target)) => target.clone(),
        None => query.take("return_to")?,
    };
    let max_age = match query.take("max_age")? {
        None => None,
        Some(seconds) => Some(
            seconds
                .parse()
                .map_err(|_| Problem::new(Code::InvalidParameter, "max_age must be a number of seconds."))?,
        ),
    };
    Ok(LoginQuery {
        return_to: match return_to {
            Some(return_to) => Some(return_to),
            None => query.take("returnUrl")?,
        },
        prompt: query.take("prompt")?,
        login_hint: query.take("login_hint")?,
        ui_locales: query.take("ui_locales")?,
        acr_values: query.take("acr_values")?,
        max_age,
        domain_hint: query.take("domain_hint")?,
        tenant: query.take("tenant")?,
        initiated: initiated.map(|(initiated, _)| initiated),
        ..LoginQuery::default()
    })
}

/// Makes room for one more attempt of `length` bytes. Browsers send the oldest cookie first (RFC 6265 section 5.4).
fn drop_oldest_attempts(web: &Web, request: &HeaderMap, length: usize, answer: &mut HeaderMap) {
    let attempts = web.cookies.login_cookies(request);
    let mut left = attempts.len();
    let mut together = length + attempts.iter().map(|attempt| attempt.length).sum::<usize>();
    for attempt in attempts {
        if left < MAX_LOGIN_COOKIES && together <= MAX_LOGIN_COOKIES_LENGTH {
            break;
        }
        left -= 1;
        together -= attempt.length;
        answer.append(SET_COOKIE, web.cookies.clear(&attempt.name));
    }
}

/// The target of "Try again".
pub(in super::super) fn again(return_to: Option<&str>) -> String {
    let Some(return_to) = return_to else {
        return own_paths::LOGIN.to_owned();
    };
    let query: String = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("return_to", return_to)
        .finish();
    format!("{}?{query}", own_paths::LOGIN)
}

pub(super) fn redirect(location: &Url) -> Response {
    // A URL in serialised form is printable ASCII.
    match HeaderValue::try_from(location.as_str()) {
        Ok(location) => (StatusCode::FOUND, [(LOCATION, location)]).into_response(),
        Err(_) => Problem::internal().into_response(),
    }
}

fn problem(error: &StartError, again: String) -> Problem {
    match error {
        StartError::ReturnTo(error) => {
            Problem::new(Code::InvalidReturnTo, error.to_string()).for_person(Label::GoToStartPage, "/")
        }
        StartError::Parameter(_) | StartError::OtherIssuer | StartError::OtherClient => {
            Problem::new(Code::InvalidParameter, error.to_string()).for_person(Label::GoToStartPage, "/")
        }
        StartError::Idp(cause) => {
            // Before discovery, or with parameters of the browser's own that the IdP refuses, nothing is broken here.
            let level = match cause {
                CallError::NotReady(_) | CallError::Rejected(_) => Level::WARN,
                _ => super::level_of(cause, Level::ERROR),
            };
            super::idp_problem(cause)
                .because(level, "a login could not be started", &error.told())
                .for_person(Label::TryAgain, again)
        }
    }
}
