//! Files that are replaced as a whole.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

/// Replaces the file. A reader finds the old bytes or the new ones, also after a crash. Its mode is 0600.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = beside(path, ".tmp");
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = options.open(&temporary)?;
    #[cfg(unix)]
    give_to_owner_of_folder(&file, path);
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)
}

/// The same name with something at its end.
pub(crate) fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

/// In a container the IdP may run as root on a folder of the host, whose owner wants to read the file. Only root can
/// give files away, and only root needs to.
#[cfg(unix)]
fn give_to_owner_of_folder(file: &fs::File, path: &Path) {
    use std::os::unix::fs::{MetadataExt as _, fchown};
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    if let Ok(owner) = fs::metadata(folder) {
        let _ = fchown(file, Some(owner.uid()), Some(owner.gid()));
    }
}
