//! Refresh tokens that may have been used up, although no answer to that request is stored.
//!
//! The mark of that is a lease that was not given back. Before this process gives such a lease back, it stores the mark with the
//! session.

use super::{
    Inner,
    attempt::{Attempt, Generation, is_of},
};
use crate::session::{Claimed, Due, Session, SessionKey, Stored, UpdateError};

// === impl Inner ===

impl Inner {
    /// Gives a claim back without an attempt.
    pub(super) async fn give_back(&self, claimed: Claimed, due: Due) {
        let Claimed {
            lease,
            stored,
            taken_over,
        } = claimed;
        match self.note_uncertain(lease.key(), stored, taken_over).await {
            Ok(_) | Err(UpdateError::Gone) => self.release(lease, due).await,
            Err(UpdateError::Store(error)) => {
                self.store_failed(lease.key(), &error);
            }
        }
    }

    /// Stores that the holder of before may have sent the refresh token, if the lease was taken over from it.
    pub(super) async fn note_uncertain(
        &self,
        key: &SessionKey,
        stored: Stored,
        taken_over: bool,
    ) -> Result<Stored, UpdateError> {
        if !taken_over || stored.session.tokens.uncertain {
            return Ok(stored);
        }
        let generation = Generation::of(&stored.session);
        // It may store its answer at this moment. Then the refresh token is another one.
        let mark = |session: &mut Session| {
            session.tokens.uncertain |= is_of(generation, session);
        };
        self.update(key, stored, mark).await
    }

    /// The outcome of an attempt. If the store failed, the lease stays as the mark.
    pub(super) fn unsettled(
        &self,
        key: &SessionKey,
        outcome: Result<Attempt, UpdateError>,
    ) -> Result<Attempt, UpdateError> {
        match outcome {
            Err(UpdateError::Store(error)) => {
                self.store_failed(key, &error);
                Ok(Attempt::Unsettled)
            }
            settled => settled,
        }
    }
}
