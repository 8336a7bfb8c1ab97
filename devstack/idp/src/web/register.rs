//! `POST /register` (RFC 7591).

use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};

use super::{
    Shared,
    bearer::bearer,
    information::{self, RegistrationError},
};
use crate::{
    provider::Provider,
    random,
    registration::{MetadataError, RequestedMetadata, check_client_id},
    secret::Digest,
};

pub(crate) async fn post(State(provider): Shared, headers: HeaderMap, body: Bytes) -> Response {
    register(&provider, &headers, &body)
        .await
        .unwrap_or_else(|error| error.respond(&provider))
}

async fn register(
    provider: &Provider,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Response, RegistrationError> {
    let dcr = provider.dcr();
    let iat = bearer(headers);
    match iat {
        Some(iat) => provider.state().kept.iats.check(iat, provider.now())?,
        None if dcr.policy.require_initial_access_token => return Err(RegistrationError::NoIat),
        None => {}
    }
    let requested: RequestedMetadata = information::read(headers, body)?;
    let client_id = match &requested.client_id {
        Some(wanted) => {
            check_client_id(wanted)?;
            wanted.clone()
        }
        None => random::id(),
    };
    let mut client = requested.validate(&dcr, client_id)?;
    if provider.switches().fetch_jwks_at_registration
        && let Some(uri) = &client.jwks_uri
    {
        let fetched = provider.key_source().fetch(uri).await;
        fetched.map_err(|error| MetadataError::Metadata(format!("jwks_uri {uri} is no use: {error}")))?;
    }
    let token = random::token();
    let secret = client
        .token_endpoint_auth_method
        .uses_secret()
        .then(random::token);
    client.client_id_issued_at = Some(provider.now());
    client.registration_access_token_sha256 = Some(Digest::of(&token));
    client.client_secret_sha256 = secret.as_deref().map(Digest::of);
    {
        // One lock from the last check to the insert: two registrations cannot share an id or the last use of a token.
        let mut state = provider.state();
        if let Some(iat) = iat {
            state.kept.iats.check(iat, provider.now())?;
        }
        if state.clients.get(&client.client_id).is_some() {
            let text = format!("client_id {} is already taken", client.client_id);
            return Err(MetadataError::Metadata(text).into());
        }
        state.clients.insert(client.clone())?;
        if let Some(iat) = iat {
            state.kept.iats.spend(iat);
        }
    }
    tracing::info!(client_id = client.client_id, "client registered");
    Ok(information::respond(
        provider,
        StatusCode::CREATED,
        &client,
        &token,
        secret.as_deref(),
    ))
}
