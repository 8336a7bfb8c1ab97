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

/// What a process ends with.
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
                // Unwinds as a panic does, but tells nobody.
                std::panic::resume_unwind(Box::new(Killed));
            }
        }));
        Mutex::default()
    })
}

/// Whoever works on the files of `folder` dies before the step after `steps` steps.
pub(crate) fn doom(folder: &Path, steps: usize) {
    doomed().lock().insert(folder.to_owned(), steps);
}

/// Nobody dies there any more.
pub(crate) fn spare(folder: &Path) {
    doomed().lock().remove(folder);
}
