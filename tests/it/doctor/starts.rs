//! The needs of a start: the doctor names an unmet one before the start does, with the same exit code.

use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt as _, path::Path};

use super::{check, run};
use crate::support::{Process, Stack};

/// An IdP, and a server that has never been started.
async fn never_started() -> Stack {
    Stack::builder().without_server().start_without_waiting().await
}

/// The doctor blames `row` with `says`, and the start ends with the same code.
async fn agree(stack: &Stack, changes: &[(&str, &str)], row: &str, says: &[&str]) {
    let found = check(stack, changes).await;
    assert_eq!(found.code, 64, "{:#}", found.report);
    assert_eq!(found.failed().first(), Some(&row), "{:#}", found.report);
    found.blames(row, says);
    let started = run(stack, &[], changes).await;
    assert_eq!(started.code, 64, "{}", started.output);
}

/// A path below a file: nobody can write there, root included.
fn below_a_file(stack: &Stack, name: &str) -> String {
    let file = stack.folder().join(name);
    fs::write(&file, "a file").unwrap();
    file.join("folder").display().to_string()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test]
async fn folders_that_cannot_be_written() {
    let stack = never_started().await;
    let state = below_a_file(&stack, "state");
    agree(
        &stack,
        &[("BFF_STATE_DIR", &state)],
        "configuration",
        &["BFF_STATE_DIR", "is a file, and the start needs a folder there"],
    )
    .await;

    let keys = below_a_file(&stack, "no-keys");
    let key = format!("{keys}/bff-signing.pem");
    let changes = [("BFF_KEYS_DIR", keys.as_str()), ("BFF_JWT_SIGNING_KEY", &key)];
    agree(
        &stack,
        &changes,
        "configuration",
        &["BFF_JWT_SIGNING_KEY", "the signing key"],
    )
    .await;

    let credentials = format!("{}/client.json", below_a_file(&stack, "no-credentials"));
    let changes = [("BFF_CLIENT_CRED_PATH", credentials.as_str())];
    agree(
        &stack,
        &changes,
        "configuration",
        &["BFF_CLIENT_CRED_PATH", "the credentials of the client"],
    )
    .await;

    // Existing files need no writing.
    let found = check(&stack, &[]).await;
    assert!(!found.failed().contains(&"configuration"), "{:#}", found.report);
}

/// The files of sessions that a start finds.
#[tokio::test]
async fn files_of_sessions_that_cannot_be_used() {
    let stack = never_started().await;
    let state = stack.folder().join("state");
    let (sessions, secret) = (state.join("sessions.redb"), state.join("session_secret"));
    let changes = [("BFF_STATE_DIR", text(&state)), ("SESSION_STORE", "disk")];
    let private = |path: &Path, content: &str| {
        fs::write(path, content).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    };
    fs::create_dir(&state).unwrap();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).unwrap();

    for content in ["junk", "a longer text that is not such a file"] {
        private(&sessions, content);
        // Without a choice of the store, too.
        for changes in [changes, [changes[0], ("SESSION_STORE", "")]] {
            agree(&stack, &changes, "configuration", &["sessions.redb", "damaged"]).await;
        }
    }
    fs::remove_file(&sessions).unwrap();
    fs::create_dir(&sessions).unwrap();
    agree(&stack, &changes, "configuration", &["sessions.redb", "directory"]).await;
    fs::remove_dir(&sessions).unwrap();

    for content in ["junk", "", "c2hvcnQ="] {
        private(&secret, content);
        agree(
            &stack,
            &changes,
            "configuration",
            &["session_secret", "restore it from a backup"],
        )
        .await;
    }
}

#[tokio::test]
async fn addresses_that_cannot_be_listened_on() {
    let stack = never_started().await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    agree(
        &stack,
        &[("PORT", &port)],
        "server",
        &["another process listens there", "PORT"],
    )
    .await;
    let address = taken.local_addr().unwrap().to_string();
    let changes = [("BFF_INTERNAL_ADDR", address.as_str())];
    agree(
        &stack,
        &changes,
        "server",
        &["another process listens there", "BFF_INTERNAL_ADDR"],
    )
    .await;
    // Every address of this machine includes the taken one.
    agree(
        &stack,
        &[("PORT", &port), ("HOST", "0.0.0.0")],
        "server",
        &["another process listens there", "PORT"],
    )
    .await;
    // Documentation addresses (RFC 5737) belong to no machine.
    agree(
        &stack,
        &[("HOST", "192.0.2.1")],
        "server",
        &["has no such address", "HOST"],
    )
    .await;
}

#[tokio::test]
async fn a_session_store_that_cannot_be_reached() {
    let stack = never_started().await;
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let secret = "7a".repeat(32);
    for state in ["files", "redis"] {
        let url = format!("redis://127.0.0.1:{port}");
        let changes = [
            ("REDIS_URL", url.as_str()),
            ("SESSION_SECRET", &secret),
            ("SESSION_STORE", "redis"),
            ("BFF_STATE_STORE", state),
        ];
        let found = check(&stack, &changes).await;
        assert_eq!(found.code, 69, "{:#}", found.report);
        found.blames("configuration", &["Redis", "REDIS_URL"]);
    }
    // A file that is no database of sessions.
    let folder = stack.folder().join("foreign");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("sessions.redb"), "not a database").unwrap();
    let changes = [("BFF_STATE_DIR", text(&folder)), ("SESSION_STORE", "disk")];
    let started = run(&stack, &[], &changes).await;
    assert_eq!(started.code, 64, "{}", started.output);
}

/// A note: the server starts, and serves fewer clients.
#[tokio::test]
async fn a_low_limit_of_open_files() {
    let stack = never_started().await;
    for (files, wish) in [(256, ""), (300, ""), (1_024, "5000")] {
        let limits = format!("ulimit -Sn {files} && ulimit -Hn {files}");
        let mut variables = stack.variables.clone();
        variables.push(("MAX_CONNECTIONS".to_owned(), wish.to_owned()));
        let said = "the limit of open files leaves room for few connections";
        let fix = "`ulimits: nofile` of a compose file, `LimitNOFILE` of the systemd unit";
        for arguments in ["check", "check --json"] {
            let script = format!("{limits} && exec bff {arguments}");
            let ended = Process::shell(&stack.folder(), &script, &variables).ended().await;
            let text = ended.output.split_whitespace().collect::<Vec<_>>().join(" ");
            assert_eq!(ended.code, 0, "{text}");
            assert!(text.contains(said) && text.contains(fix), "{text}");
            assert_eq!(
                text.contains("or lower MAX_CONNECTIONS"),
                !wish.is_empty(),
                "{text}"
            );
        }
        let mut started = Process::start_within(&stack.folder(), &limits, &variables);
        started.says(said).await;
        started.says(fix).await;
        started.terminate();
        started.ended().await;
    }
}

/// The container's network is not that of the IdP.
#[tokio::test]
async fn rows_that_differ_outside_of_a_container_are_marked() {
    let stack = never_started().await;
    let inside = [("KUBERNETES_SERVICE_HOST", "10.0.0.1")];
    let found = check(&stack, &inside).await;
    let view = |check: &str| found.row(check)["view"].as_str().unwrap_or_default().to_owned();
    assert!(
        view("server").contains("asked inside this container"),
        "{:#}",
        found.report
    );
    assert!(
        view("discovery").contains("is this container itself here"),
        "{:#}",
        found.report
    );
    assert_eq!(
        view("configuration"),
        "127.0.0.1 of the service api in routes.yaml is this container itself here; what runs outside of it has another address"
    );
    for check in ["keys", "clock", "scopes"] {
        assert_eq!(view(check), "", "{check}");
    }
    // Redis and proxies too.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let redis = format!("redis://localhost:{}", nobody.port());
    let proxy = format!("http://{nobody}");
    let secret = "7a".repeat(32);
    let changes = [
        inside[0],
        ("REDIS_URL", redis.as_str()),
        ("SESSION_STORE", "redis"),
        ("SESSION_SECRET", &secret),
        ("BFF_STATE_STORE", "files"),
        ("HTTPS_PROXY", &proxy),
    ];
    let found_with = check(&stack, &changes).await;
    found_with.blames("configuration", &["cannot be reached", "REDIS_URL"]);
    let view_with = found_with.row("configuration")["view"].as_str().unwrap();
    assert!(
        view_with
            .starts_with("localhost in REDIS_URL, 127.0.0.1 in HTTPS_PROXY, 127.0.0.1 of the service api"),
        "{view_with}"
    );
    let table = run(&stack, &["check"], &inside).await;
    assert!(
        table.output.contains("view:  asked inside this container"),
        "{}",
        table.output
    );
}
