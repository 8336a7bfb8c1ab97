//! A folder that the start writes to: whether it can.

use std::{
    io,
    path::{Path, PathBuf},
};

use rustix::fs::{Access, AtFlags, CWD, accessat, statfs, statvfs};

use crate::{
    access::{Need, Refused},
    private_file::Exposed,
};

/// The start writes a few kilobytes; a disk with less than this is full, in bytes.
const LEAST_SPACE: u64 = 1 << 20;

/// Types of file systems of the kernel (`f_type` of statfs(2)), which keep no files of others.
const OF_THE_KERNEL: [(i128, &str); 14] = [
    (0x9fa0, "proc"),
    (0x6265_6572, "sysfs"),
    (0x0027_e0eb, "cgroup"),
    (0x6367_7270, "cgroup2"),
    (0x6462_6720, "debugfs"),
    (0x7472_6163, "tracefs"),
    (0x7363_6673, "securityfs"),
    (0xf97c_ff8c, "selinuxfs"),
    (0xcafe_4a11, "bpf"),
    (0x1cd1, "devpts"),
    (0x1980_0202, "mqueue"),
    (0xde5e_81e4, "efivarfs"),
    (0x6265_6570, "configfs"),
    (0x4249_4e4d, "binfmt_misc"),
];

/// Why the start cannot write into a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoFolder {
    /// It belongs to a file system of the kernel, of this type.
    Kernel(&'static str),
    /// It, or the place where it should be, is below a file.
    File(PathBuf),
    /// It does not exist, and cannot be made.
    Missing {
        /// The nearest folder above it that exists.
        above: PathBuf,
        /// Why it cannot be made there.
        refused: Refused,
    },
    /// It cannot be written.
    Refused(Refused),
    /// It is on a read-only mount.
    ReadOnly,
    /// Its disk is full.
    Full,
    /// Others can use it, and the start puts nothing secret there.
    Exposed(Exposed),
}

// === impl NoFolder ===

impl NoFolder {
    /// Why the start cannot write into this folder, if it cannot. A missing folder is made.
    pub(super) fn of(folder: &Path) -> Option<Self> {
        // A folder that is missing is made. A name that cannot be looked up is not a missing one.
        let is_there = |path: &&Path| !matches!(path.try_exists(), Ok(false));
        let above = folder.ancestors().find(is_there)?;
        // That of the working folder is empty.
        let above = if above.as_os_str().is_empty() {
            Path::new(".")
        } else {
            above
        };
        // The look-up fails for a path below a file too.
        if let Some(file) = folder.ancestors().find(|path| path.is_file()) {
            return Some(Self::File(file.to_owned()));
        }
        if let Ok(system) = statfs(above) {
            let kind = i128::from(system.f_type);
            if let Some((_, kind)) = OF_THE_KERNEL.iter().find(|(other, _)| *other == kind) {
                return Some(Self::Kernel(kind));
            }
        }
        let rights = Access::WRITE_OK | Access::EXEC_OK;
        if let Err(cause) = accessat(CWD, above, rights, AtFlags::EACCESS) {
            let cause = io::Error::from(cause);
            let refused = Refused::of(above, Need::WriteIn, &cause);
            return Some(if cause.kind() == io::ErrorKind::ReadOnlyFilesystem {
                Self::ReadOnly
            } else if above == folder || matches!(folder.try_exists(), Err(_) | Ok(true)) {
                Self::Refused(refused)
            } else {
                Self::Missing {
                    above: above.to_owned(),
                    refused,
                }
            });
        }
        let disk = statvfs(above).ok()?;
        // Without any blocks, as some file systems in memory and on the network tell it, nothing is known.
        let is_full = disk.f_blocks > 0 && disk.f_bavail.saturating_mul(disk.f_frsize) < LEAST_SPACE;
        is_full.then_some(Self::Full)
    }

    /// The message about `path`, to which the start writes `purpose`.
    pub(super) fn text(&self, path: &Path, purpose: &str) -> String {
        let path = path.display();
        match self {
            Self::Kernel(kind) => format!(
                "{path} is no place for files, since it is in a file system of the kernel ({kind}), and the start writes {purpose} there"
            ),
            Self::File(file) if *file == *path.to_string() => {
                format!("{path} is a file, and the start needs a folder there for {purpose}")
            }
            Self::File(file) => format!(
                "{path} cannot be made, since {} is a file, and the start needs a folder there for {purpose}",
                file.display()
            ),
            Self::Missing { above, refused } => format!(
                "{path} does not exist, and cannot be made: {} {}; the start writes {purpose} there",
                above.display(),
                refused.reason()
            ),
            Self::Refused(refused) => {
                format!(
                    "{path} {}, and the start writes {purpose} there",
                    refused.reason()
                )
            }
            Self::ReadOnly => {
                format!("{path} is on a read-only mount, and the start writes {purpose} there")
            }
            Self::Exposed(exposed) => format!("{path} is no place for {purpose}: {exposed}"),
            Self::Full => format!("the disk of {path} is full, and the start writes {purpose} there"),
        }
    }
}
