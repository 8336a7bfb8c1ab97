//! Files as locks between processes. The system gives a lock back when its process ends, so that a crash leaves none behind.

use std::{
    ffi::OsString,
    fs::{File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use super::{Step, about_to, open_or_create};

/// A lock that this process holds until it is dropped.
#[derive(Debug)]
pub struct FileLock {
    _file: File,
}

/// The file that stands for the right to change the file `path`: its name with `.lock`.
#[must_use]
pub fn lock_of(path: &Path) -> PathBuf {
    let mut name = OsString::from(path.as_os_str());
    name.push(".lock");
    PathBuf::from(name)
}

/// Locks an open file, without waiting; `false` where another process has it.
///
/// # Errors
///
/// The error of the operating system.
pub fn hold(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

// === impl FileLock ===

impl FileLock {
    /// Locks the file `path`, which is made where there is none, without waiting; `None` where another process has it.
    ///
    /// # Errors
    ///
    /// Where the file cannot be made or locked.
    pub fn attempt(path: &Path) -> io::Result<Option<Self>> {
        let file = open(path)?;
        Ok(hold(&file)?.then_some(Self { _file: file }))
    }

    /// The same, and waits for `patience` where another process has it.
    ///
    /// # Errors
    ///
    /// As for [`attempt`](Self::attempt).
    pub fn within(path: &Path, patience: Duration) -> io::Result<Option<Self>> {
        if let Some(lock) = Self::attempt(path)? {
            return Ok(Some(lock));
        }
        let file = open(path)?;
        let (sender, receiver) = mpsc::channel();
        // The system waits without an end. A lock that comes after we have gone is given back at once.
        thread::spawn(move || {
            let locked = file.lock().map(|()| Self { _file: file });
            drop(sender.send(locked));
        });
        match receiver.recv_timeout(patience) {
            Ok(locked) => locked.map(Some),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Ok(None),
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    about_to(Step::Lock, path);
    open_or_create(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time_has_a_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = lock_of(&folder.path().join("record.json"));
        assert!(path.ends_with("record.json.lock"));
        let lock = FileLock::attempt(&path).unwrap().unwrap();
        assert!(FileLock::attempt(&path).unwrap().is_none());
        assert!(FileLock::within(&path, Duration::ZERO).unwrap().is_none());
        assert!(!hold(&File::open(&path).unwrap()).unwrap());
        drop(lock);
        assert!(
            FileLock::within(&path, Duration::from_secs(30))
                .unwrap()
                .is_some()
        );
    }

    #[test]
    fn who_waits_gets_the_lock_that_is_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let lock = FileLock::attempt(&path).unwrap();
        let waiter = thread::spawn(move || FileLock::within(&path, Duration::from_secs(30)).unwrap());
        drop(lock);
        assert!(waiter.join().unwrap().is_some());
    }

    #[test]
    fn a_file_that_cannot_be_made_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), "").unwrap();
        assert!(FileLock::attempt(&folder.path().join("file/lock")).is_err());
    }
}
