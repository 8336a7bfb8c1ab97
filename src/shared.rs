//! What several processes share beside sessions: small records that they agree on, and a board on which each says that it
//! lives.
//!
//! A port. Records are bytes here; who seals them, and what they mean, is known further up. Nothing is kept that a process
//! could not do without for a while: each has a copy of what it needs.

mod passing;

#[cfg(test)]
pub(crate) mod contract;
#[cfg(test)]
pub(crate) mod testing;

use std::{fmt, time::Duration};

pub use self::passing::Passing;

use futures_util::future::BoxFuture;

/// A record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Record {
    /// What registration returned.
    Client,
    /// Which key signs.
    Keyring,
}

/// What replicas say, by replica.
pub type Notes = Vec<(String, Vec<u8>)>;

/// Why nothing was done, or why it is not known whether something was. Holds nothing of a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SharedError(pub String);

/// Records, a lock for each of them, and the board.
///
/// A call whose answer is lost may be sent once more: it recognises its second arrival.
pub trait Shared: fmt::Debug + Send + Sync + 'static {
    /// What the record holds.
    ///
    /// # Errors
    ///
    /// [`SharedError`] if nobody can tell.
    fn read(&self, record: Record) -> BoxFuture<'_, Result<Option<Vec<u8>>, SharedError>>;

    /// Puts `new` in the place of `expected`, where `None` is a record that is empty. `false` where the record holds
    /// something else, or where `holder` is given and does not have the lock (any more).
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

    /// Gives the lock of the record to `holder`, a name that nobody has had before, for `lease` from now on. `false` where
    /// another one has it.
    ///
    /// # Errors
    ///
    /// [`SharedError`]: `holder` may have it.
    fn hold<'a>(
        &'a self,
        record: Record,
        holder: &'a str,
        lease: Duration,
    ) -> BoxFuture<'a, Result<bool, SharedError>>;

    /// Lets `holder` keep the lock for `lease` from now on. `false` where it does not have it any more: then others may have
    /// had it since.
    ///
    /// # Errors
    ///
    /// [`SharedError`]: `holder` may have it.
    fn prolong<'a>(
        &'a self,
        record: Record,
        holder: &'a str,
        lease: Duration,
    ) -> BoxFuture<'a, Result<bool, SharedError>>;

    /// Takes the lock of the record from `holder`, who may have it no more.
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

    /// Puts `note` on the board as what `replica` says, for `keep`.
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
    /// [`SharedError`] if nobody can tell.
    fn board(&self) -> BoxFuture<'_, Result<Notes, SharedError>>;
}

// === impl Record ===

impl Record {
    /// What it is called in names.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Keyring => "keyring",
        }
    }
}
