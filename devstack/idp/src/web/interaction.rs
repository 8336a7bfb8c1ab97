//! From a good authorization request to the answer: login, consent, code.

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use url::form_urlencoded;

use super::{
    cookies::{self, Browser},
    login::LoginError,
    page::{self, escape},
};
use crate::{
    authorization_request::{AuthorizationRequest, Prompt},
    client::Client,
    options::User,
    provider::Provider,
    random,
    secret::Digest,
    state::{Interaction, Session, grants::Code},
};

/// How long a page may stay open.
const LIFE: u64 = 600;

/// Decides the next step of the browser.
pub(crate) fn begin(
    provider: &Provider,
    headers: &HeaderMap,
    client: &Client,
    request: AuthorizationRequest,
) -> Response {
    let session = cookies::session(provider, headers).filter(|session| suits(provider, session, &request));
    let asks_login = request.has_prompt(Prompt::Login) || request.has_prompt(Prompt::SelectAccount);
    if request.has_prompt(Prompt::None) {
        let Some(session) = session else {
            return refuse(
                provider,
                &request,
                "login_required",
                "no person who fits the request is logged in",
            );
        };
        if needs_consent(provider, &session, client, &request) {
            return refuse(
                provider,
                &request,
                "consent_required",
                "the person has not consented yet",
            );
        }
        return finish(provider, client, &request, &session);
    }
    let browser = Browser::of(provider, headers);
    let response = match session.filter(|_| !asks_login) {
        None => show_login(provider, client, request, browser.digest),
        Some(session) => match after_login(provider, client, request, session, browser.digest) {
            Next::Answer(response) => response,
            Next::Consent(id) => consent_page(provider, client, &id),
        },
    };
    with_cookie(response, browser.set_cookie)
}

/// The step after a login.
pub(crate) enum Next {
    /// The browser goes back to the client.
    Answer(Response),
    /// The person is asked first: the interaction of the consent page.
    Consent(String),
}

/// Asks for consent if needed, otherwise answers.
pub(crate) fn after_login(
    provider: &Provider,
    client: &Client,
    request: AuthorizationRequest,
    session: Session,
    browser: Digest,
) -> Next {
    if !needs_consent(provider, &session, client, &request) {
        return Next::Answer(finish(provider, client, &request, &session));
    }
    let interaction = Interaction {
        request,
        browser,
        session: Some(session),
        failures: 0,
        typed_name: None,
    };
    Next::Consent(remember(provider, interaction))
}

/// Sends the browser back with a code (RFC 6749, section 4.1.2).
pub(crate) fn finish(
    provider: &Provider,
    client: &Client,
    request: &AuthorizationRequest,
    session: &Session,
) -> Response {
    let code = Code::new(
        request.clone(),
        session.sub.clone(),
        session.sid.clone(),
        session.auth_time,
        provider.granted_scope(request, client),
    );
    let code = provider.state().kept.grants.issue_code(code, provider.now());
    let params = vec![("code".to_owned(), code)];
    send_back(provider, &request.redirect_uri, request.state.as_deref(), params)
}

/// Sends the browser back with an error of a request that was good.
pub(crate) fn refuse(
    provider: &Provider,
    request: &AuthorizationRequest,
    code: &'static str,
    description: &str,
) -> Response {
    send_error(
        provider,
        &request.redirect_uri,
        request.state.as_deref(),
        code,
        description,
    )
}

/// Sends the browser back with an error (RFC 6749, section 4.1.2.1).
pub(crate) fn send_error(
    provider: &Provider,
    redirect_uri: &str,
    state: Option<&str>,
    code: &'static str,
    description: &str,
) -> Response {
    tracing::info!(code, reason = description, "login refused");
    let params = vec![
        ("error".to_owned(), code.to_owned()),
        ("error_description".to_owned(), description.to_owned()),
    ];
    send_back(provider, redirect_uri, state, params)
}

/// The login page. `problem` describes the failure of the previous attempt.
pub(crate) fn login_page(
    provider: &Provider,
    client: &Client,
    id: &str,
    hint: Option<&str>,
    problem: Option<&str>,
) -> Response {
    let base = provider.base_path();
    let name = escape(client.display_name());
    let hint = escape(hint.unwrap_or_default());
    let (status, problem) = match problem {
        None => (StatusCode::OK, String::new()),
        Some(text) => (
            StatusCode::UNAUTHORIZED,
            format!("<p class=\"problem\" role=\"alert\">{}</p>", escape(text)),
        ),
    };
    // After a wrong password the name is there already, and it is the password that has to be typed again.
    let (focus_name, focus_password) = if problem.is_empty() || hint.is_empty() {
        (" autofocus", "")
    } else {
        ("", " autofocus")
    };
    let known: Vec<String> = provider
        .state()
        .users
        .iter()
        .take(8)
        .map(|user| escape(&user.username))
        .collect();
    let known = known.join(", ");
    let body = format!(
        "<p>to go on to <strong>{name}</strong></p>{problem}\
         <form method=\"post\" action=\"{base}/login\">\
         <input type=\"hidden\" name=\"interaction\" value=\"{id}\">\
         <label for=\"username\">User name</label>\
         <input id=\"username\" name=\"username\" value=\"{hint}\" autocomplete=\"username\" autocapitalize=\"none\" required{focus_name}>\
         <label for=\"password\">Password</label>\
         <input id=\"password\" name=\"password\" type=\"password\" autocomplete=\"current-password\" required{focus_password}>\
         <button type=\"submit\">Log in</button></form>\
         <p class=\"hint\">For development only. People here: {known}; their passwords are in users.yaml.</p>"
    );
    page::page(status, "Log in", &body)
}

/// Puts a cookie on a response.
pub(crate) fn with_cookie(mut response: Response, cookie: Option<HeaderValue>) -> Response {
    if let Some(cookie) = cookie {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// A redirect that a form may lead to (RFC 9700, section 4.12: 303, so that no body goes along).
pub(crate) fn redirect(location: &str) -> Response {
    let Ok(location) = HeaderValue::try_from(location) else {
        return page::failure(
            StatusCode::BAD_REQUEST,
            "This login cannot go on",
            "the address is not usable",
        );
    };
    let headers = [
        (header::LOCATION, location),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    (StatusCode::SEE_OTHER, headers).into_response()
}

/// Appends parameters to a URI, which stays as it was registered otherwise.
pub(crate) fn append(uri: &str, params: &[(String, String)]) -> String {
    if params.is_empty() {
        return uri.to_owned();
    }
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(params)
        .finish();
    let separator = if uri.contains('?') { '&' } else { '?' };
    format!("{uri}{separator}{query}")
}

fn show_login(
    provider: &Provider,
    client: &Client,
    request: AuthorizationRequest,
    browser: Digest,
) -> Response {
    let hint = request.login_hint.clone();
    let id = remember(
        provider,
        Interaction {
            request,
            browser,
            session: None,
            failures: 0,
            typed_name: None,
        },
    );
    login_page(provider, client, &id, hint.as_deref(), None)
}

fn remember(provider: &Provider, interaction: Interaction) -> String {
    let id = random::token();
    let now = provider.now();
    provider
        .state()
        .interactions
        .insert(id.clone(), interaction, now + LIFE, now);
    id
}

fn send_back(
    provider: &Provider,
    redirect_uri: &str,
    state: Option<&str>,
    mut params: Vec<(String, String)>,
) -> Response {
    if let Some(state) = state {
        params.push(("state".to_owned(), state.to_owned()));
    }
    // RFC 9207: also with errors.
    params.push(("iss".to_owned(), provider.issuer().to_owned()));
    provider.hooks.authorize_response.apply(&mut params);
    redirect(&append(redirect_uri, &params))
}

/// Whether a session is young enough and of the person who is meant.
fn suits(provider: &Provider, session: &Session, request: &AuthorizationRequest) -> bool {
    let age = provider.now().saturating_sub(session.auth_time);
    // `max_age=0` always asks again, like `prompt=login`.
    let young = request
        .max_age
        .is_none_or(|max_age| max_age > 0 && age <= max_age);
    let state = provider.state();
    let user = state.user(&session.sub);
    young && user.is_some_and(|user| is_meant(user, request.login_hint.as_deref()))
}

fn is_meant(user: &User, hint: Option<&str>) -> bool {
    hint.is_none_or(|hint| {
        [&user.username, &user.email, &user.sub]
            .into_iter()
            .any(|name| name == hint)
    })
}

fn needs_consent(
    provider: &Provider,
    session: &Session,
    client: &Client,
    request: &AuthorizationRequest,
) -> bool {
    let scope = provider.granted_scope(request, client);
    request.has_prompt(Prompt::Consent)
        || !provider
            .state()
            .has_consent(&session.sub, &client.client_id, &scope)
}

/// The consent page of the interaction `id`.
pub(crate) fn consent_page(provider: &Provider, client: &Client, id: &str) -> Response {
    let now = provider.now();
    let state = provider.state();
    let Some(opened) = state.interactions.get(id, now) else {
        return LoginError::Expired.into_response();
    };
    let scope = provider.granted_scope(&opened.request, client);
    let sub = opened.session.as_ref().map_or("", |session| session.sub.as_str());
    let who = escape(state.user(sub).map_or("", |user| user.name.as_str()));
    let base = provider.base_path();
    let name = escape(client.display_name());
    let items: Vec<String> = scope
        .iter()
        .map(|scope| format!("<li>{}</li>", describe(scope)))
        .collect();
    let items = items.concat();
    let body = format!(
        "<p>You are <strong>{who}</strong>. <strong>{name}</strong> asks to:</p><ul>{items}</ul>\
         <form method=\"post\" action=\"{base}/consent\">\
         <input type=\"hidden\" name=\"interaction\" value=\"{id}\">\
         <button type=\"submit\" name=\"decision\" value=\"allow\">Allow</button>\
         <button type=\"submit\" name=\"decision\" value=\"deny\" class=\"quiet\">Deny</button></form>"
    );
    page::page(StatusCode::OK, "Allow access?", &body)
}

fn describe(scope: &str) -> String {
    match scope {
        "openid" => "know who you are".to_owned(),
        "profile" => "see your name".to_owned(),
        "email" => "see your mail address".to_owned(),
        "offline_access" => "stay logged in while you are away".to_owned(),
        other => format!("use <code>{}</code>", escape(other)),
    }
}
