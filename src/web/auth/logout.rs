//! `/auth/logout`: ends the session here and at the IdP.

use axum::{
    Json,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{LOCATION, SET_COOKIE},
    request::Parts,
};
use serde_json::json;
use url::Url;

use super::super::{
    Web,
    caller::Absent,
    csrf,
    envelope::Envelope,
    form,
    page::{Action, Label, Page},
    problem::{Code, Problem, wants_json},
    query::Parameters,
    revisit,
};
use crate::{
    clock::Clock,
    login::{EndSession, return_to},
    own_paths,
    seal::Purpose,
    session::{SessionKey, csrf_token, csrf_token_matches},
};

/// A longer form is refused, in bytes.
const MAX_FORM_LENGTH: usize = 16 * 1024;

/// The parameter for the target, and those beside it.
const TARGETS: [&str; 1] = ["return_to"];
const OTHERS: [&str; 4] = ["everywhere", "csrf_token", "csrf", revisit::MARK];

/// The parameters of the form, or of the query of a GET.
#[derive(Default)]
struct Wishes {
    csrf_token: Option<String>,
    everywhere: bool,
    return_to: Option<String>,
}

/// `POST`: ends the session, given both proofs. Scripts post here, and the button of our own page does.
pub(in super::super) async fn handle(
    State(web): State<Web>,
    request: axum::extract::Request,
) -> Result<Response, Problem> {
    let (request, body) = request.into_parts();
    web.own_origins.check(&request.headers)?;
    // From here on it may be a person who has pressed the button of our page.
    post(&web, &request, body)
        .await
        .map_err(|problem| problem.for_browser(Label::GoToStartPage, "/"))
}

async fn post(web: &Web, request: &Parts, body: Body) -> Result<Response, Problem> {
    let mut wishes = Wishes::of(&request.headers, body, &*web.clock).await?;
    let mut query = Parameters::parse_with_target(request.uri.query(), &TARGETS, &OTHERS)?;
    if wishes.return_to.is_none() {
        wishes.return_to = query.take("return_to")?;
    }
    wishes.everywhere |= query.take("everywhere")?.as_deref() == Some("true");
    let key = match web.caller(Envelope::from(request)).await? {
        Ok(caller) => Some(caller.key),
        // With the token, which does not come with a stolen cookie, it is the person all the same.
        Err(Absent::Unproven(unproven)) => Some(unproven.key),
        Err(Absent::Nobody) if wishes.everywhere => return Err(Problem::unauthenticated()),
        Err(Absent::Nobody) => None,
    };
    if let Some(key) = &key {
        let token = csrf::token(&request.headers).map(str::as_bytes);
        let token = token.or(wishes.csrf_token.as_ref().map(String::as_bytes));
        if !token.is_some_and(|token| csrf_token_matches(&web.sealer, key, token)) {
            return Err(csrf::CsrfError::Token.into());
        }
    }
    end(web, request, key, wishes).await
}

/// `GET`: ends the session only if the browser says that one of our pages led here. Otherwise it shows a page with a
/// button, so that no foreign page logs anybody out. With the CSRF token in `csrf` it may end all sessions of the
/// person (`everywhere=true`).
pub(in super::super) async fn ask(State(web): State<Web>, request: Parts) -> Result<Response, Problem> {
    answer(&web, &request)
        .await
        .map_err(|problem| problem.for_person(Label::GoToStartPage, "/"))
}

async fn answer(web: &Web, request: &Parts) -> Result<Response, Problem> {
    if let Some(page) = web.revisit(&request.method, &request.uri, &request.headers) {
        return Ok(page);
    }
    let mut query = Parameters::parse_with_target(request.uri.query(), &TARGETS, &OTHERS)?;
    let return_to = query.take("return_to")?;
    let everywhere = query.take("everywhere")?.as_deref() == Some("true");
    let csrf = query.take("csrf")?;
    let caller = web.caller(Envelope::from(request)).await?;
    // The intermediate page is ours, but a foreign page led to it.
    if csrf::is_own_navigation(&request.headers) && !revisit::is_revisit(&request.uri) {
        let (key, is_proven) = proven(web, caller.as_ref().map(|caller| caller.key), csrf.as_deref())?;
        if everywhere && key.is_none() {
            return Err(Problem::unauthenticated());
        }
        let wishes = Wishes {
            csrf_token: None,
            everywhere: everywhere && is_proven,
            return_to,
        };
        return end(web, request, key, wishes).await;
    }
    let key = match caller {
        Ok(caller) => Some(caller.key),
        Err(Absent::Nobody) => None,
        Err(absent) => return Err(absent.into()),
    };
    let token = key.map(|key| csrf_token(&web.sealer, &key)).unwrap_or_default();
    if wants_json(&request.headers) {
        return Err(Problem::new(
            Code::LogoutNeedsPost,
            "Send a POST with both CSRF proofs.",
        ));
    }
    let mut fields = vec![("csrf_token", token.as_str())];
    if let Some(return_to) = &return_to {
        fields.push(("return_to", return_to));
    }
    let page = Page {
        key: "log_out",
        fallback: ("Do you want to log out?", "Nothing has happened yet."),
        answer: None,
        action: Some(Action::Post {
            label: Label::LogOut,
            path: own_paths::LOGOUT,
            fields: &fields,
        }),
        start: Some((Label::StayLoggedIn, "/")),
        footnote: None,
    };
    let mut response = web.pages.respond(&request.headers, &page);
    *response.status_mut() = StatusCode::FORBIDDEN;
    Ok(response)
}

/// The session that a GET of our own page may end, and whether the request has the CSRF token, with which it may end
/// all sessions of the person. A wrong token is refused: otherwise the person would believe in an end that did not
/// happen.
fn proven(
    web: &Web,
    caller: Result<SessionKey, &Absent>,
    csrf: Option<&str>,
) -> Result<(Option<SessionKey>, bool), Problem> {
    let key = match caller {
        Ok(key) => key,
        Err(Absent::Unproven(unproven)) => unproven.key,
        Err(Absent::Nobody) => return Ok((None, false)),
    };
    match (caller, csrf) {
        // It does not come with a stolen cookie.
        (_, Some(token)) if csrf_token_matches(&web.sealer, &key, token.as_bytes()) => Ok((Some(key), true)),
        (_, Some(_)) => Err(csrf::CsrfError::Token.into()),
        (Err(absent), None) if absent.login_helps() => Err((*absent).into()),
        // A browser that cannot prove anything may still leave.
        (_, None) => Ok((Some(key), false)),
    }
}

async fn end(
    web: &Web,
    request: &Parts,
    key: Option<SessionKey>,
    wishes: Wishes,
) -> Result<Response, Problem> {
    let host = web.login_host_or_fallback(request);
    let target = match &wishes.return_to {
        None => None,
        Some(target) => Some(web.login.targets().resolve(target, host.origin()).map_err(
            |error: return_to::ReturnToError| Problem::new(Code::InvalidReturnTo, error.to_string()),
        )?),
    };
    let location = web
        .login
        .end(
            host,
            &EndSession {
                key,
                everywhere: wishes.everywhere,
            },
        )
        .await?;

    let mut response = if wants_json(&request.headers) {
        Json(json!({ "logout_url": location.as_str() })).into_response()
    } else {
        let location = HeaderValue::try_from(location.as_str()).map_err(|_| Problem::internal())?;
        (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response()
    };
    let answer = response.headers_mut();
    answer.append(SET_COOKIE, web.cookies.clear_session());
    web.forget_device(answer);
    let former = web.cookies.clear_former_session(&request.headers);
    let latest = web
        .cookies
        .clear_sent(&request.headers, web.cookies.latest_name());
    let csrf = web.cookies.clear_csrf(&request.headers);
    answer.extend(
        latest
            .chain(former)
            .chain(csrf)
            .map(|cookie| (SET_COOKIE, cookie)),
    );
    // Also without a target: the page after the logout at the IdP sees then that there was one.
    let name = web.cookies.logout_name();
    let target = target.as_ref().map_or("", Url::as_str);
    let value = web
        .sealer
        .seal_text(Purpose::LogoutReturn, &[], target.as_bytes());
    // One that is too long to keep, which takes a target of odd characters, is left out: the person ends on our own page
    // then.
    if let Ok(cookie) = web.cookies.set_login(name, &value) {
        answer.append(SET_COOKIE, cookie);
    }
    Ok(response)
}

// === impl Wishes ===

impl Wishes {
    async fn of(headers: &HeaderMap, body: Body, clock: &dyn Clock) -> Result<Self, Problem> {
        let Some(form) = form::read(headers, body, MAX_FORM_LENGTH, clock).await? else {
            return Ok(Self::default());
        };
        let mut form = Parameters::parse(Some(&form))?;
        Ok(Self {
            csrf_token: form.take("csrf_token")?,
            everywhere: form.take("everywhere")?.as_deref() == Some("true"),
            return_to: form.take("return_to")?,
        })
    }
}
