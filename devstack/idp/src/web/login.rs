//! `/login`: the login form.
//!
//! A form post is answered with a redirect, also after a failed login, so that the back button of a browser never
//! asks whether to send a password again.

use axum::{
    body::Bytes,
    extract::{RawQuery, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};

use super::{
    Shared,
    cookies::{self, Browser},
    interaction::{self, Next, redirect, with_cookie},
    page,
    params::{Params, ParamsError},
};
use crate::{
    provider::Provider,
    random,
    secret::{Digest, Secret},
    state::{Interaction, Session},
};

/// After so many wrong passwords the login has to be started again.
const MAX_FAILURES: u8 = 10;

#[derive(Debug, thiserror::Error)]
pub(crate) enum LoginError {
    #[error(transparent)]
    Params(#[from] ParamsError),
    #[error(
        "This page has expired, or was opened in another browser. Go back to the application and log in again."
    )]
    Expired,
}

// === impl LoginError ===

impl IntoResponse for LoginError {
    fn into_response(self) -> Response {
        let status = match self {
            Self::Params(_) | Self::Expired => StatusCode::BAD_REQUEST,
        };
        page::failure(status, "This login cannot go on", &self.to_string())
    }
}

/// The form again, after a wrong password.
pub(crate) async fn get(
    State(provider): Shared,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, LoginError> {
    let params = Params::parse(query.unwrap_or_default().as_bytes())?;
    let id = params.get("interaction").ok_or(LoginError::Expired)?;
    let (_, opened) = open(&provider, &headers, id)?;
    if opened.session.is_some() {
        return Err(LoginError::Expired);
    }
    let client = provider
        .client(&opened.request.client_id)
        .ok_or(LoginError::Expired)?;
    let name = opened.typed_name.or(opened.request.login_hint);
    let problem = (opened.failures > 0).then_some("User name or password is wrong.");
    Ok(interaction::login_page(
        &provider,
        &client,
        id,
        name.as_deref(),
        problem,
    ))
}

pub(crate) async fn post(
    State(provider): Shared,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, LoginError> {
    let params = Params::unique_form(&headers, &body)?;
    let id = params.get("interaction").ok_or(LoginError::Expired)?;
    let (browser, opened) = open(&provider, &headers, id)?;
    if opened.session.is_some() {
        return Err(LoginError::Expired);
    }
    let client = provider
        .client(&opened.request.client_id)
        .ok_or(LoginError::Expired)?;
    let username = params.get("username").unwrap_or_default();
    let Some(sub) = check(&provider, username, params.get("password").unwrap_or_default()) else {
        return wrong_password(&provider, id, username);
    };
    // The form is used up: sending it again starts no second session.
    let now = provider.now();
    provider.state().interactions.remove(id, now);
    let session = Session {
        sub,
        sid: random::id(),
        auth_time: now,
    };
    let cookie = cookies::start_session(&provider, session.clone());
    tracing::info!(sub = session.sub, "logged in");
    let response = match interaction::after_login(&provider, &client, opened.request, session, browser) {
        Next::Answer(response) => response,
        Next::Consent(id) => redirect(&format!("{}/consent?interaction={id}", provider.base_path())),
    };
    Ok(with_cookie(response, cookie))
}

/// The page that a form came from; it must come from the browser that opened it.
pub(super) fn open(
    provider: &Provider,
    headers: &HeaderMap,
    id: &str,
) -> Result<(Digest, Interaction), LoginError> {
    let browser = Browser::known(headers).ok_or(LoginError::Expired)?;
    let state = provider.state();
    let opened = state
        .interactions
        .get(id, provider.now())
        .ok_or(LoginError::Expired)?;
    if opened.browser == browser {
        Ok((browser, opened.clone()))
    } else {
        Err(LoginError::Expired)
    }
}

/// The `sub` of the person, if the password is right. An unknown name takes as long as a wrong password.
fn check(provider: &Provider, username: &str, password: &str) -> Option<String> {
    let state = provider.state();
    let user = state.users.iter().find(|user| user.username == username);
    let nobody = Secret::default();
    let right = user.map_or(&nobody, |user| &user.password).matches(password);
    user.filter(|user| right && !user.password.expose().is_empty())
        .map(|user| user.sub.clone())
}

fn wrong_password(provider: &Provider, id: &str, username: &str) -> Result<Response, LoginError> {
    let now = provider.now();
    let mut state = provider.state();
    let opened = state.interactions.get_mut(id, now).ok_or(LoginError::Expired)?;
    opened.failures += 1;
    opened.typed_name = Some(username.to_owned());
    if opened.failures >= MAX_FAILURES {
        state.interactions.remove(id, now);
        return Err(LoginError::Expired);
    }
    drop(state);
    // The id is one of ours, because this interaction exists.
    Ok(redirect(&format!(
        "{}/login?interaction={id}",
        provider.base_path()
    )))
}
