//! Kills a process at random moments: everything that it had acknowledged survives.
//!
//! A child of this test works on the file with many tasks at a time and prints what was acknowledged. It is killed,
//! and the next one continues with the same file.

use std::{
    collections::HashMap,
    io::{BufRead as _, BufReader, Write as _},
    process::{Command, Stdio},
};

use super::*;
use crate::random::RandomExt as _;

/// The number of kills.
const TIMES: u32 = 200;
const FOLDER: &str = "BFF_TEST_KILLED_FOLDER";
const CHILD: &str = "session::store::disk::tests::killed::child";

/// The facts known about a session.
#[derive(Debug, Default)]
struct Known {
    version: u64,
    /// Its end was requested.
    ending: bool,
    ended: bool,
}

fn clock() -> ManualClock {
    ManualClock::starting_at(Timestamp::from_unix_seconds(1_000_000))
}

async fn open(folder: &std::path::Path) -> DiskStore {
    let clock = Arc::new(clock());
    DiskStore::open(
        folder,
        Guard::Strict,
        Lifespan::default(),
        sealer(&[[7; 32]]),
        clock,
    )
    .await
    .unwrap()
}

fn say(what: &str, key: &SessionKey, version: u64) {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let line = format!("{what} {} {version}\n", URL_SAFE_NO_PAD.encode(key.as_bytes()));
    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
}

/// One session after the other: it begins, is written, used, and ends.
async fn work(store: &DiskStore, rounds: u64) {
    let now = clock().now();
    for round in 0..rounds {
        let alice = Arc::new(session("alice", "1", now));
        let (id, new) = NewSession::draw(&SystemRandom, alice, Due::At(now), now);
        let key = id.key();
        store.insert(new).await.unwrap();
        say("written", &key, 1);
        for version in 2..6 {
            let next = Arc::new(session("alice", &version.to_string(), now));
            let due = Due::At(now.saturating_add(MINUTE));
            store
                .replace(&key, Version(version - 1), next, due)
                .await
                .unwrap();
            say("written", &key, version);
            store.touch(&key, now.saturating_add(MINUTE)).await.unwrap();
        }
        if round % 2 == 0 {
            say("ending", &key, 5);
            store.remove(&key, EndReason::Logout).await.unwrap().unwrap();
            say("ended", &key, 5);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "is run, and killed, by killed_at_any_moment"]
async fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let store = open(folder.as_ref()).await;
    future::join_all((0..8).map(|_| work(&store, 1_000))).await;
}

/// Kills the child after `lines` lines; returns its output.
fn killed_after(folder: &std::path::Path, lines: usize) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", CHILD, "--ignored", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut heard: Vec<_> = said.by_ref().map(Result::unwrap).take(lines).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    // Output before the kill counts too. An incomplete line does not.
    heard.extend(said.map_while(Result::ok));
    heard
}

fn note(known: &mut HashMap<SessionKey, Known>, line: &str) {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    // The test runner's own output precedes the first line.
    let line = line.rsplit("... ").next().unwrap();
    let parts: Vec<_> = line.split(' ').collect();
    let &[what, key, version] = &*parts else {
        return;
    };
    let (Ok(key), Ok(version)) = (URL_SAFE_NO_PAD.decode(key), version.parse()) else {
        return;
    };
    let Ok(key) = key.try_into() else {
        return;
    };
    let session = known.entry(SessionKey::from_bytes(key)).or_default();
    match what {
        "written" => session.version = version,
        "ending" => session.ending = true,
        "ended" => session.ended = true,
        _ => {}
    }
}

async fn check(folder: &std::path::Path, known: &HashMap<SessionKey, Known>) {
    let store = open(folder).await;
    for (key, known) in known {
        match store.get(key).await.unwrap() {
            None => assert!(known.ending, "lost: {known:?}"),
            Some(stored) => {
                assert!(!known.ended, "came back: {known:?}");
                assert!(stored.version.0 >= known.version, "{known:?} {stored:?}");
                assert_eq!(
                    stored.session.tokens.access.expose(),
                    stored.version.0.to_string()
                );
            }
        }
    }
    store.core.assert_consistent();
}

#[tokio::test]
async fn killed_at_any_moment() {
    let folder = tempfile::tempdir().unwrap();
    let mut known = HashMap::new();
    for round in 0..TIMES {
        // A new file now and then: it is killed at its beginning too.
        if round % 20 == 0 {
            fs::remove_file(folder.path().join("sessions.redb")).ok();
            known.clear();
        }
        let lines = usize::from(SystemRandom.bytes::<1>()[0]);
        for line in killed_after(folder.path(), lines) {
            note(&mut known, &line);
        }
        check(folder.path(), &known).await;
    }
    assert!(!known.is_empty());
}
