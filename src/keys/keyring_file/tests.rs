use std::{fs, os::unix::fs::PermissionsExt as _};

use serde_json::json;

use super::*;
use crate::{
    clock::Timestamp,
    keys::keyring::{Entry, State},
};

fn file() -> (tempfile::TempDir, KeyringFile) {
    let folder = tempfile::tempdir().unwrap();
    let file = KeyringFile::new(folder.path());
    (folder, file)
}

fn entry(kid: &str, state: State) -> Entry {
    Entry {
        file: PathBuf::from(format!("{kid}.pem")),
        kid: kid.to_owned(),
        thumbprint: None,
        state,
        since: Timestamp::from_unix_seconds(5),
        unknown: Map::new(),
    }
}

#[test]
fn what_was_written_is_read_and_is_private() {
    let (_folder, file) = file();
    assert_eq!(file.read().unwrap(), None);
    let mut keyring = Keyring {
        keys: vec![entry("a", State::Previous), entry("b", State::Active)],
        ..Keyring::default()
    };
    keyring.keys[1].thumbprint = Some("print".to_owned());
    file.write(&keyring).unwrap();
    assert_eq!(file.read().unwrap(), Some(keyring));
    assert_eq!(
        file.path().metadata().unwrap().permissions().mode() & 0o777,
        0o600
    );
    let text: Value = serde_json::from_slice(&fs::read(file.path()).unwrap()).unwrap();
    assert_eq!(
        text,
        json!({"version": 1, "keys": [
            {"file": "a.pem", "kid": "a", "state": "previous", "since": 5000},
            {"file": "b.pem", "kid": "b", "thumbprint": "print", "state": "active", "since": 5000},
        ]})
    );
}

#[test]
fn what_a_newer_version_wrote_beside_it_is_kept() {
    let (_folder, file) = file();
    let text = json!({"version": 1, "future": {"a": 1}, "keys": [
        {"file": "a.pem", "kid": "a", "state": "active", "since": 5, "note": ["x"]},
    ]});
    fs::write(file.path(), text.to_string()).unwrap();
    let keyring = file.read().unwrap().unwrap();
    file.write(&keyring).unwrap();
    let kept: Value = serde_json::from_slice(&fs::read(file.path()).unwrap()).unwrap();
    assert_eq!(kept, text);
}

#[test]
fn a_broken_file_is_refused_with_the_reason_and_the_fix() {
    let key = |kid: &str, state: &str| json!({"file": "a.pem", "kid": kid, "state": state, "since": 1});
    let ring = |keys: Vec<Value>| json!({"version": 1, "keys": keys}).to_string();
    let many: Vec<Value> = (0..8_000).map(|n| key(&n.to_string(), "retired")).collect();
    for (text, reason) in [
        (String::new(), "no JSON object"),
        ("[]".to_owned(), "no JSON object"),
        (json!({"keys": []}).to_string(), "no number `version`"),
        (json!({"version": 1}).to_string(), "keys"),
        (ring(vec![]), "not exactly one key is `active`"),
        (
            ring(vec![key("a", "active"), key("b", "active")]),
            "not exactly one key is `active`",
        ),
        (
            ring(vec![key("a", "active"), key("b", "next"), key("c", "next")]),
            "more than one key is `next`",
        ),
        (ring(vec![key("a", "active"), key("a", "next")]), "the same `kid`"),
        (ring(vec![key("", "active")]), "is not valid"),
        (ring(vec![key(&"k".repeat(257), "active")]), "is not valid"),
        (ring(vec![key("a", "resting")]), "resting"),
        (
            ring(vec![key("a", &format!("\n{}", "x".repeat(10_000)))]),
            "unknown variant",
        ),
        (ring(many), "too large"),
    ] {
        let (_folder, file) = file();
        fs::write(file.path(), &text).unwrap();
        let error = file.read().unwrap_err();
        assert!(matches!(error, KeyringError::Corrupt { .. }), "{error}");
        let said = error.told();
        assert!(said.len() < 700 && !said.contains('\n'), "{said}");
        assert!(said.contains(reason), "no {reason:?} in {said}");
        assert!(
            said.contains("restore it") && said.contains("keyring.json"),
            "{said}"
        );
        assert_eq!(
            fs::read_to_string(file.path()).unwrap(),
            text,
            "it is left as it is"
        );
    }
}

#[test]
fn a_file_of_a_newer_version_is_refused() {
    let (_folder, file) = file();
    fs::write(file.path(), r#"{"version": 2, "rings": []}"#).unwrap();
    let error = file.read().unwrap_err();
    assert!(matches!(error, KeyringError::Newer { version: 2, .. }), "{error}");
}

#[test]
fn a_folder_where_the_file_should_be_is_told() {
    let (_folder, file) = file();
    fs::create_dir(file.path()).unwrap();
    assert!(matches!(
        file.read().unwrap_err(),
        KeyringError::Unreadable { .. }
    ));
    let error = file.write(&Keyring::default()).unwrap_err();
    assert!(error.told().contains("[StateFolder]"), "{error}");
}

/// Opening one would wait for a writer.
#[test]
fn a_pipe_where_the_file_should_be_is_told_and_holds_nobody_up() {
    let (_folder, file) = file();
    let made = std::process::Command::new("mkfifo").arg(file.path()).status();
    assert!(made.unwrap().success());
    let error = file.read().unwrap_err();
    assert!(matches!(error, KeyringError::Unreadable { .. }), "{error}");
    assert!(error.told().contains("must be a file"), "{error}");
}

#[test]
fn one_at_a_time_has_the_lock_and_a_missing_folder_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let file = KeyringFile::new(&folder.path().join("state"));
    let lock = file.lock().unwrap();
    assert!(file.try_lock().unwrap().is_none());
    // One that hangs is not waited for for ever.
    let hurried = KeyringFile {
        patience: Duration::ZERO,
        ..file.clone()
    };
    let error = hurried.lock().unwrap_err();
    assert!(matches!(error, KeyringError::Held { .. }), "{error}");
    assert!(error.told().contains("keyring.json.lock"), "{error}");
    drop(lock);
    assert!(file.try_lock().unwrap().is_some());

    fs::write(folder.path().join("file"), "").unwrap();
    let nowhere = KeyringFile::new(&folder.path().join("file"));
    assert!(matches!(
        nowhere.lock().unwrap_err(),
        KeyringError::NotWritable { .. }
    ));
}
