//! Which other users can use private files and their folders.

use std::{
    fs::{File, Metadata},
    io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
};

use rustix::fs::{StatVfsMountFlags, fstatfs, fstatvfs};

use crate::diagnostic::{Explain, Fix, Knob, fix};

/// `f_type` of tmpfs and ramfs (statfs(2)).
const MEMORY: [i128; 2] = [0x0102_1994, 0x8584_58f6];
const WRITE: u32 = 0o022;
const READ: u32 = 0o044;

/// The policy for private files and folders that others can use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Guard {
    /// They are refused. Exception: files that others can read on a read-only mount or in memory, because Docker and
    /// Kubernetes mount secrets in this way.
    #[default]
    Strict,
    /// They are accepted (`BFF_DANGER_ALLOW_OPEN_FILES`).
    Off,
}

/// The exposure of a private file, or of its folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Exposed {
    /// They can put something else in its place.
    #[error("others can write it (mode {mode:04o})")]
    Writable {
        /// The permission bits.
        mode: u32,
    },
    /// It belongs to a user who is neither root nor the one that runs the server. That user can give it any mode.
    #[error("it belongs to user {owner}, who can write it")]
    Foreign {
        /// The owner.
        owner: u32,
    },
    /// They can read it.
    #[error("others can read it (mode {mode:04o})")]
    Readable {
        /// The permission bits.
        mode: u32,
    },
    /// They can put other files into the folder.
    #[error("others can write its folder (mode {mode:04o})")]
    Folder {
        /// The permission bits of the folder.
        mode: u32,
    },
    /// The folder belongs to a user who is neither root nor the one that runs the server.
    #[error("its folder belongs to user {owner}, who can write it")]
    ForeignFolder {
        /// The owner of the folder.
        owner: u32,
    },
}

// === impl Exposed ===

impl Exposed {
    /// The command that removes the permissions of others.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Writable { .. } => {
                "make sure that it holds what you put there, then run `chmod go-w` on it"
            }
            Self::Foreign { .. } => {
                "make sure that it holds what you put there, then give it with `chown` to the user that runs bff"
            }
            Self::Readable { .. } => {
                "run `chmod 600` on it, and replace what it holds if somebody may have read it"
            }
            Self::Folder { .. } => {
                "make sure that the folder holds what you put there, then run `chmod go-w` on the folder"
            }
            Self::ForeignFolder { .. } => {
                "make sure that the folder holds what you put there, then give it with `chown` to the user that runs bff"
            }
        }
    }
}

/// The advice if the file is refused.
impl Explain for Exposed {
    fn fix(&self) -> Option<Fix> {
        Some(fix!(
            "{}; only where that cannot be helped, set {}",
            self.remedy(),
            Knob::AllowOpenFiles.to("true")
        ))
    }
}

/// The place of a file or a folder, as far as it matters to who can use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mount {
    /// On a disk of this machine.
    Usual,
    /// In memory (tmpfs, ramfs), where a manager of containers or services mounts secrets.
    Memory,
    /// On a read-only mount. Nobody on this side can write there.
    ReadOnly,
}

/// The attributes of a file or of a folder.
#[derive(Clone, Copy, Debug)]
struct Seen {
    mode: u32,
    owner: u32,
    /// Whether the file is open only to one of our groups, if it is open to groups.
    ours: bool,
    mount: Mount,
    /// The user that runs the server.
    us: u32,
}

/// The exposure, and whether it is accepted with a warning, because the manager that made the mount chose it.
type Judgement = Option<(Exposed, bool)>;

// === impl Guard ===

impl Guard {
    /// Looks at an open private file. What is returned was accepted and is worth a warning.
    ///
    /// # Errors
    ///
    /// [`Exposed`]: the file must not be used.
    pub fn file(self, file: &File) -> Result<Option<Exposed>, Exposed> {
        // A reader of an inaccessible file gets an error too, and reports it.
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

    /// Checks one property of the real folder of the file `path`, behind all links: whether everybody can replace the
    /// file. Its other properties are not ours to judge.
    ///
    /// # Errors
    ///
    /// [`Exposed::Folder`]: the file must not be used.
    pub fn place_of(self, path: &Path) -> Result<Option<Exposed>, Exposed> {
        let real = path.canonicalize().ok();
        let Some(folder) = real.and_then(|real| File::open(real.parent()?).ok()) else {
            return Ok(None);
        };
        match folder.metadata() {
            Ok(metadata) => self.judged(Seen::of(&folder, &metadata).place()),
            Err(_) => Ok(None),
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

    /// In a folder with the sticky bit, such as `/tmp`, a user cannot replace the files of another.
    fn place(self) -> Judgement {
        let Self { mode, .. } = self;
        (self.mount != Mount::ReadOnly && mode & 0o1002 == 0o002).then_some((Exposed::Folder { mode }, false))
    }

    const fn is_foreign(self) -> bool {
        self.owner != 0 && self.owner != self.us
    }

    /// Whether a folder of root is open to one of our groups: Kubernetes mounts volumes in this way (`fsGroup`).
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

/// Opens the file `path` to read and write it, or to lock it; makes it, private, but never through a symbolic link.
///
/// # Errors
///
/// The system's error.
pub fn open_or_create(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let no_follow = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).map_err(io::Error::other)?;
    File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(no_follow)
        .open(path)
}

#[cfg(test)]
mod tests;
