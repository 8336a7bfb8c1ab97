//! The socket's view of sessions, and how it ends them.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
    response::{IntoResponse, Response},
};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::Admin;
use crate::{
    clock::Timestamp,
    instruments::Reading,
    session::{Device, EndReason, Found, Part, SessionKey, StoreError, Whose},
};

/// No more sessions are listed at a time.
const MOST: usize = 1_000;

/// Which sessions a request is about: those of a person, of a login at the IdP, one, or all.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    user: Option<String>,
    sid: Option<String>,
    r#ref: Option<String>,
    #[serde(default)]
    all: bool,
}

/// One session. Times are RFC 3339 in UTC.
#[derive(Debug, Serialize, Deserialize)]
pub struct Entry {
    /// Its name in the log.
    pub r#ref: String,
    /// `sub` of the person.
    pub user: String,
    /// `sid` of the login at the IdP.
    pub sid: Option<String>,
    /// The circumstances of its login.
    #[serde(flatten)]
    pub device: Device,
    /// When it was logged in.
    pub since: String,
    /// When it was last used.
    pub last_seen: String,
    /// Its end if it is not used any more.
    pub expires_at: String,
    /// When its tokens were obtained.
    pub refreshed_at: String,
    /// When its access token expires.
    pub token_expires_at: String,
    /// Whether it has a refresh token.
    pub refreshable: bool,
    /// The scope that was granted.
    pub scope: String,
}

/// Some sessions.
#[derive(Debug, Serialize, Deserialize)]
pub struct Page {
    /// Those.
    pub sessions: Vec<Entry>,
    /// Whether there are more, which are not listed.
    pub more: bool,
}

/// The ended sessions.
#[derive(Debug, Serialize, Deserialize)]
pub struct EndedSessions {
    /// How many.
    pub ended: usize,
}

/// How much is stored.
#[derive(Debug, Serialize, Deserialize)]
pub struct Statistics {
    /// The number of sessions, including ended ones that are not removed yet.
    pub sessions: usize,
    /// How much memory of this process they take, in bytes.
    pub memory: usize,
    /// The counters since the start of this server, by series.
    pub counted: BTreeMap<String, Counted>,
}

/// The value of a series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Counted {
    /// The count.
    Count(u64),
    /// The count, and the total duration.
    Times {
        /// How often.
        count: u64,
        /// All together, in seconds.
        seconds: f64,
        /// The longest, in seconds.
        longest: f64,
    },
    /// When it happened last, if it has: RFC 3339 in UTC.
    Last(Option<String>),
}

/// Why nothing was done.
#[derive(Debug, Serialize, Deserialize)]
pub struct Refusal {
    /// In words for the operator.
    pub error: String,
}

/// Why a request is not served.
#[derive(Debug, thiserror::Error)]
pub(super) enum AdminError {
    /// It does not say which sessions it is about.
    #[error("name one of user, sid, ref and all; ref also beside user or sid")]
    Which,
    /// Its query cannot be read.
    #[error(transparent)]
    Query(#[from] QueryRejection),
    /// No session has this reference.
    #[error("no such session; it may have ended")]
    Unknown,
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A request, understood.
enum Asked<'a> {
    One(SessionKey),
    Of(Whose<'a>),
    All,
}

/// `GET /sessions`.
pub(super) async fn list(
    State(admin): State<Admin>,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Json<Page>, AdminError> {
    let Query(which) = which?;
    let sessions = match admin.asked(&which).await? {
        Asked::One(key) => {
            let stored = admin.sessions.get(&key).await?.ok_or(AdminError::Unknown)?;
            return Ok(Json(Page {
                sessions: vec![admin.entry(&Found { key, stored })],
                more: false,
            }));
        }
        Asked::Of(whose) => admin.sessions.all_of(whose).await?,
        Asked::All => {
            let mut all = Vec::new();
            for part in Part::all() {
                all.extend(admin.sessions.all_in(part).await?);
                if all.len() > MOST {
                    break;
                }
            }
            all
        }
    };
    Ok(Json(Page {
        more: sessions.len() > MOST,
        sessions: sessions
            .iter()
            .take(MOST)
            .map(|found| admin.entry(found))
            .collect(),
    }))
}

/// `DELETE /sessions`.
pub(super) async fn end(
    State(admin): State<Admin>,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Json<EndedSessions>, AdminError> {
    let Query(which) = which?;
    let ended = match admin.asked(&which).await? {
        Asked::One(key) => {
            let ended = admin.sessions.end(&key, EndReason::Admin).await?;
            ended.map(|_| 1).ok_or(AdminError::Unknown)?
        }
        Asked::Of(whose) => admin.login.end_all(whose, EndReason::Admin).await?,
        Asked::All => admin.login.end_everything(EndReason::Admin).await?,
    };
    tracing::info!(sessions = ended, "an operator has ended sessions");
    Ok(Json(EndedSessions { ended }))
}

/// `GET /stats`.
pub(super) async fn stats(State(admin): State<Admin>) -> Result<Json<Statistics>, AdminError> {
    let usage = admin.sessions.usage().await?;
    Ok(Json(Statistics {
        sessions: usage.sessions,
        memory: usage.memory,
        counted: admin
            .instruments
            .read()
            .into_iter()
            .map(|(series, reading)| (series.to_string(), reading.into()))
            .collect(),
    }))
}

impl From<Reading> for Counted {
    fn from(reading: Reading) -> Self {
        match reading {
            Reading::Count(count) => Self::Count(count),
            Reading::Times { count, sum, longest } => Self::Times {
                count,
                seconds: sum.as_secs_f64(),
                longest: longest.as_secs_f64(),
            },
            Reading::Last(time) => Self::Last(time.map(Timestamp::rfc3339)),
        }
    }
}

// === impl Admin ===

impl Admin {
    async fn asked<'a>(&'a self, which: &'a Which) -> Result<Asked<'a>, AdminError> {
        let issuer = &*self.issuer;
        let whose = match (&which.user, &which.sid, which.all) {
            (Some(subject), None, false) => Some(Whose::Subject { issuer, subject }),
            (None, Some(sid), false) => Some(Whose::Sid { issuer, sid }),
            (None, None, false) => None,
            (None, None, true) if which.r#ref.is_none() => return Ok(Asked::All),
            _ => return Err(AdminError::Which),
        };
        let found = match (whose, which.r#ref.as_deref()) {
            (Some(whose), None) => return Ok(Asked::Of(whose)),
            (Some(whose), Some(reference)) => self.sessions.named(whose, reference).await?,
            (None, Some(reference)) => self.sessions.by_reference(reference).await?,
            (None, None) => return Err(AdminError::Which),
        };
        found.map(Asked::One).ok_or(AdminError::Unknown)
    }

    fn entry(&self, found: &Found) -> Entry {
        let session = &found.stored.session;
        let lifespan = self.sessions.lifespan();
        let time = |time| self.clock.shown(time).rfc3339();
        Entry {
            r#ref: self.sessions.reference(&found.key).to_string(),
            user: session.subject.clone(),
            sid: session.sid.clone(),
            device: session.device.clone(),
            since: time(session.created_at),
            last_seen: time(found.stored.last_seen),
            expires_at: time(lifespan.end_of(session, found.stored.last_seen)),
            refreshed_at: time(session.tokens.access_obtained_at),
            token_expires_at: time(session.tokens.access_expires_at),
            refreshable: session.tokens.refresh_token().is_some(),
            scope: session.tokens.scope.clone(),
        }
    }
}

impl IntoResponse for AdminError {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::Which | Self::Query(_) => StatusCode::BAD_REQUEST,
            Self::Unknown => StatusCode::NOT_FOUND,
            Self::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        let error = self.to_string();
        (status, Json(Refusal { error })).into_response()
    }
}
