//! `GET`, `PUT`, `PATCH` and `DELETE /register/{client_id}` (RFC 7592).

use axum::{
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde_json::{Map, Value};

use super::{
    Shared,
    bearer::bearer,
    information::{self, RegistrationError},
};
use crate::{
    client::Client,
    provider::{Provider, UpdateMethod},
    random,
    registration::{MetadataError, RequestedMetadata},
    secret::Digest,
};

/// RFC 7592, section 2.2: the forbidden members of an update.
const NOT_THE_CLIENTS: [&str; 4] = [
    "registration_access_token",
    "registration_client_uri",
    "client_secret_expires_at",
    "client_id_issued_at",
];

pub(crate) async fn get(State(provider): Shared, Path(id): Path<String>, headers: HeaderMap) -> Response {
    match authenticate(&provider, &id, &headers) {
        Ok((client, token)) => information::respond(&provider, StatusCode::OK, &client, token, None),
        Err(error) => error.respond(&provider),
    }
}

pub(crate) async fn put(
    State(provider): Shared,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if provider.switches().update_method == UpdateMethod::Patch {
        return not_allowed(&provider, "PATCH");
    }
    update(&provider, &id, &headers, &body, false).unwrap_or_else(|error| error.respond(&provider))
}

pub(crate) async fn patch(
    State(provider): Shared,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if provider.switches().update_method == UpdateMethod::Put {
        return not_allowed(&provider, "PUT");
    }
    update(&provider, &id, &headers, &body, true).unwrap_or_else(|error| error.respond(&provider))
}

pub(crate) async fn delete(State(provider): Shared, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let outcome = authenticate(&provider, &id, &headers).and_then(|(client, _)| {
        let mut state = provider.state();
        state.clients.remove(&client.client_id)?;
        state.forget_client(&client.client_id);
        Ok(client.client_id)
    });
    match outcome {
        Ok(client_id) => {
            tracing::info!(client_id, "client deleted");
            (StatusCode::NO_CONTENT, [(header::CACHE_CONTROL, "no-store")]).into_response()
        }
        Err(error) => error.respond(&provider),
    }
}

/// The client and its token. RFC 7592, section 2.1: an unknown client gets the same 401 as a wrong token.
fn authenticate<'h>(
    provider: &Provider,
    id: &str,
    headers: &'h HeaderMap,
) -> Result<(Client, &'h str), RegistrationError> {
    let token = bearer(headers).ok_or(RegistrationError::Rat)?;
    let client = provider.client(id).ok_or(RegistrationError::Rat)?;
    let right = client
        .registration_access_token_sha256
        .as_ref()
        .is_some_and(|digest| digest.matches(token));
    if right {
        Ok((client, token))
    } else {
        Err(RegistrationError::Rat)
    }
}

fn update(
    provider: &Provider,
    id: &str,
    headers: &HeaderMap,
    body: &[u8],
    merge: bool,
) -> Result<Response, RegistrationError> {
    let (before, token) = authenticate(provider, id, headers)?;
    let sent: Map<String, Value> = information::read(headers, body)?;
    if let Some(name) = NOT_THE_CLIENTS.into_iter().find(|name| sent.contains_key(*name)) {
        return Err(RegistrationError::Request(format!(
            "an update must not carry {name}"
        )));
    }
    let named = sent.get("client_id");
    if named.is_some_and(|named| named != before.client_id.as_str()) || (named.is_none() && !merge) {
        return Err(RegistrationError::Request(
            "client_id must be there and be the one of the client".to_owned(),
        ));
    }
    let requested: RequestedMetadata = if merge {
        serde_json::from_value(Value::Object(merged(&before, sent)))
            .map_err(|error| MetadataError::Metadata(format!("the metadata cannot be read: {error}")))?
    } else {
        information::read(headers, body)?
    };
    check_secret(&before, requested.client_secret.as_deref())?;
    let mut client = requested.validate(&provider.dcr(), before.client_id.clone())?;
    client.client_id_issued_at = before.client_id_issued_at;
    let mut secret = None;
    if client.token_endpoint_auth_method.uses_secret() {
        client
            .client_secret_sha256
            .clone_from(&before.client_secret_sha256);
        if client.client_secret_sha256.is_none() {
            let fresh = random::token();
            client.client_secret_sha256 = Some(Digest::of(&fresh));
            secret = Some(fresh);
        }
    }
    let token = if provider.switches().rotate_rat_on_update {
        random::token()
    } else {
        token.to_owned()
    };
    client.registration_access_token_sha256 = Some(Digest::of(&token));
    provider.state().clients.insert(client.clone())?;
    tracing::info!(client_id = client.client_id, "client updated");
    Ok(information::respond(
        provider,
        StatusCode::OK,
        &client,
        &token,
        secret.as_deref(),
    ))
}

/// RFC 7592, section 2.2: a client must not choose its own secret.
fn check_secret(client: &Client, sent: Option<&str>) -> Result<(), MetadataError> {
    let digest = client.client_secret_sha256.as_ref();
    match sent {
        Some(sent) if !digest.is_some_and(|digest| digest.matches(sent)) => Err(MetadataError::Metadata(
            "client_secret is not the one of the client".to_owned(),
        )),
        _ => Ok(()),
    }
}

/// RFC 7396: `null` removes a member, a value replaces it, others stay.
fn merged(before: &Client, sent: Map<String, Value>) -> Map<String, Value> {
    let mut map = before.wire();
    for (name, value) in sent {
        if value.is_null() {
            map.remove(&name);
        } else {
            map.insert(name, value);
        }
    }
    map
}

fn not_allowed(provider: &Provider, allowed: &'static str) -> Response {
    let mut response = RegistrationError::Method(allowed).respond(provider);
    if let Ok(value) = HeaderValue::try_from(format!("GET, {allowed}, DELETE")) {
        response.headers_mut().insert(header::ALLOW, value);
    }
    response
}
