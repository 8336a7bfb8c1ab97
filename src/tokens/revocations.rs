//! Revokes the tokens of ended sessions. No caller waits for it, and an IdP that does not answer changes nothing.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::{
    oidc::RelyingParty,
    secret::Secret,
    session::{self, Ended, Listener, Revocation, Sessions, Whose},
};

/// The maximum number of concurrent revocations for sessions that ended without a request of their person: fewer than
/// the allowed calls of that kind, so that a logout always finds a place.
const AT_A_TIME: usize = 4;

/// The maximum number of such waiting sessions. With an endpoint that does not answer, more would only take memory.
const WAITING: usize = 10_000;

/// The tokens to revoke: all known ones of a grant, or access tokens only.
#[derive(Clone, Debug)]
pub(super) struct Grant {
    pub(super) refresh: Option<Secret>,
    pub(super) access: Secret,
    /// The access tokens for single APIs.
    pub(super) others: Vec<Secret>,
}

/// The data kept of a session until its turn comes.
struct Left {
    issuer: String,
    subject: String,
    grant: Grant,
}

/// The revocations that are under way.
#[derive(Clone, Debug)]
pub(super) struct Revocations {
    relying_party: RelyingParty,
    tasks: TaskTracker,
    turns: Arc<Semaphore>,
    room: Arc<Semaphore>,
    /// Whether the log has said that too many wait.
    said_full: Arc<AtomicBool>,
}

// === impl Revocations ===

impl Revocations {
    pub(super) fn new(relying_party: RelyingParty) -> Self {
        Self {
            relying_party,
            tasks: TaskTracker::new(),
            turns: Arc::new(Semaphore::new(AT_A_TIME)),
            room: Arc::new(Semaphore::new(WAITING)),
            said_full: Arc::default(),
        }
    }

    /// Revokes in its own task.
    pub(super) fn start(&self, grant: Grant) {
        let this = self.clone();
        self.tasks.spawn(async move { this.revoke(&grant).await });
    }

    /// Revokes one after the other when there is time, because thousands of sessions may reach their limit together.
    /// A session whose person has another one is skipped: its tokens are forgotten here, and expire there.
    fn start_unshared(&self, sessions: Sessions, left: Left) {
        let Ok(room) = Arc::clone(&self.room).try_acquire_owned() else {
            if !self.said_full.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    waiting = WAITING,
                    "tokens of ended sessions are not revoked, because too many wait for the IdP already"
                );
            }
            return;
        };
        // Logged again only after a while without the problem.
        if self.room.available_permits() > WAITING / 2 {
            self.said_full.store(false, Ordering::Relaxed);
        }
        let this = self.clone();
        self.tasks.spawn(async move {
            let _room = room;
            let Ok(_turn) = this.turns.acquire().await else {
                // The server stops: these tokens end by themselves.
                return;
            };
            match sessions.has_any(left.whose()).await {
                Ok(false) => this.revoke(&left.grant).await,
                Ok(true) => {}
                Err(error) => {
                    tracing::warn!(%error, "tokens of an ended session were not revoked");
                }
            }
        });
    }

    async fn revoke(&self, grant: &Grant) {
        self.relying_party
            .revoke_grant(grant.refresh.as_ref(), &grant.access, &grant.others)
            .await;
    }

    /// Resolves when none is under way any more. Those that wait for their turn are given up.
    pub(super) async fn drain(&self) {
        self.turns.close();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Listener for Revocations {
    fn ended(&self, sessions: &Sessions, ended: &Ended) {
        match ended.why.revocation() {
            Revocation::Now => self.start(Grant::from(&ended.session.tokens)),
            Revocation::Unshared => self.start_unshared(sessions.clone(), Left::from(ended)),
            Revocation::Ended | Revocation::WithForeign => {}
        }
    }
}

// === impl Grant ===

impl Grant {
    /// A single access token.
    pub(super) fn of_one(access: &Secret) -> Self {
        Self {
            refresh: None,
            access: access.clone(),
            others: Vec::new(),
        }
    }
}

impl From<&session::Tokens> for Grant {
    fn from(tokens: &session::Tokens) -> Self {
        Self {
            refresh: tokens.refresh_token().cloned(),
            access: Secret::clone(&tokens.access),
            others: tokens
                .for_targets
                .iter()
                .map(|token| Secret::clone(&token.access))
                .collect(),
        }
    }
}

// === impl Left ===

impl Left {
    fn whose(&self) -> Whose<'_> {
        Whose::Subject {
            issuer: &self.issuer,
            subject: &self.subject,
        }
    }
}

impl From<&Ended> for Left {
    fn from(ended: &Ended) -> Self {
        let session = &ended.session;
        Self {
            issuer: session.issuer.clone(),
            subject: session.subject.clone(),
            grant: Grant::from(&session.tokens),
        }
    }
}
