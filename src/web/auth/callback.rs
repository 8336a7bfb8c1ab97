//! `GET /auth/callback`: the IdP sends the browser back to it.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{
    HeaderMap, HeaderValue,
    header::{SET_COOKIE, USER_AGENT},
    request::Parts,
};
use tracing::Level;

use super::{
    super::{
        Web,
        envelope::Envelope,
        page::{Action, Label, Page},
        problem::{Code, Problem, wants_json},
        query::Parameters,
    },
    login::{again, begin, redirect},
};
use crate::{
    diagnostic::Explain as _,
    login::{CallbackError, CallbackQuery, Failed, Failure, LoggedIn, hosts::LoginHost},
    oidc::OAuthError,
    own_paths,
    session::{CookieName, Device, OpenError, SameSite, SessionKey},
};

/// Completes a login.
pub(in super::super) async fn handle(State(web): State<Web>, request: Parts) -> Response {
    let query = match read(&request) {
        Ok(query) => query,
        Err(problem) => {
            return problem
                .for_person(Label::LogInAgain, own_paths::LOGIN)
                .into_response();
        }
    };
    let host = web.login_host_or_fallback(&request);
    let headers = &request.headers;
    let attempt = query.state.as_deref().map(|state| web.cookies.login_name(state));
    let cookie = |state: &str| {
        web.cookies
            .value(headers, &web.cookies.login_name(state))
            .map(str::to_owned)
    };
    let previous = web.replaceable(Envelope::from(&request)).await;
    let user_agent = headers.get(USER_AGENT).map(HeaderValue::as_bytes);
    let seen = web.seen(&Envelope::from(&request));
    let device = Device::new(user_agent.unwrap_or_default(), seen.address, &host.authority());

    let outcome = web
        .login
        .complete(host, query, cookie, previous, device, &seen)
        .await;
    let mut response = match outcome {
        Ok(logged_in) => {
            let mut response = welcome(&web, headers, &logged_in);
            web.offer_binding(host, &logged_in.id.key(), response.headers_mut());
            response
        }
        Err(failed) => match instead(&web, &request, host, &failed).await {
            Some(response) => response,
            None => problem(&failed).into_response(),
        },
    };
    if let Some(attempt) = attempt {
        forget(&web, headers, &attempt, response.headers_mut());
    }
    response
}

/// The alternative to an error page that does not concern the person.
async fn instead(web: &Web, request: &Parts, host: &LoginHost, failed: &Failed) -> Option<Response> {
    let headers = &request.headers;
    match &*failed.error {
        // A second tab, a reload, the back button: the login that this belongs to is done.
        CallbackError::UnknownAttempt => {
            let known = web.known_session(headers);
            is_alive(web, known).await.then(|| redirect(host.origin()))
        }
        _ if wants_json(headers) => None,
        CallbackError::LoginRequired { location } => Some(redirect(location)),
        CallbackError::Refused {
            error,
            instead: Some(instead),
        } => {
            if is_alive(web, failed.previous).await {
                tracing::info!(%error, "a login was refused by the identity provider; the person has a session and continues");
                return Some(redirect(&instead.go_on));
            }
            let query = instead.begin_again.clone()?;
            web.limit_logins(request).await.ok()?;
            let start = web.login.start(host, query).await.ok()?;
            tracing::info!(%error, "a login was refused by the identity provider; it starts again");
            let again = again(failed.return_to.as_deref());
            Some(begin(web, headers, &start, again))
        }
        _ => None,
    }
}

pub(in super::super) fn read(request: &Parts) -> Result<CallbackQuery, Problem> {
    let mut query = Parameters::parse(request.uri.query())?;
    let description = query.take("error_description")?;
    Ok(CallbackQuery {
        state: query.take("state")?,
        iss: query.take("iss")?,
        error: query
            .take("error")?
            .map(|code| OAuthError::new(&code, description.as_deref())),
        code: query.take("code")?,
    })
}

fn welcome(web: &Web, headers: &HeaderMap, logged_in: &LoggedIn) -> Response {
    let mut response = match web.cookies.same_site() {
        SameSite::Lax => redirect(&logged_in.location),
        // A browser does not send a Strict cookie along a redirect that began at the IdP. It does from one of our
        // pages.
        SameSite::Strict => {
            let page = Page {
                key: "logged_in",
                fallback: ("You are logged in", "You are being taken to the application."),
                answer: None,
                action: Some(Action::Continue {
                    href: logged_in.location.as_str(),
                }),
                start: None,
                footnote: None,
            };
            web.pages.respond(headers, &page)
        }
    };
    let left = logged_in.ends_at.duration_since(web.clock.now());
    let max_age = web.sessions.lifespan().idle.min(left);
    let cookie = web.cookies.set_session(&logged_in.id, max_age);
    let answer = response.headers_mut();
    answer.append(SET_COOKIE, cookie);
    web.tell_csrf_token(headers, &logged_in.id.key(), answer);
    let latest = web.remember_latest(&logged_in.id.key());
    for further in [latest, web.cookies.clear_former_session(headers)] {
        answer.extend(further.map(|cookie| (SET_COOKIE, cookie)));
    }
    response
}

/// Whether the browser has a session. The answer gives it nothing that it could not reach anyway.
async fn is_alive(web: &Web, known: Option<SessionKey>) -> bool {
    match known {
        Some(key) => matches!(web.sessions.get(&key).await, Ok(Some(_))),
        None => false,
    }
}

/// An attempt is used once, also if it failed.
fn forget(web: &Web, request: &HeaderMap, attempt: &CookieName, answer: &mut HeaderMap) {
    for cleared in web.cookies.clear_sent(request, attempt) {
        answer.append(SET_COOKIE, cleared);
    }
}

fn problem(failed: &Failed) -> Problem {
    let error = &*failed.error;
    let logged = |problem: Problem, level, message| problem.because(level, message, &error.told());
    let problem = match error {
        CallbackError::UnknownAttempt => Problem::new(
            Code::LoginUnknown,
            "This login was not started in this browser, or it was started too long ago. Nothing has happened. Log in again to continue.",
        ),
        CallbackError::Expired => Problem::new(
            Code::LoginExpired,
            "The login took longer than ten minutes, so it has expired. Log in again to continue.",
        ),
        CallbackError::OtherHost => Problem::new(
            Code::LoginOtherHost,
            "The login was started on another address of this application. Log in again to continue here.",
        ),
        CallbackError::Issuer => {
            let detail = "The answer did not come from the identity provider that was asked, so it was refused. Log in again to continue.";
            let problem = Problem::new(Code::LoginWrongIssuer, detail);
            logged(problem, Level::WARN, "a callback was refused")
        }
        // OpenID Connect Core Error Code unmet_authentication_requirements 1.0.
        CallbackError::Refused { error: answer, .. }
            if answer.error == "unmet_authentication_requirements" && failed.previous.is_some() =>
        {
            let message = "a login was refused by the identity provider";
            let problem = logged(super::failure_problem(Failure::TooWeak), Level::INFO, message);
            return problem.for_person(Label::GoToStartPage, "/");
        }
        CallbackError::Refused { error: answer, .. } => {
            let message = "a login was refused by the identity provider";
            logged(refused(answer), Level::INFO, message)
        }
        CallbackError::LoginRequired { .. } => {
            return Problem::new(
                Code::LoginRequired,
                "You are not logged in at the identity provider.",
            );
        }
        CallbackError::NoCode => Problem::new(
            Code::LoginUnanswered,
            "The identity provider sent no usable answer. Log in again to continue.",
        ),
        CallbackError::Exchange(cause) => {
            let message = "the authorization code was not exchanged";
            let level = super::level_of(cause, Level::WARN);
            logged(told(error), level, message)
        }
        CallbackError::NotReady => told(error),
        CallbackError::NoIdToken => logged(told(error), Level::ERROR, "a login failed"),
        CallbackError::IdToken(_) => logged(told(error), Level::ERROR, "an ID token was refused"),
        CallbackError::TooWeak => {
            let message = "a login was not as strong as was asked for";
            let problem = logged(told(error), Level::WARN, message);
            return problem.for_person(Label::GoToStartPage, "/");
        }
        CallbackError::UserInfo(_) => logged(told(error), Level::ERROR, "UserInfo was refused"),
        CallbackError::Open(OpenError::TooMany | OpenError::OutOfMemory) => {
            logged(told(error), Level::ERROR, "a login was refused")
        }
        CallbackError::Open(_) => logged(told(error), Level::ERROR, "a session could not be stored"),
        CallbackError::Elsewhere { failure, .. } => {
            let problem = logged(told(error), Level::WARN, "a login failed");
            if *failure == Failure::TooWeak {
                return problem.for_person(Label::GoToStartPage, "/");
            }
            problem
        }
        CallbackError::LoggedOut => {
            let detail =
                "The identity provider logged you out while you were logging in. Log in again to continue.";
            let problem = Problem::new(Code::LoginLoggedOut, detail);
            logged(problem, Level::INFO, "a login came to nothing")
        }
        CallbackError::Abandoned => logged(Problem::internal(), Level::ERROR, "a login failed"),
    };
    let return_to = match error {
        // It may name a place on the other host.
        CallbackError::OtherHost => None,
        _ => failed.return_to.as_deref(),
    };
    problem.for_person(label(error), again(return_to))
}

/// The label of the link on an error page.
fn label(error: &CallbackError) -> Label {
    match error {
        _ if Failure::of(error) == Failure::CodeGone => Label::LogInAgain,
        // The person did nothing wrong, and neither will the second try.
        CallbackError::NotReady
        | CallbackError::Exchange(_)
        | CallbackError::NoIdToken
        | CallbackError::IdToken(_)
        | CallbackError::UserInfo(_)
        | CallbackError::Open(_)
        | CallbackError::Elsewhere { .. }
        | CallbackError::Abandoned => Label::TryAgain,
        _ => Label::LogInAgain,
    }
}

/// The problem of a login that failed after the callback had been accepted.
fn told(error: &CallbackError) -> Problem {
    super::failure_problem(Failure::of(error))
}

/// The IdP's words, as far as they help a person. The code is bounded printable ASCII; pages escape it.
fn refused(answer: &OAuthError) -> Problem {
    match answer.error.as_str() {
        "access_denied" => Problem::new(
            Code::AccessDenied,
            "You, or the identity provider, did not allow the login. Log in again if that was a mistake.",
        ),
        "temporarily_unavailable" | "server_error" => Problem::new(
            Code::IdpUnavailable,
            "It could not log you in at the moment. Try again in a while.",
        ),
        code => Problem::new(Code::IdpRefused, format!("It answered: {code}.")).answered(code),
    }
}
