//! Removes unfinished files of dead processes: they may contain private keys.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use super::generate::PREFIX;
use crate::private_file;

/// Removes the unfinished files beside `key`, once that exists. A process that is still making one finds that the key
/// exists, with or without its temporary file.
pub(super) fn of_named(key: &Path) {
    if private_file::exists(key).is_ok_and(|exists| exists) {
        remove(key);
    }
}

/// Removes the unfinished files of a keyring and of its future keys. Only for the holder of the lock: no other
/// process makes them.
pub(super) fn of_keyring(keyring: &Path, dir: &Path) {
    remove(keyring);
    let Ok(entries) = fs::read_dir(dir) else { return };
    let keys: BTreeSet<PathBuf> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| Some(dir.join(key_of(entry.file_name().to_str()?)?)))
        .collect();
    for key in keys {
        remove(&key);
    }
}

/// The key that a temporary file was to become.
fn key_of(temporary: &str) -> Option<&str> {
    let name = temporary.strip_prefix('.')?.strip_suffix(".tmp")?;
    let end = name.rfind(".pem.")? + ".pem".len();
    name.get(..end).filter(|key| key.starts_with(PREFIX))
}

/// A leftover that cannot be removed does no further harm.
fn remove(path: &Path) {
    if private_file::remove_leftovers(path).is_err() {
        tracing::debug!("old temporary files beside {} cannot be removed", path.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporary_files_of_our_keys_go_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let others = [
            "bff-20270115-x.pem",
            ".theirs.pem.1.0.tmp",
            ".bff-x.txt.1.0.tmp",
            ".bff-x.pem.1.0",
            "bff-x.pem.1.0.tmp",
        ];
        let ours = [
            ".bff-20270115-x.pem.1.0.tmp",
            ".bff-20270115-x.pem.2.1.tmp",
            ".bff-y.pem.7.64.tmp",
            ".keyring.json.1.0.tmp",
        ];
        for name in others.iter().chain(&ours) {
            fs::write(path(name), "x").unwrap();
        }
        of_keyring(&path("keyring.json"), folder.path());
        for name in others {
            assert!(path(name).exists(), "{name}");
        }
        for name in ours {
            assert!(!path(name).exists(), "{name}");
        }
        // Of a named key once it exists: until then a process may be making it.
        of_named(&path("theirs.pem"));
        assert!(path(".theirs.pem.1.0.tmp").exists());
        fs::write(path("theirs.pem"), "x").unwrap();
        of_named(&path("theirs.pem"));
        assert!(!path(".theirs.pem.1.0.tmp").exists());
    }
}
