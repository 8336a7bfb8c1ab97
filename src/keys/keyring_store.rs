//! The store of the keyring: a file in a folder, or the shared state of replicas without a common folder.

use std::{fmt, path::Path};

use super::{
    folder::Print,
    keyring::Keyring,
    keyring_file::{KeyringError, KeyringFile},
};

/// Stores the keyring, and gives one process at a time the right to change it. Blocks, and is called on blocking
/// threads.
pub trait KeyringStore: fmt::Debug + Send + Sync {
    /// Its place, for messages.
    fn place(&self) -> &Path;

    /// Reads the keyring; `None` if there is none.
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

    /// Takes the right to change it; `None` if another process has it and `wait` is off.
    ///
    /// # Errors
    ///
    /// [`KeyringError`] if the right cannot be given.
    fn lock(&self, waits: bool) -> Result<Option<KeyringLock>, KeyringError>;

    /// Distinguishes the present keyring from others; `None` if none exists.
    fn stamp(&self) -> Option<Stamp>;

    /// Whether all servers of this keyring have their keys in one folder, so that all of them have a new key.
    fn has_common_folder(&self) -> bool;

    /// Whether another living server has the private key with this thumbprint, or may have it.
    fn is_held_elsewhere(&self, thumbprint: &str) -> bool;
}

/// The right to change the keyring: held by one process at a time, given back when dropped or when the process ends.
#[derive(Debug)]
pub struct KeyringLock {
    _held: Box<dyn fmt::Debug + Send>,
}

/// Distinguishes one keyring from another without reading it.
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
