use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use proptest::prelude::*;
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::{clock::SystemClock, diagnostic::Explain as _, private_file::Guard};

fn file() -> (TempDir, CredentialsFile) {
    let dir = tempfile::tempdir().unwrap();
    let file = CredentialsFile::new(dir.path().join("bff_client.json"));
    (dir, file)
}

/// A record with every member.
fn full() -> Credentials {
    let mut record = Credentials::new("https://idp.example".to_owned(), Some("bff-server".to_owned()));
    record.registered = Some(Registered {
        client_id: "abc".to_owned(),
        client_secret: Some("secret".into()),
        client_secret_expires_at: Some(0),
        registration_access_token: Some("token".into()),
        registration_client_uri: Some("https://idp.example/register/abc".to_owned()),
        signing_algorithm: Some(Algorithm::ES256),
        remembered: Remembered {
            sent: [("scope".to_owned(), "digest".to_owned())].into(),
            replaced: [("scope".to_owned(), "other".to_owned())].into(),
            refused: [("client_profile".to_owned(), "digest".to_owned())].into(),
        },
    });
    record.spend("hash".to_owned());
    record.pending = Some(Pending {
        initial_access_token: "next".to_owned(),
        since: Timestamp::from_unix_seconds(7),
    });
    record.superseded = vec![Superseded {
        client_id: "old".to_owned(),
        registration_access_token: "old token".replace(' ', "-").into(),
        registration_client_uri: "https://idp.example/register/old".to_owned(),
        since: Timestamp::from_unix_seconds(5),
    }];
    record
}

fn refusal(text: &[u8]) -> CredentialsError {
    file().1.parse(text).unwrap_err()
}

#[tokio::test]
async fn every_member_survives_and_what_a_newer_version_added_too() {
    let (_dir, file) = file();
    file.store(&full()).await.unwrap();
    let mut text: Value = serde_json::from_slice(&fs::read(file.path()).unwrap()).unwrap();
    assert_eq!(text["state"], "registered");
    assert_eq!(text["client_id"], "abc");
    text["from_the_future"] = json!({"a": 1});
    fs::write(file.path(), text.to_string()).unwrap();

    let record = file.load().await.unwrap().unwrap();
    assert_eq!(
        record.unknown.keys().collect::<Vec<_>>(),
        ["from_the_future"],
        "every member that is written is known when it is read"
    );
    file.store(&record).await.unwrap();
    let again: Value = serde_json::from_slice(&fs::read(file.path()).unwrap()).unwrap();
    assert_eq!(again, text);
}

/// No temporary file stays beside it.
#[tokio::test]
async fn only_the_owner_can_read_the_file() {
    let (dir, file) = file();
    file.prove_writable().await.unwrap();
    file.store(&full()).await.unwrap();
    assert_eq!(
        fs::metadata(file.path()).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let names: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["bff_client.json"]);
}

#[tokio::test]
async fn a_file_that_others_can_read_is_narrowed() {
    let (_dir, file) = file();
    file.store(&full()).await.unwrap();
    fs::set_permissions(file.path(), fs::Permissions::from_mode(0o644)).unwrap();
    file.load().await.unwrap().unwrap();
    assert_eq!(
        fs::metadata(file.path()).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

/// It is not changed.
#[tokio::test]
async fn attack_50_a_writable_or_linked_file_is_refused() {
    let dir = crate::private_file::testing::on_disk();
    let file = CredentialsFile::new(dir.path().join("bff_client.json"));
    file.store(&full()).await.unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    fs::set_permissions(file.path(), fs::Permissions::from_mode(0o666)).unwrap();
    let error = file.load().await.unwrap_err();
    assert!(matches!(error, CredentialsError::Exposed { .. }), "{error}");
    assert!(error.told().contains("chmod go-w"), "{error}");
    assert!(file.clone().guarded(Guard::Off).load().await.unwrap().is_some());
    assert_eq!(mode(file.path()), 0o666);

    let foreign = dir.path().join("foreign.json");
    fs::rename(file.path(), &foreign).unwrap();
    fs::set_permissions(&foreign, fs::Permissions::from_mode(0o644)).unwrap();
    std::os::unix::fs::symlink(&foreign, file.path()).unwrap();
    assert!(file.load().await.is_err());
    assert_eq!(mode(&foreign), 0o644);
}

#[tokio::test]
async fn no_file_is_no_record() {
    assert!(file().1.load().await.unwrap().is_none());
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_named_with_its_knobs() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    let file = CredentialsFile::new(dir.path().join("file/folder/bff_client.json"));
    for error in [
        file.prove_writable().await.unwrap_err(),
        file.store(&full()).await.unwrap_err(),
        file.lock(&SystemClock).await.unwrap_err(),
    ] {
        let text = error.told();
        assert!(text.contains("/file/folder/bff_client.json"), "{text}");
        assert!(text.contains("[CredentialsPath]"), "{text}");
    }
}

#[tokio::test]
async fn a_folder_in_place_of_the_file_is_unreadable() {
    let dir = tempfile::tempdir().unwrap();
    let file = CredentialsFile::new(dir.path().to_owned());
    assert!(matches!(
        file.load().await,
        Err(CredentialsError::Unreadable { .. })
    ));
}

#[test]
fn a_corrupt_file_is_refused_without_quoting_it() {
    let good = full().to_json().unwrap();
    let with = |name: &str, value: Value| {
        let mut record = good.clone();
        record[name] = value;
        record.to_string().into_bytes()
    };
    let mut cut = good.to_string().into_bytes();
    cut.truncate(cut.len() / 2);
    for text in [
        Vec::new(),
        b"null".to_vec(),
        b"[]".to_vec(),
        b"{}".to_vec(),
        b"\xff\xfe".to_vec(),
        b"[".repeat(100_000),
        vec![b' '; 2 * 1024 * 1024],
        cut,
        with("issuer", json!("")),
        with("issuer", json!(1)),
        with("version", json!("1")),
        with("version", json!(-1)),
        with("client_id", json!("")),
        with("client_id", json!(null)),
        with("client_id", json!("a\nb")),
        with("client_id", json!("x".repeat(5_000))),
        with("client_secret", json!("secret-\u{0}")),
        with("client_secret", json!(["secret-"])),
        with("registration_access_token", json!("secret-\r\nX: y")),
        with("registration_access_token", json!("")),
        with("registration_client_uri", json!("file:///etc/passwd")),
        with(
            "registration_client_uri",
            json!("https://user:secret-@idp.example/"),
        ),
        with("registration_client_uri", json!("secret-")),
        with("token_endpoint_auth_signing_alg", json!("HS256")),
        with("token_endpoint_auth_signing_alg", json!("none")),
        with("spent_initial_access_tokens", json!("secret-")),
        with("metadata_sent", json!([])),
        with("pending", json!("secret-")),
        with("superseded", json!({"client_id": "x"})),
        with("superseded", json!([{"client_id": "x"}])),
        with(
            "superseded",
            json!([{"client_id": "x", "registration_access_token": "secret-\n", "registration_client_uri": "y"}]),
        ),
        br#"{"version":1,"issuer":"i","state":"registered","registration_access_token":"secret-"}"#.to_vec(),
    ] {
        let error = refusal(&text);
        assert!(matches!(error, CredentialsError::Corrupt { .. }), "{error}");
        let message = error.told();
        assert!(
            message.contains("fix:") && !message.contains("secret-"),
            "{message}"
        );
    }
}

#[test]
fn a_newer_format_is_refused_as_such() {
    let error = refusal(br#"{"version": 2, "anything": "goes"}"#);
    assert!(
        matches!(error, CredentialsError::Newer { version: 2, .. }),
        "{error}"
    );
}

#[test]
fn the_state_follows_from_the_record() {
    let mut record = Credentials::new("i".to_owned(), None);
    assert_eq!(record.state(), State::Unregistered);
    record.pending = full().pending;
    assert_eq!(record.state(), State::Requesting);
    record.registered = full().registered;
    assert_eq!(record.state(), State::Registered);
}

#[test]
fn spent_tokens_are_remembered_in_bounds() {
    let mut record = Credentials::new("i".to_owned(), None);
    for number in 0..100 {
        record.spend(number.to_string());
        record.spend(number.to_string());
    }
    assert_eq!(record.spent_initial_access_tokens.len(), MAX_SPENT);
    assert!(record.is_spent("99") && !record.is_spent("0"));
}

#[test]
fn debug_shows_no_secret() {
    let text = format!("{:?} {:?}", full(), full().superseded);
    for secret in ["secret", "token"] {
        assert!(!text.contains(&format!("\"{secret}")), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_process_at_a_time_holds_the_lock() {
    let (_dir, file) = file();
    let inside = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let (file, inside) = (file.clone(), inside.clone());
            tokio::spawn(async move {
                let _lock = file.lock(&SystemClock).await.unwrap();
                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                tokio::task::yield_now().await;
                inside.fetch_sub(1, Ordering::SeqCst);
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

proptest! {
    #[test]
    fn no_file_content_panics(text in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = file().1.parse(&text);
    }

    #[test]
    fn a_record_with_any_changed_byte_is_read_or_refused(at: prop::sample::Index, byte: u8) {
        let mut text = full().to_json().unwrap().to_string().into_bytes();
        let at = at.index(text.len());
        text[at] = byte;
        if let Ok(record) = file().1.parse(&text) {
            prop_assert!(record.to_json().is_ok());
        }
    }
}
