//! `scripts/test` and its parts.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use super::{document::root, recipe};
use crate::support::{Ended, Process};

/// A folder with a copy of the scripts, in which the programs that they call are others.
struct Desk(tempfile::TempDir);

// === impl Desk ===

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["scripts/lib", "programs"] {
            fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        for name in ["scripts/test", "scripts/lib/packages.sh"] {
            fs::copy(root().join(name), folder.path().join(name)).unwrap();
        }
        Self(folder)
    }

    /// Puts a program in the place of a real one.
    fn program(&self, name: &str, script: &str) {
        let path = self.0.path().join("programs").join(name);
        fs::write(&path, format!("#!/usr/bin/env bash\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    async fn run(&self, script: &str) -> Ended {
        let script = format!("PATH=\"$PWD/programs:$PATH\"\n{script}");
        Process::shell(
            self.0.path(),
            &script,
            &[("HOME", self.0.path().to_str().unwrap())],
        )
        .ended()
        .await
    }
}

fn names() -> Vec<String> {
    let script = fs::read_to_string(root().join("scripts/test")).unwrap();
    let line = script.lines().find(|line| line.starts_with("phases=(")).unwrap();
    let names = line.trim_start_matches("phases=(").trim_end_matches(')');
    names.split_ascii_whitespace().map(str::to_owned).collect()
}

#[tokio::test]
async fn each_phase_can_be_named_and_another_name_lists_them() {
    let desk = Desk::new();
    let wrong = desk.run("exec scripts/test browsre").await;
    wrong.says(64, &["no phase is called browsre"]);
    for name in names() {
        assert!(
            wrong.output.contains(&format!("{name} ")),
            "{name}: {}",
            wrong.output
        );
        // A phase that is not a cargo command is a separate script.
        let script = fs::read_to_string(root().join("scripts/test")).unwrap();
        let is_there = root().join("scripts/phases").join(&name).exists();
        assert!(is_there || script.contains(&format!("    {name}) ")), "{name}");
    }
    desk.run("exec scripts/test list").await.says(0, &["browser"]);
}

#[tokio::test]
async fn a_failure_prints_what_the_phases_took_and_how_to_go_on() {
    let desk = Desk::new();
    desk.program("cargo", "[ \"$1\" != clippy ]");
    let ended = desk.run("exec scripts/test format lints docs").await;
    ended.says(
        1,
        &[
            " s  format\n",
            " s  all\n",
            "failed: lints",
            "go on with: scripts/test lints docs",
        ],
    );
    assert!(!ended.output.contains("== documentation"), "{}", ended.output);
    desk.program("cargo", "true");
    let ended = desk.run("exec scripts/test lints docs").await;
    ended.says(0, &[" s  lints\n", " s  documentation\n", " s  all\n"]);
    assert!(!ended.output.contains("go on with"), "{}", ended.output);
}

#[tokio::test]
async fn a_lock_of_apt_is_waited_for_and_another_failure_is_not() {
    let desk = Desk::new();
    desk.program("id", "echo 0");
    desk.program("sleep", "true");
    desk.program(
        "apt-get",
        "echo \"$*\" >>calls\n\
         if [ \"$(wc -l <calls)\" -lt 3 ]; then\n\
           echo 'E: Could not get lock /var/lib/apt/lists/lock. It is held by process 1' >&2; exit 100\n\
         fi",
    );
    let install = ". scripts/lib/packages.sh\ninstall_packages chromium nodejs";
    let bash = |script: &str| format!("exec bash -euo pipefail -c '{script}'");
    let ended = desk.run(&bash(install)).await;
    ended.says(0, &["installing chromium nodejs", "waiting for another apt-get"]);
    let calls = fs::read_to_string(desk.0.path().join("calls")).unwrap();
    let calls: Vec<&str> = calls.lines().collect();
    assert_eq!(calls.len(), 4, "{calls:?}");
    assert!(calls[2].ends_with("update"), "{calls:?}");
    assert!(calls[3].ends_with("chromium nodejs"), "{calls:?}");
    assert!(
        calls.iter().all(|call| call.contains("DPkg::Lock::Timeout=600")),
        "{calls:?}"
    );

    desk.program("apt-get", "echo 'E: Unable to locate package' >&2; exit 100");
    desk.run(&bash(install))
        .await
        .says(1, &["Unable to locate package"]);
}

/// No phase calls apt-get past the waiting.
#[test]
fn every_phase_installs_by_the_one_function() {
    let folder = root().join("scripts");
    let phases = fs::read_dir(folder.join("phases")).unwrap();
    let phases = phases.map(|entry| entry.unwrap().path());
    for path in phases.chain([folder.join("bench")]) {
        let script = fs::read_to_string(&path).unwrap();
        for line in script.lines() {
            let installs = ["apt-get update", "apt-get install", "apt-get -"]
                .iter()
                .any(|command| line.contains(command));
            let is_advice = line.contains("echo ") || line.trim_start().starts_with('#');
            assert!(!installs || is_advice, "{}: {line}", path.display());
        }
    }
}

/// Commands for people who change the server exist. They are not run, because some take long.
#[test]
fn the_commands_for_contributors_are_there() {
    let names = names();
    let blocks = [
        recipe("README.md", "cargo run -p devstack"),
        recipe("README.md", "scripts/test"),
        recipe("README.md", "scripts/bench"),
        recipe("CONTRIBUTING.md", "cargo run -p devstack"),
    ];
    for line in blocks.iter().flat_map(|block| block.lines()) {
        let command = line.split(" #").next().unwrap();
        let words: Vec<&str> = command.split_ascii_whitespace().collect();
        match words.as_slice() {
            ["cargo", "run", "-p", "devstack"] => assert!(devstack::command::parse(&[]).is_ok()),
            ["scripts/bench"] => assert!(is_executable(&root().join("scripts/bench"))),
            ["scripts/test", rest @ ..] => {
                let groups = ["quick", "repeat", "list"];
                let known = |name: &&str| groups.contains(name) || names.iter().any(|known| known == name);
                assert!(rest.iter().all(known), "{line}");
            }
            _ => panic!("nobody tries {line}"),
        }
    }
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).unwrap().permissions().mode() & 0o111 != 0
}
