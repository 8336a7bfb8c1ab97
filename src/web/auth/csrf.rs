//! `GET /auth/csrf`: the CSRF token of the session.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::request::Parts;
use serde_json::json;

use super::super::{Web, envelope::Envelope, problem::Problem};
use crate::session::csrf_token;

/// The token, which state-changing calls carry in `X-CSRF-Token`.
pub(in super::super) async fn handle(State(web): State<Web>, request: Parts) -> Result<Response, Problem> {
    let caller = web.caller(Envelope::from(&request)).await??;
    let mut response = Json(json!({ "csrf_token": csrf_token(&web.sealer, &caller.key) })).into_response();
    web.tell_csrf_token(&request.headers, &caller.key, response.headers_mut());
    Ok(response)
}
