//! Pages of other origins that may call with credentials (`CORS__ALLOW_ORIGINS`).

use std::time::Duration;

use http::{HeaderValue, header::RETRY_AFTER};
use tower_http::cors::{AllowHeaders, AllowMethods, AllowOrigin, CorsLayer, ExposeHeaders};

use super::correlation;

/// How long a browser may remember the answer to a preflight.
const MAX_AGE: Duration = Duration::from_mins(10);

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
        .expose_headers(ExposeHeaders::list([correlation::HEADER, RETRY_AFTER]))
        .max_age(MAX_AGE);
    Some(layer)
}
