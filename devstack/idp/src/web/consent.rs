//! `/consent`: the consent form.

use axum::{
    body::Bytes,
    extract::{RawQuery, State},
    http::HeaderMap,
    response::Response,
};

use super::{
    Shared, interaction,
    login::{self, LoginError},
    params::Params,
};

/// The form, after a login.
pub(crate) async fn get(
    State(provider): Shared,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, LoginError> {
    let params = Params::parse(query.unwrap_or_default().as_bytes())?;
    let id = params.get("interaction").ok_or(LoginError::Expired)?;
    let (_, opened) = login::open(&provider, &headers, id)?;
    if opened.session.is_none() {
        return Err(LoginError::Expired);
    }
    let client = provider
        .client(&opened.request.client_id)
        .ok_or(LoginError::Expired)?;
    Ok(interaction::consent_page(&provider, &client, id))
}

pub(crate) async fn post(
    State(provider): Shared,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, LoginError> {
    let params = Params::unique_form(&headers, &body)?;
    let id = params.get("interaction").ok_or(LoginError::Expired)?;
    let (_, opened) = login::open(&provider, &headers, id)?;
    let session = opened.session.ok_or(LoginError::Expired)?;
    let client = provider
        .client(&opened.request.client_id)
        .ok_or(LoginError::Expired)?;
    provider.state().interactions.remove(id, provider.now());
    if params.get("decision") != Some("allow") {
        return Ok(interaction::refuse(
            &provider,
            &opened.request,
            "access_denied",
            "the person said no",
        ));
    }
    let scope = provider.granted_scope(&opened.request, &client);
    provider
        .state()
        .give_consent(&session.sub, &client.client_id, &scope);
    Ok(interaction::finish(&provider, &client, &opened.request, &session))
}
