//! The shared state of processes beside sessions: small records that they agree on, and a board on which each
//! announces that it lives.
//!
//! A port. Records are bytes here; the modules above seal them and know their meaning. A process can do without this
//! state for a while, because each has its own copy.

mod meter;
mod passing;

#[cfg(test)]
pub(crate) mod contract;
#[cfg(test)]
pub(crate) mod testing;

use std::{fmt, time::Duration};

pub(crate) use self::meter::cell_rate;
pub use self::{
    meter::{Meter, Taken},
    passing::Passing,
};

use futures_util::future::BoxFuture;

/// A record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Record {
    /// The answer to the registration.
    Client,
    /// Which key signs.
    Keyring,
}

/// The statements of replicas, by replica.
pub type Notes = Vec<(String, Vec<u8>)>;

/// Why nothing was done, or why it is not known whether something was. Holds nothing of a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SharedError(pub String);

/// Records, a lock for each of them, and the board.
///
/// A call whose answer is lost may be sent once more: it recognises its second arrival.
pub trait Shared: fmt::Debug + Send + Sync + 'static {
    /// The content of the record.
    ///
    /// # Errors
    ///
    /// [`SharedError`] if the answer is unknown.
    fn read(&self, record: Record) -> BoxFuture<'_, Result<Option<Vec<u8>>, SharedError>>;

    /// Replaces `expected` with `new`, where `None` is an empty record. `false` if the record has other content, or
    /// if `holder` is given and does not hold the lock (any more).
    ///
    /// # Errors
    ///
    /// [`SharedError`]: it may have been done.
    fn swap<'a>(
        &'a self,
        record: Record,
        expected: Option<&'a [u8]>,
        new: &'a [u8],
        holder: Option<&'a str>,
    ) -> BoxFuture<'a, Result<bool, SharedError>>;

    /// Gives the lock of the record to `holder`, a unique new name, for `lease` from now on. `false` if another one
    /// holds it.
    ///
    /// # Errors
    ///
    /// [`SharedError`]: `holder` may hold it.
    fn hold<'a>(
        &'a self,
        record: Record,
        holder: &'a str,
        lease: Duration,
    ) -> BoxFuture<'a, Result<bool, SharedError>>;

    /// Extends the lock of `holder` to `lease` from now on. `false` if it no longer holds it: others may have held it
    /// since.
    ///
    /// # Errors
    ///
    /// [`SharedError`]: `holder` may hold it.
    fn prolong<'a>(
        &'a self,
        record: Record,
        holder: &'a str,
        lease: Duration,
    ) -> BoxFuture<'a, Result<bool, SharedError>>;

    /// Releases the lock of the record, if `holder` still holds it.
    ///
    /// # Errors
    ///
    /// [`SharedError`]: it ends with its lease.
    fn let_go<'a>(&'a self, record: Record, holder: &'a str) -> BoxFuture<'a, Result<(), SharedError>>;

    /// Proves that a record of `length` bytes could be written now.
    ///
    /// # Errors
    ///
    /// [`SharedError`]: it could not.
    fn prove_room(&self, record: Record, length: usize) -> BoxFuture<'_, Result<(), SharedError>>;

    /// Puts the `note` of `replica` on the board, for `keep`.
    ///
    /// # Errors
    ///
    /// [`SharedError`]: the note of before may be there still.
    fn post<'a>(
        &'a self,
        replica: &'a str,
        note: &'a [u8],
        keep: Duration,
    ) -> BoxFuture<'a, Result<(), SharedError>>;

    /// Takes the note of `replica` from the board.
    ///
    /// # Errors
    ///
    /// [`SharedError`]: it goes when its time is over.
    fn withdraw<'a>(&'a self, replica: &'a str) -> BoxFuture<'a, Result<(), SharedError>>;

    /// All notes on the board, by replica.
    ///
    /// # Errors
    ///
    /// [`SharedError`] if the answer is unknown.
    fn board(&self) -> BoxFuture<'_, Result<Notes, SharedError>>;

    /// The time since the Unix epoch, the same for all processes.
    ///
    /// # Errors
    ///
    /// [`SharedError`] where nobody can tell.
    fn time(&self) -> BoxFuture<'_, Result<Duration, SharedError>>;
}

// === impl Record ===

impl Record {
    /// Its part of names.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Keyring => "keyring",
        }
    }
}
