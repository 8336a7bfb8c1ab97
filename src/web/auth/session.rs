//! `GET /auth/session`: who is logged in, for the application. Never a token.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::request::Parts;
use serde::{Serialize, Serializer, ser::SerializeMap as _};
use serde_json::{Map, Value};

use super::super::{
    Web,
    envelope::Envelope,
    identity,
    problem::{Code, Problem},
    query::Parameters,
};
use crate::session::csrf_token;

/// Times are RFC 3339 in UTC.
#[derive(Serialize)]
struct Answer<'a> {
    authenticated: bool,
    /// Why the request is not logged in although there is a session: the code of the problem that calls get.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(flatten)]
    session: Option<Details<'a>>,
}

/// The claims about the person, and `arn`, the name of the person over all providers. A claim of that name is left out.
struct User<'a> {
    claims: &'a Map<String, Value>,
    arn: String,
}

#[derive(Serialize)]
struct Details<'a> {
    user: User<'a>,
    expires_at: String,
    token_expires_at: String,
    refreshed_at: String,
    /// How strong the login was (`acr` of the ID token).
    #[serde(skip_serializing_if = "Option::is_none")]
    acr: Option<&'a str>,
    csrf_token: String,
}

impl Serialize for User<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let claims = self.claims.iter().filter(|(name, _)| *name != "arn");
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in claims {
            map.serialize_entry(name, value)?;
        }
        map.serialize_entry("arn", &self.arn)?;
        map.end()
    }
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
                reason: absent.reason().map(Code::name),
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
        user: User {
            claims: &session.user,
            arn: identity::name_of(&web, &caller),
        },
        expires_at: web.rfc3339(web.sessions.lifespan().end_of(session, last_seen)),
        token_expires_at: web.rfc3339(session.tokens.access_expires_at),
        refreshed_at: web.rfc3339(session.tokens.access_obtained_at),
        acr: session.assurance.acr.as_deref(),
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
    web.tell_csrf_token(&request.headers, &caller.key, response.headers_mut());
    Ok(response)
}
