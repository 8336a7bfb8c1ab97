//! `GET /jwks` (RFC 7517).

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};

use super::Shared;
use crate::keys::KeyRing;

pub(crate) async fn get(State(provider): Shared) -> Response {
    let mut jwks = provider.keys(KeyRing::jwks);
    provider.hooks.jwks.apply(&mut jwks);
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "max-age=60"),
    ];
    (StatusCode::OK, headers, jwks.to_string()).into_response()
}
