//! Why this process may not use a path: the file or folder in the way, and the command that gives it the right.

use std::{
    fmt, fs, io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf, absolute},
};

use rustix::fs::{Access, AtFlags, CWD, accessat};

use crate::diagnostic::{Explain, Fix};

/// Links in a path are followed this often.
const MAX_LINKS: usize = 8;

/// The use of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Read the file.
    Read,
    /// Read the file, which is a secret: it must not be opened to everybody.
    ReadPrivate,
    /// Make files in the folder, which are secrets.
    WriteIn,
}

/// A file or folder that the operating system does not let this process use. Its `Display` names the path, and the
/// user if that one lacks a right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(Box<Inner>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Inner {
    path: PathBuf,
    need: Need,
    cause: String,
    denial: Option<Denial>,
}

/// A lacking right.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Denial {
    /// The permissions of a file or folder.
    Mode(Obstacle),
    /// Something else: the permissions would allow it.
    Elsewhere,
}

/// The file or folder whose permissions are in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Obstacle {
    path: PathBuf,
    is_folder: bool,
    mode: u32,
    owner: u32,
    /// The missing permissions, as `chmod` calls them.
    lacks: &'static str,
}

/// The user that runs this process.
fn us() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// A user by number, and by name if the system has one for it.
fn user(id: u32) -> String {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then(|| name.to_owned())
    });
    match name {
        Some(name) => format!("{name} (uid {id})"),
        None => format!("uid {id}"),
    }
}

/// `path` as a word of a shell.
#[must_use]
pub fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+@:,=".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

fn allows(path: &Path, access: Access) -> bool {
    accessat(CWD, path, access, AtFlags::EACCESS).is_ok()
}

// === impl Refused ===

impl Refused {
    /// The reason for `error`, which the operating system gave for `path`.
    #[must_use]
    pub fn of(path: &Path, need: Need, error: &io::Error) -> Self {
        let denial = (error.kind() == io::ErrorKind::PermissionDenied).then(|| {
            let lacking = obstacle(path, need, MAX_LINKS);
            lacking.map_or(Denial::Elsewhere, Denial::Mode)
        });
        Self(Box::new(Inner {
            path: path.to_owned(),
            need,
            cause: error.to_string(),
            denial,
        }))
    }

    /// The reason without the path, for a message that begins with it.
    #[must_use]
    pub fn reason(&self) -> String {
        let verb = match self.0.need {
            Need::Read | Need::ReadPrivate => "read",
            Need::WriteIn => "written",
        };
        match &self.0.denial {
            None => format!("cannot be {verb}: {}", self.0.cause),
            Some(Denial::Elsewhere) => format!(
                "cannot be {verb} by the user that runs bff, {}, although its permissions allow it ({})",
                user(us()),
                self.0.cause
            ),
            Some(Denial::Mode(obstacle)) => {
                let place = if obstacle.path == self.0.path {
                    "it".to_owned()
                } else {
                    let kind = if obstacle.is_folder { "the folder " } else { "" };
                    format!("{kind}{}", obstacle.path.display())
                };
                format!(
                    "cannot be {verb} by the user that runs bff, {}: {place} belongs to {} and has mode {:04o}",
                    user(us()),
                    user(obstacle.owner),
                    obstacle.mode
                )
            }
        }
    }

    /// Whether the place that lacks the right belongs to another user, such as a folder of the system.
    #[must_use]
    pub fn is_of_another_user(&self) -> bool {
        matches!(&self.0.denial, Some(Denial::Mode(obstacle)) if obstacle.owner != us())
    }

    /// The change that gives the right; `None` if no right is lacking.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        Some(match self.0.denial.as_ref()? {
            Denial::Mode(obstacle) => format!("run `{}`", obstacle.command(self.0.need)),
            Denial::Elsewhere => "let the security module of this machine (SELinux, AppArmor) allow it; a volume of a container \
                                  needs the option `:z` under SELinux"
                .to_owned(),
        })
    }
}

impl std::error::Error for Refused {}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0.path.display(), self.reason())
    }
}

/// `None` if no right is lacking.
impl Explain for Refused {
    fn fix(&self) -> Option<Fix> {
        self.remedy().map(Fix::from)
    }
}

// === impl Obstacle ===

impl Obstacle {
    /// The `Obstacle` at `path` for `access`, if that is denied there.
    fn at(path: &Path, access: Access, lacks: &'static str) -> Option<Self> {
        if allows(path, access) {
            return None;
        }
        let metadata = path.metadata().ok()?;
        Some(Self {
            path: path.to_owned(),
            is_folder: metadata.is_dir(),
            mode: metadata.permissions().mode() & 0o7777,
            owner: metadata.uid(),
            lacks,
        })
    }

    fn command(&self, need: Need) -> String {
        let (path, us) = (quoted(&self.path), us());
        if self.owner == us {
            return format!("chmod u+{} {path}", self.lacks);
        }
        // Everybody may pass through a folder above, or read what is no secret.
        if need == Need::Read || self.lacks == "x" {
            return format!("chmod o+{} {path}", self.lacks);
        }
        let owner_bits: u32 = self
            .lacks
            .chars()
            .map(|letter| match letter {
                'r' => 0o400,
                'w' => 0o200,
                _ => 0o100,
            })
            .sum();
        if self.mode & owner_bits == owner_bits {
            format!("chown {us} {path}")
        } else {
            format!("chown {us} {path} && chmod u+{} {path}", self.lacks)
        }
    }
}

/// The file or folder that denies what `need` says of `path`: the topmost one.
fn obstacle(path: &Path, need: Need, links: usize) -> Option<Obstacle> {
    let whole = absolute(path).ok()?;
    let mut ancestors: Vec<&Path> = whole.ancestors().skip(1).collect();
    ancestors.reverse();
    for ancestor in ancestors {
        if let Some(found) = Obstacle::at(ancestor, Access::EXEC_OK, "x") {
            return Some(found);
        }
        if !allows(ancestor, Access::EXEC_OK)
            && let Some(found) = behind(ancestor, Need::Read, links)
        {
            return Some(found);
        }
    }
    let (access, lacks) = match need {
        Need::Read | Need::ReadPrivate => (Access::READ_OK, "r"),
        Need::WriteIn => (Access::WRITE_OK | Access::EXEC_OK, "wx"),
    };
    match Obstacle::at(&whole, access, lacks) {
        Some(found) => Some(Obstacle {
            // In the words of the operator.
            path: path.to_owned(),
            ..found
        }),
        None => behind(&whole, need, links),
    }
}

/// The same for the target of a link.
fn behind(link: &Path, need: Need, links: usize) -> Option<Obstacle> {
    let target = fs::read_link(link).ok()?;
    let links = links.checked_sub(1)?;
    obstacle(&link.parent()?.join(target), need, links)
}

#[cfg(test)]
mod tests;
