//! The storage of credentials: a file, or a record that several processes share.

use std::{fmt, path::PathBuf};

use futures_util::future::BoxFuture;

use super::credentials::{Credentials, CredentialsError, CredentialsFile};
use crate::{
    clock::Clock,
    diagnostic::{Fix, Knob, fix},
};

/// Keeps credentials, and gives one process at a time the right to register.
pub trait Vault: fmt::Debug + Send + Sync + 'static {
    /// Its place, for messages.
    fn place(&self) -> Place;

    /// Waits for the exclusive right to register. A process that dies releases it.
    ///
    /// # Errors
    ///
    /// [`CredentialsError`] if the lock is not available.
    fn lock<'a>(&'a self, clock: &'a dyn Clock) -> BoxFuture<'a, Result<Lock, CredentialsError>>;

    /// Reads the record; `None` if it does not exist.
    ///
    /// # Errors
    ///
    /// [`CredentialsError`]: unreadable, not a record, or one of a newer version.
    fn load(&self) -> BoxFuture<'_, Result<Option<Credentials>, CredentialsError>>;

    /// The record that the next [`lock`](Self::lock) takes over from a file, because nothing is stored yet; with the file.
    ///
    /// # Errors
    ///
    /// As for [`load`](Self::load).
    fn to_import(&self) -> BoxFuture<'_, Result<Option<(PathBuf, Credentials)>, CredentialsError>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    /// Replaces the record completely or not at all. Only for the holder of the [`Lock`].
    ///
    /// # Errors
    ///
    /// [`CredentialsError`]; unless it says otherwise, the old record is still there then.
    fn store<'a>(&'a self, record: &'a Credentials) -> BoxFuture<'a, Result<(), CredentialsError>>;

    /// Removes the record. Only for the holder of the [`Lock`].
    ///
    /// # Errors
    ///
    /// As for [`store`](Self::store).
    fn remove(&self) -> BoxFuture<'_, Result<(), CredentialsError>>;

    /// Proves that a record could be written now, before something is spent that only it can remember.
    ///
    /// # Errors
    ///
    /// [`CredentialsError`]: it could not.
    fn prove_writable(&self) -> BoxFuture<'_, Result<(), CredentialsError>>;

    /// A mark that distinguishes the present record from others without parsing it.
    fn fingerprint(&self) -> BoxFuture<'_, Fingerprint>;
}

/// The place of the credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a file.
    File(PathBuf),
    /// In a record that several processes share.
    Shared,
}

/// A mark that distinguishes one record from another without parsing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fingerprint {
    /// Nothing readable exists.
    Nothing,
    /// There is a file.
    File {
        /// Which one has the name: another one after each atomic replacement.
        inode: u64,
        /// In bytes.
        size: u64,
        /// Seconds and nanoseconds.
        modified: (i64, i64),
    },
    /// The record has been written so often.
    Revision(u64),
}

/// The right to register: held by one process at a time, given back when dropped.
#[derive(Debug)]
pub struct Lock {
    _held: Box<dyn fmt::Debug + Send + Sync>,
}

// === impl Lock ===

impl Lock {
    /// The right that ends when `held` is dropped.
    #[must_use]
    pub fn new(held: impl fmt::Debug + Send + Sync + 'static) -> Self {
        Self {
            _held: Box::new(held),
        }
    }
}

// === impl Place ===

impl Place {
    /// How this process would come to keep them elsewhere.
    pub(super) fn way_elsewhere(&self) -> Fix {
        match self {
            Self::File(_) => fix!("let {} point to another file", Knob::CredentialsPath),
            Self::Shared => fix!(
                "give this installation a prefix of its own in {} (?prefix=NAME)",
                Knob::Redis
            ),
        }
    }

    /// How the lock of it becomes free.
    pub(super) fn way_to_the_lock(&self) -> Fix {
        match self {
            Self::File(_) => {
                fix!(
                    "it registers, waits for the IdP, or hangs: this one goes on when it is done; end it where it hangs"
                )
            }
            Self::Shared => fix!(
                "another replica registers, waits for the IdP, or hangs: this one goes on when it is done. Where no replica does \
                 any of that, the lock has been left behind: delete the key `bff:{client}:lock` (with the prefix of {} in place \
                 of `bff`)",
                Knob::Redis
            ),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Shared => f.write_str("the client record in Redis"),
        }
    }
}

// === impl Vault ===

impl Vault for CredentialsFile {
    fn place(&self) -> Place {
        Place::File(self.path().to_owned())
    }

    fn lock<'a>(&'a self, clock: &'a dyn Clock) -> BoxFuture<'a, Result<Lock, CredentialsError>> {
        Box::pin(self.lock(clock))
    }

    fn load(&self) -> BoxFuture<'_, Result<Option<Credentials>, CredentialsError>> {
        Box::pin(self.load())
    }

    fn store<'a>(&'a self, record: &'a Credentials) -> BoxFuture<'a, Result<(), CredentialsError>> {
        Box::pin(self.store(record))
    }

    fn remove(&self) -> BoxFuture<'_, Result<(), CredentialsError>> {
        Box::pin(self.remove())
    }

    fn prove_writable(&self) -> BoxFuture<'_, Result<(), CredentialsError>> {
        Box::pin(self.prove_writable())
    }

    fn fingerprint(&self) -> BoxFuture<'_, Fingerprint> {
        Box::pin(self.fingerprint())
    }
}
