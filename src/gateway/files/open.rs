//! Opens files below a folder and never outside it, also while somebody exchanges files and links.

use std::{
    fs::File,
    io,
    os::{fd::OwnedFd, unix::fs::MetadataExt as _},
    path::Path,
};

use rustix::{
    fs::{CWD, Mode, OFlags, openat},
    io::Errno,
};

use super::FolderError;
use crate::access::{Need, Refused};

/// A named pipe must not hold the thread, and a terminal must not take the process over.
const READ: OFlags = OFlags::RDONLY
    .union(OFlags::CLOEXEC)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY);

/// The kernel gives up if something below the folder is renamed meanwhile.
#[cfg(target_os = "linux")]
const MAX_ATTEMPTS: usize = 16;

/// An open folder.
#[derive(Debug)]
pub(super) struct Root(OwnedFd);

// === impl Root ===

impl Root {
    pub(super) fn open(path: &Path) -> Result<Self, FolderError> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::DIRECTORY;
        // The right to list it is not needed.
        #[cfg(target_os = "linux")]
        let flags = flags | OFlags::PATH;
        match openat(CWD, path, flags, Mode::empty()) {
            Ok(folder) => Ok(Self(folder)),
            Err(Errno::NOTDIR) => Err(FolderError::NotAFolder),
            Err(error) => Err(Refused::of(path, Need::Read, &error.into()).into()),
        }
    }

    /// Its device and its number there.
    pub(super) fn identity(&self) -> io::Result<(u64, u64)> {
        let metadata = File::from(self.0.try_clone()?).metadata()?;
        Ok((metadata.dev(), metadata.ino()))
    }

    /// The file or folder that these names lead to, one below the other.
    pub(super) fn find(&self, names: &[String]) -> io::Result<File> {
        #[cfg(target_os = "linux")]
        if let Some(found) = self.by_the_kernel(names) {
            return found;
        }
        self.step_by_step(names)
    }

    /// The kernel resolves the whole path and refuses one that leaves the folder, by a link or by a rename. `None` if it
    /// cannot, as before Linux 5.6 or in a sandbox.
    #[cfg(target_os = "linux")]
    fn by_the_kernel(&self, names: &[String]) -> Option<io::Result<File>> {
        use rustix::fs::{ResolveFlags, openat2};

        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let path = names.join("/");
        for _ in 0..MAX_ATTEMPTS {
            match openat2(&self.0, &path, READ, Mode::empty(), resolve) {
                Err(Errno::AGAIN) => {}
                Err(Errno::NOSYS | Errno::PERM) => return None,
                found => return Some(found.map(File::from).map_err(io::Error::from)),
            }
        }
        Some(Err(Errno::AGAIN.into()))
    }

    /// One name after the other, and no links at all.
    pub(super) fn step_by_step(&self, names: &[String]) -> io::Result<File> {
        let Some((last, before)) = names.split_last() else {
            return Err(Errno::NOENT.into());
        };
        let mut folder = self.0.try_clone()?;
        for name in before {
            let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::DIRECTORY | OFlags::NOFOLLOW;
            #[cfg(target_os = "linux")]
            let flags = flags | OFlags::PATH;
            folder = openat(&folder, name.as_str(), flags, Mode::empty())?;
        }
        let file = openat(&folder, last.as_str(), READ | OFlags::NOFOLLOW, Mode::empty())?;
        Ok(File::from(file))
    }
}

/// Whether a link leads out of the folder, or is not followed.
pub(super) fn leads_out(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::XDEV | Errno::LOOP))
}

/// Whether no file can have these names, or none has.
pub(super) fn is_missing(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(
            Errno::NOENT
                | Errno::NOTDIR
                | Errno::NAMETOOLONG
                | Errno::INVAL
                | Errno::ILSEQ
                | Errno::NXIO
                | Errno::NODEV
        )
    )
}
