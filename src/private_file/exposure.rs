//! Who beside their owner can use private files, and the folders that they are in.

use std::{
    fs::File,
    io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
};

use rustix::fs::{StatVfsMountFlags, fstatfs, fstatvfs};

/// `f_type` of tmpfs and ramfs (statfs(2)).
const MEMORY: [i128; 2] = [0x0102_1994, 0x8584_58f6];
const WRITE: u32 = 0o022;
const READ: u32 = 0o044;

/// What is done about private files and folders that others can use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Guard {
    /// They are refused; but for files that others can read on a read-only mount or in memory, as Docker and Kubernetes
    /// hand out secrets.
    #[default]
    Strict,
    /// They are accepted (`BFF_DANGER_ALLOW_OPEN_FILES`).
    Off,
}

/// What others can do with a private file, or with the folder that it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Exposed {
    /// They can put something else in its place.
    #[error(
        "others can write it (mode {mode:04o}): make sure that it holds what you put there, then run `chmod go-w` on it"
    )]
    Writable {
        /// The permission bits.
        mode: u32,
    },
    /// They can read it.
    #[error(
        "others can read it (mode {mode:04o}): run `chmod 600` on it, and replace what it holds if somebody may have read it"
    )]
    Readable {
        /// The permission bits.
        mode: u32,
    },
    /// They can put other files into the folder.
    #[error(
        "others can write its folder (mode {mode:04o}): make sure that the folder holds what you put there, then run \
         `chmod go-w` on the folder"
    )]
    Folder {
        /// The permission bits of the folder.
        mode: u32,
    },
}

// === impl Guard ===

impl Guard {
    /// Looks at an open private file. What is returned was accepted and is worth a warning.
    ///
    /// # Errors
    ///
    /// [`Exposed`]: the file must not be used.
    pub fn file(self, file: &File) -> Result<Option<Exposed>, Exposed> {
        // What cannot be looked at cannot be read either, and that is told by whoever reads it.
        let Ok(metadata) = file.metadata() else {
            return Ok(None);
        };
        let mode = metadata.permissions().mode() & 0o7777;
        let (exposed, sheltered) = if !metadata.is_file() {
            return Ok(None);
        } else if mode & WRITE != 0 {
            (Exposed::Writable { mode }, false)
        } else if mode & READ != 0 {
            (Exposed::Readable { mode }, is_sheltered(file))
        } else {
            return Ok(None);
        };
        self.judged(exposed, sheltered)
    }

    /// Looks at the folder `path`. One that does not exist is made as it should be.
    ///
    /// # Errors
    ///
    /// [`Exposed::Folder`]: nothing in it must be used.
    pub fn folder(self, path: &Path) -> Result<Option<Exposed>, Exposed> {
        let Ok(folder) = File::open(path) else {
            return Ok(None);
        };
        let Ok(metadata) = folder.metadata() else {
            return Ok(None);
        };
        let mode = metadata.permissions().mode() & 0o7777;
        let by_others = mode & 0o002 != 0 || (mode & 0o020 != 0 && !is_handed_out(&metadata));
        if !metadata.is_dir() || !by_others {
            return Ok(None);
        }
        if is_read_only(&folder) {
            return Ok(None);
        }
        self.judged(Exposed::Folder { mode }, false)
    }

    const fn judged(self, exposed: Exposed, sheltered: bool) -> Result<Option<Exposed>, Exposed> {
        match self {
            Self::Strict if !sheltered => Err(exposed),
            Self::Strict | Self::Off => Ok(Some(exposed)),
        }
    }
}

/// Whether a folder of root is open to a group of ours: Kubernetes hands out volumes in this way (`fsGroup`).
fn is_handed_out(folder: &std::fs::Metadata) -> bool {
    let ours = |group: u32| {
        rustix::process::getegid().as_raw() == group
            || rustix::process::getgroups().is_ok_and(|groups| groups.iter().any(|one| one.as_raw() == group))
    };
    folder.uid() == 0 && !rustix::process::geteuid().is_root() && ours(folder.gid())
}

/// Whether `file` is on a mount that only the container's manager fills: read-only, or in memory.
fn is_sheltered(file: &File) -> bool {
    is_read_only(file) || fstatfs(file).is_ok_and(|system| MEMORY.contains(&i128::from(system.f_type)))
}

fn is_read_only(file: &File) -> bool {
    fstatvfs(file).is_ok_and(|mount| mount.f_flag.contains(StatVfsMountFlags::RDONLY))
}

/// Opens the file `path` for a lock; makes it, but never through a symbolic link.
///
/// # Errors
///
/// What the system says.
pub fn open_lock(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let no_follow = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).map_err(io::Error::other)?;
    File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(no_follow)
        .open(path)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};

    use super::*;
    use crate::private_file::testing::on_disk;

    fn with_mode(folder: &Path, mode: u32) -> File {
        let path = folder.join(format!("{mode:o}"));
        fs::write(&path, "x").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        File::open(path).unwrap()
    }

    #[test]
    fn attack_50_a_file_that_others_can_use_is_refused() {
        let folder = on_disk();
        for mode in [0o600, 0o400, 0o700, 0o711] {
            assert_eq!(
                Guard::Strict.file(&with_mode(folder.path(), mode)),
                Ok(None),
                "{mode:o}"
            );
        }
        for mode in [0o640, 0o604, 0o444, 0o755] {
            let exposed = Exposed::Readable { mode };
            let file = with_mode(folder.path(), mode);
            assert_eq!(Guard::Strict.file(&file), Err(exposed), "{mode:o}");
            assert_eq!(Guard::Off.file(&file), Ok(Some(exposed)));
        }
        for mode in [0o620, 0o602, 0o666, 0o777] {
            let exposed = Exposed::Writable { mode };
            let file = with_mode(folder.path(), mode);
            assert_eq!(Guard::Strict.file(&file), Err(exposed), "{mode:o}");
            assert_eq!(Guard::Off.file(&file), Ok(Some(exposed)));
        }
    }

    #[test]
    fn attack_50_a_folder_that_others_can_write_is_refused() {
        let folder = on_disk();
        for mode in [0o700, 0o755, 0o750] {
            fs::set_permissions(folder.path(), Permissions::from_mode(mode)).unwrap();
            assert_eq!(Guard::Strict.folder(folder.path()), Ok(None), "{mode:o}");
        }
        for mode in [0o770, 0o707, 0o777, 0o1777] {
            fs::set_permissions(folder.path(), Permissions::from_mode(mode)).unwrap();
            let exposed = Exposed::Folder { mode };
            assert_eq!(Guard::Strict.folder(folder.path()), Err(exposed), "{mode:o}");
            assert_eq!(Guard::Off.folder(folder.path()), Ok(Some(exposed)));
        }
        fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
        assert_eq!(Guard::Strict.folder(&folder.path().join("missing")), Ok(None));
    }

    #[test]
    fn secrets_in_memory_may_be_readable_but_not_writable() {
        // Where this machine has such a file system.
        let Ok(folder) = tempfile::tempdir_in("/dev/shm") else {
            return;
        };
        if !is_sheltered(&File::open(folder.path()).unwrap()) {
            return;
        }
        let exposed = Exposed::Readable { mode: 0o444 };
        let file = with_mode(folder.path(), 0o444);
        assert_eq!(Guard::Strict.file(&file), Ok(Some(exposed)));
        let exposed = Exposed::Writable { mode: 0o666 };
        let file = with_mode(folder.path(), 0o666);
        assert_eq!(Guard::Strict.file(&file), Err(exposed));
    }

    #[test]
    fn attack_50_a_lock_is_never_made_through_a_link() {
        let folder = on_disk();
        let link = folder.path().join("x.lock");
        std::os::unix::fs::symlink(folder.path().join("foreign"), &link).unwrap();
        assert!(open_lock(&link).is_err());
        assert!(!folder.path().join("foreign").exists());
        assert!(open_lock(&folder.path().join("y.lock")).is_ok());
    }
}
