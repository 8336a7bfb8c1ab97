//! An attempt with a refresh token: the state that it begins with, its purpose and its outcome.

use std::time::Duration;

use super::{flights::Outcome, for_api::Failed};
use crate::{clock::Timestamp, credential::TokenPolicy, session::Session};

/// The pause after a failure of the store.
pub(super) const AFTER_STORE_ERROR: Duration = Duration::from_secs(1);

/// The state of the tokens that a request to the IdP begins with. Its answer is for this state and for no later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Generation {
    access: Timestamp,
    for_api: Option<Timestamp>,
}

/// The purpose that a refresh token is used for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wanted<'a> {
    /// The next access token of the session. It replaces the present one.
    Session,
    /// An access token for one API (RFC 8707 section 2.2). The one of the session stays.
    Api(&'a TokenPolicy),
}

/// How an attempt under a lease has ended.
pub(super) enum Attempt {
    /// The renewed tokens are stored, and the lease has ended with that write.
    Renewed,
    /// The session has ended, and the lease with it.
    Ended,
    /// Nothing changed; the next attempt is worthwhile after this.
    Kept(Duration),
    /// There is no refresh token.
    Impossible,
    /// The IdP gives no token for the API.
    NotIssued(Failed),
    /// Another process has the lease, or the session is gone.
    Lost,
    /// A former holder has renewed the tokens after all.
    Overtaken,
    /// The store failed after the refresh token may have been sent. The lease is not given back, because that would say
    /// that it was not.
    Unsettled,
}

/// Whether the session still has the tokens that a request to the IdP began with. If another process has renewed them
/// meanwhile, because this one was late or an answer of the store was lost, then an answer of the IdP is older than what the
/// session has.
pub(super) fn is_of(generation: Generation, session: &Session) -> bool {
    Generation::of(session) == generation
}

// === impl Generation ===

impl Generation {
    pub(super) fn of(session: &Session) -> Self {
        Self {
            access: session.tokens.access_obtained_at,
            for_api: session.tokens.api_refreshed_at,
        }
    }
}

// === impl Outcome ===

impl From<Attempt> for Outcome {
    fn from(attempt: Attempt) -> Self {
        match attempt {
            Attempt::Renewed | Attempt::Overtaken => Self::Refreshed,
            Attempt::Ended => Self::Ended,
            Attempt::Impossible => Self::Impossible,
            Attempt::Kept(pause) => Self::Kept(pause),
            Attempt::NotIssued(failed) => Self::Kept(failed.pause),
            Attempt::Lost | Attempt::Unsettled => Self::Kept(AFTER_STORE_ERROR),
        }
    }
}
