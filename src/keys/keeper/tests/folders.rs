//! Servers that share the keyring and do not see the same key files, as in a rolling update; and a keys folder that moves.

use super::*;

/// A place with the keyring of `place` and a keys folder of its own, below it, in which `names` lie, too.
fn beside(place: &Place, folder: &str, names: &[&str]) -> Place {
    let mut other = Place::new();
    other.rotation = place.rotation.clone();
    other.now = place.now;
    other.options.dir = place.path(folder);
    other.options.signing_key = place.path(folder).join("key.pem");
    fs::create_dir_all(&other.options.dir).unwrap();
    for name in names {
        fs::copy(place.options.dir.join(name), other.options.dir.join(name)).unwrap();
    }
    other
}

/// Two pods whose secrets were mounted at different times: what the one names the other cannot read.
fn secrets() -> (Place, Place) {
    let mut old = Place::new();
    old.options.dir = old.path("old");
    old.options.signing_key = old.path("old/key.pem");
    let new = beside(&old, "new", &[]);
    for folder in ["old", "new"] {
        fs::create_dir_all(old.path(folder)).unwrap();
        old.make(&format!("{folder}/key.pem"), KeyKind::P256);
    }
    (old, new)
}

/// How often the keyring is written while these processes look.
fn writes(place: &mut Place, processes: &mut [&mut Process]) -> usize {
    let mut writes = 0;
    let mut last = place.ring();
    for _ in 0..30 {
        place.wait(Duration::from_secs(5));
        for process in &mut *processes {
            process.look(place.now);
            process.activate_what_is_due(place.now);
            if place.ring() != last {
                writes += 1;
                last = place.ring();
            }
        }
    }
    writes
}

#[test]
fn servers_that_cannot_read_each_others_keys_do_not_take_over_from_each_other_for_ever() {
    let (mut old, new) = secrets();
    let mut before = old.start();
    let first = before.signs();
    // The private key that signs is nowhere to be found for the one that starts now.
    let mut after = new.start();
    let second = after.signs();
    assert_ne!(first, second);
    assert_eq!(writes(&mut old, &mut [&mut before, &mut after]), 0);
    // Each signs with what it has.
    assert_eq!((before.signs(), after.signs()), (first, second.clone()));
    assert_eq!(old.states()[1], (second, "active".to_owned()));
}

#[test]
fn a_server_without_the_next_key_does_not_retire_it_while_another_publishes_it() {
    let mut old = Place::new();
    old.options.dir = old.path("old");
    old.options.signing_key = old.path("old/key.pem");
    fs::create_dir_all(old.path("old")).unwrap();
    old.make("old/key.pem", KeyKind::P256);
    let mut before = old.start();
    let mut new = beside(&old, "new", &["key.pem"]);
    let next = old.make("new/new.pem", KeyKind::P256);
    new.options.signing_key = old.path("new/new.pem");
    let mut after = new.start();
    assert_eq!(after.published().len(), 2);
    old.serve(&mut [&mut before, &mut after], 25 * HOUR);
    assert_eq!(after.signs(), next);
    assert_eq!(old.states()[1], (next, "active".to_owned()));
}

/// A retired key may be one that leaked.
#[test]
fn attack_33_a_retired_key_is_not_taken_up_again_by_a_server_that_still_names_it() {
    let (mut old, new) = secrets();
    fs::rename(old.path("old/key.pem"), old.path("old/first.pem")).unwrap();
    old.options.signing_key = old.path("old/first.pem");
    let mut before = old.start();
    let leaked = before.signs();
    let mut after = new.start();
    new.by_hand().retire(old.now, &leaked, false).unwrap();
    for _ in 0..10 {
        old.serve(&mut [&mut before, &mut after], 6 * HOUR);
        assert_eq!(old.states()[0], (leaked.clone(), "retired".to_owned()));
    }
}
