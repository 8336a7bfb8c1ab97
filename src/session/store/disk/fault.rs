//! The faults of the file of sessions and of its disk.

use std::{io, sync::Arc};

/// The fault of the file. Contains nothing of a session.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Fault {
    /// Reading or writing it failed.
    #[error(transparent)]
    File(Arc<redb::Error>),
    /// The file system is full.
    #[error("there is no room left on the file system")]
    NoRoom,
    /// It cannot be opened again after it failed.
    #[error("the file is closed")]
    Closed,
    /// The library that reads it gave up.
    #[error("what is in the file cannot be read")]
    Panicked,
    /// It has another name now, or none.
    #[error("the file was moved or removed while it was in use")]
    Moved,
    /// The disk does not answer.
    #[error("the disk does not answer")]
    Slow,
}

// === impl Fault ===

impl Fault {
    /// The error of the system, if that is the cause and not the content of the file.
    pub(super) fn io(&self) -> Option<io::Error> {
        let Self::File(error) = self else {
            return None;
        };
        match &**error {
            redb::Error::Io(error) if error.kind() != io::ErrorKind::InvalidData => {
                Some(match error.raw_os_error() {
                    Some(code) => io::Error::from_raw_os_error(code),
                    None => error.kind().into(),
                })
            }
            _ => None,
        }
    }
}

impl<E: Into<redb::Error>> From<E> for Fault {
    fn from(error: E) -> Self {
        Self::File(Arc::new(error.into()))
    }
}
