//! `GET /auth/session`: who is logged in, for the application. Never a token.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::request::Parts;
use serde::Serialize;
use serde_json::{Map, Value};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::super::{Web, envelope::Envelope, problem::Problem, query::Parameters};
use crate::{clock::Timestamp, session::csrf_token};

/// Times are RFC 3339 in UTC.
#[derive(Serialize)]
struct Answer<'a> {
    authenticated: bool,
    /// Why nobody is logged in although there is a session: the code of the problem that calls get.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(flatten)]
    session: Option<Details<'a>>,
}

#[derive(Serialize)]
struct Details<'a> {
    user: &'a Map<String, Value>,
    expires_at: String,
    token_expires_at: String,
    refreshed_at: String,
    csrf_token: String,
}

/// Tells the application about the session; counts as use unless `touch=false`.
pub(in super::super) async fn handle(State(web): State<Web>, request: Parts) -> Result<Response, Problem> {
    let mut query = Parameters::parse(request.uri.query())?;
    let touch = query.take("touch")?.as_deref() != Some("false");
    let caller = match web.caller(Envelope::from(&request)).await? {
        Ok(caller) => caller,
        Err(absent) => {
            let answer = Answer {
                authenticated: false,
                reason: absent.reason(),
                session: None,
            };
            return web.ask_for_proof(absent, Ok(Json(answer).into_response()));
        }
    };
    let session = &caller.stored.session;
    let last_seen = if touch {
        web.clock.now()
    } else {
        caller.stored.last_seen
    };
    let details = Details {
        user: &session.user,
        expires_at: rfc3339(
            web.clock
                .shown(web.sessions.lifespan().end_of(session, last_seen)),
        ),
        token_expires_at: rfc3339(web.clock.shown(session.tokens.access_expires_at)),
        refreshed_at: rfc3339(web.clock.shown(session.tokens.access_obtained_at)),
        csrf_token: csrf_token(&web.sealer, &caller.key),
    };
    let mut response = Json(Answer {
        authenticated: true,
        reason: None,
        session: Some(details),
    })
    .into_response();
    if touch && let Some(renewal) = web.touch(&caller).await? {
        renewal.apply(response.headers_mut());
    }
    Ok(response)
}

fn rfc3339(time: Timestamp) -> String {
    let seconds = i64::try_from(time.unix_seconds()).unwrap_or(i64::MAX);
    let time = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    time.format(&Rfc3339).unwrap_or_default()
}
