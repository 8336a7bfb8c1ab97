//! Deaths for tests: the process ends before a step that is done to a file, of the files of one folder.
//!
//! There is one observer in a process, so that all tests of crashes share this one.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use parking_lot::Mutex;

use super::{folder_of, observe};

/// The payload of a simulated death.
pub(crate) struct Killed;

/// How many steps the process that works on a folder still has.
static DOOMED: OnceLock<Mutex<HashMap<PathBuf, usize>>> = OnceLock::new();

fn doomed() -> &'static Mutex<HashMap<PathBuf, usize>> {
    DOOMED.get_or_init(|| {
        assert!(observe(|_, path| {
            let mut doomed = doomed().lock();
            let Some(left) = doomed.get_mut(folder_of(path)) else {
                return;
            };
            if let Some(fewer) = left.checked_sub(1) {
                *left = fewer;
            } else {
                drop(doomed);
                // Unwinds like a panic, but without output.
                std::panic::resume_unwind(Box::new(Killed));
            }
        }));
        Mutex::default()
    })
}

/// The process that works on the files of `folder` dies before the step after `steps` steps.
pub(crate) fn doom(folder: &Path, steps: usize) {
    doomed().lock().insert(folder.to_owned(), steps);
}

/// No process dies there any more.
pub(crate) fn spare(folder: &Path) {
    doomed().lock().remove(folder);
}

/// A folder on a disk, even if the system keeps temporary files in memory.
pub(crate) fn on_disk() -> tempfile::TempDir {
    let is_disk = |folder: &tempfile::TempDir| {
        let path = folder.path().join("probe");
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        let file = std::fs::File::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        super::Guard::Strict.file(&file).is_err()
    };
    let here = tempfile::tempdir().unwrap();
    if is_disk(&here) {
        return here;
    }
    let there = tempfile::tempdir_in("/var/tmp").unwrap();
    assert!(
        is_disk(&there),
        "neither the folder of temporary files nor /var/tmp is on a disk"
    );
    there
}
