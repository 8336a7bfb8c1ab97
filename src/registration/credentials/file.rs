//! The file on disk: bounded reading, atomic replacement, one writer at a time.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::{
    super::vault::{Fingerprint, Lock, Place},
    Credentials, CredentialsError,
};
use crate::{
    access::{Need, Refused},
    clock::Clock,
    private_file::{self, FileLock, Guard, Step},
};

/// A credentials file has a few kilobytes; a larger file is a mistake.
const MAX_SIZE: u64 = 1024 * 1024;
/// The interval between attempts to take a lock that another process holds.
const LOCK_INTERVAL: Duration = Duration::from_millis(200);
/// The name of the file that proves that the folder is writable.
const PROBE: &str = ".probe";

/// `bff_client.json`, wherever it is. Cheap to clone.
#[derive(Clone, Debug)]
pub struct CredentialsFile {
    path: Arc<Path>,
    guard: Guard,
}

// === impl CredentialsFile ===

impl CredentialsFile {
    /// The file at `path`.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self {
            path: path.into(),
            guard: Guard::Strict,
        }
    }

    /// The same, with this to be done where others can use it.
    #[must_use]
    pub fn guarded(self, guard: Guard) -> Self {
        Self { guard, ..self }
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for the exclusive right to register. The operating system releases the lock when the process ends, so a
    /// crash leaves none behind.
    ///
    /// # Errors
    ///
    /// [`CredentialsError::Lock`] if the lock file cannot be made or locked.
    pub async fn lock(&self, clock: &dyn Clock) -> Result<Lock, CredentialsError> {
        loop {
            let this = self.clone();
            // Trying again, rather than waiting in the system call, can be cancelled at shutdown.
            if let Some(lock) = blocking(move || this.try_lock()).await? {
                return Ok(lock);
            }
            clock.sleep(LOCK_INTERVAL).await;
        }
    }

    fn try_lock(&self) -> Result<Option<Lock>, CredentialsError> {
        let path = private_file::lock_of(&self.path);
        let made = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => private_file::make_folder(folder),
            _ => Ok(()),
        };
        let lock = made
            .and_then(|()| FileLock::attempt(&path))
            .map_err(|cause| CredentialsError::Lock {
                path,
                cause: cause.to_string(),
            })?;
        Ok(lock.map(|lock| {
            self.clean_up();
            Lock::new(lock)
        }))
    }

    /// Removes leftovers of a process that died while it wrote: they may contain secrets. Only the holder of the lock
    /// calls this. A failed removal does no other harm.
    fn clean_up(&self) {
        if private_file::remove_leftovers(&self.path).is_err() {
            tracing::debug!(
                "old temporary files beside {} cannot be removed",
                self.path.display()
            );
        }
        let probe = self.beside(PROBE);
        if probe.exists() {
            private_file::about_to(Step::Remove, &probe);
            let _ = fs::remove_file(&probe);
        }
    }

    /// Reads the record; `None` if the file does not exist.
    ///
    /// # Errors
    ///
    /// [`CredentialsError`]: unreadable, not a record, or one of a newer version.
    pub async fn load(&self) -> Result<Option<Credentials>, CredentialsError> {
        let this = self.clone();
        blocking(move || this.read()).await
    }

    /// As [`CredentialsFile::load`], for a command that may block.
    ///
    /// # Errors
    ///
    /// As for [`CredentialsFile::load`].
    pub fn read(&self) -> Result<Option<Credentials>, CredentialsError> {
        let unreadable = |cause: io::Error| {
            CredentialsError::Unreadable(Refused::of(&self.path, Need::ReadPrivate, &cause))
        };
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(unreadable(cause)),
        };
        if file.metadata().map_err(unreadable)?.is_dir() {
            return Err(unreadable(io::ErrorKind::IsADirectory.into()));
        }
        private_file::keep_private(&file, &self.path, self.guard).map_err(|exposed| {
            CredentialsError::Exposed {
                path: self.path.to_path_buf(),
                exposed,
            }
        })?;
        let mut text = Vec::new();
        file.take(MAX_SIZE + 1)
            .read_to_end(&mut text)
            .map_err(unreadable)?;
        self.parse(&text).map(Some)
    }

    pub(super) fn parse(&self, text: &[u8]) -> Result<Credentials, CredentialsError> {
        let place = Place::File(self.path.to_path_buf());
        if u64::try_from(text.len()).is_ok_and(|length| length > MAX_SIZE) {
            let reason = "it is too large".to_owned();
            return Err(CredentialsError::Corrupt { place, reason });
        }
        Credentials::parse(text, &place)
    }

    /// The present contents.
    pub async fn fingerprint(&self) -> Fingerprint {
        let this = self.clone();
        let look = blocking(move || {
            Ok(match fs::metadata(&this.path) {
                Err(_) => Fingerprint::Nothing,
                Ok(file) => Fingerprint::File {
                    inode: file.ino(),
                    size: file.size(),
                    modified: (file.mtime(), file.mtime_nsec()),
                },
            })
        });
        look.await.unwrap_or(Fingerprint::Nothing)
    }

    /// Replaces the record atomically and durably: after a crash there is the old one or the new one.
    ///
    /// # Errors
    ///
    /// [`CredentialsError::NotWritable`]; the old record is still there then.
    pub async fn store(&self, record: &Credentials) -> Result<(), CredentialsError> {
        let (this, record) = (self.clone(), record.clone());
        blocking(move || this.write(&record)).await
    }

    fn write(&self, record: &Credentials) -> Result<(), CredentialsError> {
        let write = || -> io::Result<()> { private_file::replace(&self.path, &record.to_text()?) };
        write().map_err(|cause| self.not_writable(&cause))
    }

    /// Removes the record.
    ///
    /// # Errors
    ///
    /// [`CredentialsError::NotWritable`].
    pub async fn remove(&self) -> Result<(), CredentialsError> {
        let this = self.clone();
        blocking(move || {
            private_file::about_to(Step::Remove, &this.path);
            match fs::remove_file(&this.path) {
                Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(this.not_writable(&cause)),
                _ => Ok(()),
            }
        })
        .await
    }

    /// Proves that the record could be written now, before something is spent that only it can remember.
    ///
    /// # Errors
    ///
    /// [`CredentialsError::NotWritable`].
    pub async fn prove_writable(&self) -> Result<(), CredentialsError> {
        let this = self.clone();
        blocking(move || {
            let path = this.beside(PROBE);
            let probe = || -> io::Result<()> {
                // As large as a record gets: a full disk shows only where bytes are written.
                private_file::replace(&path, &[b' '; 16 * 1024])?;
                private_file::about_to(Step::Remove, &path);
                fs::remove_file(&path)
            };
            probe().map_err(|cause| this.not_writable(&cause))
        })
        .await
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = OsString::from(self.path.as_os_str());
        name.push(suffix);
        PathBuf::from(name)
    }

    fn not_writable(&self, cause: &io::Error) -> CredentialsError {
        CredentialsError::NotWritable {
            path: self.path.to_path_buf(),
            cause: cause.to_string(),
        }
    }
}

/// Runs file work off the async workers.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CredentialsError> + Send + 'static,
) -> Result<T, CredentialsError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Cancelled: the runtime is shutting down.
            Err(_) => std::future::pending().await,
        },
    }
}
