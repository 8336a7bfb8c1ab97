//! The file of the disk store: opening it, alone, and knowing whether there is room to write to it.

use std::{
    fmt,
    fs::{DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt as _,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    time::Duration,
};

use redb::{
    Builder, Database, DatabaseError, ReadableDatabase as _, StorageBackend, StorageError, TableDefinition,
    TableError, backends::FileBackend,
};

use super::Fault;
use crate::{
    clock::Clock,
    private_file::{self, Exposed, Guard},
};

/// The file's name in the state folder.
const NAME: &str = "sessions.redb";

/// What the tables and their rows look like. Another layout takes another number, so that an older or newer server says so
/// instead of misreading it.
pub(super) const FORMAT: u32 = 1;

/// How long another process is waited for, which may be about to stop.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is looked whether the file is free.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Memory for pages of the file, in bytes.
const PAGE_CACHE: usize = 64 << 20;

/// So much is left free on the file system, in bytes: a write that finds no room leaves the file unusable until it is
/// opened again. On a small file system it is an eighth of it.
const MARGIN: u64 = 16 << 20;

/// A file that holds less than one session in so many bytes, and is larger than [`COMPACT_FROM`], is mostly empty.
const COMPACT_BELOW: u64 = 32 << 10;

/// A smaller file is not worth being compacted, in bytes.
const COMPACT_FROM: u64 = 64 << 20;

const ABOUT: TableDefinition<'_, &str, u32> = TableDefinition::new("about");
const FORMAT_ENTRY: &str = "format";

/// Where the file is, and how it is opened.
pub(super) struct Place {
    path: PathBuf,
    guard: Guard,
    #[cfg(test)]
    pub(super) trouble: super::testing::Trouble,
}

/// Why there is no disk store.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// Another process has it open, and did not stop within 30 seconds.
    #[error(
        "{}: another process keeps its sessions in this file, and one at a time can: stop the other one; for several \
         replicas, set REDIS_URL; to keep sessions in memory alone, set SESSION_STORE=memory", .0.display()
    )]
    InUse(PathBuf),
    /// It cannot be made, read or written.
    #[error(
        "{}: {error}; it keeps the sessions. See that the user that runs bff can write its folder (BFF_STATE_DIR) and that \
         there is room, or keep sessions in memory alone: SESSION_STORE=memory", path.display()
    )]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        error: io::Error,
    },
    /// Another version of the server has written it.
    #[error(
        "{}: another version of bff has written this file (layout {found}, this one knows {FORMAT}): run that version, or \
         move the file away, and everybody logs in again", path.display()
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// The layout that it has.
        found: u32,
    },
    /// It is damaged, or something else.
    #[error(
        "{}: this is no file of sessions, or it is damaged ({fault}): move it away, and everybody logs in again", path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The cause.
        fault: Fault,
    },
    /// Others can use it.
    #[error(
        "{}: {exposed}; it keeps the sessions. Only where that cannot be helped, set BFF_DANGER_ALLOW_OPEN_FILES=true",
        path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// What others can do.
        exposed: Exposed,
    },
}

// === impl Place ===

impl Place {
    /// The file in `folder`.
    pub(super) fn new(folder: &Path, guard: Guard) -> Self {
        Self {
            path: folder.join(NAME),
            guard,
            #[cfg(test)]
            trouble: super::testing::Trouble::default(),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the file, and makes it where it is missing. Another process that has it open may be about to stop, and is
    /// waited for.
    ///
    /// # Errors
    ///
    /// [`DiskError`], with what to mend.
    pub(super) async fn open_when_free(&self, clock: &dyn Clock) -> Result<Database, DiskError> {
        let deadline = clock.now().saturating_add(PATIENCE);
        let mut told = false;
        loop {
            match self.open() {
                Err(DiskError::InUse(path)) if clock.now() < deadline => {
                    if !told {
                        tracing::warn!(
                            ?path,
                            "another process keeps its sessions in this file; waiting up to {} s for it to stop",
                            PATIENCE.as_secs()
                        );
                        told = true;
                    }
                    clock.sleep(LOOK_AGAIN).await;
                }
                opened => return opened,
            }
        }
    }

    /// Opens the file now.
    pub(super) fn open(&self) -> Result<Database, DiskError> {
        // The library panics on some damage.
        catch_unwind(AssertUnwindSafe(|| self.try_open()))
            .unwrap_or_else(|_| Err(self.damaged(Fault::Panicked)))
    }

    fn try_open(&self) -> Result<Database, DiskError> {
        let failed = |error| DiskError::File {
            path: self.path.clone(),
            error,
        };
        let folder = private_file::folder_of(&self.path);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(failed)?;
        let file = private_file::open_or_create(&self.path).map_err(failed)?;
        private_file::keep_private(&file, &self.path, self.guard).map_err(|exposed| DiskError::Exposed {
            path: self.path.clone(),
            exposed,
        })?;
        let length = file.metadata().map_err(failed)?.len();
        let mut database = self.database(file).map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => DiskError::InUse(self.path.clone()),
            DatabaseError::Storage(StorageError::Io(error)) if error.kind() != io::ErrorKind::InvalidData => {
                failed(error)
            }
            error => self.damaged(error.into()),
        })?;
        self.check_format(&database)?;
        compact_if_empty(&mut database, length).map_err(|fault| self.damaged(fault))?;
        Ok(database)
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "the tests have trouble with the disk")]
    fn database(&self, file: File) -> Result<Database, DatabaseError> {
        database(FileBackend::new(file)?)
    }

    #[cfg(test)]
    fn database(&self, file: File) -> Result<Database, DatabaseError> {
        database(self.trouble.around(FileBackend::new(file)?))
    }

    fn check_format(&self, database: &Database) -> Result<(), DiskError> {
        match format_of(database).map_err(|fault| self.damaged(fault))? {
            Some(FORMAT) => Ok(()),
            Some(found) => Err(DiskError::Format {
                path: self.path.clone(),
                found,
            }),
            None => write_format(database, FORMAT).map_err(|fault| self.damaged(fault)),
        }
    }

    fn damaged(&self, fault: Fault) -> DiskError {
        DiskError::Damaged {
            path: self.path.clone(),
            fault,
        }
    }

    /// Whether there is room for more on the file system.
    pub(super) fn has_room(&self) -> bool {
        #[cfg(test)]
        if self.trouble.is_full() {
            return false;
        }
        // A file system that does not say counts as one with room.
        rustix::fs::statvfs(private_file::folder_of(&self.path)).map_or(true, |system| {
            let bytes = |blocks: u64| blocks.saturating_mul(system.f_frsize);
            bytes(system.f_bavail) >= MARGIN.min(bytes(system.f_blocks) / 8)
        })
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Place").field(&self.path).finish()
    }
}

fn database(backend: impl StorageBackend) -> Result<Database, DatabaseError> {
    Builder::new()
        .set_cache_size(PAGE_CACHE)
        .create_with_backend(backend)
}

/// The layout of the file. `None` for a new one.
fn format_of(database: &Database) -> Result<Option<u32>, Fault> {
    match database.begin_read()?.open_table(ABOUT) {
        Ok(about) => Ok(Some(about.get(FORMAT_ENTRY)?.map_or(0, |format| format.value()))),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Makes the tables of a new file.
fn write_format(database: &Database, format: u32) -> Result<(), Fault> {
    let mut transaction = database.begin_write()?;
    transaction.set_quick_repair(true);
    transaction.open_table(ABOUT)?.insert(FORMAT_ENTRY, format)?;
    drop(super::tables::Tables::open(&transaction)?);
    Ok(transaction.commit()?)
}

/// Gives the space back of a file that has held many more sessions than it does now.
fn compact_if_empty(database: &mut Database, length: u64) -> Result<(), Fault> {
    if length < COMPACT_FROM {
        return Ok(());
    }
    let sessions = super::tables::Snapshot::new(database.begin_read()?).len()?;
    if length / COMPACT_BELOW > sessions {
        database.compact()?;
    }
    Ok(())
}

#[cfg(test)]
pub(super) fn write_format_for_test(path: &Path, format: u32) {
    write_format(&Database::create(path).unwrap(), format).unwrap();
}
