//! Where the keyring is kept: a file in a folder, or what several replicas share that have no folder in common.

use std::{fmt, path::Path};

use super::{
    folder::Print,
    keyring::Keyring,
    keyring_file::{KeyringError, KeyringFile},
};

/// Keeps the keyring, and gives one process at a time the right to change it. Blocks, and is asked on blocking threads.
pub trait KeyringStore: fmt::Debug + Send + Sync {
    /// Where it is, for messages.
    fn place(&self) -> &Path;

    /// Reads the keyring; `None` where there is none.
    ///
    /// # Errors
    ///
    /// [`KeyringError`]: unreadable, not a keyring, or one of a newer version.
    fn read(&self) -> Result<Option<Keyring>, KeyringError>;

    /// Replaces the keyring completely or not at all. Only for the holder of the [`KeyringLock`].
    ///
    /// # Errors
    ///
    /// [`KeyringError`]: the one of before is still there.
    fn write(&self, keyring: &Keyring) -> Result<(), KeyringError>;

    /// Takes the right to change it; `None` where another process has it and is not waited for.
    ///
    /// # Errors
    ///
    /// [`KeyringError`] if nobody can be given it.
    fn lock(&self, waits: bool) -> Result<Option<KeyringLock>, KeyringError>;

    /// What tells the present keyring from others; `None` where there is nothing that could be looked at.
    fn stamp(&self) -> Option<Stamp>;

    /// Whether all servers that follow this keyring have the keys in one folder: what one of them makes there, the others
    /// have as well.
    fn has_common_folder(&self) -> bool;

    /// Whether another server that lives has the private key with this thumbprint, or may have it.
    fn is_held_elsewhere(&self, thumbprint: &str) -> bool;
}

/// The right to change the keyring: held by one process at a time, given back when dropped or when the process ends.
#[derive(Debug)]
pub struct KeyringLock {
    _held: Box<dyn fmt::Debug + Send>,
}

/// What tells one keyring from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    File(Print),
    Revision(u64),
}

// === impl Stamp ===

impl Stamp {
    /// The keyring has been written so often.
    #[must_use]
    pub const fn of_revision(revision: u64) -> Self {
        Self(Kind::Revision(revision))
    }
}

// === impl KeyringLock ===

impl KeyringLock {
    /// The right that ends when `held` is dropped.
    #[must_use]
    pub fn new(held: impl fmt::Debug + Send + 'static) -> Self {
        Self {
            _held: Box::new(held),
        }
    }
}

// === impl KeyringStore ===

impl KeyringStore for KeyringFile {
    fn place(&self) -> &Path {
        self.path()
    }

    fn read(&self) -> Result<Option<Keyring>, KeyringError> {
        self.read()
    }

    fn write(&self, keyring: &Keyring) -> Result<(), KeyringError> {
        self.write(keyring)
    }

    fn lock(&self, waits: bool) -> Result<Option<KeyringLock>, KeyringError> {
        if waits {
            self.lock().map(Some)
        } else {
            self.try_lock()
        }
    }

    fn stamp(&self) -> Option<Stamp> {
        Print::of(self.path()).map(|print| Stamp(Kind::File(print)))
    }

    fn has_common_folder(&self) -> bool {
        true
    }

    /// In a folder that all of them have, a private key that is gone is gone for all.
    fn is_held_elsewhere(&self, _thumbprint: &str) -> bool {
        false
    }
}
