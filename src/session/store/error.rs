//! Why a session was not stored, or the store gave no answer.

use std::error::Error;

/// Why a session was not stored.
#[derive(Debug, thiserror::Error)]
pub enum InsertError {
    /// The key is in use: the generator of ids is broken.
    #[error("the session id that was drawn exists already")]
    Taken,
    /// The store failed. It is unknown whether the session was stored. No browser has its id.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a session was not replaced.
#[derive(Debug, thiserror::Error)]
pub enum ReplaceError {
    /// It is gone.
    #[error("the session has ended")]
    Gone,
    /// Another write came first: read the session again and decide anew.
    #[error("the session was changed meanwhile")]
    Conflict,
    /// The store failed. Whether the write happened is unknown.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A store that cannot be worked with at the moment.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached, or failed.
    #[error("the session store is not available: {0}")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
}

// === impl StoreError ===

impl StoreError {
    /// Because of `cause`.
    pub(crate) fn unavailable(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unavailable(cause.into())
    }
}
