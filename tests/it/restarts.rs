//! Sessions across a restart of the server.

use std::{fs, time::Duration};

use devstack::stack::Stack as Devstack;
use http::StatusCode;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::support::{Browser, Builder, Port, Process, Stack, pause};

/// A stack whose server keeps sessions at the default place.
fn by_default() -> Builder {
    Stack::builder().set("SESSION_STORE", "")
}

#[tokio::test]
async fn a_restart_logs_nobody_out() {
    let mut stack = by_default().start().await;
    let (ada, grace) = (stack.browser(), stack.browser());
    ada.log_in().await;
    grace.log_in().await;
    assert_eq!(ada.post("/auth/logout").await.status, StatusCode::SEE_OTHER);
    let csrf_token = grace.csrf_token().await;

    stack.restart_with(&[]).await;
    assert!(grace.is_logged_in().await && !ada.is_logged_in().await);
    assert_eq!(grace.get("/api/hello").await.status, StatusCode::OK);
    // An open page keeps working.
    assert_eq!(grace.csrf_token().await, csrf_token);
    assert_eq!(grace.post("/api/notes").await.status, StatusCode::OK);
    let logout = grace.post("/auth/logout").await;
    assert_eq!(logout.status, StatusCode::SEE_OTHER);
    assert!(logout.location().contains("id_token_hint="));
    assert!(!grace.is_logged_in().await);
}

#[tokio::test]
async fn in_memory_a_restart_logs_everybody_out() {
    let mut stack = Stack::builder().set("SESSION_STORE", "memory").start().await;
    let ada = stack.browser();
    ada.log_in().await;
    stack.restart_with(&[]).await;
    assert!(!ada.is_logged_in().await);
    assert!(!stack.folder().join("keys/sessions.redb").exists());
}

#[tokio::test]
async fn a_new_secret_before_the_old_one_logs_nobody_out() {
    let secret = |byte: &str| byte.repeat(32);
    let (old, new) = (secret("1a"), secret("2b"));
    let mut stack = by_default().set("SESSION_SECRET", &*old).start().await;
    let ada = stack.browser();
    ada.log_in().await;
    stack
        .restart_with(&[("SESSION_SECRET", &format!("{new},{old}"))])
        .await;
    assert!(ada.is_logged_in().await);
    // The session was not renewed, so it is still under the old one.
    stack.restart_with(&[("SESSION_SECRET", &new)]).await;
    assert!(!ada.is_logged_in().await);
    ada.log_in().await;
}

/// Two starts of `cargo run -p devstack`.
#[tokio::test]
async fn a_restart_of_devstack_keeps_people_logged_in() {
    let state = tempfile::tempdir().unwrap();
    let mut ports = (0, 0);
    let mut people: Vec<Browser> = Vec::new();
    for _ in 0..2 {
        let stack = Devstack::prepare(devstack::stack::Options {
            state: state.path().to_owned(),
            access_token_lifetime: Duration::from_mins(1),
            ports,
        })
        .await
        .unwrap();
        let (origin, health) = (stack.origins[0].clone(), stack.health());
        let port = |url: &str| Url::parse(url).unwrap().port().unwrap();
        ports = (port(&stack.issuer), port(&origin));
        let idp = stack.idp.clone();
        let stop = CancellationToken::new();
        let running = tokio::spawn(stack.serve(stop.clone()));
        while !health.report().ready {
            pause().await;
        }
        if people.is_empty() {
            let ada = Browser::new("ada", &origin);
            ada.log_in().await;
            people.push(ada);
        } else {
            assert!(people[0].is_logged_in().await);
            // The former refresh token is valid too.
            assert_eq!(idp.issued_refresh_tokens_live("u-ada"), 1);
        }
        stop.cancel();
        running.await.unwrap().unwrap();
        for port in [ports.0, ports.1] {
            while TcpListener::bind(("127.0.0.1", port)).await.is_err() {
                pause().await;
            }
        }
    }
}

/// The real binary, at its own address.
struct Bff {
    stack: Stack,
    port: Port,
}

impl Bff {
    async fn prepare() -> Self {
        let mut stack = by_default().without_server().start_without_waiting().await;
        let port = Port::reserve();
        let base = format!("http://{}", port.address());
        let changes = [
            ("PORT", port.address().port().to_string()),
            ("DCR_REDIRECT_URIS", format!("{base}/auth/callback")),
            ("BFF_BASE_URL", base),
        ];
        for (name, value) in changes {
            stack.variables.retain(|(other, _)| other != name);
            stack.variables.push((name.to_owned(), value));
        }
        Self { stack, port }
    }

    async fn start(&self) -> Process {
        let mut process = Process::start(&self.stack.folder(), &[], &self.stack.variables);
        process.says("listening").await;
        while self.browser().get("/health/ready").await.status != StatusCode::OK {
            pause().await;
        }
        process
    }

    fn browser(&self) -> Browser {
        Browser::new("ada", &format!("http://{}", self.port.address()))
    }
}

#[tokio::test]
async fn killed_at_once_and_started_again_it_knows_everybody() {
    let bff = Bff::prepare().await;
    let first = bff.start().await;
    let ada = bff.browser();
    ada.log_in().await;
    // By SIGKILL.
    drop(first);
    let _second = bff.start().await;
    assert!(ada.is_logged_in().await);
    assert_eq!(ada.get("/api/hello").await.status, StatusCode::OK);
}

/// The error says what to do.
#[tokio::test]
async fn an_unusable_session_file_stops_the_start() {
    let bff = Bff::prepare().await;
    let path = bff.stack.folder().join("keys/sessions.redb");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, "something else").unwrap();
    let ended = Process::start(&bff.stack.folder(), &[], &bff.stack.variables)
        .ended()
        .await;
    ended.says(64, &["sessions.redb", "move it away"]);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let ended = Process::start(&bff.stack.folder(), &[], &bff.stack.variables)
        .ended()
        .await;
    ended.says(64, &["sessions.redb", "BFF_STATE_DIR", "SESSION_STORE=memory"]);
}

/// With a warning; `disk` stops the start.
#[tokio::test]
async fn a_read_only_folder_means_sessions_in_memory() {
    let bff = Bff::prepare().await;
    let mut variables = bff.stack.variables.clone();
    let keys = bff.stack.folder().join("keys");
    // Folders cannot be made there, not even by root.
    variables.push(("BFF_STATE_DIR".to_owned(), "/sys/bff".to_owned()));
    variables.push(("SESSION_SECRET".to_owned(), "1a".repeat(32)));
    let credentials = keys.join("bff_client.json").display().to_string();
    variables.push(("BFF_CLIENT_CRED_PATH".to_owned(), credentials));
    let mut process = Process::start(&bff.stack.folder(), &[], &variables);
    process
        .says("sessions are kept in memory, and a restart ends them: /sys/bff/sessions.redb")
        .await;
    drop(process);
    variables.push(("SESSION_STORE".to_owned(), "disk".to_owned()));
    let ended = Process::start(&bff.stack.folder(), &[], &variables).ended().await;
    ended.says(
        64,
        &["/sys/bff is no place for files", "the sessions", "BFF_STATE_DIR"],
    );
}
