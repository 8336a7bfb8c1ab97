//! A panic reports its place, and not its message.

use std::process::Command;

/// In a separate process, because the hook applies to the whole process.
#[test]
fn attack_23_a_panic_prints_its_place_and_none_of_its_words() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "start::panics::inner", "--nocapture"])
        .env("RUST_BACKTRACE", "0")
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("a panic at tests/it/start/panics.rs:"), "{said}");
    assert!(!said.contains("planted-secret"), "{said}");
}

#[test]
#[ignore = "run by the test above"]
fn inner() {
    bff::telemetry::panics::report_places_only();
    panic!("planted-secret");
}

/// Arithmetic on foreign times and sizes never wraps, also not in the release build.
#[test]
fn overflow_is_checked_in_release_too() {
    let manifest = include_str!("../../../Cargo.toml");
    let release = manifest.split("[profile.release]").nth(1).unwrap();
    let section = release.split("\n[").next().unwrap();
    assert!(
        section.lines().any(|line| line == "overflow-checks = true"),
        "{section}"
    );
}
