//! The process dies before each step that it does to a file, at every way that keys can go. The next start finds a keyring
//! with one active key, all private keys that it names, and nothing half made.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;
use crate::private_file::testing::{Killed, doom, spare};

/// What signs afterwards.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Signs {
    /// What signed before, for as long as a new key has to be published.
    TheSame,
    /// What signed before or, where it was done already, another one.
    Another,
    /// There was none before.
    First,
}

/// One way that keys can go.
struct Way {
    before: fn(&mut Place),
    act: fn(&Place),
    signs: Signs,
    /// The steps that it has at least: fewer would mean that the test no longer sees them.
    steps: usize,
}

fn serves(place: &Place) {
    let mut process = place.start();
    process.look(place.now);
    process.activate_what_is_due(place.now);
}

fn rotates(place: &Place) {
    let rotated = place.by_hand().rotate(place.now, false, false);
    assert!(
        matches!(rotated, Ok(_) | Err(ByHandError::NextExists { .. })),
        "{rotated:?}"
    );
}

fn rotates_at_once(place: &Place) {
    place.by_hand().rotate(place.now, true, false).unwrap();
}

fn by_age(place: &mut Place) {
    place.rotation.policy.rotate_after = Some(30 * 24 * HOUR);
    place.start();
}

fn names_another(place: &mut Place) {
    place.make("new.pem", KeyKind::P256);
    place.options.signing_key = place.path("new.pem");
}

/// A key signs no longer, and another one does.
fn rotated(place: &mut Place) {
    place.start();
    rotates_at_once(place);
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
        before: |place| {
            place.start();
            names_another(place);
        },
        act: serves,
        signs: Signs::TheSame,
        steps: 6,
    });
}

#[test]
fn killed_at_any_step_of_making_a_key_by_age() {
    at_every_step(&Way {
        before: |place| {
            by_age(place);
            place.wait(29 * 24 * HOUR);
        },
        act: serves,
        signs: Signs::TheSame,
        steps: 13,
    });
}

#[test]
fn killed_at_any_step_of_letting_the_next_key_sign() {
    at_every_step(&Way {
        before: |place| {
            place.start();
            rotates(place);
            let mut process = place.start();
            for _ in 0..24 {
                place.wait(HOUR);
                process.look(place.now);
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
        before: |place| {
            rotated(place);
            place.wait(60 * 24 * HOUR);
        },
        act: serves,
        signs: Signs::TheSame,
        steps: 6,
    });
}

#[test]
fn killed_at_any_step_of_forgetting_a_key() {
    at_every_step(&Way {
        before: |place| {
            rotated(place);
            let old = place.states()[0].0.clone();
            place.by_hand().retire(place.now, &old, false).unwrap();
            fs::remove_file(place.path("bff-signing.pem")).unwrap();
            place.wait(90 * 24 * HOUR);
        },
        act: serves,
        signs: Signs::TheSame,
        steps: 6,
    });
}

#[test]
fn killed_at_any_step_of_a_rotation_by_hand() {
    at_every_step(&Way {
        before: |place| {
            place.start();
        },
        act: rotates,
        signs: Signs::TheSame,
        steps: 13,
    });
}

#[test]
fn killed_at_any_step_of_a_rotation_at_once() {
    for before in [
        |place: &mut Place| {
            place.start();
        },
        |place: &mut Place| {
            place.start();
            rotates(place);
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
        act: |place| {
            let old = place.states()[0].0.clone();
            place.by_hand().retire(place.now, &old, false).unwrap();
        },
        signs: Signs::TheSame,
        steps: 6,
    });
}

#[test]
fn killed_at_any_step_of_taking_over_from_a_lost_key() {
    for before in [
        // The new named key,
        |place: &mut Place| {
            place.start();
            names_another(place);
            fs::remove_file(place.path("bff-signing.pem")).unwrap();
        },
        // the next key,
        |place: &mut Place| {
            place.start();
            rotates(place);
            fs::remove_file(place.path("bff-signing.pem")).unwrap();
        },
        // and the one before.
        |place: &mut Place| {
            rotated(place);
            let made = place.key_files().remove(0);
            assert!(made.starts_with("bff-2"), "{made}");
            fs::remove_file(place.path(&made)).unwrap();
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

/// Dies before each step in turn, until there is none left.
fn at_every_step(way: &Way) {
    let mut steps = 0;
    loop {
        let mut place = Place::new();
        (way.before)(&mut place);
        let files = place.key_files();
        let signed = (way.signs != Signs::First).then(|| active(&place));
        doom(place.dir.path(), steps);
        let end = catch_unwind(AssertUnwindSafe(|| (way.act)(&place)));
        spare(place.dir.path());
        match end {
            Ok(()) => break,
            Err(panic) if panic.is::<Killed>() => {}
            Err(panic) => std::panic::resume_unwind(panic),
        }
        recovers(&mut place, way, steps, &files, signed.as_ref());
        steps += 1;
    }
    assert!(steps >= way.steps, "only {steps} steps");
}

fn active(place: &Place) -> String {
    let active: Vec<String> = place
        .states()
        .into_iter()
        .filter_map(|(kid, state)| (state == "active").then_some(kid))
        .collect();
    assert_eq!(active.len(), 1, "{active:?}");
    active[0].clone()
}

fn recovers(place: &mut Place, way: &Way, steps: usize, files: &[String], signed: Option<&String>) {
    let told = format!("killed after {steps} steps");
    let named_at_death = if place.path("keyring.json").exists() {
        place.ring().to_string()
    } else {
        String::new()
    };
    let mut process = place.start();
    let left: Vec<String> = place
        .file_names()
        .into_iter()
        .filter(|name| Path::new(name).extension().is_some_and(|it| it == "tmp"))
        .collect();
    assert_eq!(left, Vec::<String>::new(), "{told}");
    let signs = process.signs();
    assert_eq!(active(place), signs, "{told}");
    if way.signs == Signs::TheSame {
        assert_eq!(Some(&signs), signed, "{told}");
    }

    // What was made is named, or was left by the death before anybody knew of it.
    let made: Vec<String> = place
        .key_files()
        .into_iter()
        .filter(|name| !files.contains(name))
        .collect();
    let orphans = made
        .iter()
        .filter(|name| !place.ring().to_string().contains(*name));
    assert!(orphans.count() <= 1, "{told}: {made:?}");
    let named = made.iter().filter(|name| !name.starts_with("bff-2")).count();
    assert!(
        named <= usize::from(way.signs == Signs::First),
        "{told}: {made:?}"
    );
    for name in files.iter().chain(&made) {
        assert!(place.path(name).exists(), "{told}: {name}");
    }
    for key in place.ring()["keys"].as_array().unwrap() {
        let file = key["file"].as_str().unwrap();
        let was_lost = named_at_death.contains(file) && !place.path(file).exists();
        let gone_before = !files.iter().any(|name| name == file) && !made.iter().any(|name| name == file);
        assert!(
            place.path(file).exists() || (was_lost && gone_before && key["state"] != "active"),
            "{told}: {key}"
        );
    }

    // From here on it is as if nothing had happened: the operator does it again.
    (way.act)(place);
    process.look(place.now);
    let before = process.signs();
    if way.signs == Signs::TheSame {
        assert_eq!(Some(&before), signed, "{told}");
    }
    place.serve(&mut [&mut process], 23 * HOUR);
    assert_eq!(process.signs(), before, "{told}: too early");
    let waits = place.states().iter().any(|(_, state)| state == "next");
    place.serve(&mut [&mut process], 2 * HOUR);
    assert_eq!(
        process.signs() != before,
        waits,
        "{told}: it signs once it was published long enough"
    );
    assert_eq!(active(place), process.signs(), "{told}");
}
