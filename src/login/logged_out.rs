//! The persons and sessions that logout tokens have named, for as long as a concerned login may be under way.
//!
//! A logout can come after the IdP has answered a login and before its session is stored. It then finds no session.
//! Therefore the logout is noted here first, and then the sessions are looked up. A login stores its session first,
//! and then reads these notes. In any order, one of the two sees the other.

mod others;

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use aws_lc_rs::digest;
use futures_util::future;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use self::others::Others;
use crate::{
    clock::Timestamp,
    oidc::LogoutToken,
    seal::Sealer,
    session::{LOGIN_COOKIE_LIFETIME, Whose},
    shared::{Passing, SharedError},
};

/// How long a logout is remembered: the life of an attempt, plus the duration of a callback at its end.
const KEEP: Duration = LOGIN_COOKIE_LIFETIME.saturating_add(Duration::from_mins(2));

/// At most this many are remembered at a time, some 10 MiB; the oldest are dropped.
const MOST: usize = 50_000;

/// Who has been logged out lately.
#[derive(Debug)]
pub(super) struct LoggedOut {
    named: Mutex<Named>,
    most: usize,
    /// The knowledge of other processes.
    others: Option<Others>,
}

/// A login that has led to a session: whose, and when it was where.
#[derive(Clone, Debug)]
pub(super) struct Course {
    /// `sub` of the ID token.
    pub(super) subject: String,
    /// `sid` of the ID token.
    pub(super) sid: Option<String>,
    /// `auth_time` of the ID token, if it has one.
    pub(super) authenticated: Option<Timestamp>,
    /// When the browser was sent to the IdP.
    pub(super) began: Timestamp,
    /// When the code was sent to the token endpoint.
    pub(super) exchanged: Timestamp,
    /// `iat` of the ID token.
    pub(super) issued: Timestamp,
}

#[derive(Debug, Default)]
struct Named {
    by_whom: HashMap<Digest, Vec<Logout>>,
    in_order: VecDeque<(Timestamp, Digest)>,
}

/// The statement of one token.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Logout {
    arrived: Timestamp,
    issued: Timestamp,
    /// Beside a `sid`: whose it has to be.
    subject: Option<Digest>,
}

/// Neither names nor sessions are kept.
type Digest = [u8; digest::SHA256_OUTPUT_LEN];

// === impl LoggedOut ===

impl LoggedOut {
    pub(super) fn new() -> Self {
        Self::of(MOST)
    }

    fn of(most: usize) -> Self {
        Self {
            named: Mutex::default(),
            most,
            others: None,
        }
    }

    /// The same for all processes that share `passing` and the secrets of `sealer`.
    pub(super) fn shared(self, passing: Arc<dyn Passing>, sealer: Sealer) -> Self {
        Self {
            others: Some(Others::new(passing, sealer)),
            ..self
        }
    }

    /// Notes the person or session of `token`, which arrived at `now`. Call it before looking up the sessions.
    ///
    /// # Errors
    ///
    /// [`SharedError`]: other processes may not know.
    pub(super) async fn note(&self, token: &LogoutToken, now: Timestamp) -> Result<(), SharedError> {
        let subject = token.subject.as_deref();
        let (whom, subject) = match (&token.sid, subject) {
            (Some(sid), subject) => (of_sid(sid), subject.map(of_subject)),
            (None, Some(subject)) => (of_subject(subject), None),
            (None, None) => return Ok(()),
        };
        self.note_logout(whom, token.issued_at, subject, now).await
    }

    /// Notes that another party than the IdP ended sessions at `now`. It concerns only logins whose code was sent
    /// before. Call it before looking up the sessions.
    ///
    /// # Errors
    ///
    /// [`SharedError`]: other processes may not know.
    pub(super) async fn note_end(&self, whose: Whose<'_>, now: Timestamp) -> Result<(), SharedError> {
        let whom = match whose {
            Whose::Subject { subject, .. } => of_subject(subject),
            Whose::Sid { sid, .. } => of_sid(sid),
        };
        // In the same millisecond, the login counts as the later one: the person may be logging in again.
        let arrived = now.saturating_sub(Duration::from_millis(1));
        self.note_logout(whom, Timestamp::EPOCH, None, arrived).await
    }

    /// The same of all sessions there are.
    ///
    /// # Errors
    ///
    /// [`SharedError`]: other processes may not know.
    pub(super) async fn note_end_of_all(&self, now: Timestamp) -> Result<(), SharedError> {
        let arrived = now.saturating_sub(Duration::from_millis(1));
        self.note_logout(everybody(), Timestamp::EPOCH, None, arrived)
            .await
    }

    async fn note_logout(
        &self,
        whom: Digest,
        issued: Timestamp,
        subject: Option<Digest>,
        arrived: Timestamp,
    ) -> Result<(), SharedError> {
        let logout = Logout {
            arrived,
            issued,
            subject,
        };
        self.remember(whom, logout.clone(), arrived);
        match &self.others {
            Some(others) => others.tell(&whom, &logout).await,
            None => Ok(()),
        }
    }

    fn remember(&self, whom: Digest, logout: Logout, now: Timestamp) {
        let mut named = self.named.lock();
        named.forget_before(now.saturating_sub(KEEP));
        named.by_whom.entry(whom).or_default().push(logout);
        named.in_order.push_back((now, whom));
        while named.in_order.len() > self.most {
            named.forget_first();
        }
    }

    /// Whether a logout concerns this login. Call it after storing its session. If the other processes do not answer,
    /// this one uses its own knowledge.
    pub(super) async fn covers(&self, course: &Course) -> bool {
        let (subject, sid) = (of_subject(&course.subject), course.sid.as_deref().map(of_sid));
        let (of_all, of_person, of_session) = {
            let named = self.named.lock();
            let of = |whom: &Digest| named.by_whom.get(whom).cloned().unwrap_or_default();
            (
                of(&everybody()),
                of(&subject),
                sid.as_ref().map(of).unwrap_or_default(),
            )
        };
        if about(course, &subject, &[of_all, of_person].concat(), &of_session) {
            return true;
        }
        let Some(others) = &self.others else {
            return false;
        };
        let asked = async {
            let of_session = async {
                match &sid {
                    Some(sid) => others.of(sid).await,
                    None => Ok(Vec::new()),
                }
            };
            let everybody = everybody();
            let (of_all, of_person, of_session) =
                future::try_join3(others.of(&everybody), others.of(&subject), of_session).await?;
            let of_person = [of_all, of_person].concat();
            Ok::<_, SharedError>(about(course, &subject, &of_person, &of_session))
        };
        asked.await.unwrap_or_else(|error| {
            tracing::warn!(%error, "it is unknown whether another replica received a logout of this person");
            false
        })
    }
}

/// Whether one of the logouts, by person or by session, concerns the login.
fn about(course: &Course, subject: &Digest, of_person: &[Logout], of_session: &[Logout]) -> bool {
    let mut of_session = of_session
        .iter()
        .filter(|logout| logout.subject.is_none_or(|theirs| theirs == *subject));
    of_person.iter().any(|logout| logout.ends(course))
        || of_session.any(|logout| logout.ends(course) || logout.ends_session(course))
}

// === impl Logout ===

impl Logout {
    /// It came after the code was sent, or was issued after the ID token. Both times of a token are the IdP's, and whole
    /// seconds: in the same second the logout counts as the later one.
    fn ends(&self, course: &Course) -> bool {
        self.arrived >= course.exchanged || self.issued >= course.issued
    }

    /// The session at the IdP ended while the browser was there, and the IdP gave a token all the same. Not if the
    /// person has authenticated since.
    fn ends_session(&self, course: &Course) -> bool {
        self.arrived >= course.began && self.issued >= course.authenticated.unwrap_or(course.issued)
    }
}

// === impl Named ===

impl Named {
    fn forget_before(&mut self, time: Timestamp) {
        while self.in_order.front().is_some_and(|(arrived, _)| *arrived < time) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        let Some((_, whom)) = self.in_order.pop_front() else {
            return;
        };
        // Each list is in the same order.
        if let Some(logouts) = self.by_whom.get_mut(&whom) {
            logouts.drain(..logouts.len().min(1));
            if logouts.is_empty() {
                self.by_whom.remove(&whom);
            }
        }
    }
}

/// All people.
fn everybody() -> Digest {
    digest_of(b"a", "")
}

fn of_subject(subject: &str) -> Digest {
    digest_of(b"s", subject)
}

fn of_sid(sid: &str) -> Digest {
    digest_of(b"i", sid)
}

/// There is one issuer, and every token is of it.
fn digest_of(kind: &[u8], name: &str) -> Digest {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(kind);
    hash.update(name.as_bytes());
    let mut digest = [0; digest::SHA256_OUTPUT_LEN];
    digest.copy_from_slice(hash.finish().as_ref());
    digest
}

#[cfg(test)]
mod tests;
