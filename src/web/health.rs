//! `/health`, `/health/live`, `/health/ready`.

use axum::{
    Extension, Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header::CACHE_CONTROL};
use serde_json::json;

use super::{Listener, Web, arrival::Arrival, peer::is_forwarded};

/// 200 as long as the process answers; container health checks use it.
pub(super) async fn live() -> Response {
    answer(StatusCode::OK, Json(json!({ "status": "live" })))
}

/// 200 once everything that is needed has been there; 503 before, and when the server stops. Details only for who may know them.
pub(super) async fn ready(
    State(web): State<Web>,
    Extension(arrival): Extension<Arrival>,
    headers: HeaderMap,
) -> Response {
    let report = web.health.report();
    let (status, word) = match (report.ready, report.degraded) {
        (false, _) if report.stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
        (false, _) => (StatusCode::SERVICE_UNAVAILABLE, "starting"),
        (true, true) => (StatusCode::OK, "degraded"),
        (true, false) => (StatusCode::OK, "ready"),
    };
    // A proxy on the same machine is a loopback peer too, but no direct one: it says for whom it asks.
    let direct = arrival.peer.ip().to_canonical().is_loopback() && !is_forwarded(&headers);
    let may_know = arrival.listener == Listener::Internal || direct;
    if may_know {
        let components: serde_json::Map<_, _> = report
            .components
            .iter()
            .filter_map(|(component, status)| {
                let name = serde_json::to_value(component).ok()?.as_str()?.to_owned();
                Some((name, serde_json::to_value(status).ok()?))
            })
            .collect();
        answer(status, Json(json!({ "status": word, "components": components })))
    } else {
        answer(status, Json(json!({ "status": word })))
    }
}

fn answer(status: StatusCode, body: Json<serde_json::Value>) -> Response {
    (
        status,
        [(CACHE_CONTROL, HeaderValue::from_static("no-store"))],
        body,
    )
        .into_response()
}
