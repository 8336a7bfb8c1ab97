//! Revoking what is left of sessions that have ended. Nobody waits for it, and an IdP that does not answer changes
//! nothing.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::{
    oidc::RelyingParty,
    secret::Secret,
    session::{self, Ended, SessionStore},
};

/// So many of the sessions that nobody asked to end are revoked at a time: fewer than the calls of that kind which may
/// run, so that a logout always finds a place.
const AT_A_TIME: usize = 4;

/// So many of those sessions wait for their turn at most. With an endpoint that does not answer, more would only take
/// memory.
const WAITING: usize = 10_000;

/// What is to be revoked: all of a grant that is known, or a single access token.
#[derive(Clone, Debug)]
pub(super) struct Grant {
    pub(super) refresh: Option<Secret>,
    pub(super) access: Secret,
}

/// What is kept of a session until its turn comes.
struct Left {
    issuer: String,
    subject: String,
    grant: Grant,
}

/// The revocations that are under way.
#[derive(Clone, Debug)]
pub(super) struct Revocations {
    relying_party: RelyingParty,
    store: Arc<dyn SessionStore>,
    tasks: TaskTracker,
    turns: Arc<Semaphore>,
    room: Arc<Semaphore>,
}

// === impl Revocations ===

impl Revocations {
    pub(super) fn new(relying_party: RelyingParty, store: Arc<dyn SessionStore>) -> Self {
        Self {
            relying_party,
            store,
            tasks: TaskTracker::new(),
            turns: Arc::new(Semaphore::new(AT_A_TIME)),
            room: Arc::new(Semaphore::new(WAITING)),
        }
    }

    /// Revokes in a task of its own.
    pub(super) fn start(&self, grant: Grant) {
        let this = self.clone();
        self.tasks.spawn(async move { this.revoke(&grant).await });
    }

    /// Revokes one after the other, as there is time, since thousands of sessions may reach their limit together; a
    /// session whose person has another one is left out.
    pub(super) fn start_unshared(&self, ended: impl IntoIterator<Item = Ended>) {
        let left: Vec<Left> = ended.into_iter().map(Left::from).collect();
        if left.is_empty() {
            return;
        }
        let room = u32::try_from(left.len()).unwrap_or(u32::MAX);
        let Ok(mut room) = Arc::clone(&self.room).try_acquire_many_owned(room) else {
            tracing::warn!(
                sessions = left.len(),
                "tokens of sessions that ended are not revoked, since too many wait for the IdP already"
            );
            return;
        };
        let this = self.clone();
        self.tasks.spawn(async move {
            for left in left {
                let Ok(_turn) = this.turns.acquire().await else {
                    // The server stops: these tokens end by themselves.
                    return;
                };
                match this.store.has_session(&left.issuer, &left.subject).await {
                    Ok(false) => this.revoke(&left.grant).await,
                    Ok(true) => {}
                    Err(error) => {
                        tracing::warn!(%error, "tokens of a session that ended were not revoked");
                    }
                }
                drop(room.split(1));
            }
        });
    }

    async fn revoke(&self, grant: &Grant) {
        self.relying_party
            .revoke_grant(grant.refresh.as_ref(), &grant.access)
            .await;
    }

    /// Resolves when none is under way any more; those of [`start_unshared`](Self::start_unshared)
    /// that wait are given up.
    pub(super) async fn drain(&self) {
        self.turns.close();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

// === impl Grant ===

impl From<&session::Tokens> for Grant {
    fn from(tokens: &session::Tokens) -> Self {
        Self {
            refresh: tokens.refresh_token().cloned(),
            access: Secret::clone(&tokens.access),
        }
    }
}

// === impl Left ===

impl From<Ended> for Left {
    fn from(ended: Ended) -> Self {
        let session = &ended.session;
        Self {
            issuer: session.issuer.clone(),
            subject: session.subject.clone(),
            grant: Grant::from(&session.tokens),
        }
    }
}
