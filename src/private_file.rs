//! Files that hold secrets: readable by their owner alone, written completely or not at all, there after a crash.

use std::{
    ffi::OsString,
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

/// Nobody but the owner may read or write.
const MODE: u32 = 0o600;
/// So many left-over temporary files of the same name are passed over.
const MAX_ATTEMPTS: u32 = 64;

/// Whether something has this name. A name that cannot be looked up is not a name that does not exist; a link that leads
/// nowhere exists too.
///
/// # Errors
///
/// What the system says.
pub fn exists(path: &Path) -> io::Result<bool> {
    match path.symlink_metadata() {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Writes a new file completely or not at all, never over another one. The folder is made where it is missing. `false`
/// where the file exists already, or appeared meanwhile (another replica on the same folder).
///
/// # Errors
///
/// What the system says. Nothing is left behind then.
pub fn create_new(path: &Path, content: &[u8]) -> io::Result<bool> {
    let folder = folder_of(path);
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let (temporary, mut file) = create_temporary(path)?;
    let written = file
        .write_all(content)
        .and_then(|()| file.sync_all())
        .and_then(|()| publish(&temporary, path));
    // After a link both names are the same file; after a rename or a failure there may be nothing to remove.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let made = written?;
    File::open(folder)?.sync_all()?;
    Ok(made)
}

/// Puts `content` in the place of `path`, whether there was a file or not: after a crash there is the old one or the new
/// one.
///
/// # Errors
///
/// What the system says. The old file is still there then.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let (temporary, mut file) = create_temporary(path)?;
    let written = file
        .write_all(content)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // What was written may be a part of a secret; that it cannot be removed changes nothing about the cause.
        let _ = fs::remove_file(&temporary);
    }
    written?;
    // The rename itself lasts only once the folder is on disk.
    File::open(folder_of(path))?.sync_all()
}

/// Gives an open file that others can use the mode that it should have had, with a warning: what they have seen, they
/// have seen.
pub fn narrow(file: &File, path: &Path) {
    let Ok(metadata) = file.metadata() else { return };
    let mode = metadata.permissions().mode() & 0o777;
    if !metadata.is_file() || mode & !MODE == 0 {
        return;
    }
    let path = path.display();
    match file.set_permissions(Permissions::from_mode(MODE)) {
        Ok(()) => {
            tracing::warn!("{path} had mode {mode:04o}, so others could use its secrets; it is 0600 now");
        }
        Err(cause) => {
            tracing::warn!("{path} has mode {mode:04o}, so others can use its secrets (chmod 0600: {cause})");
        }
    }
}

/// The folder that `path` is in.
#[must_use]
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn create_temporary(path: &Path) -> io::Result<(PathBuf, File)> {
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

/// Gives the finished file its name. A hard link fails where the name is taken, which a rename would not; file systems
/// without hard links get the rename.
fn publish(temporary: &Path, path: &Path) -> io::Result<bool> {
    match fs::hard_link(temporary, path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(_) if exists(path)? => Ok(false),
        Err(_) => fs::rename(temporary, path).map(|()| true),
    }
}

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
