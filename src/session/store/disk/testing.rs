//! Trouble with the disk, for tests.

use std::{
    io,
    ops::Bound,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::Mutex;
use redb::{BackendError, StorageBackend, backends::FileBackend};
use tempfile::TempDir;

use super::file::Room;

/// The simulated fault of the disk. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Trouble {
    room: Arc<Mutex<Option<Room>>>,
    failing: Arc<AtomicBool>,
    gone: Arc<AtomicBool>,
    steps: Arc<Mutex<Option<u32>>>,
    folder: Option<Arc<TempDir>>,
    stalled: Arc<AtomicBool>,
}

/// A file that fails on demand.
#[derive(Debug)]
pub(super) struct Failing {
    file: FileBackend,
    trouble: Trouble,
}

impl Trouble {
    pub(super) fn around(&self, file: FileBackend) -> Failing {
        Failing {
            file,
            trouble: self.clone(),
        }
    }

    /// Keeps the folder while this exists.
    pub(super) fn keep(&mut self, folder: TempDir) {
        self.folder = Some(Arc::new(folder));
    }

    /// The file system has no room.
    pub(super) fn fill(&self, full: bool) {
        self.leave(full.then_some(Room::None));
    }

    /// The file system has this room.
    pub(super) fn leave(&self, room: Option<Room>) {
        *self.room.lock() = room;
    }

    pub(super) fn room(&self) -> Option<Room> {
        *self.room.lock()
    }

    /// The number of further steps that work. `None` for all.
    pub(super) fn fail_after(&self, steps: Option<u32>) {
        *self.steps.lock() = steps;
    }

    /// Every write of more than the header fails: the file can still be opened.
    pub(super) fn fail_writes_of_data(&self, failing: bool) {
        self.failing.store(failing, Ordering::SeqCst);
    }

    /// Everything waits until this changes.
    pub(super) fn stall(&self, stalled: bool) {
        self.stalled.store(stalled, Ordering::SeqCst);
    }

    /// Nothing works.
    pub(super) fn fail_everything(&self, gone: bool) {
        self.gone.store(gone, Ordering::SeqCst);
    }

    fn check(&self, writes_data: bool) -> io::Result<()> {
        while self.stalled.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        if let Some(left) = &mut *self.steps.lock() {
            *left = left.checked_sub(1).ok_or(io::ErrorKind::StorageFull)?;
        }
        let failing = writes_data && self.failing.load(Ordering::SeqCst);
        if failing || self.gone.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

impl StorageBackend for Failing {
    fn len(&self) -> Result<u64, io::Error> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        self.trouble.check(false)?;
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        self.trouble.check(true)?;
        self.file.set_len(len)
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        self.trouble.check(false)?;
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.trouble.check(offset > 0)?;
        self.file.write(offset, data)
    }

    fn close(&self) -> Result<(), io::Error> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }
}
