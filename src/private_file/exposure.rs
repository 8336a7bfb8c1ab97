//! Who beside their owner can use private files, and the folders that they are in.

use std::{
    fs::{File, Metadata},
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
    /// They are refused. Files that others can read on a read-only mount or in memory are not, since Docker and Kubernetes
    /// hand out secrets in this way.
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
    /// It is a user's who is neither root nor the one that runs the server, and who can give it any mode.
    #[error(
        "it belongs to user {owner}, who can write it: make sure that it holds what you put there, then give it with `chown` \
         to the user that runs bff"
    )]
    Foreign {
        /// The owner.
        owner: u32,
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
    /// The folder is a user's who is neither root nor the one that runs the server.
    #[error(
        "its folder belongs to user {owner}, who can write it: make sure that the folder holds what you put there, then give \
         it with `chown` to the user that runs bff"
    )]
    ForeignFolder {
        /// The owner of the folder.
        owner: u32,
    },
}

/// Where a file or a folder is, as far as it matters to who can use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mount {
    /// On a disk of this machine.
    Usual,
    /// In memory (tmpfs, ramfs), where a manager of containers or services hands out secrets.
    Memory,
    /// On a read-only mount. Nobody on this side can write there.
    ReadOnly,
}

/// What is known of a file or of a folder.
#[derive(Clone, Copy, Debug)]
struct Seen {
    mode: u32,
    owner: u32,
    /// Whether it is open to a group of ours alone, as far as it is open to groups.
    ours: bool,
    mount: Mount,
    /// The user that runs the server.
    us: u32,
}

/// What is wrong, and whether it is accepted with a warning, since the manager that made the mount chose it.
type Judgement = Option<(Exposed, bool)>;

// === impl Guard ===

impl Guard {
    /// Looks at an open private file. What is returned was accepted and is worth a warning.
    ///
    /// # Errors
    ///
    /// [`Exposed`]: the file must not be used.
    pub fn file(self, file: &File) -> Result<Option<Exposed>, Exposed> {
        // The one who reads a file that cannot be looked at gets an error, too, and tells it.
        match file.metadata() {
            Ok(metadata) if metadata.is_file() => self.judged(Seen::of(file, &metadata).file()),
            _ => Ok(None),
        }
    }

    /// Looks at the folder `path`. One that does not exist is made as it should be.
    ///
    /// # Errors
    ///
    /// [`Exposed::Folder`] or [`Exposed::ForeignFolder`]: nothing in it must be used.
    pub fn folder(self, path: &Path) -> Result<Option<Exposed>, Exposed> {
        let Ok(folder) = File::open(path) else {
            return Ok(None);
        };
        match folder.metadata() {
            Ok(metadata) if metadata.is_dir() => self.judged(Seen::of(&folder, &metadata).folder()),
            _ => Ok(None),
        }
    }

    const fn judged(self, judgement: Judgement) -> Result<Option<Exposed>, Exposed> {
        match (judgement, self) {
            (None, _) => Ok(None),
            (Some((exposed, false)), Self::Strict) => Err(exposed),
            (Some((exposed, _)), _) => Ok(Some(exposed)),
        }
    }
}

// === impl Seen ===

impl Seen {
    fn of(file: &File, metadata: &Metadata) -> Self {
        let group = metadata.gid();
        let groups = rustix::process::getgroups().unwrap_or_default();
        Self {
            mode: metadata.permissions().mode() & 0o7777,
            owner: metadata.uid(),
            ours: rustix::process::getegid().as_raw() == group
                || groups.iter().any(|one| one.as_raw() == group),
            mount: Mount::of(file),
            us: rustix::process::geteuid().as_raw(),
        }
    }

    fn file(self) -> Judgement {
        let Self { mode, owner, .. } = self;
        if mode & WRITE != 0 {
            Some((Exposed::Writable { mode }, false))
        } else if self.is_foreign() {
            // The files of `secrets:` in a compose file belong to a user outside the container, who can write them there.
            Some((Exposed::Foreign { owner }, self.mount == Mount::ReadOnly))
        } else if mode & READ != 0 {
            Some((Exposed::Readable { mode }, self.mount != Mount::Usual))
        } else {
            None
        }
    }

    fn folder(self) -> Judgement {
        let Self { mode, owner, .. } = self;
        if self.mount == Mount::ReadOnly {
            None
        } else if mode & 0o002 != 0 || (mode & 0o020 != 0 && !self.is_handed_out()) {
            Some((Exposed::Folder { mode }, false))
        } else if self.is_foreign() {
            Some((Exposed::ForeignFolder { owner }, false))
        } else {
            None
        }
    }

    const fn is_foreign(self) -> bool {
        self.owner != 0 && self.owner != self.us
    }

    /// Whether a folder of root is open to a group of ours: Kubernetes hands out volumes in this way (`fsGroup`).
    const fn is_handed_out(self) -> bool {
        self.owner == 0 && self.us != 0 && self.ours
    }
}

// === impl Mount ===

impl Mount {
    fn of(file: &File) -> Self {
        if fstatvfs(file).is_ok_and(|mount| mount.f_flag.contains(StatVfsMountFlags::RDONLY)) {
            Self::ReadOnly
        } else if fstatfs(file).is_ok_and(|system| MEMORY.contains(&i128::from(system.f_type))) {
            Self::Memory
        } else {
            Self::Usual
        }
    }
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
        if Mount::of(&File::open(folder.path()).unwrap()) != Mount::Memory {
            return;
        }
        let exposed = Exposed::Readable { mode: 0o444 };
        let file = with_mode(folder.path(), 0o444);
        assert_eq!(Guard::Strict.file(&file), Ok(Some(exposed)));
        let exposed = Exposed::Writable { mode: 0o666 };
        let file = with_mode(folder.path(), 0o666);
        assert_eq!(Guard::Strict.file(&file), Err(exposed));
    }

    const US: u32 = 1_000;

    fn seen(mode: u32, owner: u32, mount: Mount) -> Seen {
        Seen {
            mode,
            owner,
            ours: false,
            mount,
            us: US,
        }
    }

    #[test]
    fn attack_50_a_file_that_is_handed_out_may_be_readable_but_not_writable() {
        for mount in [Mount::Memory, Mount::ReadOnly] {
            for owner in [0, US] {
                // The modes in which Docker, Kubernetes and systemd hand out secrets.
                for mode in [0o444, 0o440, 0o644] {
                    let expected = Some((Exposed::Readable { mode }, true));
                    assert_eq!(seen(mode, owner, mount).file(), expected);
                }
                for mode in [0o400, 0o600] {
                    assert_eq!(seen(mode, owner, mount).file(), None);
                }
                for mode in [0o666, 0o660] {
                    let expected = Some((Exposed::Writable { mode }, false));
                    assert_eq!(seen(mode, owner, mount).file(), expected);
                }
            }
        }
        let mode = 0o444;
        let expected = Some((Exposed::Readable { mode }, false));
        assert_eq!(seen(mode, 0, Mount::Usual).file(), expected);
    }

    #[test]
    fn attack_50_what_belongs_to_another_user_counts_as_writable() {
        let owner = 1_234;
        let foreign = Exposed::Foreign { owner };
        for mode in [0o600, 0o400, 0o644] {
            for mount in [Mount::Usual, Mount::Memory] {
                assert_eq!(seen(mode, owner, mount).file(), Some((foreign, false)));
            }
            // As with `secrets:` of a compose file.
            assert_eq!(seen(mode, owner, Mount::ReadOnly).file(), Some((foreign, true)));
        }
        let folder = Exposed::ForeignFolder { owner };
        assert_eq!(seen(0o700, owner, Mount::Usual).folder(), Some((folder, false)));
        assert_eq!(seen(0o755, owner, Mount::Memory).folder(), Some((folder, false)));
        assert_eq!(seen(0o755, owner, Mount::ReadOnly).folder(), None);
        for owner in [0, US] {
            assert_eq!(seen(0o755, owner, Mount::Usual).folder(), None);
            assert_eq!(seen(0o600, owner, Mount::Usual).file(), None);
        }
    }

    #[test]
    fn attack_50_a_folder_is_open_to_a_group_only_where_it_was_handed_out() {
        let mode = 0o2775;
        let refused = Some((Exposed::Folder { mode }, false));
        let folder = seen(mode, 0, Mount::Usual);
        assert_eq!(folder.folder(), refused, "a group that is not ours");
        assert_eq!(Seen { ours: true, ..folder }.folder(), None);
        let ours = Seen {
            ours: true,
            owner: US,
            ..folder
        };
        assert_eq!(ours.folder(), refused, "not root's");
    }

    #[test]
    fn attack_50_a_file_that_was_given_to_another_user_is_refused() {
        let folder = on_disk();
        let file = with_mode(folder.path(), 0o600);
        // Only root can give a file away.
        if std::os::unix::fs::fchown(&file, Some(1_234), None).is_err() {
            return;
        }
        let foreign = Exposed::Foreign { owner: 1_234 };
        assert_eq!(Guard::Strict.file(&file), Err(foreign));
        assert_eq!(Guard::Off.file(&file), Ok(Some(foreign)));
        std::os::unix::fs::chown(folder.path(), Some(1_234), None).unwrap();
        let foreign = Exposed::ForeignFolder { owner: 1_234 };
        assert_eq!(Guard::Strict.folder(folder.path()), Err(foreign));
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
