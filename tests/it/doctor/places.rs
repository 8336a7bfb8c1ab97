//! Paths that lead to a wrong place: the fix names first the variable that contains the path.

use std::{fs, os::unix::fs::PermissionsExt as _};

use super::{Harness, agree, agree_bound, check, run, start};
use crate::support::Stack;

async fn never_started() -> Stack {
    Stack::builder().without_server().start_without_waiting().await
}

/// The kernel's own file systems keep no files.
#[tokio::test]
async fn a_folder_in_a_file_system_of_the_kernel() {
    let stack = never_started().await;
    for path in ["/proc/bff", "/proc", "/sys/bff", "/sys/kernel"] {
        let parts = ["is no place for files", "set BFF_STATE_DIR to a place on a disk"];
        agree(&stack, &[("BFF_STATE_DIR", path)], "configuration", &parts).await;
    }
    let changes = [("BFF_CLIENT_CRED_PATH", "/proc/bff/client.json")];
    let parts = ["is no place for files", "set BFF_CLIENT_CRED_PATH to "];
    agree(&stack, &changes, "configuration", &parts).await;
}

#[tokio::test]
async fn a_file_in_the_place_of_a_folder() {
    let stack = never_started().await;
    let file = stack.folder().join("file");
    fs::write(&file, "a file").unwrap();
    let (file, below) = (file.to_str().unwrap(), file.join("folder").display().to_string());
    for path in [file, &below] {
        let parts = [
            "file is a file, and the start needs a folder there",
            "correct BFF_STATE_DIR",
        ];
        agree(&stack, &[("BFF_STATE_DIR", path)], "configuration", &parts).await;
    }
    let key = format!("{below}/key.pem");
    let changes = [("BFF_JWT_SIGNING_KEY", key.as_str()), ("BFF_KEYS_DIR", "")];
    let parts = [
        "is a file, and the start needs a folder there",
        "correct BFF_JWT_SIGNING_KEY",
    ];
    agree(&stack, &changes, "configuration", &parts).await;
}

/// A mistake in the path, below a folder in which this user cannot make one.
#[tokio::test]
async fn a_folder_that_does_not_exist_and_cannot_be_made() {
    let stack = never_started().await;
    let root = stack.folder().join("root");
    fs::create_dir(&root).unwrap();
    fs::set_permissions(&root, fs::Permissions::from_mode(0o500)).unwrap();
    let typo = root.join("lbi/bff").display().to_string();
    let make = format!("`mkdir -p {typo}`");
    let missing = format!("{typo} does not exist, and cannot be made: ");
    let key = format!("{typo}/key.pem");
    let file = format!("{typo}/client.json");
    for (changes, variable) in [
        (&[("BFF_STATE_DIR", typo.as_str())][..], "BFF_STATE_DIR"),
        (&[("BFF_CLIENT_CRED_PATH", &file)], "BFF_CLIENT_CRED_PATH"),
        (&[("BFF_JWT_SIGNING_KEY", &key)], "BFF_JWT_SIGNING_KEY"),
        (
            &[("BFF_KEYS_DIR", &typo), ("BFF_JWT_SIGNING_KEY", "")],
            "BFF_KEYS_DIR",
        ),
    ] {
        let correct = format!("correct {variable} if there is a mistake in its path");
        let parts = [&missing, "by the user that runs bff", &correct, &make];
        agree_bound(&stack, changes, "configuration", &parts).await;
    }
    fs::set_permissions(&root, fs::Permissions::from_mode(0o700)).unwrap();
}

/// The files are elsewhere: the identity shows it.
#[tokio::test]
async fn a_path_that_leads_away_from_the_files_of_before() {
    let harness = Harness::start().await;
    let stack = &harness.stack;
    let keys = stack.folder().join("keys");
    let state = stack.folder().join("state");
    fs::create_dir(&state).unwrap();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).unwrap();
    fs::copy(keys.join("bff_client.json"), state.join("bff_client.json")).unwrap();
    let elsewhere = stack.folder().join("kesy").display().to_string();
    let (key, state) = (
        format!("{elsewhere}/bff-signing.pem"),
        state.display().to_string(),
    );
    for (changes, variable) in [
        (
            [("BFF_JWT_SIGNING_KEY", key.as_str()), ("BFF_KEYS_DIR", "")],
            "BFF_JWT_SIGNING_KEY",
        ),
        (
            [("BFF_JWT_SIGNING_KEY", ""), ("BFF_KEYS_DIR", elsewhere.as_str())],
            "BFF_KEYS_DIR",
        ),
    ] {
        let changes = [&changes[..], &[("BFF_STATE_DIR", state.as_str())]].concat();
        let correct = format!("correct {variable} if the key is elsewhere");
        agree(stack, &changes, "keys", &["does not exist, but", &correct]).await;
    }
}

/// The token of the first registration is used up.
#[tokio::test]
async fn a_state_folder_that_does_not_exist_any_more() {
    let harness = Harness::start().await;
    let stack = &harness.stack;
    let state = stack.folder().join("stat").display().to_string();
    let credentials = format!("{state}/client.json");
    for (variable, value) in [("BFF_STATE_DIR", &state), ("BFF_CLIENT_CRED_PATH", &credentials)] {
        let found = harness.check(&[(variable, value)]).await;
        let missing = format!("the folder {state} does not exist");
        let correct = format!("correct {variable} if this client is registered already; otherwise mint");
        found.blames("registration", &[&missing, &correct]);
    }
    // Without a token at all.
    let changes = [("BFF_STATE_DIR", state.as_str()), ("DCR_IAT", "")];
    let found = harness.check(&changes).await;
    found.blames(
        "registration",
        &["correct BFF_STATE_DIR if this client is registered already"],
    );
}

/// A mistake in a path must not look like a first start.
#[tokio::test]
async fn folders_that_are_made_are_named() {
    let stack = never_started().await;
    let folder = stack.folder();
    let path = |name: &str| folder.join(name).display().to_string();
    let (keys, state) = (path("kesy"), path("deep/stat"));
    let changes = [
        ("BFF_JWT_SIGNING_KEY", ""),
        ("BFF_KEYS_DIR", keys.as_str()),
        ("BFF_STATE_DIR", &state),
    ];
    let found = check(&stack, &changes).await;
    let notes = found.report["notes"].to_string();
    for (folder, variable) in [(&keys, "BFF_KEYS_DIR"), (&state, "BFF_STATE_DIR")] {
        let said = format!(
            "the folder {folder} does not exist, and the start makes it - fix: correct {variable} if there is a mistake in its path"
        );
        assert!(notes.contains(&said), "no {said:?} in {notes}");
    }
    assert!(!folder.join("kesy").exists(), "the doctor makes no folder");

    let would = format!("the folder {keys} does not exist, and would be made");
    run(&stack, &["keys", "generate", "--dry-run"], &changes)
        .await
        .says(0, &[&would]);
    let made = format!("made the folder {keys}, which did not exist");
    let ended = run(&stack, &["keys", "generate"], &changes).await;
    ended.says(0, &[&made]);
    assert!(!ended.output.contains("deep"), "{}", ended.output);
    let made_state = format!("made the folder {state}, which did not exist");
    run(&stack, &["keys", "rotate"], &changes)
        .await
        .says(0, &[&made_state]);
    let elsewhere = path("other/next.pem");
    let ended = run(&stack, &["keys", "generate", "--file", &elsewhere], &changes).await;
    ended.says(0, &[&format!("made the folder {}", path("other"))]);

    // A start logs it.
    let changes = [("BFF_JWT_SIGNING_KEY", ""), ("BFF_KEYS_DIR", &path("third"))]
        .map(|(name, value)| (name, value.to_owned()));
    let changes = changes.each_ref().map(|(name, value)| (*name, value.as_str()));
    let mut started = start(&stack, &changes);
    started.says(&format!("made the folder {}", path("third"))).await;
    started.terminate();
    started.ended().await;
}

/// The doctor says that the start makes the folder.
#[tokio::test]
async fn a_folder_of_the_credentials_alone_is_made() {
    let stack = never_started().await;
    let folder = stack.folder().join("state/of/client");
    let file = folder.join("client.json").display().to_string();
    let changes = [("BFF_CLIENT_CRED_PATH", file.as_str())];
    let found = check(&stack, &changes).await;
    assert_eq!(found.failed(), [] as [&str; 0], "{:#}", found.report);
    let notes = found.report["notes"].to_string();
    assert!(notes.contains("correct BFF_CLIENT_CRED_PATH"), "{notes}");
    assert!(!folder.exists());
    let mut server = start(&stack, &changes);
    server.says("Client registered: ").await;
    let mode = fs::metadata(&folder).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    server.terminate();
    server.ended().await;
}
