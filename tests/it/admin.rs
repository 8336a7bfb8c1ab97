//! `bff sessions` and the socket behind it, with the real binary.

use std::os::unix::fs::PermissionsExt as _;

use http::StatusCode;
use serde_json::{Value, json};

use crate::support::{Browser, Ended, Events, Port, Process, Stack, pause};

/// A server with an admin socket, and its IdP.
struct Harness {
    stack: Stack,
    bff: Process,
}

impl Harness {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap().keep();
        let socket = folder.join("admin.sock").display().to_string();
        let stack = Stack::builder()
            .without_server()
            .set("BFF_ADMIN_SOCKET", socket)
            .start_without_waiting()
            .await;
        let mut bff = Process::start(&stack.folder(), &[], &stack.variables);
        bff.says("Client registered: bff-server").await;
        let probe = stack.browser();
        while probe.get("/health/ready").await.status != StatusCode::OK {
            pause().await;
        }
        Self { stack, bff }
    }

    async fn command(&self, arguments: &[&str]) -> Ended {
        let arguments = [&["sessions"], arguments].concat();
        let command = Process::start(&self.stack.folder(), &arguments, &self.stack.variables);
        command.ended().await
    }

    /// The sessions that a list as JSON has.
    async fn list(&self, arguments: &[&str]) -> Vec<Value> {
        let ended = self.command(&[&["list", "--json"], arguments].concat()).await;
        ended.says(0, &[]);
        let page: Value = serde_json::from_str(&ended.output).unwrap();
        assert_eq!(page["more"], false);
        page["sessions"].as_array().unwrap().clone()
    }

    fn with(&self, changes: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut variables = self.stack.variables.clone();
        for (name, value) in changes {
            variables.retain(|(other, _)| other != name);
            variables.push(((*name).to_owned(), (*value).to_owned()));
        }
        variables
    }
}

#[tokio::test]
async fn an_operator_sees_sessions_and_ends_them() {
    let mut harness = Harness::start().await;
    let (desk, phone) = (harness.stack.browser(), harness.stack.browser());
    let grace = Browser::new("grace", desk.origin());
    for browser in [&desk, &phone, &grace] {
        browser.log_in().await;
    }
    let sessions = harness.list(&["--user", "u-ada"]).await;
    assert_eq!(sessions.len(), 2);
    assert_eq!(harness.list(&[]).await.len(), 3);
    let sid = sessions[0]["sid"].as_str().unwrap();
    assert_eq!(harness.list(&["--sid", sid]).await.len(), 1);
    assert_eq!(harness.list(&["--user", "nobody"]).await.len(), 0);
    let listed = harness.command(&["list"]).await;
    listed.says(0, &["REF", "u-ada", "u-grace", "127.0.0.0/24"]);
    harness
        .command(&["stats"])
        .await
        .says(0, &["sessions  3", "bff_sessions_created_total  3"]);
    let reference = sessions[0]["ref"].as_str().unwrap();
    let shown = harness.command(&["show", reference]).await;
    shown.says(0, &[reference, "u-ada", "refreshable    yes"]);
    // No secret that lets anybody in.
    for browser in [&desk, &phone, &grace] {
        let cookie = browser.session_cookie().unwrap();
        assert!(!listed.output.contains(&cookie) && !shown.output.contains(&cookie));
    }
    for secret in ["eyJ", "refresh_token\"", "access_token\""] {
        assert!(!shown.output.contains(secret), "{}", shown.output);
        assert!(!json!(sessions).to_string().contains(secret));
    }

    let mut tab = Events::open(&grace).await;
    tab.more().await;
    let ended = harness.command(&["end", "--ref", reference]).await;
    ended.says(0, &["1 session has ended"]);
    assert_eq!(harness.list(&["--user", "u-ada"]).await.len(), 1);
    harness
        .command(&["end", "--user", "u-ada", "--json"])
        .await
        .says(0, &["{\"ended\":1}"]);
    assert!(!desk.is_logged_in().await && !phone.is_logged_in().await);
    assert!(grace.is_logged_in().await);
    for again in [&["show", reference][..], &["end", "--ref", reference]] {
        harness.command(again).await.says(1, &["no such session"]);
    }
    let none = harness.command(&["end", "--user", "u-ada"]).await;
    none.says(1, &["0 sessions have ended", "named by `sub`"]);

    // All of them only on explicit demand.
    harness.command(&["end", "--all"]).await.says(64, &["--yes"]);
    assert!(grace.is_logged_in().await);
    let all = harness.command(&["end", "--all", "--yes"]).await;
    all.says(0, &["1 session has ended"]);
    assert_eq!(
        tab.next().await,
        Some(("session-ended".to_owned(), json!({ "reason": "admin" })))
    );
    assert!(!grace.is_logged_in().await);
    harness.bff.says("an operator has ended sessions").await;
    assert!(harness.bff.output().contains("admin"));
}

#[tokio::test]
async fn what_cannot_be_done_is_told() {
    let harness = Harness::start().await;
    for (arguments, says) in [
        (&["end"][..], "required"),
        (&["end", "--user", "a", "--all"], "cannot be used"),
        (&["list", "--user", "a", "--sid", "b"], "cannot be used"),
    ] {
        harness.command(arguments).await.says(64, &[says]);
    }
    harness
        .command(&["--help"])
        .await
        .says(0, &["Examples:", "bff sessions end --user"]);

    // Another server cannot take the socket. A missing folder is reported.
    let port = Port::reserve();
    let number = port.address().port().to_string();
    let other = harness.with(&[("PORT", &number)]);
    let second = Process::start(&harness.stack.folder(), &[], &other);
    let says = ["another process listens there", "BFF_ADMIN_SOCKET"];
    second.ended().await.says(64, &says);
    let other = harness.with(&[("PORT", &number), ("BFF_ADMIN_SOCKET", "/nowhere/admin.sock")]);
    let second = Process::start(&harness.stack.folder(), &[], &other);
    second
        .ended()
        .await
        .says(64, &["/nowhere: the folder does not exist"]);

    // No server, and no socket.
    let socket = harness.stack.folder().join("none.sock").display().to_string();
    for (socket, code, says) in [
        (socket.as_str(), 69, "no server listens there"),
        ("", 64, "set BFF_ADMIN_SOCKET for the server and for this command"),
    ] {
        let variables = harness.with(&[("BFF_ADMIN_SOCKET", socket)]);
        let command = Process::start(&harness.stack.folder(), &["sessions", "stats"], &variables);
        command.ended().await.says(code, &[says]);
    }

    // Only its user can reach it, and it leaves no file behind.
    let variable = harness
        .stack
        .variables
        .iter()
        .find(|(name, _)| name == "BFF_ADMIN_SOCKET");
    let socket = std::path::PathBuf::from(&variable.unwrap().1);
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    harness.bff.terminate();
    harness.bff.ended().await;
    assert!(!socket.exists());
}

/// The doctor's report contains the data that only the running server has.
#[tokio::test]
async fn the_doctor_asks_the_running_server() {
    let harness = Harness::start().await;
    harness.stack.browser().log_in().await;
    let check = async |arguments: &[&str], variables: &[(String, String)]| {
        let arguments = [&["check"], arguments].concat();
        Process::start(&harness.stack.folder(), &arguments, variables)
            .ended()
            .await
    };
    let told = check(&[], &harness.stack.variables).await;
    let says = [
        "says of itself",
        "running since",
        "tokens renewed  not since the start",
        "keys fetched    20",
    ];
    told.says(0, &says);
    let told = check(&["--json"], &harness.stack.variables).await;
    let report: Value = serde_json::from_str(&told.output).unwrap();
    let server = &report["server"];
    assert_eq!(server["ready"], true, "{server}");
    assert!(
        server["jwks_fetched_at"].is_string() && server["refreshed_at"].is_null(),
        "{server}"
    );
    // The doctor's own fetch of the keys does not count.
    let fetches = async || {
        let told = harness.command(&["stats", "--json"]).await;
        let statistics: Value = serde_json::from_str(&told.output).unwrap();
        statistics["counted"]["bff_jwks_fetches_total"].as_u64().unwrap()
    };
    let before = fetches().await;
    check(&["--json"], &harness.stack.variables).await;
    assert_eq!(fetches().await, before);

    let socket = harness.stack.folder().join("none.sock").display().to_string();
    let nowhere = harness.with(&[("BFF_ADMIN_SOCKET", &socket)]);
    let told = check(&[], &nowhere).await;
    told.says(
        0,
        &["the running server cannot be asked", "no server listens there"],
    );
}

/// A warning of the log is in the report, with how often.
#[tokio::test]
async fn the_doctor_shows_what_the_server_warned_of() {
    let harness = Harness::start().await;
    let browser = harness.stack.browser();
    for _ in 0..2 {
        browser
            .get("/auth/callback?error=server_error&state=unknown")
            .await;
    }
    let told = Process::start(
        &harness.stack.folder(),
        &["check", "--json"],
        &harness.stack.variables,
    );
    let report: Value = serde_json::from_str(&told.ended().await.output).unwrap();
    let warnings = report["server"]["warnings"].as_array().unwrap();
    assert!(!warnings.is_empty(), "{report}");
    for warning in warnings {
        assert!(
            warning["count"].as_u64().unwrap() > 0 && warning["text"].is_string(),
            "{warning}"
        );
    }
}
