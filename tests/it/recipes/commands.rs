//! Commands on the files of a server that is registered: docs/doctor.md, docs/operating.md,
//! docs/proxies.md and docs/keys.md.

use super::recipe;
use crate::support::{Process, Stack};

/// Runs each line of a block, and expects its purpose to be fulfilled.
async fn each(stack: &Stack, block: &str) {
    // A comment may continue on its own line.
    for line in block.lines().filter(|line| !line.trim_start().starts_with('#')) {
        let ended = Process::shell(&stack.folder(), line, &stack.variables)
            .ended()
            .await;
        assert_eq!(ended.code, 0, "{line}: {}", ended.output);
        assert!(!ended.output.is_empty(), "{line}");
    }
}

/// A registered server and an IdP with the clock of the machine, as the commands have it.
async fn running() -> (Stack, Process) {
    let stack = Stack::builder().without_server().start_without_waiting().await;
    let mut bff = Process::start(&stack.folder(), &[], &stack.variables);
    bff.says("Client registered: bff-server").await;
    let probe = stack.browser();
    while probe.get("/health/ready").await.status != http::StatusCode::OK {
        crate::support::pause().await;
    }
    (stack, bff)
}

#[tokio::test]
async fn the_commands_of_the_doctor() {
    let (stack, _bff) = running().await;
    each(&stack, &recipe("docs/doctor.md", "bff check  ")).await;
}

#[tokio::test]
async fn the_commands_of_an_operator() {
    let (stack, _bff) = running().await;
    each(&stack, &recipe("docs/operating.md", "bff check  ")).await;
}

#[tokio::test]
async fn an_emergency_logout() {
    let socket = tempfile::tempdir().unwrap().keep().join("admin.sock");
    let stack = Stack::builder()
        .without_server()
        .set("BFF_ADMIN_SOCKET", socket.display().to_string())
        .start_without_waiting()
        .await;
    let mut bff = Process::start(&stack.folder(), &[], &stack.variables);
    bff.says("Client registered: bff-server").await;
    let ada = stack.browser();
    while ada.get("/health/ready").await.status != http::StatusCode::OK {
        crate::support::pause().await;
    }
    ada.log_in().await;
    each(&stack, &recipe("docs/operating.md", "bff sessions list")).await;
    assert!(!ada.is_logged_in().await);
}

#[tokio::test]
async fn the_variables_behind_a_proxy() {
    let stack = Stack::builder().without_server().start_without_waiting().await;
    let block = recipe("docs/proxies.md", "HOST=0.0.0.0");
    let script = format!("set -a\n{block}\nexec bff check --config-only");
    Process::shell(&stack.folder(), &script, &stack.variables)
        .ended()
        .await
        .says(0, &[]);
}

/// Traefik itself is not available: this sends the requests that it would send.
#[tokio::test]
async fn what_traefik_is_told_to_ask_is_answered() {
    let stack = Stack::start().await;
    let block = recipe("docs/proxies.md", "http:\n  routers:\n    bff:");
    assert!(block.contains("url: \"http://bff:8000\""), "{block}");
    let path = block.split_once("healthCheck: { path: ").unwrap().1;
    let path = path.split_once(',').unwrap().0;
    assert_eq!(
        stack.browser().get(path).await.status,
        http::StatusCode::OK,
        "{path}"
    );
}

/// The table of keys has the columns and the states that the document shows.
#[tokio::test]
async fn the_list_of_keys() {
    let stack = Stack::builder().start().await;
    let shown = recipe("docs/keys.md", "$ bff keys list");
    let mut shown = shown.lines();
    let command = shown.next().unwrap().strip_prefix("$ ").unwrap();
    Process::shell(&stack.folder(), "exec bff keys rotate --now", &stack.variables)
        .ended()
        .await
        .says(0, &[]);
    Process::shell(&stack.folder(), "exec bff keys rotate", &stack.variables)
        .ended()
        .await
        .says(0, &[]);
    let listed = Process::shell(&stack.folder(), command, &stack.variables)
        .ended()
        .await;
    listed.says(0, &[]);
    let cells = |line: &str, count: usize| -> Vec<String> {
        line.split_ascii_whitespace()
            .take(count)
            .map(str::to_owned)
            .collect()
    };
    let table: Vec<&str> = listed
        .output
        .lines()
        .filter(|line| !line.contains("WARN"))
        .collect();
    assert_eq!(cells(table[0], 9), cells(shown.next().unwrap(), 9));
    let states =
        |lines: &[&str]| -> Vec<String> { lines.iter().map(|line| cells(line, 2)[1].clone()).collect() };
    let shown: Vec<&str> = shown.collect();
    assert_eq!(states(&table[1..]), states(&shown));
}
