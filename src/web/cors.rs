//! Pages of other origins that may call with credentials (`CORS__ALLOW_ORIGINS`).

use std::time::Duration;

use axum::extract::Request;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method,
    header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_REQUEST_METHOD, RETRY_AFTER, VARY,
    },
};
use tower_http::cors::{AllowHeaders, AllowMethods, AllowOrigin, CorsLayer, ExposeHeaders};

use super::{
    correlation,
    limits::{RATE_LIMIT, RATE_LIMIT_POLICY},
};

/// How long a browser may remember the answer to a preflight.
const MAX_AGE: Duration = Duration::from_mins(10);

/// The fields by which an answer lets pages of other origins read it (Fetch section 3.3).
const OWN: &str = "access-control-";

/// Removes the fields of an API: with listed origins, this server alone says who may read. Otherwise an API that allows
/// any origin would be read with credentials.
pub(super) fn take_over(answer: &mut HeaderMap) {
    let names: Vec<HeaderName> = answer
        .keys()
        .filter(|name| name.as_str().starts_with(OWN))
        .cloned()
        .collect();
    for name in names {
        answer.remove(name);
    }
}

/// Marks a refusal that was made before the layer saw the request, for a page of a listed origin.
pub(super) fn mark(origins: &[HeaderValue], origin: Option<&HeaderValue>, answer: &mut HeaderMap) {
    let listed = origin.filter(|origin| origins.contains(origin));
    if let Some(origin) = listed
        && !answer.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN)
    {
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        answer.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        answer.append(VARY, HeaderValue::from_static("origin"));
    }
}

/// Says in the answer to a preflight that the path takes only `methods`.
pub(super) fn restrict(answer: &mut HeaderMap, methods: &HeaderValue) {
    if answer.contains_key(ACCESS_CONTROL_ALLOW_METHODS) {
        answer.insert(ACCESS_CONTROL_ALLOW_METHODS, methods.clone());
    }
}

/// The method that a preflight asks for.
pub(super) fn asked_method(request: &Request) -> Option<Method> {
    if *request.method() != Method::OPTIONS {
        return None;
    }
    let method = request.headers().get(ACCESS_CONTROL_REQUEST_METHOD)?;
    Method::from_bytes(method.as_bytes()).ok()
}

/// Answers preflights and marks answers for the listed origins, exactly compared. `None` without listed origins,
/// because the layer would answer every `OPTIONS`, which then belongs to the APIs.
///
/// CORS decides what a page may read. The two CSRF checks decide what it may change, as for every call.
pub(super) fn layer(origins: &[HeaderValue]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let layer = CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins.iter().cloned()))
        .allow_credentials(true)
        .allow_methods(AllowMethods::mirror_request())
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(ExposeHeaders::list([
            correlation::HEADER,
            RETRY_AFTER,
            RATE_LIMIT,
            RATE_LIMIT_POLICY,
        ]))
        .max_age(MAX_AGE);
    Some(layer)
}
