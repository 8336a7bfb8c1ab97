//! `GET /auth/csrf`: the CSRF token of the session.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::HeaderMap;
use serde_json::json;

use super::super::{Web, problem::Problem};
use crate::session::csrf_token;

/// The token, which state-changing calls carry in `X-CSRF-Token`.
pub(in super::super) async fn handle(
    State(web): State<Web>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let caller = web.caller(&headers).await?.ok_or_else(Problem::unauthenticated)?;
    Ok(Json(json!({ "csrf_token": csrf_token(&web.sealer, &caller.key) })).into_response())
}
