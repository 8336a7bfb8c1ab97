//! The file of the disk store: exclusive access, and the free space for writes.

use std::{
    fmt,
    fs::File,
    io,
    os::unix::fs::{FileExt as _, MetadataExt as _},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    time::Duration,
};

use redb::{
    Builder, Database, DatabaseError, ReadableDatabase as _, StorageBackend, TableDefinition, TableError,
    backends::FileBackend,
};

use super::Fault;
use crate::{
    clock::Clock,
    diagnostic::{Explain, Fix, Knob, fix},
    private_file::{self, Exposed, Guard},
};

/// The file's name in the state folder.
pub(super) const NAME: &str = "sessions.redb";

/// The version of the tables and rows. Another layout gets another number, so that an older or newer server refuses
/// it instead of misreading it.
pub(super) const FORMAT: u32 = 1;

/// A file of the library begins with this.
const MAGIC: [u8; 9] = *b"redb\x1a\n\xa9\r\n";

/// How long another process is waited for, which may be about to stop.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is looked whether the file is free.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Memory for pages of the file, in bytes.
const PAGE_CACHE: usize = 64 << 20;

/// The free space of the file system that a new session needs, in bytes; on a small file system an eighth of it. The
/// rest is for existing sessions.
const MARGIN: u64 = 16 << 20;

/// The free space that any write needs: a write without space makes the file unusable until it is opened again.
const LEAST: u64 = 1 << 20;

/// A file larger than [`COMPACT_FROM`] with less than one session per this many bytes is mostly empty.
const COMPACT_BELOW: u64 = 32 << 10;

/// A smaller file is not worth being compacted, in bytes.
const COMPACT_FROM: u64 = 64 << 20;

const ABOUT: TableDefinition<'_, &str, u32> = TableDefinition::new("about");
const FORMAT_ENTRY: &str = "format";

/// How much room there is on the file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Room {
    /// For nothing.
    None,
    /// For the sessions that are there.
    Little,
    /// For new sessions too.
    Enough,
}

/// The path of the file, and how it is opened.
pub(super) struct Place {
    path: PathBuf,
    guard: Guard,
    #[cfg(test)]
    pub(super) trouble: super::testing::Trouble,
}

/// Why the disk store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// Another process has it open, and did not stop within 30 seconds.
    #[error("{}: another process keeps its sessions in this file, and one at a time can", .0.display())]
    InUse(PathBuf),
    /// It cannot be made, read or written.
    #[error("{}: {error}; it keeps the sessions", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        error: io::Error,
    },
    /// Another version of the server has written it.
    #[error(
        "{}: another version of bff has written this file (layout {found}, this one knows {FORMAT})",
        path.display()
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// The layout that it has.
        found: u32,
    },
    /// It is damaged, or something else.
    #[error("{}: this is no file of sessions, or it is damaged ({fault})", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The cause.
        fault: Fault,
    },
    /// Others can use it.
    #[error("{}: {exposed}; it keeps the sessions", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// The exposure to others.
        exposed: Exposed,
    },
}

// === impl DiskError ===

impl Explain for DiskError {
    fn fix(&self) -> Option<Fix> {
        Some(match self {
            Self::InUse(_) => fix!(
                "stop the other one; for several replicas, set {}; to keep sessions in memory alone, set {}",
                Knob::Redis,
                Knob::StoreKind.to("memory")
            ),
            Self::File { .. } => fix!(
                "see that the user that runs bff can write its folder ({}) and that there is room, or keep sessions in memory alone: \
                 set {}",
                Knob::StateFolder,
                Knob::StoreKind.to("memory")
            ),
            Self::Format { .. } => {
                fix!("run that version, or move the file away, and everybody logs in again")
            }
            Self::Damaged { .. } => fix!("move it away, and everybody logs in again"),
            Self::Exposed { exposed, .. } => return exposed.fix(),
        })
    }
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

    /// Opens the file, and makes it if it is missing. Waits for another process that has it open, because it may be
    /// about to stop.
    ///
    /// # Errors
    ///
    /// [`DiskError`], with what to do.
    pub(super) async fn open_when_free(&self, clock: &dyn Clock) -> Result<Database, DiskError> {
        let deadline = clock.now().saturating_add(PATIENCE);
        let mut told = false;
        loop {
            match self.open(true) {
                Ok(database) => return Ok(self.compacted(database)),
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
                Err(error) => return Err(error),
            }
        }
    }

    /// Looks whether the file can be used, without opening it as the store: another process may have it open. A file that
    /// is not there yet can be made.
    ///
    /// # Errors
    ///
    /// [`DiskError`] as [`open_when_free`](Self::open_when_free) would say it.
    pub(super) fn look(&self) -> Result<(), DiskError> {
        let failed = |error| DiskError::File {
            path: self.path.clone(),
            error,
        };
        if !private_file::exists(&self.path).map_err(failed)? {
            return Ok(());
        }
        if self.path.is_dir() {
            return Err(failed(io::ErrorKind::IsADirectory.into()));
        }
        let file = File::options()
            .read(true)
            .write(true)
            .open(&self.path)
            .map_err(failed)?;
        let mut begin = [0; MAGIC.len()];
        match file.read_exact_at(&mut begin, 0) {
            Ok(()) if begin == MAGIC || begin == [0; MAGIC.len()] => Ok(()),
            Ok(()) => Err(self.damaged(not_ours())),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                let length = file.metadata().map_err(failed)?.len();
                if length == 0 {
                    Ok(())
                } else {
                    Err(self.damaged(not_ours()))
                }
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// Opens the file again, which has to be there.
    pub(super) fn open_again(&self) -> Result<Database, DiskError> {
        self.open(false)
    }

    fn open(&self, may_make: bool) -> Result<Database, DiskError> {
        // The library panics on some damage.
        catch_unwind(AssertUnwindSafe(|| self.try_open(may_make)))
            .unwrap_or_else(|_| Err(self.damaged(Fault::Panicked)))
    }

    fn try_open(&self, may_make: bool) -> Result<Database, DiskError> {
        let failed = |error| DiskError::File {
            path: self.path.clone(),
            error,
        };
        let folder = private_file::folder_of(&self.path);
        private_file::make_folder(folder).map_err(failed)?;
        if !may_make && !private_file::exists(&self.path).map_err(failed)? {
            return Err(failed(io::ErrorKind::NotFound.into()));
        }
        let file = private_file::open_or_create(&self.path).map_err(failed)?;
        private_file::keep_private(&file, &self.path, self.guard).map_err(|exposed| DiskError::Exposed {
            path: self.path.clone(),
            exposed,
        })?;
        if !private_file::hold(&file).map_err(failed)? {
            return Err(DiskError::InUse(self.path.clone()));
        }
        begin_anew_if_never_begun(&file).map_err(failed)?;
        let database = self.database(file).map_err(|error| self.damaged(error.into()))?;
        self.check_format(&database)?;
        Ok(database)
    }

    /// Gives the space back of a file that has held many more sessions than it does now.
    fn compacted(&self, mut database: Database) -> Database {
        if let Err(fault) = compact_if_empty(&mut database, &self.path) {
            tracing::warn!(path = ?self.path, %fault, "the file of sessions is mostly empty and could not be made smaller");
        }
        database
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

    /// The meaning of a fault during opening: the file is inaccessible, or it is damaged.
    pub(super) fn damaged(&self, fault: Fault) -> DiskError {
        let path = self.path.clone();
        match fault.io() {
            Some(error) => DiskError::File { path, error },
            None => DiskError::Damaged { path, fault },
        }
    }

    /// How much room there is on the file system.
    pub(super) fn room(&self) -> Room {
        #[cfg(test)]
        if let Some(room) = self.trouble.room() {
            return room;
        }
        // A file system that does not say counts as one with room.
        let Ok(system) = rustix::fs::statvfs(private_file::folder_of(&self.path)) else {
            return Room::Enough;
        };
        let bytes = |blocks: u64| blocks.saturating_mul(system.f_frsize);
        let (free, eighth) = (bytes(system.f_bavail), bytes(system.f_blocks) / 8);
        if free >= MARGIN.min(eighth) {
            Room::Enough
        } else if free >= LEAST.min(eighth) {
            Room::Little
        } else {
            Room::None
        }
    }

    /// Which file has the name.
    pub(super) fn identity(&self) -> Option<(u64, u64)> {
        let metadata = self.path.symlink_metadata().ok()?;
        Some((metadata.dev(), metadata.ino()))
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Place").field(&self.path).finish()
    }
}

/// The fault of a file that begins otherwise than one of the library.
fn not_ours() -> Fault {
    redb::Error::Corrupted("it does not begin as one".to_owned()).into()
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

/// A process that ended while it made the file has left zeros at the place where the library writes last.
fn begin_anew_if_never_begun(file: &File) -> io::Result<()> {
    let mut begin = [0; 8];
    match file.read_exact_at(&mut begin, 0) {
        Ok(()) if begin == [0; 8] => file.set_len(0),
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
        Err(error) => Err(error),
    }
}

fn compact_if_empty(database: &mut Database, path: &Path) -> Result<(), Fault> {
    let length = path.metadata().map_or(0, |metadata| metadata.len());
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
