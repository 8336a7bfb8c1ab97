//! Servers that share the keyring and do not see the same key files, as in a rolling update; and a keys folder that moves.

use super::*;

/// Pods whose secrets were mounted at different times, at the same path: each sees what was in them then.
struct Pods {
    place: Place,
    processes: Vec<(&'static str, Process)>,
}

// === impl Pods ===

impl Pods {
    /// `keys` are the names of key files in the secret of the first and of the second pod; those of one name are one key.
    fn new(keys: [&[&str]; 2]) -> Self {
        let mut place = Place::new();
        place.options.dir = place.path("mount");
        for (folder, names) in [("1", keys[0]), ("2", keys[1])] {
            fs::create_dir_all(place.path(folder)).unwrap();
            for name in names {
                let other = place.path("1").join(name);
                if other.exists() {
                    fs::copy(other, place.path(folder).join(name)).unwrap();
                } else {
                    place.make(&format!("{folder}/{name}"), KeyKind::P256);
                }
            }
        }
        Self {
            place,
            processes: Vec::new(),
        }
    }

    fn mount(&self, folder: &str) {
        let link = self.place.path("link");
        symlink(folder, &link).unwrap();
        fs::rename(link, self.place.path("mount")).unwrap();
    }

    /// The pod with the secret `folder` starts, which names `key`; the key id that it signs with.
    fn start(&mut self, folder: &'static str, key: &str) -> String {
        self.mount(folder);
        self.place.options.signing_key = self.place.path("mount").join(key);
        let process = self.place.start();
        let signs = process.signs();
        self.processes.push((folder, process));
        signs
    }

    /// All pods look, `times` times, after `pause` each; how often the keyring was written.
    fn look(&mut self, times: usize, pause: Duration) -> usize {
        let mut writes = 0;
        let mut last = self.place.ring();
        for _ in 0..times {
            self.place.wait(pause);
            for index in 0..self.processes.len() {
                self.mount(self.processes[index].0);
                let process = &mut self.processes[index].1;
                process.look(self.place.now);
                process.activate_what_is_due(self.place.now);
                if self.place.ring() != last {
                    writes += 1;
                    last = self.place.ring();
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
fn servers_that_cannot_read_each_others_keys_do_not_take_over_from_each_other_for_ever() {
    let mut pods = Pods::new([&["a.pem"], &["b.pem"]]);
    let first = pods.start("1", "a.pem");
    // The private key that signs is nowhere to be found for the one that starts now.
    let second = pods.start("2", "b.pem");
    assert_ne!(first, second);
    assert_eq!(pods.look(30, Duration::from_secs(5)), 0);
    // Each signs with what it has.
    assert_eq!(pods.signs(), [first, second.clone()]);
    assert_eq!(pods.place.states()[1], (second, "active".to_owned()));
}

#[test]
fn a_server_without_the_next_key_does_not_retire_it_while_another_publishes_it() {
    let mut pods = Pods::new([&["a.pem"], &["a.pem", "b.pem"]]);
    let first = pods.start("1", "a.pem");
    assert_eq!(pods.start("2", "b.pem"), first);
    let next = pods.place.states()[1].0.clone();
    pods.look(25, HOUR);
    assert_eq!(pods.signs(), [first, next.clone()]);
    assert_eq!(pods.place.states()[1], (next, "active".to_owned()));
}

/// The same in the moment in which the next key would sign: the IdP was told of it, and meanwhile somebody took over.
#[test]
fn a_server_that_lets_the_next_key_sign_takes_nothing_over_either() {
    let mut pods = Pods::new([&["a.pem", "b.pem"], &["c.pem"]]);
    pods.start("1", "a.pem");
    pods.start("1", "b.pem");
    let next = pods.place.states()[1].0.clone();
    for _ in 0..24 {
        pods.place.wait(HOUR);
        pods.processes[1].1.look(pods.place.now);
    }
    assert_eq!(
        pods.processes[1].1.keeper.due(pods.place.now).unwrap().kid(),
        next
    );
    let taken = pods.start("2", "c.pem");
    pods.mount("1");
    pods.processes[1].1.keeper.activate(pods.place.now, &next);
    assert_eq!(pods.place.states()[2], (taken, "active".to_owned()));
}

/// A retired key may be one that leaked.
#[test]
fn attack_33_a_retired_key_is_not_taken_up_again_by_a_server_that_still_names_it() {
    let mut pods = Pods::new([&["a.pem"], &["b.pem"]]);
    let leaked = pods.start("1", "a.pem");
    pods.start("2", "b.pem");
    pods.place
        .by_hand()
        .retire(pods.place.now, &leaked, false)
        .unwrap();
    for _ in 0..50 {
        pods.look(1, HOUR);
        assert_eq!(pods.place.states()[0], (leaked.clone(), "retired".to_owned()));
    }
}

/// `BFF_KEYS_DIR` is the folder of the named key where nothing else is said, so that it moves with that one.
#[test]
fn a_key_that_is_named_in_another_folder_waits_like_any_other() {
    let mut place = Place::new();
    place.options.dir = place.path("old");
    place.options.signing_key = place.path("old/key.pem");
    place.start();
    place.by_hand().rotate(place.now, true, false).unwrap();
    let signed = place.start().signs();

    // It even has the name of one that is known.
    fs::create_dir_all(place.path("new")).unwrap();
    let new = place.make("new/key.pem", KeyKind::P256);
    place.options.dir = place.path("new");
    place.options.signing_key = place.path("new/key.pem");
    let mut process = place.start();
    assert_eq!(process.warnings, Vec::<String>::new());
    assert_eq!(process.signs(), signed);
    assert_eq!(process.published().len(), 3);
    place.serve(&mut [&mut process], 23 * HOUR);
    assert_eq!(process.signs(), signed);
    // The folder is written down anew, and the keys of the former one are found by the next start, too.
    assert_eq!(place.start().published().len(), 3);
    place.serve(&mut [&mut process], 2 * HOUR);
    assert_eq!(process.signs(), new);
    let mut again = place.start();
    assert_eq!((again.signs(), again.published().len()), (new, 3));
    assert_eq!(again.look(place.now), []);
}

/// A volume that is mounted elsewhere, with all that was in it.
#[test]
fn a_folder_that_moved_as_a_whole_is_the_same() {
    let mut place = Place::new();
    place.options.dir = place.path("old");
    place.options.signing_key = place.path("old/key.pem");
    place.start();
    place.by_hand().rotate(place.now, true, false).unwrap();
    let before = place.start();
    let files = |place: &Place| -> Vec<String> {
        let ring = place.ring();
        let keys = ring["keys"].as_array().unwrap().iter();
        keys.map(|key| key["file"].as_str().unwrap().to_owned()).collect()
    };
    let names = files(&place);
    fs::rename(place.path("old"), place.path("new")).unwrap();
    place.options.dir = place.path("new");
    place.options.signing_key = place.path("new/key.pem");
    let after = place.start();
    assert_eq!(after.signs(), before.signs());
    assert_eq!(after.published(), before.published());
    place.by_hand().rotate(place.now, false, false).unwrap();
    assert_eq!(files(&place)[..2], names, "still relative to the folder");
}

#[test]
fn a_lost_keyring_is_told_where_the_server_has_been_registered() {
    let place = Place::new();
    place.make("bff-signing.pem", KeyKind::P256);
    assert_eq!(place.start().warnings, Vec::<String>::new());
    fs::write(place.path("bff_client.json"), "{}").unwrap();
    assert_eq!(place.start().warnings, Vec::<String>::new());

    fs::remove_file(place.path("keyring.json")).unwrap();
    let warnings = place.start().warnings;
    assert!(
        warnings[0].contains("restore the keyring from a backup"),
        "{warnings:?}"
    );
    assert_eq!(place.start().warnings, Vec::<String>::new(), "there is one again");
}

/// What failed may pass without a trace at the file.
#[test]
fn a_keyring_that_could_not_be_read_is_read_again_although_it_has_not_changed() {
    let place = Place::new();
    let mut process = place.start();
    process.keeper.broken = true;
    process.look(place.now);
    assert!(!process.keeper.broken);
}
