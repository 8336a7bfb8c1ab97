mod crashes;
mod folders;

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    clock::{Clock, ManualClock},
    diagnostic::Explain,
    jose::KeyType,
    keys::{Announce, AnnounceError, GenerateError, KeyKind, KeyringError, Options, generate, may_sign},
};

const HOUR: Duration = Duration::from_hours(1);

/// A keys folder.
struct KeysFolder {
    dir: tempfile::TempDir,
    options: Options,
    rotation: Rotation,
    now: Timestamp,
}

/// A process with these keys.
struct Process {
    keeper: Keeper,
    keys: Keys,
    warnings: Vec<String>,
}

// === impl KeysFolder ===

impl KeysFolder {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_owned();
        Self {
            options: Options {
                signing_key: path.join("bff-signing.pem"),
                kid: None,
                generate: KeyKind::P256,
                extra: Vec::new(),
                dir: path.clone(),
                identity_markers: vec![path.join("keyring.json"), path.join("bff_client.json")],
                guard: crate::private_file::Guard::Strict,
            },
            rotation: Rotation {
                state_dir: path,
                policy: Policy::default(),
                algorithm: None,
            },
            now: Timestamp::from_unix_seconds(1_800_000_000),
            dir,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Makes a key in the file `name`; its thumbprint.
    fn make(&self, name: &str, kind: KeyKind) -> String {
        let (made, thumbprint) = generate::generate_new(self.dir.path(), kind, self.now).unwrap();
        fs::rename(made, self.path(name)).unwrap();
        thumbprint
    }

    fn try_start(&self) -> Result<Process, KeysError> {
        let (keeper, keys, warnings) = Keeper::open(self.options.clone(), self.rotation.clone(), self.now)?;
        Ok(Process {
            keeper,
            keys,
            warnings: warnings.iter().map(Explain::told).collect(),
        })
    }

    fn start(&self) -> Process {
        self.try_start().unwrap()
    }

    fn by_hand(&self) -> Keeper {
        Keeper::open_by_hand(self.options.clone(), self.rotation.clone(), self.now)
            .unwrap()
            .0
    }

    fn inspect(&self) -> Keeper {
        Keeper::inspect(self.options.clone(), self.rotation.clone(), self.now)
            .unwrap()
            .0
    }

    fn wait(&mut self, duration: Duration) {
        self.now = self.now.saturating_add(duration);
    }

    /// Lets time pass while these processes look, and activates due keys.
    fn serve(&mut self, processes: &mut [&mut Process], duration: Duration) {
        let end = self.now.saturating_add(duration);
        while self.now < end {
            self.now = self.now.saturating_add(HOUR).min(end);
            for process in &mut *processes {
                process.look(self.now);
                process.activate_what_is_due(self.now);
            }
        }
        for process in processes {
            process.look(self.now);
        }
    }

    fn ring(&self) -> Value {
        serde_json::from_slice(&fs::read(self.path("keyring.json")).unwrap()).unwrap()
    }

    fn states(&self) -> Vec<(String, String)> {
        let ring = self.ring();
        let keys = ring["keys"].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        keys.map(|key| (text(&key["kid"]), text(&key["state"]))).collect()
    }

    fn key_files(&self) -> Vec<String> {
        let mut names = self.file_names();
        names.retain(|name| {
            Path::new(name)
                .extension()
                .is_some_and(|extension| extension == "pem")
        });
        names
    }

    fn file_names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.path()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort_unstable();
        names
    }
}

// === impl Process ===

impl Process {
    /// One look; returns its notes.
    fn look(&mut self, now: Timestamp) -> Vec<Note> {
        self.keeper.look(now);
        std::mem::take(&mut self.keeper.notes)
    }

    fn activate_what_is_due(&mut self, now: Timestamp) {
        if let Some(next) = self.keeper.due(now) {
            self.keeper.activate(now, next.kid());
            self.keeper.notes.clear();
        }
    }

    fn signs(&self) -> String {
        self.keys.signing().kid().to_owned()
    }

    fn published(&self) -> Vec<String> {
        let jwks = self.keys.public_jwks();
        let keys = jwks["keys"].as_array().unwrap().iter();
        keys.map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    }
}

fn troubles(notes: &[Note]) -> Vec<&str> {
    notes
        .iter()
        .filter_map(|note| match note {
            Note::Trouble(trouble) => Some(trouble.what.as_str()),
            Note::Change(_) => None,
        })
        .collect()
}

fn pairs(keys: &[(&String, &str)]) -> Vec<(String, String)> {
    keys.iter()
        .map(|(kid, state)| ((*kid).clone(), (*state).to_owned()))
        .collect()
}

#[test]
fn the_first_start_makes_a_key_and_the_keyring() {
    let keys_folder = KeysFolder::new();
    let process = keys_folder.start();
    assert_eq!(process.warnings, Vec::<String>::new());
    assert_eq!(keys_folder.states(), pairs(&[(&process.signs(), "active")]));
    assert_eq!(keys_folder.ring()["keys"][0]["file"], "bff-signing.pem");
    assert_eq!(process.published(), [process.signs()]);
    // The next start changes nothing.
    let before = keys_folder.ring();
    assert_eq!(keys_folder.start().signs(), process.signs());
    assert_eq!(keys_folder.ring(), before);
    assert_eq!(
        keys_folder.file_names(),
        ["bff-signing.pem", "keyring.json", "keyring.json.lock"]
    );
}

#[test]
fn the_first_keyring_begins_with_the_named_key() {
    let keys_folder = KeysFolder::new();
    let kid = keys_folder.make("bff-signing.pem", KeyKind::P256);
    fs::write(keys_folder.path("bff_client.json"), "{}").unwrap();
    assert_eq!(keys_folder.start().signs(), kid);
    assert_eq!(keys_folder.states(), pairs(&[(&kid, "active")]));
}

#[test]
fn a_new_named_key_is_published_first_and_signs_later() {
    let mut keys_folder = KeysFolder::new();
    let old = keys_folder.start().signs();
    let new = keys_folder.make("new.pem", KeyKind::P256);
    keys_folder.options.signing_key = keys_folder.path("new.pem");
    let mut process = keys_folder.start();
    assert_eq!(process.signs(), old);
    assert_eq!(process.published(), [old.clone(), new.clone()]);
    keys_folder.serve(&mut [&mut process], 23 * HOUR);
    assert_eq!(process.signs(), old);
    keys_folder.serve(&mut [&mut process], HOUR);
    assert_eq!(process.signs(), new);
    assert_eq!(
        process.published(),
        [new.clone(), old.clone()],
        "it stays published"
    );
    assert_eq!(
        keys_folder.states(),
        pairs(&[(&old, "previous"), (&new, "active")])
    );
    // The file of the key that is named no longer makes no difference, and sixty days later it is retired.
    keys_folder.serve(&mut [&mut process], 60 * 24 * HOUR);
    assert_eq!(process.published(), std::slice::from_ref(&new));
    assert_eq!(
        keys_folder.states(),
        pairs(&[(&old, "retired"), (&new, "active")])
    );
    assert_eq!(
        keys_folder.start().warnings,
        Vec::<String>::new(),
        "its file is no stranger"
    );
}

/// With a warning.
#[test]
fn a_new_key_signs_at_once_if_the_old_one_is_gone() {
    let mut keys_folder = KeysFolder::new();
    let old = keys_folder.start().signs();
    fs::remove_file(keys_folder.path("bff-signing.pem")).unwrap();
    let new = keys_folder.make("new.pem", KeyKind::P256);
    keys_folder.options.signing_key = keys_folder.path("new.pem");
    let process = keys_folder.start();
    assert_eq!(
        (process.signs(), process.published()),
        (new.clone(), vec![new.clone()])
    );
    assert!(
        process.warnings[0].contains(&format!("{old} that signed is lost")),
        "{:?}",
        process.warnings
    );
    assert_eq!(
        keys_folder.states(),
        pairs(&[(&old, "previous"), (&new, "active")])
    );
    assert_eq!(
        keys_folder
            .start()
            .warnings
            .iter()
            .filter(|text| text.contains("lost"))
            .count(),
        0,
        "told once"
    );
}

/// Although the keyring knows its name.
#[test]
fn attack_33_a_missing_signing_key_is_an_error() {
    let keys_folder = KeysFolder::new();
    keys_folder.start();
    fs::remove_file(keys_folder.path("bff-signing.pem")).unwrap();
    let error = keys_folder.try_start().unwrap_err_or_panic();
    assert!(
        matches!(
            error,
            KeysError::Generate(GenerateError::IdentityWithoutKey { .. })
        ),
        "{error}"
    );
    assert!(!keys_folder.path("bff-signing.pem").exists());
}

/// Nor published.
#[test]
fn attack_33_a_foreign_pem_is_never_used() {
    let mut keys_folder = KeysFolder::new();
    let mut process = keys_folder.start();
    let kid = process.signs();
    keys_folder.make("theirs.pem", KeyKind::P256);
    keys_folder.serve(&mut [&mut process], 48 * HOUR);
    assert_eq!(process.published(), std::slice::from_ref(&kid));
    let again = keys_folder.start();
    assert_eq!(again.published(), [kid]);
    assert!(
        again.warnings[0].contains("\"theirs.pem\""),
        "{:?}",
        again.warnings
    );
}

/// Kubernetes mounts a secret as links to a folder of data, which it swaps in one step.
/// The key in memory keeps signing.
#[test]
fn a_swapped_link_is_noticed_without_a_restart() {
    let mut keys_folder = KeysFolder::new();
    let mount = keys_folder.path("mount");
    for (data, kind) in [("..1", KeyKind::P256), ("..2", KeyKind::P256)] {
        fs::create_dir_all(mount.join(data)).unwrap();
        keys_folder.make(&format!("mount/{data}/key.pem"), kind);
    }
    symlink("..1", mount.join("..data")).unwrap();
    symlink("..data/key.pem", mount.join("key.pem")).unwrap();
    keys_folder.options.signing_key = mount.join("key.pem");
    let mut process = keys_folder.start();
    let old = process.signs();
    assert_eq!(process.look(keys_folder.now), []);

    symlink("..2", mount.join("..swap")).unwrap();
    fs::rename(mount.join("..swap"), mount.join("..data")).unwrap();
    fs::remove_dir_all(mount.join("..1")).unwrap();
    let notes = process.look(keys_folder.now);
    assert_eq!(troubles(&notes), Vec::<&str>::new());
    assert_eq!((process.signs(), process.published().len()), (old.clone(), 2));
    keys_folder.serve(&mut [&mut process], 24 * HOUR);
    let new = process.signs();
    assert_ne!(new, old);
    assert_eq!(process.published(), [new.clone(), old]);
    // Another process starts now; the old private key is nowhere to be found.
    assert_eq!(keys_folder.start().signs(), new);
}

#[test]
fn a_broken_file_takes_no_key_away_and_is_told_once() {
    let mut keys_folder = KeysFolder::new();
    let extra = keys_folder.make("extra.pem", KeyKind::Ed25519);
    keys_folder.options.extra = vec![keys_folder.path("extra.pem")];
    let mut process = keys_folder.start();
    let before = process.published();
    assert!(before.contains(&extra));
    for name in ["bff-signing.pem", "extra.pem"] {
        fs::write(keys_folder.path(name), "-----BEGIN PRIVATE KEY-----\nxx").unwrap();
        let notes = process.look(keys_folder.now);
        let [text] = troubles(&notes)[..] else {
            panic!("{notes:?}")
        };
        assert!(
            text.contains(name) && text.contains("what it held before"),
            "{text}"
        );
        assert_eq!(process.look(keys_folder.now), []);
        assert_eq!(process.published(), before);
    }
    // Another mistake is another word.
    fs::remove_file(keys_folder.path("extra.pem")).unwrap();
    assert_eq!(troubles(&process.look(keys_folder.now)).len(), 1);
    keys_folder.serve(&mut [&mut process], 48 * HOUR);
    assert_eq!(process.published(), before);
}

#[test]
fn a_broken_keyring_stops_the_start_and_never_a_running_server() {
    let keys_folder = KeysFolder::new();
    let mut process = keys_folder.start();
    let (kid, whole) = (
        process.signs(),
        fs::read(keys_folder.path("keyring.json")).unwrap(),
    );
    for (text, part) in [("{", "is not a keyring"), (r#"{"version": 9}"#, "newer version")] {
        fs::write(keys_folder.path("keyring.json"), text).unwrap();
        let error = keys_folder.try_start().unwrap_err_or_panic().told();
        assert!(error.contains(part) && error.contains("keyring.json"), "{error}");
        let notes = process.look(keys_folder.now);
        assert_eq!(troubles(&notes).len(), 1, "{notes:?}");
        assert_eq!(process.look(keys_folder.now), []);
        assert_eq!(process.signs(), kid);
        assert_eq!(
            fs::read_to_string(keys_folder.path("keyring.json")).unwrap(),
            text,
            "left alone"
        );
    }
    fs::write(keys_folder.path("keyring.json"), whole).unwrap();
    assert_eq!(process.look(keys_folder.now), []);
    // A removed one is written again.
    fs::remove_file(keys_folder.path("keyring.json")).unwrap();
    process.look(keys_folder.now);
    assert_eq!(keys_folder.states(), pairs(&[(&kid, "active")]));
}

#[test]
fn by_age_keys_replace_each_other_and_never_are_too_many() {
    let mut keys_folder = KeysFolder::new();
    keys_folder.rotation.policy.rotate_after = Some(30 * 24 * HOUR);
    let mut process = keys_folder.start();
    let first = process.signs();
    keys_folder.serve(&mut [&mut process], 29 * 24 * HOUR);
    assert_eq!((process.signs(), process.published().len()), (first.clone(), 2));
    keys_folder.serve(&mut [&mut process], 24 * HOUR);
    let second = process.signs();
    assert_ne!(second, first);
    let mut seen = vec![first, second];
    for _ in 0..4 {
        keys_folder.serve(&mut [&mut process], 31 * 24 * HOUR);
        assert!(process.published().len() <= 3);
        assert!(!seen.contains(&process.signs()));
        seen.push(process.signs());
    }
    for name in keys_folder
        .file_names()
        .iter()
        .filter(|name| name.starts_with("bff-2"))
    {
        let mode = keys_folder.path(name).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert_eq!(keys_folder.start().warnings, Vec::<String>::new());
}

#[test]
fn replicas_on_one_folder_agree() {
    let mut keys_folder = KeysFolder::new();
    keys_folder.rotation.policy.rotate_after = Some(30 * 24 * HOUR);
    let (mut one, mut other) = (keys_folder.start(), keys_folder.start());
    assert_eq!(one.signs(), other.signs());
    for _ in 0..5 {
        keys_folder.serve(&mut [&mut one, &mut other], 17 * 24 * HOUR);
        assert_eq!(one.signs(), other.signs());
        assert_eq!(one.keys.document(), other.keys.document());
        (one, other) = (other, one);
    }
    let made = keys_folder.key_files().len();
    assert_eq!(made, keys_folder.states().len(), "each key was made once");
}

#[test]
fn replicas_that_start_at_once_make_one_key_and_one_keyring() {
    let keys_folder = KeysFolder::new();
    let kids: Vec<String> = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..10)
            .map(|_| scope.spawn(|| keys_folder.start().signs()))
            .collect();
        starts.into_iter().map(|start| start.join().unwrap()).collect()
    });
    assert!(kids.iter().all(|kid| *kid == kids[0]), "{kids:?}");
    assert_eq!(keys_folder.states(), pairs(&[(&kids[0], "active")]));
}

#[test]
fn a_running_server_does_not_wait_for_the_lock() {
    let mut keys_folder = KeysFolder::new();
    let mut process = keys_folder.start();
    let new = keys_folder.make("new.pem", KeyKind::P256);
    keys_folder.options.signing_key = keys_folder.path("new.pem");
    let lock = process.keeper.store.lock(true).unwrap();
    process.keeper.folder = Folder::new(keys_folder.options.clone());
    process.look(keys_folder.now);
    assert!(!process.published().contains(&new));
    drop(lock);
    process.look(keys_folder.now);
    assert!(process.published().contains(&new));
}

/// With one warning.
#[test]
fn a_read_only_state_folder_disables_rotation() {
    let mut keys_folder = KeysFolder::new();
    keys_folder.rotation.policy.rotate_after = Some(30 * 24 * HOUR);
    fs::write(keys_folder.path("file"), "").unwrap();
    keys_folder.rotation.state_dir = keys_folder.path("file/state");
    let mut process = match keys_folder.try_start() {
        Err(KeysError::Keyring(KeyringError::Unreadable { .. })) => return,
        started => started.unwrap_or_else(|error| panic!("{error}")),
    };
    assert_eq!(process.warnings.len(), 1, "{:?}", process.warnings);
    assert!(
        process.warnings[0].contains("keys do not rotate"),
        "{:?}",
        process.warnings
    );
    let kid = process.signs();
    keys_folder.serve(&mut [&mut process], 90 * 24 * HOUR);
    assert_eq!(process.published(), [kid]);
    assert_eq!(process.look(keys_folder.now), []);
}

#[test]
fn a_key_that_the_keyring_cannot_remember_is_not_kept() {
    let mut keys_folder = KeysFolder::new();
    keys_folder.rotation.policy.rotate_after = Some(30 * 24 * HOUR);
    let mut process = keys_folder.start();
    keys_folder.wait(40 * 24 * HOUR);
    // Every name for its temporary file is taken: writing fails, locking does not.
    for attempt in 0..=64 {
        let name = format!(".keyring.json.{}.{attempt}.tmp", std::process::id());
        fs::create_dir(keys_folder.path(&name)).unwrap();
    }
    let before = keys_folder.file_names();
    let notes = process.look(keys_folder.now);
    assert!(troubles(&notes)[0].contains("keys do not rotate"), "{notes:?}");
    assert_eq!(keys_folder.file_names(), before);
    assert_eq!(process.published().len(), 1);
    assert_eq!(process.look(keys_folder.now), [], "told once");
    // By itself once there is room.
    for attempt in 0..=64 {
        let name = format!(".keyring.json.{}.{attempt}.tmp", std::process::id());
        fs::remove_dir(keys_folder.path(&name)).unwrap();
    }
    process.look(keys_folder.now);
    assert_eq!(process.published().len(), 2);
}

#[test]
fn a_key_id_of_its_own_stays_with_its_key() {
    let mut keys_folder = KeysFolder::new();
    keys_folder.options.kid = Some("ours".to_owned());
    let process = keys_folder.start();
    assert_eq!(process.signs(), "ours");
    // The next named key cannot have the same name.
    let new = keys_folder.make("new.pem", KeyKind::P256);
    keys_folder.options.signing_key = keys_folder.path("new.pem");
    let process = keys_folder.start();
    assert_eq!(process.published(), ["ours".to_owned(), new]);
}

#[test]
fn the_keyring_of_before_a_state_folder_was_set_is_taken_along() {
    let mut keys_folder = KeysFolder::new();
    let old = keys_folder.start().signs();
    let mut keeper = keys_folder.by_hand();
    keeper.rotate(keys_folder.now, true, false).unwrap();
    let new = keys_folder.start().signs();
    assert_ne!(old, new);
    keys_folder.rotation.state_dir = keys_folder.path("state");
    assert_eq!(keys_folder.start().signs(), new);
    assert!(keys_folder.path("state/keyring.json").exists());
}

#[test]
fn by_hand_a_key_is_made_next_and_can_sign_at_once() {
    let mut keys_folder = KeysFolder::new();
    let mut process = keys_folder.start();
    let old = process.signs();
    let files = keys_folder.file_names();
    let Done(text) = keys_folder
        .inspect()
        .rotate(keys_folder.now, false, true)
        .unwrap();
    assert!(text.contains("would be made"), "{text}");
    assert_eq!(keys_folder.file_names(), files);

    let Done(text) = keys_folder
        .by_hand()
        .rotate(keys_folder.now, false, false)
        .unwrap();
    assert!(text.contains("signs from 2027-01-16T08:00:00Z"), "{text}");
    process.look(keys_folder.now);
    assert_eq!((process.signs(), process.published().len()), (old.clone(), 2));
    let error = keys_folder
        .by_hand()
        .rotate(keys_folder.now, false, false)
        .unwrap_err();
    assert!(matches!(error, ByHandError::NextExists { .. }), "{error}");

    keys_folder.wait(Duration::from_mins(1));
    keys_folder
        .by_hand()
        .rotate(keys_folder.now, true, false)
        .unwrap();
    process.look(keys_folder.now);
    assert_ne!(process.signs(), old);
    assert_eq!(process.published().len(), 2);
    assert_eq!(keys_folder.states().len(), 2, "the one that was next signs");
}

#[test]
fn by_hand_a_key_that_does_not_sign_is_retired() {
    let keys_folder = KeysFolder::new();
    let mut process = keys_folder.start();
    let old = process.signs();
    keys_folder
        .by_hand()
        .rotate(keys_folder.now, true, false)
        .unwrap();
    process.look(keys_folder.now);
    let new = process.signs();
    let mut keeper = keys_folder.by_hand();
    assert!(matches!(
        keeper.retire(keys_folder.now, &new, false),
        Err(ByHandError::Active(_))
    ));
    assert!(matches!(
        keeper.retire(keys_folder.now, "who", false),
        Err(ByHandError::Unknown(_))
    ));
    let Done(text) = keeper.retire(keys_folder.now, &old, true).unwrap();
    assert!(text.contains("would be retired"), "{text}");
    assert_eq!(keys_folder.states()[0].1, "previous");
    keeper.retire(keys_folder.now, &old, false).unwrap();
    process.look(keys_folder.now);
    assert_eq!(process.published(), [new]);
    assert!(
        keys_folder.path("bff-signing.pem").exists(),
        "a private key is never removed"
    );
}

/// A server that has the old key in memory still decides when the new one signs.
#[test]
fn a_look_or_a_command_takes_nothing_over() {
    let keys_folder = KeysFolder::new();
    let mut process = keys_folder.start();
    let old = process.signs();
    keys_folder.make("bff-signing.pem", KeyKind::P256);
    process.look(keys_folder.now);
    let refused = keys_folder.by_hand().retire(keys_folder.now, &old, true);
    assert!(matches!(refused, Err(ByHandError::Active(_))), "{refused:?}");
    assert_eq!(keys_folder.inspect().keyring().active().unwrap().kid, old);
    process.look(keys_folder.now);
    assert_eq!((process.signs(), process.published().len()), (old, 2));
}

#[test]
fn a_missing_folder_leaves_the_keyring_unchanged() {
    let mut keys_folder = KeysFolder::new();
    keys_folder.rotation.state_dir = keys_folder.path("state");
    keys_folder.start();
    keys_folder
        .by_hand()
        .rotate(keys_folder.now, false, false)
        .unwrap();
    let ring = fs::read(keys_folder.path("state/keyring.json")).unwrap();
    let hidden = tempfile::tempdir().unwrap();
    for name in &keys_folder.key_files() {
        fs::rename(keys_folder.path(name), hidden.path().join(name)).unwrap();
    }
    keys_folder.wait(100 * 24 * HOUR);
    assert!(keys_folder.try_start().is_err());
    assert_eq!(fs::read(keys_folder.path("state/keyring.json")).unwrap(), ring);
}

/// Between the two files that a rotation writes, and in the middle of each.
/// The next look begins again.
#[test]
fn a_crash_between_two_files_is_recovered() {
    let mut keys_folder = KeysFolder::new();
    keys_folder.rotation.policy.rotate_after = Some(30 * 24 * HOUR);
    let old = keys_folder.start().signs();
    keys_folder.wait(30 * 24 * HOUR);
    // The key was made, the keyring was not written; temporary files of both are left.
    let (orphan, _) = generate::generate_new(keys_folder.dir.path(), KeyKind::P256, keys_folder.now).unwrap();
    fs::write(keys_folder.path(".keyring.json.1.0.tmp"), "{\"vers").unwrap();
    fs::write(keys_folder.path(".bff-20270214-x.pem.1.0.tmp"), "-----BEGIN").unwrap();
    let mut process = keys_folder.start();
    assert_eq!(process.signs(), old);
    let name = orphan.file_name().unwrap().to_str().unwrap();
    assert!(
        process.warnings.iter().any(|text| text.contains(name)),
        "{:?}",
        process.warnings
    );
    process.look(keys_folder.now);
    assert_eq!(process.published().len(), 2, "another one was made");
    let stored = keys_folder.ring().to_string();
    assert!(!stored.contains(name), "{stored}");
    // The keyring was written, and the process died before it could publish it.
    let next = keys_folder.states()[1].0.clone();
    let mut again = keys_folder.start();
    assert!(again.published().contains(&next));
    keys_folder.serve(&mut [&mut again], 24 * HOUR);
    assert_eq!(again.signs(), next);
}

#[test]
fn looking_makes_and_writes_nothing() {
    let keys_folder = KeysFolder::new();
    assert!(
        Keeper::inspect(
            keys_folder.options.clone(),
            keys_folder.rotation.clone(),
            keys_folder.now
        )
        .is_err()
    );
    assert_eq!(keys_folder.file_names(), Vec::<String>::new());
    let kid = keys_folder.make("bff-signing.pem", KeyKind::P256);
    assert_eq!(keys_folder.inspect().keyring().active().unwrap().kid, kid);
    assert_eq!(keys_folder.file_names(), ["bff-signing.pem"]);
}

/// An IdP that takes its time, or does not take some keys.
#[derive(Debug, Default)]
struct Idp {
    refuses: Mutex<bool>,
    algorithm: Option<Algorithm>,
    told: Mutex<Vec<Option<String>>>,
}

impl Announce for Idp {
    fn announce<'a>(&'a self, candidate: Option<&'a SigningKey>) -> BoxFuture<'a, Result<(), AnnounceError>> {
        self.told.lock().push(candidate.map(|key| key.kid().to_owned()));
        let known = match (candidate, self.algorithm) {
            (Some(candidate), Some(algorithm)) => may_sign(candidate, algorithm),
            _ => Ok(()),
        };
        let known = if *self.refuses.lock() {
            Err(AnnounceError::Registration("the IdP is away".to_owned().into()))
        } else {
            known
        };
        Box::pin(std::future::ready(known))
    }
}

/// A clock that counts its sleepers.
#[derive(Clone, Debug)]
struct Counting {
    clock: ManualClock,
    sleeps: Arc<AtomicUsize>,
}

impl Clock for Counting {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn sleep_until(&self, deadline: Timestamp) -> BoxFuture<'static, ()> {
        self.sleeps.fetch_add(1, Ordering::SeqCst);
        self.clock.sleep_until(deadline)
    }
}

/// A running keeper. Its time passes while it is waited for.
struct Running {
    keys: Keys,
    clock: Counting,
    idp: Arc<Idp>,
    _stop: tokio_util::sync::DropGuard,
}

impl Running {
    fn start(keys_folder: &KeysFolder, idp: Idp) -> Self {
        let process = keys_folder.start();
        let clock = Counting {
            clock: ManualClock::starting_at(keys_folder.now),
            sleeps: Arc::default(),
        };
        let stop = CancellationToken::new();
        let idp = Arc::new(idp);
        let announce: Arc<dyn Announce> = Arc::<Idp>::clone(&idp);
        tokio::spawn(
            process
                .keeper
                .run(Arc::new(clock.clone()), stop.clone(), announce),
        );
        Self {
            keys: process.keys,
            clock,
            idp,
            _stop: stop.drop_guard(),
        }
    }

    /// Waits until the keeper has lain down once more than `sleeps` times.
    async fn until_asleep(&self, sleeps: usize) {
        while self.clock.sleeps.load(Ordering::SeqCst) <= sleeps {
            tokio::task::spawn_blocking(|| ()).await.unwrap();
        }
    }

    /// Lets time pass until `condition` holds; `false` if it does not within `limit`.
    async fn passes(&self, limit: Duration, condition: impl Fn(&Self) -> bool) -> bool {
        self.until_asleep(0).await;
        let end = self.clock.now().saturating_add(limit);
        while self.clock.now() < end {
            if condition(self) {
                return true;
            }
            // Each look ends with a sleep, which this ends.
            let sleeps = self.clock.sleeps.load(Ordering::SeqCst);
            self.clock.clock.advance(Duration::from_secs(5));
            self.until_asleep(sleeps).await;
        }
        condition(self)
    }
}

#[tokio::test]
async fn a_key_signs_only_after_the_idp_knows_it() {
    let mut keys_folder = KeysFolder::new();
    keys_folder.rotation.policy.publish_ahead = Duration::from_mins(10);
    let old = keys_folder.start().signs();
    keys_folder
        .by_hand()
        .rotate(keys_folder.now, false, false)
        .unwrap();
    let idp = Idp {
        refuses: Mutex::new(true),
        ..Idp::default()
    };
    let running = Running::start(&keys_folder, idp);
    assert!(
        !running
            .passes(Duration::from_mins(20), |it| it.keys.signing().kid() != old)
            .await
    );
    let asked = running.idp.told.lock().len();
    assert!((2..15).contains(&asked), "asked {asked} times: not at every look");
    *running.idp.refuses.lock() = false;
    assert!(
        running
            .passes(Duration::from_mins(5), |it| it.keys.signing().kid() != old)
            .await
    );
    // The last word before was about the key that signs now.
    let told = running.idp.told.lock().clone();
    assert!(
        told.contains(&Some(running.keys.signing().kid().to_owned())),
        "{told:?}"
    );
    assert_eq!(running.keys.public_jwks()["keys"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_key_that_cannot_do_the_registered_algorithm_does_not_sign() {
    let mut keys_folder = KeysFolder::new();
    keys_folder.rotation.policy.publish_ahead = Duration::from_mins(10);
    let old = keys_folder.start().signs();
    keys_folder.make("ed.pem", KeyKind::Ed25519);
    keys_folder.options.signing_key = keys_folder.path("ed.pem");
    let idp = Idp {
        algorithm: Some(Algorithm::ES256),
        ..Idp::default()
    };
    let running = Running::start(&keys_folder, idp);
    assert!(
        !running
            .passes(Duration::from_mins(20), |it| it.keys.signing().kid() != old)
            .await
    );
    // By hand it does, and the registration learns of it.
    let told = running.idp.told.lock().len();
    keys_folder
        .start()
        .keeper
        .rotate(running.clock.now(), true, false)
        .unwrap();
    let signs = |it: &Running| it.keys.signing().key_type() == KeyType::Ed25519;
    assert!(running.passes(Duration::from_mins(1), signs).await);
    assert!(
        running
            .passes(Duration::from_secs(10), |it| it.idp.told.lock().len() > told)
            .await,
        "assertions are refused until then: the pause after the last try is not waited for"
    );
}

#[tokio::test]
async fn news_that_need_no_waiting_are_told_too() {
    let mut keys_folder = KeysFolder::new();
    let extra = keys_folder.make("extra.pem", KeyKind::P256);
    keys_folder.options.extra = vec![keys_folder.path("extra.pem")];
    fs::rename(keys_folder.path("extra.pem"), keys_folder.path("later.pem")).unwrap();
    let running = Running::start(&keys_folder, Idp::default());
    assert!(
        !running
            .passes(Duration::from_mins(1), |it| !it.idp.told.lock().is_empty())
            .await
    );
    fs::rename(keys_folder.path("later.pem"), keys_folder.path("extra.pem")).unwrap();
    assert!(
        running
            .passes(Duration::from_mins(1), |it| it.keys.is_published(&extra))
            .await
    );
    assert!(
        running
            .passes(Duration::from_mins(1), |it| *it.idp.told.lock() == [None])
            .await
    );
}

trait UnwrapErr<E> {
    fn unwrap_err_or_panic(self) -> E;
}

impl<E> UnwrapErr<E> for Result<Process, E> {
    #[track_caller]
    fn unwrap_err_or_panic(self) -> E {
        match self {
            Ok(_) => panic!("it started"),
            Err(error) => error,
        }
    }
}

/// Files that are there only for the lock are not state.
#[test]
fn the_lock_file_is_empty() {
    let keys_folder = KeysFolder::new();
    keys_folder.start();
    let lock: &Path = &keys_folder.path("keyring.json.lock");
    assert_eq!(lock.metadata().unwrap().len(), 0);
}

/// The next start must not continue with a state that a start has refused.
#[test]
fn a_first_start_that_is_refused_leaves_no_keyring() {
    let mut keys_folder = KeysFolder::new();
    let extra = keys_folder.make("extra.pem", KeyKind::P256);
    let kid = keys_folder.make("bff-signing.pem", KeyKind::P256);
    keys_folder.options.extra = vec![keys_folder.path("extra.pem")];
    keys_folder.options.kid = Some(extra);
    let error = keys_folder.try_start().unwrap_err_or_panic();
    assert!(matches!(error, KeysError::DuplicateKid(_)), "{error}");
    assert!(!keys_folder.path("keyring.json").exists());
    // The advice of the message helps.
    keys_folder.options.kid = None;
    keys_folder.rotation.algorithm = Some(Algorithm::EdDSA);
    let error = keys_folder.try_start().unwrap_err_or_panic();
    assert!(matches!(error, KeysError::Algorithm { .. }), "{error}");
    assert!(!keys_folder.path("keyring.json").exists());
    keys_folder.rotation.algorithm = None;
    assert_eq!(keys_folder.start().signs(), kid);
}

/// The same in a running server: it does not write what it cannot publish.
#[test]
fn a_named_key_that_would_share_a_kid_changes_nothing() {
    let mut keys_folder = KeysFolder::new();
    let extra = keys_folder.make("extra.pem", KeyKind::P256);
    keys_folder.options.extra = vec![keys_folder.path("extra.pem")];
    let kid = keys_folder.start().signs();
    let before = keys_folder.ring();
    keys_folder.options.kid = Some(extra);
    let error = keys_folder.try_start().unwrap_err_or_panic();
    assert!(matches!(error, KeysError::DuplicateKid(_)), "{error}");
    assert_eq!(keys_folder.ring(), before);
    keys_folder.options.kid = None;
    assert_eq!(keys_folder.start().signs(), kid);

    let mut process = keys_folder.start();
    let published = process.published();
    process.keeper.folder = Folder::new(Options {
        kid: Some(published.iter().find(|it| **it != kid).unwrap().clone()),
        ..keys_folder.options.clone()
    });
    let notes = process.look(keys_folder.now);
    assert!(troubles(&notes)[0].contains("two different keys"), "{notes:?}");
    assert_eq!(process.look(keys_folder.now), [], "told once");
    assert_eq!(process.published(), published);
    assert_eq!(keys_folder.ring(), before);
}

/// Only if no keyring names it.
#[test]
fn an_unused_new_key_is_removed() {
    let keys_folder = KeysFolder::new();
    let mut keeper = keys_folder.start().keeper;
    keeper.rotate(keys_folder.now, false, false).unwrap();
    let known = keys_folder.key_files().remove(0);
    let (unknown, _) =
        generate::generate_new(keys_folder.dir.path(), KeyKind::P256, keys_folder.now).unwrap();
    // The keyring was in its folder, and only then something failed.
    keeper.unmake([keys_folder.path(&known), unknown.clone()]);
    assert!(keys_folder.path(&known).exists());
    assert!(!unknown.exists());
}
