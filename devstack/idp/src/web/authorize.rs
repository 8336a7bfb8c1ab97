//! `GET` and `POST /authorize` (RFC 6749, section 4.1.1; OpenID Connect Core 3.1.2).

use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::Response,
};

use super::{Shared, interaction, page, params::Params};
use crate::{
    authorization_request::{AuthorizationRequest, RequestError},
    client::Client,
    provider::Provider,
};

pub(crate) async fn get(State(provider): Shared, uri: Uri, headers: HeaderMap) -> Response {
    let params = Params::parse(uri.query().unwrap_or_default().as_bytes());
    authorize(&provider, &headers, params.map_err(|error| error.to_string()))
}

pub(crate) async fn post(State(provider): Shared, headers: HeaderMap, body: Bytes) -> Response {
    let params = Params::form(&headers, &body);
    authorize(&provider, &headers, params.map_err(|error| error.to_string()))
}

fn authorize(provider: &Provider, headers: &HeaderMap, params: Result<Params, String>) -> Response {
    let resolved = params
        .map_err(RequestError::Untrusted)
        .and_then(|params| resolve(provider, &params));
    match resolved {
        Ok((client, request)) => interaction::begin(provider, headers, &client, request),
        // Never redirect to an address that is not known to be the client's.
        Err(RequestError::Untrusted(reason)) => {
            page::failure(StatusCode::BAD_REQUEST, "This login cannot start", &reason)
        }
        Err(RequestError::Refused {
            redirect_uri,
            state,
            code,
            description,
        }) => interaction::send_error(provider, &redirect_uri, state.as_deref(), code, &description),
    }
}

fn resolve(provider: &Provider, params: &Params) -> Result<(Client, AuthorizationRequest), RequestError> {
    let untrusted = |reason: &str| RequestError::Untrusted(reason.to_owned());
    let twice = params.duplicate();
    if let Some(name @ ("client_id" | "redirect_uri" | "request_uri" | "state")) = twice.as_deref() {
        return Err(RequestError::Untrusted(format!("{name} is there more than once")));
    }
    let client_id = params
        .get("client_id")
        .ok_or_else(|| untrusted("client_id is missing"))?;
    let client = provider
        .client(client_id)
        .ok_or_else(|| untrusted("the client is not known"))?;
    let Some(request_uri) = params.get("request_uri") else {
        let request = AuthorizationRequest::validate(
            params,
            &client,
            provider.requires_pkce(&client),
            provider.resources(),
        )?;
        return Ok((client, request));
    };
    // RFC 9126, section 4: the first request uses it up. Other parameters beside it do not count.
    let pushed = provider.state().pushed.remove(request_uri, provider.now());
    let request =
        pushed.ok_or_else(|| untrusted("request_uri is not known, has expired or was used before"))?;
    if request.client_id != client_id {
        return Err(untrusted("request_uri belongs to another client"));
    }
    Ok((client, request))
}
