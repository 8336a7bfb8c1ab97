//! Identifies the caller of a request: from the session cookie to the session.

use std::time::Duration;

use http::{
    HeaderMap, HeaderValue,
    header::{CACHE_CONTROL, SET_COOKIE},
};

use tracing::Level;

use super::{
    Web,
    binding::Unproven,
    envelope::Envelope,
    problem::{Code, Problem},
};
use crate::session::{SessionId, SessionKey, StoreError, Stored};

/// The use of a session is noted, and its cookie renewed, at most this often.
const TOUCH_EVERY: Duration = Duration::from_mins(1);

/// A request with a session.
#[derive(Debug)]
pub(crate) struct Caller {
    /// The store's name for the session.
    pub(crate) key: SessionKey,
    /// The session.
    pub(crate) stored: Stored,
    id: SessionId,
    /// Removes the cookie of the former release if the browser sent it.
    former: Option<HeaderValue>,
}

/// Why a request has no session.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Absent {
    /// It has no session cookie, several, or one without a session.
    Nobody,
    /// It has the cookie of a session but does not fit its binding.
    Unproven(Unproven),
}

/// `Set-Cookie` fields that the answer has to carry.
#[derive(Debug)]
pub(crate) struct Renewal {
    cookie: HeaderValue,
    former: Option<HeaderValue>,
}

// === impl Web ===

impl Web {
    /// The session of a request, if it proves that it belongs to it.
    pub(crate) async fn caller(&self, request: Envelope<'_>) -> Result<Result<Caller, Absent>, StoreError> {
        let Some(caller) = self.named(request.headers).await? else {
            return Ok(Err(Absent::Nobody));
        };
        let bound = self.check_binding(&caller.key, &caller.stored.session, &request);
        Ok(bound.map(|()| caller).map_err(Absent::Unproven))
    }

    /// The session that a request names by its cookie, whether it belongs to it or not.
    async fn named(&self, headers: &HeaderMap) -> Result<Option<Caller>, StoreError> {
        let Some(id) = self.cookies.session_id(headers) else {
            self.notice_doubled_session(headers);
            return Ok(None);
        };
        let key = id.key();
        Ok(self.sessions.get(&key).await?.map(|stored| Caller {
            key,
            stored,
            id,
            former: self.cookies.clear_former_session(headers),
        }))
    }

    /// Notes that the session is used. From time to time the browser's cookie is renewed with it, so that it lives as
    /// long as the session does.
    pub(crate) async fn touch(&self, caller: &Caller) -> Result<Option<Renewal>, StoreError> {
        let now = self.clock.now();
        let every = TOUCH_EVERY.min(self.sessions.lifespan().idle / 10);
        if now.duration_since(caller.stored.last_seen) < every && caller.former.is_none() {
            return Ok(None);
        }
        self.sessions.touch(&caller.key, &caller.stored).await?;
        let ends_at = self.sessions.lifespan().end_of(&caller.stored.session, now);
        let cookie = self.cookies.set_session(&caller.id, ends_at.duration_since(now));
        Ok(Some(Renewal {
            cookie,
            former: caller.former.clone(),
        }))
    }
}

// === impl Absent ===

impl Absent {
    /// Whether a login in this browser would help.
    pub(crate) const fn login_helps(self) -> bool {
        match self {
            Self::Nobody => true,
            Self::Unproven(Unproven { why, .. }) => why.login_helps(),
        }
    }

    /// The code of its problem, if there is a session.
    pub(crate) const fn reason(self) -> Option<Code> {
        match self {
            Self::Nobody => None,
            Self::Unproven(Unproven { why, .. }) => Some(why.code()),
        }
    }
}

impl From<Absent> for Problem {
    fn from(absent: Absent) -> Self {
        match absent {
            Absent::Nobody => Self::unauthenticated(),
            Absent::Unproven(Unproven { why, .. }) => why.problem(),
        }
    }
}

// === impl Renewal ===

impl Renewal {
    /// Adds the cookies to an answer, which no cache may store then, even if it allows that itself.
    pub(crate) fn apply(self, answer: &mut HeaderMap) {
        answer.append(SET_COOKIE, self.cookie);
        if let Some(former) = self.former {
            answer.append(SET_COOKIE, former);
        }
        answer.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::unavailable(Code::SessionStoreUnavailable).because(
            Level::ERROR,
            "the session store does not answer",
            &error,
        )
    }
}
