//! An API as a team would write it: it knows its issuer and its audience, and trusts only a signed access token (RFC
//! 9068).
//!
//! It checks with `jsonwebtoken` directly and not with the server's own code, so that a fault there cannot vouch for
//! itself.

mod keys;
mod live;
mod token;

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, FromRequestParts, State, rejection::JsonRejection},
    response::{IntoResponse, Response},
    routing::get,
};
use bff::clock::SharedClock;
use http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::json;

use self::{
    keys::{Keys, KeysError},
    token::{Claims, TokenError},
};

/// Notes of one person; the oldest goes when another comes.
const MAX_NOTES: usize = 20;
/// People whose notes are kept.
const MAX_PEOPLE: usize = 1_000;
/// In characters.
const MAX_NOTE_LENGTH: usize = 500;
/// The maximum size of a request, in bytes.
const MAX_BODY: usize = 8 * 1024;

/// The accepted tokens.
#[derive(Clone, Debug)]
pub struct Options {
    /// `iss` must be exactly this.
    pub issuer: String,
    /// The issuer's key endpoint.
    pub jwks_uri: String,
    /// The required `aud`.
    pub audience: String,
    /// For expiry and for the pause between two fetches of the keys.
    pub clock: SharedClock,
}

/// Why the API cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("the sample API cannot make its HTTP client")]
pub struct BuildError(#[from] reqwest::Error);

#[derive(Clone)]
struct Api(Arc<Inner>);

struct Inner {
    options: Options,
    keys: Keys,
    notes: Mutex<HashMap<String, VecDeque<Note>>>,
}

#[derive(Clone, Debug, Serialize)]
struct Note {
    text: String,
    /// Seconds since 1970.
    written_at: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewNote {
    text: String,
}

/// A caller whose token has passed.
struct Caller(Claims);

/// Everything that the API refuses.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("no access token came with the request")]
    NoToken,
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error("the issuer's keys cannot be had at the moment")]
    Keys(#[source] KeysError),
    #[error("the note is not what is expected: {{\"text\": \"…\"}} with 1 to 500 characters")]
    BadNote,
    #[error("the API keeps notes of no more people")]
    Full,
}

/// The sample API: `GET /hello`, `GET /notes`, `POST /notes`, `GET /ticks` (server-sent events) and `/echo` (a WebSocket).
///
/// # Errors
///
/// [`BuildError`] if no HTTP client can be made.
pub fn router(options: Options) -> Result<Router, BuildError> {
    let keys = Keys::new(options.jwks_uri.clone(), Arc::clone(&options.clock))?;
    let api = Api(Arc::new(Inner {
        options,
        keys,
        notes: Mutex::default(),
    }));
    Ok(Router::new()
        .route("/hello", get(hello))
        .route("/notes", get(list_notes).post(write_note))
        .route("/ticks", get(live::ticks))
        .route("/echo", get(live::echo))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(api))
}

/// Greets the person by the name in the token, and lists what the API received: names of header fields, never the
/// token.
async fn hello(Caller(claims): Caller, headers: HeaderMap) -> Response {
    let mut fields: Vec<&str> = headers.keys().map(header::HeaderName::as_str).collect();
    fields.sort_unstable();
    let name = claims.display_name();
    let answer = json!({
        "greeting": format!("Hello, {name}. Your API has read your token."),
        "name": name,
        "roles": claims.roles,
        "token": {
            "issuer": claims.iss,
            "subject": claims.sub,
            "client_id": claims.client_id,
            "scope": claims.scope,
            "issued_at": claims.iat,
            "expires_at": claims.exp,
        },
        "header_fields": fields,
    });
    no_store(Json(answer))
}

async fn list_notes(State(Api(api)): State<Api>, Caller(claims): Caller) -> Response {
    let notes = api.notes.lock().get(&claims.sub).cloned().unwrap_or_default();
    no_store(Json(json!({ "notes": notes })))
}

async fn write_note(
    State(Api(api)): State<Api>,
    Caller(claims): Caller,
    note: Result<Json<NewNote>, JsonRejection>,
) -> Result<Response, Refusal> {
    let Json(NewNote { text }) = note.map_err(|_| Refusal::BadNote)?;
    let text = text.trim();
    if text.is_empty() || text.chars().nth(MAX_NOTE_LENGTH).is_some() {
        return Err(Refusal::BadNote);
    }
    let note = Note {
        text: text.to_owned(),
        written_at: api.options.clock.now().unix_seconds(),
    };
    let mut people = api.notes.lock();
    if people.len() >= MAX_PEOPLE && !people.contains_key(&claims.sub) {
        return Err(Refusal::Full);
    }
    let notes = people.entry(claims.sub).or_default();
    if notes.len() == MAX_NOTES {
        notes.pop_front();
    }
    notes.push_back(note.clone());
    drop(people);
    Ok((StatusCode::CREATED, no_store(Json(note))).into_response())
}

fn no_store(answer: impl IntoResponse) -> Response {
    (
        [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))],
        answer,
    )
        .into_response()
}

// === impl Caller ===

impl FromRequestParts<Api> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, Api(api): &Api) -> Result<Self, Refusal> {
        let mut values = parts.headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(Refusal::NoToken);
        };
        let (scheme, token) = value
            .to_str()
            .ok()
            .and_then(|value| value.split_once(' '))
            .ok_or(Refusal::NoToken)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Refusal::NoToken);
        }
        let header = token::header(token)?;
        let key = api.keys.find(&header).await.map_err(Refusal::Keys)?;
        let key = key.ok_or(TokenError::UnknownKey)?;
        let options = &api.options;
        let now = options.clock.now();
        Ok(Self(token::verify(
            token,
            &header,
            &key,
            &options.issuer,
            &options.audience,
            now,
        )?))
    }
}

// === impl Refusal ===

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, code, challenge) = match &self {
            Self::NoToken => (StatusCode::UNAUTHORIZED, "no_token", Some("Bearer")),
            Self::Token(_) => (
                StatusCode::UNAUTHORIZED,
                "invalid_token",
                Some("Bearer error=\"invalid_token\""),
            ),
            Self::Keys(cause) => {
                tracing::warn!(cause = %cause, "the sample API has no keys to verify with");
                (StatusCode::SERVICE_UNAVAILABLE, "keys_unavailable", None)
            }
            Self::BadNote => (StatusCode::BAD_REQUEST, "bad_note", None),
            Self::Full => (StatusCode::INSUFFICIENT_STORAGE, "full", None),
        };
        // RFC 9457.
        let problem = json!({
            "type": "about:blank",
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            "code": code,
            "detail": self.to_string(),
        });
        let mut response = (status, no_store(Json(problem))).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(challenge) = challenge {
            // RFC 6750 section 3.
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }
}

#[cfg(test)]
mod tests;
