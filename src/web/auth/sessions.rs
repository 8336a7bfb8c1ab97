//! `/auth/sessions`: a person's own sessions, in all their browsers.

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
    response::{IntoResponse, Response},
};
use http::{StatusCode, header::SET_COOKIE, request::Parts};
use serde::Serialize;

use super::super::{
    Web,
    caller::Caller,
    csrf,
    envelope::Envelope,
    problem::{Code, Problem},
};
use crate::session::{Device, EndReason, Found, SessionRef, Whose};

#[derive(Serialize)]
struct Answer {
    sessions: Vec<Entry>,
}

/// Times are RFC 3339 in UTC.
#[derive(Serialize)]
struct Entry {
    r#ref: SessionRef,
    /// Whether it is the session of this request.
    current: bool,
    #[serde(flatten)]
    device: Device,
    since: String,
    last_seen: String,
    expires_at: String,
}

/// `GET`: lists them. No use of the session.
pub(in super::super) async fn list(State(web): State<Web>, request: Parts) -> Result<Response, Problem> {
    let caller = caller(&web, &request).await?;
    let theirs = web.sessions.all_of(Whose::person(&caller.stored.session)).await?;
    let sessions = theirs.iter().map(|found| entry(&web, &caller, found)).collect();
    Ok(Json(Answer { sessions }).into_response())
}

/// `DELETE /auth/sessions/{ref}`: ends one of them, given both proofs.
pub(in super::super) async fn end(
    State(web): State<Web>,
    reference: Result<Path<String>, PathRejection>,
    request: Parts,
) -> Result<Response, Problem> {
    web.own_origins.check(&request.headers)?;
    let caller = caller(&web, &request).await?;
    csrf::check_token(&request.headers, &web.sealer, &caller.key)?;
    // Bytes that are not text name no session.
    let Path(reference) = reference.map_err(|_| not_theirs())?;
    let person = Whose::person(&caller.stored.session);
    let key = web.sessions.named(person, &reference).await?;
    let key = key.ok_or_else(not_theirs)?;
    let is_own = key == caller.key;
    let why = if is_own {
        EndReason::Logout
    } else {
        EndReason::Elsewhere
    };
    web.sessions.end(&key, why).await?.ok_or_else(not_theirs)?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    if is_own {
        response
            .headers_mut()
            .append(SET_COOKIE, web.cookies.clear_session());
    }
    Ok(response)
}

async fn caller(web: &Web, request: &Parts) -> Result<Caller, Problem> {
    Ok(web.caller(Envelope::from(request)).await??)
}

/// The same answer for a foreign session and for one that never existed.
fn not_theirs() -> Problem {
    Problem::new(
        Code::SessionNotFound,
        "None of your sessions has this reference. It may have ended: read /auth/sessions again.",
    )
}

fn entry(web: &Web, caller: &Caller, found: &Found) -> Entry {
    let session = &found.stored.session;
    let ends_at = web.sessions.lifespan().end_of(session, found.stored.last_seen);
    Entry {
        r#ref: web.sessions.reference(&found.key),
        current: found.key == caller.key,
        device: session.device.clone(),
        since: web.rfc3339(session.created_at),
        last_seen: web.rfc3339(found.stored.last_seen),
        expires_at: web.rfc3339(ends_at),
    }
}
