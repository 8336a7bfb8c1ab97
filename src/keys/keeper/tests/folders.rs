//! Servers that share the keyring and do not see the same key files, as in a rolling update; and a keys folder that moves.

use super::*;

/// Pods whose secrets were mounted at different times, at the same path: each sees the content of that time.
struct Pods {
    keys_folder: KeysFolder,
    processes: Vec<(&'static str, Process)>,
}

// === impl Pods ===

impl Pods {
    /// `keys` are the names of key files in the secret of the first and of the second pod; those of one name are one key.
    fn new(keys: [&[&str]; 2]) -> Self {
        let mut keys_folder = KeysFolder::new();
        keys_folder.options.dir = keys_folder.path("mount");
        for (folder, names) in [("1", keys[0]), ("2", keys[1])] {
            fs::create_dir_all(keys_folder.path(folder)).unwrap();
            for name in names {
                let other = keys_folder.path("1").join(name);
                if other.exists() {
                    fs::copy(other, keys_folder.path(folder).join(name)).unwrap();
                } else {
                    keys_folder.make(&format!("{folder}/{name}"), KeyKind::P256);
                }
            }
        }
        Self {
            keys_folder,
            processes: Vec::new(),
        }
    }

    fn mount(&self, folder: &str) {
        let link = self.keys_folder.path("link");
        symlink(folder, &link).unwrap();
        fs::rename(link, self.keys_folder.path("mount")).unwrap();
    }

    /// The pod with the secret `folder` starts, which names `key`; the key id that it signs with.
    fn start(&mut self, folder: &'static str, key: &str) -> String {
        self.mount(folder);
        self.keys_folder.options.signing_key = self.keys_folder.path("mount").join(key);
        let process = self.keys_folder.start();
        let signs = process.signs();
        self.processes.push((folder, process));
        signs
    }

    /// All pods look, `times` times, after `pause` each; how often the keyring was written.
    fn look(&mut self, times: usize, pause: Duration) -> usize {
        let mut writes = 0;
        let mut last = self.keys_folder.ring();
        for _ in 0..times {
            self.keys_folder.wait(pause);
            for index in 0..self.processes.len() {
                self.mount(self.processes[index].0);
                let process = &mut self.processes[index].1;
                process.look(self.keys_folder.now);
                process.activate_what_is_due(self.keys_folder.now);
                if self.keys_folder.ring() != last {
                    writes += 1;
                    last = self.keys_folder.ring();
                }
            }
        }
        writes
    }

    fn signs(&self) -> Vec<String> {
        self.processes
            .iter()
            .map(|(_, process)| process.signs())
            .collect()
    }
}

#[test]
fn servers_with_separate_keys_do_not_compete_for_ever() {
    let mut pods = Pods::new([&["a.pem"], &["b.pem"]]);
    let first = pods.start("1", "a.pem");
    // The starting pod does not find the signing private key.
    let second = pods.start("2", "b.pem");
    assert_ne!(first, second);
    assert_eq!(pods.look(30, Duration::from_secs(5)), 0);
    // Each signs with its own key.
    assert_eq!(pods.signs(), [first, second.clone()]);
    assert_eq!(pods.keys_folder.states()[1], (second, "active".to_owned()));
}

/// This server does not have it.
#[test]
fn a_next_key_published_elsewhere_is_not_retired() {
    let mut pods = Pods::new([&["a.pem"], &["a.pem", "b.pem"]]);
    let first = pods.start("1", "a.pem");
    assert_eq!(pods.start("2", "b.pem"), first);
    let next = pods.keys_folder.states()[1].0.clone();
    pods.look(25, HOUR);
    assert_eq!(pods.signs(), [first, next.clone()]);
    assert_eq!(pods.keys_folder.states()[1], (next, "active".to_owned()));
}

/// The same at the moment when the next key would sign: the IdP knows it, and meanwhile another server took over.
#[test]
fn a_server_signing_with_the_next_key_takes_nothing_over() {
    let mut pods = Pods::new([&["a.pem", "b.pem"], &["c.pem"]]);
    pods.start("1", "a.pem");
    pods.start("1", "b.pem");
    let next = pods.keys_folder.states()[1].0.clone();
    for _ in 0..24 {
        pods.keys_folder.wait(HOUR);
        pods.processes[1].1.look(pods.keys_folder.now);
    }
    assert_eq!(
        pods.processes[1]
            .1
            .keeper
            .due(pods.keys_folder.now)
            .unwrap()
            .kid(),
        next
    );
    let taken = pods.start("2", "c.pem");
    pods.mount("1");
    pods.processes[1].1.keeper.activate(pods.keys_folder.now, &next);
    assert_eq!(pods.keys_folder.states()[2], (taken, "active".to_owned()));
}

/// A retired key may be one that leaked.
/// A server still names it.
#[test]
fn attack_33_a_retired_key_stays_retired() {
    let mut pods = Pods::new([&["a.pem"], &["b.pem"]]);
    let leaked = pods.start("1", "a.pem");
    pods.start("2", "b.pem");
    pods.keys_folder
        .by_hand()
        .retire(pods.keys_folder.now, &leaked, false)
        .unwrap();
    for _ in 0..50 {
        pods.look(1, HOUR);
        assert_eq!(
            pods.keys_folder.states()[0],
            (leaked.clone(), "retired".to_owned())
        );
    }
}

/// `BFF_KEYS_DIR` is by default the folder of the named key, so it moves with that key.
#[test]
fn a_key_that_is_named_in_another_folder_waits_like_any_other() {
    let mut keys_folder = KeysFolder::new();
    keys_folder.options.dir = keys_folder.path("old");
    keys_folder.options.signing_key = keys_folder.path("old/key.pem");
    keys_folder.start();
    keys_folder
        .by_hand()
        .rotate(keys_folder.now, true, false)
        .unwrap();
    let signed = keys_folder.start().signs();

    // It even has the name of a known one.
    fs::create_dir_all(keys_folder.path("new")).unwrap();
    let new = keys_folder.make("new/key.pem", KeyKind::P256);
    keys_folder.options.dir = keys_folder.path("new");
    keys_folder.options.signing_key = keys_folder.path("new/key.pem");
    let mut process = keys_folder.start();
    assert_eq!(process.warnings, Vec::<String>::new());
    assert_eq!(process.signs(), signed);
    assert_eq!(process.published().len(), 3);
    keys_folder.serve(&mut [&mut process], 23 * HOUR);
    assert_eq!(process.signs(), signed);
    // The new folder is recorded, and the next start also finds the keys of the former one.
    assert_eq!(keys_folder.start().published().len(), 3);
    keys_folder.serve(&mut [&mut process], 2 * HOUR);
    assert_eq!(process.signs(), new);
    let mut again = keys_folder.start();
    assert_eq!((again.signs(), again.published().len()), (new, 3));
    assert_eq!(again.look(keys_folder.now), []);
}

/// A volume that is mounted at another path, with its whole content.
#[test]
fn a_folder_that_moved_as_a_whole_is_the_same() {
    let mut keys_folder = KeysFolder::new();
    keys_folder.options.dir = keys_folder.path("old");
    keys_folder.options.signing_key = keys_folder.path("old/key.pem");
    keys_folder.start();
    keys_folder
        .by_hand()
        .rotate(keys_folder.now, true, false)
        .unwrap();
    let before = keys_folder.start();
    let files = |keys_folder: &KeysFolder| -> Vec<String> {
        let ring = keys_folder.ring();
        let keys = ring["keys"].as_array().unwrap().iter();
        keys.map(|key| key["file"].as_str().unwrap().to_owned()).collect()
    };
    let names = files(&keys_folder);
    fs::rename(keys_folder.path("old"), keys_folder.path("new")).unwrap();
    keys_folder.options.dir = keys_folder.path("new");
    keys_folder.options.signing_key = keys_folder.path("new/key.pem");
    let after = keys_folder.start();
    assert_eq!(after.signs(), before.signs());
    assert_eq!(after.published(), before.published());
    keys_folder
        .by_hand()
        .rotate(keys_folder.now, false, false)
        .unwrap();
    assert_eq!(files(&keys_folder)[..2], names, "still relative to the folder");
}

#[test]
fn a_lost_keyring_is_told_where_the_server_has_been_registered() {
    let keys_folder = KeysFolder::new();
    keys_folder.make("bff-signing.pem", KeyKind::P256);
    assert_eq!(keys_folder.start().warnings, Vec::<String>::new());
    fs::write(keys_folder.path("bff_client.json"), "{}").unwrap();
    assert_eq!(keys_folder.start().warnings, Vec::<String>::new());

    fs::remove_file(keys_folder.path("keyring.json")).unwrap();
    let warnings = keys_folder.start().warnings;
    assert!(
        warnings[0].contains("restore the keyring from a backup"),
        "{warnings:?}"
    );
    assert_eq!(
        keys_folder.start().warnings,
        Vec::<String>::new(),
        "there is one again"
    );
}

/// The failure may pass without a trace at the file: the file has not changed.
#[test]
fn an_unreadable_keyring_is_read_again() {
    let keys_folder = KeysFolder::new();
    let mut process = keys_folder.start();
    process.keeper.broken = true;
    process.look(keys_folder.now);
    assert!(!process.keeper.broken);
}
