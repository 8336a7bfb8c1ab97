//! `/.well-known/jwks.json`: our public keys, for the IdP to verify client assertions with.

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, USER_AGENT},
};

use super::Web;

/// How long an IdP may keep the document: short, so that a new key is known soon after it is published.
const MAX_AGE: HeaderValue = HeaderValue::from_static("public, max-age=300");

/// The JWK Set (RFC 7517 section 5).
pub(super) async fn handle(State(web): State<Web>, headers: HeaderMap) -> Response {
    // A fetch by a command of this server shows nothing about the IdP.
    let is_ours = headers
        .get(USER_AGENT)
        .is_some_and(|agent| agent.as_bytes().starts_with(b"bff/"));
    if !is_ours {
        web.0.measures.jwks_fetched(web.clock.now());
    }
    let document = web.keys.document();
    let Ok(etag) = HeaderValue::try_from(document.etag.as_str()) else {
        return super::problem::Problem::internal().into_response();
    };
    let known = headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .any(|known| matches(known, &etag));
    let caching = [(CACHE_CONTROL, MAX_AGE), (ETAG, etag)];
    if known {
        return (StatusCode::NOT_MODIFIED, caching).into_response();
    }
    // Not `application/jwk-set+json` (RFC 7517 section 8.5.2): OpenID Connect requires neither, and some IdPs refuse
    // it.
    let content_type = [(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    (caching, content_type, Body::from(document.body.clone())).into_response()
}

/// RFC 9110 section 13.1.2, with the weak comparison that it requires.
fn matches(known: &HeaderValue, etag: &HeaderValue) -> bool {
    let (Ok(known), Ok(etag)) = (known.to_str(), etag.to_str()) else {
        return false;
    };
    known
        .split(',')
        .map(str::trim)
        .any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
}
