//! The metadata document (OpenID Connect Discovery 1.0; RFC 8414).

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde_json::{Value, json};

use super::Shared;
use crate::{
    authorization_request::Prompt,
    client::AuthMethod,
    client_auth::SIGNING_ALGS,
    provider::Provider,
    registration::{GRANT_TYPES, ID_TOKEN_ALGS},
    tokens::ACR,
};

pub(crate) async fn get(State(provider): Shared) -> Response {
    let mut document = document(&provider);
    provider.hooks.discovery.apply(&mut document);
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "max-age=60"),
    ];
    (StatusCode::OK, headers, document.to_string()).into_response()
}

fn document(provider: &Provider) -> Value {
    let methods = AuthMethod::ALL.map(AuthMethod::as_str);
    json!({
        "issuer": provider.issuer(),
        "authorization_endpoint": provider.url("/authorize"),
        "token_endpoint": provider.url("/token"),
        "jwks_uri": provider.url("/jwks"),
        "registration_endpoint": provider.url("/register"),
        "pushed_authorization_request_endpoint": provider.url("/par"),
        "require_pushed_authorization_requests": false,
        "userinfo_endpoint": provider.url("/userinfo"),
        "revocation_endpoint": provider.url("/revoke"),
        "introspection_endpoint": provider.url("/introspect"),
        "end_session_endpoint": provider.url("/logout"),
        "backchannel_logout_supported": true,
        "backchannel_logout_session_supported": true,
        "scopes_supported": provider.dcr().policy.allowed_scopes,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": GRANT_TYPES,
        "protected_resources": provider.resources(),
        "subject_types_supported": ["public"],
        "acr_values_supported": [ACR],
        "prompt_values_supported": Prompt::VALUES,
        "id_token_signing_alg_values_supported": ID_TOKEN_ALGS,
        "token_endpoint_auth_methods_supported": methods,
        "token_endpoint_auth_signing_alg_values_supported": SIGNING_ALGS,
        "revocation_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_signing_alg_values_supported": SIGNING_ALGS,
        "introspection_endpoint_auth_methods_supported": methods,
        "introspection_endpoint_auth_signing_alg_values_supported": SIGNING_ALGS,
        "introspection_signing_alg_values_supported": ["RS256"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "claims_supported": [
            "iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "at_hash", "acr", "sid", "name",
            "preferred_username", "email", "email_verified", "roles",
        ],
        "claims_parameter_supported": false,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
    })
}
