//! `POST /login`: the login form.

use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};

use super::{
    Shared,
    cookies::{self, Browser},
    interaction::{self, with_cookie},
    page,
    params::{Params, ParamsError},
};
use crate::{
    client::Client,
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
        return wrong_password(&provider, id, &client, username);
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
    let response = interaction::after_login(&provider, &client, opened.request, session, browser);
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

/// The `sub` of the person, where the password is right. An unknown name takes as long as a wrong password.
fn check(provider: &Provider, username: &str, password: &str) -> Option<String> {
    let state = provider.state();
    let user = state.users.iter().find(|user| user.username == username);
    let nobody = Secret::default();
    let right = user.map_or(&nobody, |user| &user.password).matches(password);
    user.filter(|user| right && !user.password.expose().is_empty())
        .map(|user| user.sub.clone())
}

fn wrong_password(
    provider: &Provider,
    id: &str,
    client: &Client,
    username: &str,
) -> Result<Response, LoginError> {
    let now = provider.now();
    let mut state = provider.state();
    let opened = state.interactions.get_mut(id, now).ok_or(LoginError::Expired)?;
    opened.failures += 1;
    if opened.failures >= MAX_FAILURES {
        state.interactions.remove(id, now);
        return Err(LoginError::Expired);
    }
    drop(state);
    let problem = Some("User name or password is wrong.");
    Ok(interaction::login_page(
        provider,
        client,
        id,
        Some(username),
        problem,
    ))
}
