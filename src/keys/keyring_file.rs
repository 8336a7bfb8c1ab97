//! `keyring.json`: bounded reading, atomic replacement, one writer at a time.

use std::{
    fs::{DirBuilder, File},
    io::{self, Read as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize as _;
use serde_json::{Map, Value};

use super::{keyring::Keyring, keyring_store::KeyringLock};
use crate::{
    access::{Need, Refused},
    diagnostic::{Explain, Fix, Knob, fix},
    private_file::{self, Exposed, FileLock, Guard},
};

/// The file's name in the state folder.
pub(super) const FILE_NAME: &str = "keyring.json";
/// The version of the format that we write; a greater one is refused, because its meaning is unknown.
const VERSION: u64 = 1;
/// The maximum size of a keyring, in bytes; it usually has a few kilobytes.
const MAX_SIZE: u64 = 256 * 1024;
/// Longest reason in a message, in characters.
const MAX_REASON: usize = 200;
/// The process that has the lock reads and writes a few small files and makes a key at most; after this time it hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// The path of the keyring.
#[derive(Clone, Debug)]
pub(super) struct KeyringFile {
    path: PathBuf,
    patience: Duration,
    guard: Guard,
}

/// Why the keyring cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// The operating system refuses to read it.
    #[error(transparent)]
    Unreadable(#[from] Refused),
    /// Others can write it, and so let their own key sign.
    #[error("{path:?}: {exposed}")]
    Exposed {
        /// The file.
        path: PathBuf,
        /// The exposure to others.
        exposed: Exposed,
    },
    /// It has other content.
    #[error("{path:?} is not a keyring of this server: {reason}")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// The fault.
        reason: String,
    },
    /// A newer version wrote it.
    #[error("{path:?} was written by a newer version of this server (format {version})")]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version of its format.
        version: u64,
    },
    /// It cannot be written or locked.
    #[error("{path:?} cannot be written ({cause})")]
    NotWritable {
        /// The file.
        path: PathBuf,
        /// The cause.
        cause: io::Error,
    },
    /// The shared state of replicas cannot be read or written.
    #[error("the keyring in Redis cannot be read or written now: {cause}")]
    Unavailable {
        /// The cause.
        cause: String,
    },
    /// The shared state of replicas is sealed with another secret.
    #[error("the keyring in Redis is sealed with a secret that this process does not have")]
    Foreign,
    /// Another process does not give the lock back.
    #[error("another process holds the lock {path:?} and has not given it back for {seconds} s: it hangs")]
    Held {
        /// The lock.
        path: PathBuf,
        /// How long it was waited for.
        seconds: u64,
    },
}

// === impl KeyringError ===

impl Explain for KeyringError {
    fn fix(&self) -> Option<Fix> {
        Some(match self {
            Self::Unreadable(refused) => refused
                .fix()
                .unwrap_or_else(|| fix!("it must be a file that the user that runs bff can read")),
            Self::Exposed { exposed, .. } => return exposed.fix(),
            Self::Corrupt { .. } => fix!(
                "restore it from a backup; without one, name the key that signs now in {} and the others that are in use in {}, \
                 then move the file away",
                Knob::SigningKey,
                Knob::ExtraKeys
            ),
            Self::Newer { .. } => fix!("start that version, or restore the file that belongs to this one"),
            Self::NotWritable { .. } => fix!(
                "its folder ({}) must be writable for the user that runs bff, have space left, and lie on a file system with locks",
                Knob::StateFolder
            ),
            Self::Unavailable { .. } => fix!("start Redis, or correct {}", Knob::Redis),
            Self::Foreign => fix!(
                "give all replicas the same {}; in it the new secret comes first, and the old one after it until every replica has \
                 the new one first",
                Knob::SessionSecret
            ),
            Self::Held { .. } => fix!("end it (`fuser` shows it); do not remove the file"),
        })
    }
}

// === impl Keyring ===

impl Keyring {
    /// Reads a keyring that was kept in `path`.
    ///
    /// # Errors
    ///
    /// [`KeyringError`]: not a keyring, or one of a newer version.
    pub fn parse(text: &[u8], path: &Path) -> Result<Self, KeyringError> {
        // The parser quotes unknown text.
        let printable = |character: char| if character.is_control() { ' ' } else { character };
        let corrupt = |reason: String| KeyringError::Corrupt {
            path: path.to_owned(),
            reason: reason.chars().take(MAX_REASON).map(printable).collect(),
        };
        if u64::try_from(text.len()).is_ok_and(|length| length > MAX_SIZE) {
            return Err(corrupt("it is too large".to_owned()));
        }
        let mut members: Map<String, Value> =
            serde_json::from_slice(text).map_err(|error| corrupt(format!("no JSON object ({error})")))?;
        match members.remove("version").as_ref().and_then(Value::as_u64) {
            None => return Err(corrupt("no number `version`".to_owned())),
            Some(version) if version > VERSION => {
                return Err(KeyringError::Newer {
                    path: path.to_owned(),
                    version,
                });
            }
            Some(_) => {}
        }
        let keyring =
            Self::deserialize(Value::Object(members)).map_err(|error| corrupt(error.to_string()))?;
        keyring.check().map_err(|reason| corrupt(reason.to_owned()))?;
        Ok(keyring)
    }

    /// The keyring as text, which [`parse`](Self::parse) reads.
    ///
    /// # Errors
    ///
    /// Those of the library.
    pub fn to_text(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut members = Map::new();
        members.insert("version".to_owned(), VERSION.into());
        if let Value::Object(known) = serde_json::to_value(self)? {
            members.extend(known);
        }
        let mut text = serde_json::to_vec_pretty(&members)?;
        text.push(b'\n');
        Ok(text)
    }
}

// === impl KeyringFile ===

impl KeyringFile {
    pub(super) fn new(state_dir: &Path) -> Self {
        Self {
            path: state_dir.join(FILE_NAME),
            patience: PATIENCE,
            guard: Guard::Strict,
        }
    }

    /// The same, with this to be done where others can write it.
    pub(super) fn guarded(self, guard: Guard) -> Self {
        Self { guard, ..self }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the keyring; `None` if there is no file.
    pub(super) fn read(&self) -> Result<Option<Keyring>, KeyringError> {
        let unreadable = |error| Refused::of(&self.path, Need::ReadPrivate, &error);
        // Looked at before it is opened: opening a FIFO would wait for a writer.
        let opened = self.path.metadata().and_then(|metadata| {
            if metadata.is_file() {
                File::open(&self.path)
            } else {
                Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file"))
            }
        });
        let file = match opened {
            Ok(file) => file,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(unreadable(cause).into()),
        };
        // It says which key signs, and contains no secret.
        if let Err(exposed @ (Exposed::Writable { .. } | Exposed::Foreign { .. })) = self.guard.file(&file) {
            return Err(KeyringError::Exposed {
                path: self.path.clone(),
                exposed,
            });
        }
        let mut text = Vec::new();
        file.take(MAX_SIZE + 1)
            .read_to_end(&mut text)
            .map_err(unreadable)?;
        self.parse(&text).map(Some)
    }

    fn parse(&self, text: &[u8]) -> Result<Keyring, KeyringError> {
        Keyring::parse(text, &self.path)
    }

    /// Replaces the keyring: after a crash there is the old one or the new one.
    pub(super) fn write(&self, keyring: &Keyring) -> Result<(), KeyringError> {
        let write = || -> io::Result<()> { private_file::replace(&self.path, &keyring.to_text()?) };
        write().map_err(|cause| self.not_writable(cause))
    }

    /// Waits for a limited time until this process has exclusive access to the keyring.
    pub(super) fn lock(&self) -> Result<KeyringLock, KeyringError> {
        let path = self.lock_path()?;
        match FileLock::within(&path, self.patience).map_err(|cause| self.not_writable(cause))? {
            Some(lock) => Ok(KeyringLock::new(lock)),
            None => Err(KeyringError::Held {
                path,
                seconds: self.patience.as_secs(),
            }),
        }
    }

    /// The same without waiting: `None` where another process is at it.
    pub(super) fn try_lock(&self) -> Result<Option<KeyringLock>, KeyringError> {
        let lock = FileLock::attempt(&self.lock_path()?).map_err(|cause| self.not_writable(cause))?;
        Ok(lock.map(KeyringLock::new))
    }

    /// The file that stands for the right to change the keyring, in a folder that is there.
    fn lock_path(&self) -> Result<PathBuf, KeyringError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(private_file::folder_of(&self.path))
            .map_err(|cause| self.not_writable(cause))?;
        Ok(private_file::lock_of(&self.path))
    }

    fn not_writable(&self, cause: io::Error) -> KeyringError {
        KeyringError::NotWritable {
            path: self.path.clone(),
            cause,
        }
    }
}

#[cfg(test)]
mod tests;
