//! Files with secrets: readable only by their owner, written completely or not at all, durable after a crash.

mod exposure;
mod lock;

use std::{
    ffi::OsString,
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::OnceLock,
};

pub use self::{
    exposure::{Exposed, Guard, open_or_create},
    lock::{FileLock, hold, lock_of},
};

/// The next operation on a file. A process that dies between two of them leaves the effects of the earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// The temporary file is created.
    Create,
    /// That one is written.
    Write,
    /// The temporary file is synchronised to the disk.
    Sync,
    /// That one gets the name.
    Publish,
    /// The folder is synchronised to the disk.
    SyncFolder,
    /// It is removed.
    Remove,
    /// It is locked.
    Lock,
}

/// Receives each step with its file.
type Observer = Box<dyn Fn(Step, &Path) + Send + Sync>;

/// Only tests of crashes set it.
static OBSERVER: OnceLock<Observer> = OnceLock::new();

/// Only the owner may read or write.
const MODE: u32 = 0o600;
/// The maximum number of skipped temporary files with the same name.
const MAX_ATTEMPTS: u32 = 64;

/// Whether something has this name. A name that cannot be looked up is not a name that does not exist; a link that leads
/// nowhere exists too.
///
/// # Errors
///
/// The system's error.
pub fn exists(path: &Path) -> io::Result<bool> {
    match path.symlink_metadata() {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Sets the `observer` that is called before every operation on a private file of this process. For tests of crashes:
/// it may end the process, or unwind. `false` if an observer is already set.
pub fn observe(observer: impl Fn(Step, &Path) + Send + Sync + 'static) -> bool {
    OBSERVER.set(Box::new(observer)).is_ok()
}

/// Calls the observer, if there is one. For callers that perform a step themselves.
pub fn about_to(step: Step, path: &Path) {
    if let Some(observer) = OBSERVER.get() {
        observer(step, path);
    }
}

/// Removes unfinished files of crashes that were to become `path`, or a file whose name begins with it. Only for a
/// caller that knows that no process is writing them.
///
/// # Errors
///
/// The system's error.
pub fn remove_leftovers(path: &Path) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut start = OsString::from(".");
    start.push(name);
    start.push(".");
    for entry in fs::read_dir(folder_of(path))? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        if name.starts_with(start.as_encoded_bytes()) && name.ends_with(b".tmp") {
            about_to(Step::Remove, path);
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Writes a new file completely or not at all, never over another one. Creates a missing folder. `false` if the file
/// exists already, or appeared meanwhile (from another replica on the same folder).
///
/// # Errors
///
/// The system's error. Nothing is left behind then.
pub fn create_new(path: &Path, content: &[u8]) -> io::Result<bool> {
    let folder = folder_of(path);
    make_folder(folder)?;
    let (temporary, mut file) = create_temporary(path)?;
    let written = write(&mut file, path, content).and_then(|()| publish(&temporary, path));
    about_to(Step::Remove, path);
    // After a link both names are the same file; after a rename or a failure there may be nothing to remove.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let made = written?;
    about_to(Step::SyncFolder, path);
    File::open(folder)?.sync_all()?;
    Ok(made)
}

/// Makes the private `folder` and those above it that are missing, and logs it: a mistake in a path would look like a
/// first start otherwise.
///
/// # Errors
///
/// The system's error.
pub fn make_folder(folder: &Path) -> io::Result<()> {
    let missing = missing_folder(folder).map(Path::to_owned);
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    if missing.is_some() {
        tracing::info!("made the folder {}, which did not exist", folder.display());
    }
    Ok(())
}

/// The topmost folder that would have to be made for `folder`; `None` if that exists, or cannot be looked up.
#[must_use]
pub fn missing_folder(folder: &Path) -> Option<&Path> {
    let missing = |path: &&Path| !path.as_os_str().is_empty() && matches!(path.try_exists(), Ok(false));
    folder.ancestors().take_while(missing).last()
}

/// Puts `content` in the place of `path`, whether there was a file or not: after a crash there is the old one or the new
/// one.
///
/// # Errors
///
/// The system's error. The old file still exists then.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let (temporary, mut file) = create_temporary(path)?;
    let written = write(&mut file, path, content).and_then(|()| {
        about_to(Step::Publish, path);
        fs::rename(&temporary, path)
    });
    if written.is_err() {
        // The written part may be a part of a secret. A failure to remove it does not change the cause.
        let _ = fs::remove_file(&temporary);
    }
    written?;
    // The rename itself lasts only once the folder is on disk.
    about_to(Step::SyncFolder, path);
    File::open(folder_of(path))?.sync_all()
}

/// Makes sure that only its owner can read an open file of ours with secrets. If others can, it gets the correct
/// mode, with a warning: they may have read it already. The mode is never changed through a symbolic link, which may
/// lead to a foreign file.
///
/// # Errors
///
/// [`Exposed`]: `guard` refuses the file or its folder.
pub fn keep_private(file: &File, path: &Path, guard: Guard) -> Result<(), Exposed> {
    let folder = guard.folder(folder_of(path))?;
    let exposed = match guard.file(file) {
        Ok(None) => None,
        Ok(Some(Exposed::Readable { mode })) | Err(Exposed::Readable { mode }) if narrow(file, path) => {
            tracing::warn!(
                "{} had mode {mode:04o}, so others could use its secrets; it is 0600 now",
                path.display()
            );
            None
        }
        judged => judged?,
    };
    for exposed in folder.into_iter().chain(exposed) {
        tracing::warn!("{}: {exposed}", path.display());
    }
    Ok(())
}

/// Gives the file that has the name `path`, and not only a link to it, the mode of a private file.
fn narrow(file: &File, path: &Path) -> bool {
    let (Ok(opened), Ok(named)) = (file.metadata(), path.symlink_metadata()) else {
        return false;
    };
    (opened.dev(), opened.ino()) == (named.dev(), named.ino())
        && file.set_permissions(Permissions::from_mode(MODE)).is_ok()
}

/// The folder that `path` is in.
#[must_use]
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn write(file: &mut File, path: &Path, content: &[u8]) -> io::Result<()> {
    about_to(Step::Write, path);
    file.write_all(content)?;
    about_to(Step::Sync, path);
    file.sync_all()
}

fn create_temporary(path: &Path) -> io::Result<(PathBuf, File)> {
    about_to(Step::Create, path);
    let folder = folder_of(path);
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut attempt = 0;
    loop {
        let mut temporary_name = OsString::from(".");
        temporary_name.push(name);
        temporary_name.push(format!(".{}.{attempt}.tmp", std::process::id()));
        let temporary = folder.join(temporary_name);
        match OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(MODE)
            .open(&temporary)
        {
            Ok(file) => return Ok((temporary, file)),
            // Process ids repeat between containers: the file may be another replica's at work.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempt < MAX_ATTEMPTS => {
                attempt += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Gives the finished file its name. A hard link fails if the name is taken, and a rename would not; file systems
/// without hard links use the rename.
fn publish(temporary: &Path, path: &Path) -> io::Result<bool> {
    about_to(Step::Publish, path);
    match fs::hard_link(temporary, path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(_) if exists(path)? => Ok(false),
        Err(_) => fs::rename(temporary, path).map(|()| true),
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_new_file_is_private_and_never_replaces_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        assert!(create_new(&path, b"one").unwrap());
        assert!(!create_new(&path, b"two").unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_a_crash_left_behind_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let others = [
            "file",
            "file.lock",
            ".file2.1.0.tmp",
            ".file.1.0.tmp.pem",
            "x.file.1.0.tmp",
        ];
        for name in others.iter().chain(&[".file.1.0.tmp", ".file.probe.77.3.tmp"]) {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        remove_leftovers(&path).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), others.len());
        for name in others {
            assert!(folder.path().join(name).exists(), "{name}");
        }
    }

    #[test]
    fn attack_50_permissions_never_change_through_a_link() {
        let folder = testing::on_disk();
        let (foreign, link) = (
            folder.path().join("foreign"),
            folder.path().join("bff_client.json"),
        );
        fs::write(&foreign, "x").unwrap();
        fs::set_permissions(&foreign, Permissions::from_mode(0o644)).unwrap();
        std::os::unix::fs::symlink(&foreign, &link).unwrap();
        let mode = || foreign.metadata().unwrap().permissions().mode() & 0o777;
        let file = File::open(&link).unwrap();
        let readable = Exposed::Readable { mode: 0o644 };
        assert_eq!(keep_private(&file, &link, Guard::Strict), Err(readable));
        assert_eq!(keep_private(&file, &link, Guard::Off), Ok(()));
        assert_eq!(mode(), 0o644);
        // Under its own name it is ours.
        assert_eq!(keep_private(&file, &foreign, Guard::Strict), Ok(()));
        assert_eq!(mode(), 0o600);
        // A file that others could write is no longer trusted.
        fs::set_permissions(&foreign, Permissions::from_mode(0o666)).unwrap();
        let writable = Exposed::Writable { mode: 0o666 };
        assert_eq!(keep_private(&file, &foreign, Guard::Strict), Err(writable));
        assert_eq!(mode(), 0o666);
    }

    #[test]
    fn a_replaced_file_is_whole_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "old").unwrap();
        replace(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(replace(&folder.path().join("missing/file"), b"x").is_err());
    }
}
