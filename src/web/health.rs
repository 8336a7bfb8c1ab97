//! `/health`, `/health/live`, `/health/ready`.

use axum::{
    Extension, Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header::CACHE_CONTROL};
use serde_json::json;

use super::{Listener, Web, peer::is_forwarded, request_context::RequestContext};
use crate::health::{Component, Status};

/// 200 as long as the process answers; container health checks use it.
pub(super) async fn live() -> Response {
    answer(StatusCode::OK, Json(json!({ "status": "live" })))
}

/// 200 once everything that is needed has been there; 503 before, and when the server stops. Details only for who may know them.
pub(super) async fn ready(
    State(web): State<Web>,
    Extension(context): Extension<RequestContext>,
    headers: HeaderMap,
) -> Response {
    let report = web.health.report();
    let (status, word) = match (report.ready, report.degraded) {
        (false, _) if report.stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
        (false, _) => (StatusCode::SERVICE_UNAVAILABLE, "starting"),
        (true, true) => (StatusCode::OK, "degraded"),
        (true, false) => (StatusCode::OK, "ready"),
    };
    told(status, word, &report.components, may_know(&context, &headers))
}

/// The same, only for the session store.
pub(super) async fn store(
    State(web): State<Web>,
    Extension(context): Extension<RequestContext>,
    headers: HeaderMap,
) -> Response {
    let mut components = web.health.report().components;
    components.retain(|(component, _)| *component == Component::Store);
    let works = components.iter().all(|(_, status)| *status == Status::Ok);
    let (status, word) = if works {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
    };
    told(status, word, &components, may_know(&context, &headers))
}

/// Whether the sender of a request may see details. A proxy on the same machine is a loopback peer too, but not a
/// direct one: it names its client.
fn may_know(context: &RequestContext, headers: &HeaderMap) -> bool {
    let direct = context.peer.ip().to_canonical().is_loopback() && !is_forwarded(headers);
    context.listener == Listener::Internal || direct
}

fn told(status: StatusCode, word: &str, components: &[(Component, Status)], in_detail: bool) -> Response {
    if !in_detail {
        return answer(status, Json(json!({ "status": word })));
    }
    let components: serde_json::Map<_, _> = components
        .iter()
        .filter_map(|(component, status)| {
            let name = serde_json::to_value(component).ok()?.as_str()?.to_owned();
            Some((name, serde_json::to_value(status).ok()?))
        })
        .collect();
    answer(status, Json(json!({ "status": word, "components": components })))
}

fn answer(status: StatusCode, body: Json<serde_json::Value>) -> Response {
    (
        status,
        [(CACHE_CONTROL, HeaderValue::from_static("no-store"))],
        body,
    )
        .into_response()
}
