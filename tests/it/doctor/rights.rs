//! Files and folders that the user that runs the server may not use: the doctor and the start name the file, the user, and
//! the command that gives the right.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use super::{agree_bound, changed, check_by, run};
use crate::support::{Process, Stack};

async fn never_started() -> Stack {
    Stack::builder().without_server().start_without_waiting().await
}

/// Gives `path` the mode `mode` while `work` runs.
async fn with_mode(path: &Path, mode: u32, work: impl Future<Output = ()>) {
    let before = path.metadata().unwrap().permissions();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    work.await;
    fs::set_permissions(path, before).unwrap();
}

#[tokio::test]
async fn files_of_the_configuration_that_cannot_be_read() {
    let stack = never_started().await;
    let folder = stack.folder().join("config");
    fs::write(folder.join("settings.yaml"), "log_level: info\n").unwrap();
    for name in ["settings.yaml", "routes.yaml"] {
        let path = folder.join(name);
        let command = format!("chmod u+r {}", path.display());
        let parts = ["by the user that runs bff", "uid ", "has mode 0000", &command];
        let said = agree_bound(&stack, &[], "configuration", &parts);
        with_mode(&path, 0o000, said).await;
    }
    let command = format!("chmod u+x {}", folder.display());
    let parts = ["the folder ", "has mode 0600", &command];
    let said = agree_bound(&stack, &[], "configuration", &parts);
    with_mode(&folder, 0o600, said).await;
}

#[tokio::test]
async fn private_files_that_cannot_be_read() {
    let stack = never_started().await;
    let folder = stack.folder();
    let secret = folder.join("iat");
    fs::write(&secret, "token").unwrap();
    let key = folder.join("keys/bff-signing.pem");
    run(&stack, &["keys", "generate"], &[]).await.says(0, &["made a"]);
    let path = secret.to_str().unwrap();
    let command = format!("chmod u+r {path}");
    let changes = [("DCR_IAT", ""), ("DCR_IAT_FILE", path)];
    let parts = ["by the user that runs bff", &command];
    let said = agree_bound(&stack, &changes, "configuration", &parts);
    with_mode(&secret, 0o000, said).await;

    let parts = ["bff-signing.pem", "by the user that runs bff", "chmod u+r "];
    let said = agree_bound(&stack, &[], "keys", &parts);
    with_mode(&key, 0o000, said).await;
}

/// The start goes on without the file, if everything else that it keeps there is elsewhere.
#[tokio::test]
async fn a_folder_in_which_no_file_of_sessions_can_be_made() {
    let stack = never_started().await;
    let (state, credentials) = (stack.folder().join("state"), stack.folder().join("client.json"));
    let (path, secret) = (state.to_str().unwrap(), "1a".repeat(32));
    let changes = [
        ("BFF_STATE_DIR", path),
        ("SESSION_STORE", ""),
        ("SESSION_SECRET", &secret),
        ("BFF_CLIENT_CRED_PATH", credentials.to_str().unwrap()),
    ];
    let said = format!("sessions are kept in memory, and a restart ends them: {path}/sessions.redb");
    fs::create_dir(&state).unwrap();
    for mode in [0o500, 0o100] {
        with_mode(&state, mode, async {
            let found = check_by(Process::start_bound, &stack, &changes).await;
            assert!(!found.failed().contains(&"configuration"), "{:#}", found.report);
            let notes = found.report["notes"].to_string();
            assert!(notes.contains(&said), "{notes}");
            let mut started = Process::start_bound(&stack.folder(), &[], &changed(&stack, &changes));
            started.says(&said).await;
        })
        .await;
    }
    let found = check_by(Process::start_bound, &stack, &changes).await;
    let notes = found.report["notes"].to_string();
    assert!(!notes.contains("sessions are kept"), "{notes}");
}

/// Before there is a key in it.
#[tokio::test]
async fn a_folder_for_a_key_that_others_can_write() {
    let stack = never_started().await;
    let folder = stack.folder().join("open");
    fs::create_dir(&folder).unwrap();
    let key = folder.join("a.pem");
    let changes = [("BFF_JWT_SIGNING_KEY", key.to_str().unwrap())];
    for mode in [0o777, 0o770, 0o772] {
        let parts = ["others can write its folder", "BFF_JWT_SIGNING_KEY", "chmod go-w"];
        let said = agree_bound(&stack, &changes, "configuration", &parts);
        with_mode(&folder, mode, said).await;
    }
}

/// The state folder exists, and only its mode is wrong.
#[tokio::test]
async fn a_folder_of_the_state_that_cannot_be_written() {
    let stack = never_started().await;
    let state = stack.folder().join("state");
    fs::create_dir(&state).unwrap();
    let path = state.to_str().unwrap();
    let changes = [("BFF_STATE_DIR", path)];
    let command = format!("run `chmod u+wx {path}`");
    let parts = [path, "by the user that runs bff", &command, "BFF_STATE_DIR"];
    let said = agree_bound(&stack, &changes, "configuration", &parts);
    with_mode(&state, 0o500, said).await;
    // The right of the owner is enough.
    let found = check_by(Process::start_bound, &stack, &changes).await;
    assert!(!found.failed().contains(&"configuration"), "{:#}", found.report);
}
