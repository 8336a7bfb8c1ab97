//! The process dies before each step that it does to a file, at every way that keys can go. The next start finds a keyring
//! with one active key, all private keys that it names, and nothing half made.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;
use crate::private_file::testing::{Killed, doom, spare};

/// The expected signing key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Signs {
    /// The former signing key, for as long as a new key has to be published.
    TheSame,
    /// The former signing key or, if the step was complete, another one.
    Another,
    /// There was none before.
    First,
}

/// One way that keys can go.
struct Way {
    before: fn(&mut KeysFolder),
    act: fn(&KeysFolder),
    signs: Signs,
    /// The steps that it has at least: fewer would mean that the test no longer sees them.
    steps: usize,
}

fn serves(keys_folder: &KeysFolder) {
    let mut process = keys_folder.start();
    process.look(keys_folder.now);
    process.activate_what_is_due(keys_folder.now);
}

fn rotates(keys_folder: &KeysFolder) {
    let rotated = keys_folder.by_hand().rotate(keys_folder.now, false, false);
    assert!(
        matches!(rotated, Ok(_) | Err(ByHandError::NextExists { .. })),
        "{rotated:?}"
    );
}

fn rotates_at_once(keys_folder: &KeysFolder) {
    keys_folder
        .by_hand()
        .rotate(keys_folder.now, true, false)
        .unwrap();
}

fn by_age(keys_folder: &mut KeysFolder) {
    keys_folder.rotation.policy.rotate_after = Some(30 * 24 * HOUR);
    keys_folder.start();
}

fn names_another(keys_folder: &mut KeysFolder) {
    keys_folder.make("new.pem", KeyKind::P256);
    keys_folder.options.signing_key = keys_folder.path("new.pem");
}

/// A key signs no longer, and another one does.
fn rotated(keys_folder: &mut KeysFolder) {
    keys_folder.start();
    rotates_at_once(keys_folder);
}

#[test]
fn killed_at_any_step_of_a_first_start() {
    at_every_step(&Way {
        before: |_| {},
        act: serves,
        signs: Signs::First,
        steps: 12,
    });
}

#[test]
fn killed_at_any_step_of_a_first_command() {
    at_every_step(&Way {
        before: |_| {},
        act: rotates,
        signs: Signs::First,
        steps: 24,
    });
}

#[test]
fn killed_at_any_step_of_a_start_with_another_named_key() {
    at_every_step(&Way {
        before: |keys_folder| {
            keys_folder.start();
            names_another(keys_folder);
        },
        act: serves,
        signs: Signs::TheSame,
        steps: 6,
    });
}

#[test]
fn killed_at_any_step_of_making_a_key_by_age() {
    at_every_step(&Way {
        before: |keys_folder| {
            by_age(keys_folder);
            keys_folder.wait(29 * 24 * HOUR);
        },
        act: serves,
        signs: Signs::TheSame,
        steps: 13,
    });
}

#[test]
fn killed_at_any_step_of_letting_the_next_key_sign() {
    at_every_step(&Way {
        before: |keys_folder| {
            keys_folder.start();
            rotates(keys_folder);
            let mut process = keys_folder.start();
            for _ in 0..24 {
                keys_folder.wait(HOUR);
                process.look(keys_folder.now);
            }
        },
        act: serves,
        signs: Signs::Another,
        steps: 6,
    });
}

#[test]
fn killed_at_any_step_of_retiring_a_key_by_age() {
    at_every_step(&Way {
        before: |keys_folder| {
            rotated(keys_folder);
            keys_folder.wait(60 * 24 * HOUR);
        },
        act: serves,
        signs: Signs::TheSame,
        steps: 6,
    });
}

#[test]
fn killed_at_any_step_of_forgetting_a_key() {
    at_every_step(&Way {
        before: |keys_folder| {
            rotated(keys_folder);
            let old = keys_folder.states()[0].0.clone();
            keys_folder
                .by_hand()
                .retire(keys_folder.now, &old, false)
                .unwrap();
            fs::remove_file(keys_folder.path("bff-signing.pem")).unwrap();
            keys_folder.wait(90 * 24 * HOUR);
        },
        act: serves,
        signs: Signs::TheSame,
        steps: 6,
    });
}

#[test]
fn killed_at_any_step_of_a_rotation_by_hand() {
    at_every_step(&Way {
        before: |keys_folder| {
            keys_folder.start();
        },
        act: rotates,
        signs: Signs::TheSame,
        steps: 13,
    });
}

#[test]
fn killed_at_any_step_of_a_rotation_at_once() {
    for before in [
        |keys_folder: &mut KeysFolder| {
            keys_folder.start();
        },
        |keys_folder: &mut KeysFolder| {
            keys_folder.start();
            rotates(keys_folder);
        },
    ] {
        at_every_step(&Way {
            before,
            act: rotates_at_once,
            signs: Signs::Another,
            steps: 6,
        });
    }
}

#[test]
fn killed_at_any_step_of_a_retirement_by_hand() {
    at_every_step(&Way {
        before: rotated,
        act: |keys_folder| {
            let old = keys_folder.states()[0].0.clone();
            keys_folder
                .by_hand()
                .retire(keys_folder.now, &old, false)
                .unwrap();
        },
        signs: Signs::TheSame,
        steps: 6,
    });
}

#[test]
fn killed_at_any_step_of_taking_over_from_a_lost_key() {
    for before in [
        // The new named key,
        |keys_folder: &mut KeysFolder| {
            keys_folder.start();
            names_another(keys_folder);
            fs::remove_file(keys_folder.path("bff-signing.pem")).unwrap();
        },
        // the next key,
        |keys_folder: &mut KeysFolder| {
            keys_folder.start();
            rotates(keys_folder);
            fs::remove_file(keys_folder.path("bff-signing.pem")).unwrap();
        },
        // and the one before.
        |keys_folder: &mut KeysFolder| {
            rotated(keys_folder);
            let made = keys_folder.key_files().remove(0);
            assert!(made.starts_with("bff-2"), "{made}");
            fs::remove_file(keys_folder.path(&made)).unwrap();
        },
    ] {
        at_every_step(&Way {
            before,
            act: serves,
            signs: Signs::Another,
            steps: 6,
        });
    }
}

/// Dies before each step in turn, until none is left.
fn at_every_step(way: &Way) {
    let mut steps = 0;
    loop {
        let mut keys_folder = KeysFolder::new();
        (way.before)(&mut keys_folder);
        let files = keys_folder.key_files();
        let signed = (way.signs != Signs::First).then(|| active(&keys_folder));
        doom(keys_folder.dir.path(), steps);
        let end = catch_unwind(AssertUnwindSafe(|| (way.act)(&keys_folder)));
        spare(keys_folder.dir.path());
        match end {
            Ok(()) => break,
            Err(panic) if panic.is::<Killed>() => {}
            Err(panic) => std::panic::resume_unwind(panic),
        }
        recovers(&mut keys_folder, way, steps, &files, signed.as_ref());
        steps += 1;
    }
    assert!(steps >= way.steps, "only {steps} steps");
}

fn active(keys_folder: &KeysFolder) -> String {
    let active: Vec<String> = keys_folder
        .states()
        .into_iter()
        .filter_map(|(kid, state)| (state == "active").then_some(kid))
        .collect();
    assert_eq!(active.len(), 1, "{active:?}");
    active[0].clone()
}

fn recovers(
    keys_folder: &mut KeysFolder,
    way: &Way,
    steps: usize,
    files: &[String],
    signed: Option<&String>,
) {
    let told = format!("killed after {steps} steps");
    let named_at_death = if keys_folder.path("keyring.json").exists() {
        keys_folder.ring().to_string()
    } else {
        String::new()
    };
    let mut process = keys_folder.start();
    let left: Vec<String> = keys_folder
        .file_names()
        .into_iter()
        .filter(|name| Path::new(name).extension().is_some_and(|it| it == "tmp"))
        .collect();
    assert_eq!(left, Vec::<String>::new(), "{told}");
    let signs = process.signs();
    assert_eq!(active(keys_folder), signs, "{told}");
    if way.signs == Signs::TheSame {
        assert_eq!(Some(&signs), signed, "{told}");
    }

    // New files are named in the keyring, or were left by a death before that.
    let made: Vec<String> = keys_folder
        .key_files()
        .into_iter()
        .filter(|name| !files.contains(name))
        .collect();
    let orphans = made
        .iter()
        .filter(|name| !keys_folder.ring().to_string().contains(*name));
    assert!(orphans.count() <= 1, "{told}: {made:?}");
    let named = made.iter().filter(|name| !name.starts_with("bff-2")).count();
    assert!(
        named <= usize::from(way.signs == Signs::First),
        "{told}: {made:?}"
    );
    for name in files.iter().chain(&made) {
        assert!(keys_folder.path(name).exists(), "{told}: {name}");
    }
    for key in keys_folder.ring()["keys"].as_array().unwrap() {
        let file = key["file"].as_str().unwrap();
        let was_lost = named_at_death.contains(file) && !keys_folder.path(file).exists();
        let gone_before = !files.iter().any(|name| name == file) && !made.iter().any(|name| name == file);
        assert!(
            keys_folder.path(file).exists() || (was_lost && gone_before && key["state"] != "active"),
            "{told}: {key}"
        );
    }

    // From here on it is as if nothing had happened: the operator does it again.
    (way.act)(keys_folder);
    process.look(keys_folder.now);
    let before = process.signs();
    if way.signs == Signs::TheSame {
        assert_eq!(Some(&before), signed, "{told}");
    }
    keys_folder.serve(&mut [&mut process], 23 * HOUR);
    assert_eq!(process.signs(), before, "{told}: too early");
    let waits = keys_folder.states().iter().any(|(_, state)| state == "next");
    keys_folder.serve(&mut [&mut process], 2 * HOUR);
    assert_eq!(
        process.signs() != before,
        waits,
        "{told}: it signs once it was published long enough"
    );
    assert_eq!(active(keys_folder), process.signs(), "{told}");
}
