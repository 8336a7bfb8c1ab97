//! `bff check` and `bff register`: the real binary beside a real server, one thing broken at a time.

mod answers;
mod authority;
mod breaks;
mod causes;
mod contract;
mod damaged;
mod elsewhere;
mod endpoints;
mod experiments;
mod idps;
mod kinds;
mod outages;
mod places;
mod register;
mod report;
mod reviewed;
mod rights;
mod space;
mod starts;

use std::path::Path;

use serde_json::Value;

use crate::support::{Builder, Ended, Process, Stack};

/// A registered server that runs, and its IdP.
struct Harness {
    stack: Stack,
    server: Process,
}

/// The doctor's findings.
struct Found {
    code: i32,
    report: Value,
}

// === impl Harness ===

impl Harness {
    /// Everything is as it should be.
    async fn start() -> Self {
        Self::of(Stack::builder()).await
    }

    async fn of(builder: Builder) -> Self {
        let stack = builder.without_server().start_without_waiting().await;
        let mut server = Process::start(&stack.folder(), &[], &stack.variables);
        server.says("Client registered: ").await;
        stack.idp.clear_requests();
        Self { stack, server }
    }

    async fn check(&self, changes: &[(&str, &str)]) -> Found {
        check(&self.stack, changes).await
    }
}

/// Starts the binary with these arguments and variables in a folder.
type Start = fn(&Path, &[&str], &[(String, String)]) -> Process;

/// The first ✗ of the doctor is `row` and says `parts`. Its table says them too, and a start, which ends with the same
/// exit code.
async fn agree(stack: &Stack, changes: &[(&str, &str)], row: &str, parts: &[&str]) {
    agree_by(Process::start, stack, changes, row, parts).await;
}

/// The same for a user whom the permissions of files bind.
async fn agree_bound(stack: &Stack, changes: &[(&str, &str)], row: &str, parts: &[&str]) {
    agree_by(Process::start_bound, stack, changes, row, parts).await;
}

/// The first ✗ of the doctor is `row` and says `parts`; the table and the log of a start, which goes on, say them too.
async fn agree_in_log(stack: &Stack, changes: &[(&str, &str)], row: &str, parts: &[&str]) {
    let found = check(stack, changes).await;
    found.blames(row, parts);
    let table = run(stack, &["check"], changes).await;
    let text = table.output.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut started = start(stack, changes);
    for part in parts {
        assert!(text.contains(part), "no {part:?} in {text}");
        started.says(part).await;
    }
    started.terminate();
    started.ended().await;
}

async fn agree_by(start: Start, stack: &Stack, changes: &[(&str, &str)], row: &str, parts: &[&str]) {
    let found = check_by(start, stack, changes).await;
    found.blames(row, parts);
    for arguments in [&["check"][..], &[]] {
        let ended = run_by(start, stack, arguments, changes).await;
        assert_eq!(ended.code, found.code, "{}", ended.output);
        let text = ended.output.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in parts {
            assert!(text.contains(part), "{arguments:?}: no {part:?} in {text}");
        }
    }
}

/// Runs the binary with the stack's variables and `changes` to them. Nothing secret may stand in what it prints.
async fn run(stack: &Stack, arguments: &[&str], changes: &[(&str, &str)]) -> Ended {
    run_by(Process::start, stack, arguments, changes).await
}

/// The variables of the stack with `changes` to them.
fn changed(stack: &Stack, changes: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut variables = stack.variables.clone();
    for (name, value) in changes {
        variables.retain(|(known, _)| known != name);
        variables.push(((*name).to_owned(), (*value).to_owned()));
    }
    variables
}

/// Starts the server and does not wait.
fn start(stack: &Stack, changes: &[(&str, &str)]) -> Process {
    Process::start(&stack.folder(), &[], &changed(stack, changes))
}

async fn run_by(start: Start, stack: &Stack, arguments: &[&str], changes: &[(&str, &str)]) -> Ended {
    let variables = changed(stack, changes);
    let ended = start(&stack.folder(), arguments, &variables).ended().await;
    for secret in secrets(stack, &variables) {
        assert!(!ended.output.contains(&secret), "a secret in:\n{}", ended.output);
    }
    ended
}

fn secrets(stack: &Stack, variables: &[(String, String)]) -> Vec<String> {
    let named = ["DCR_IAT", "BOOTSTRAP_ADMIN_TOKEN", "AUTH_CLIENT_SECRET"];
    let configured = variables
        .iter()
        .filter(|(name, _)| named.contains(&name.as_str()));
    let mut secrets: Vec<String> = configured.map(|(_, value)| value.clone()).collect();
    if let Ok(text) = std::fs::read(stack.credentials())
        && let Ok(file) = serde_json::from_slice::<Value>(&text)
    {
        let stored = ["registration_access_token", "client_secret"];
        secrets.extend(
            stored
                .iter()
                .filter_map(|name| Some(file[name].as_str()?.to_owned())),
        );
    }
    secrets.retain(|secret| !secret.is_empty());
    secrets
}

async fn check(stack: &Stack, changes: &[(&str, &str)]) -> Found {
    check_by(Process::start, stack, changes).await
}

async fn check_by(start: Start, stack: &Stack, changes: &[(&str, &str)]) -> Found {
    let ended = run_by(start, stack, &["check", "--json"], changes).await;
    let report: Value =
        serde_json::from_str(&ended.output).unwrap_or_else(|error| panic!("{error}: {}", ended.output));
    assert_eq!(report["exit_code"], ended.code);
    assert_eq!(report["ok"], ended.code == 0);
    Found {
        code: ended.code,
        report,
    }
}

// === impl Found ===

impl Found {
    fn rows(&self) -> &[Value] {
        self.report["findings"].as_array().unwrap()
    }

    /// The checks that have failed, in order.
    fn failed(&self) -> Vec<&str> {
        let failed = self.rows().iter().filter(|row| row["status"] == "failed");
        failed.map(|row| row["check"].as_str().unwrap()).collect()
    }

    /// The first row of a check.
    #[track_caller]
    fn row(&self, check: &str) -> &Value {
        let found = self.rows().iter().find(|row| row["check"] == check);
        found.unwrap_or_else(|| panic!("no row {check}: {:#}", self.report))
    }

    /// Expects that `check` is what has failed first, and says all of `parts` in what, cause and fix.
    #[track_caller]
    fn blames(&self, check: &str, parts: &[&str]) {
        assert_eq!(self.failed().first(), Some(&check), "{:#}", self.report);
        self.says(check, "failed", parts);
    }

    /// Expects a row.
    #[track_caller]
    fn says(&self, check: &str, status: &str, parts: &[&str]) {
        let row = self.row(check);
        assert_eq!(row["status"], status, "{row:#}");
        let text = format!("{} {} {}", row["what"], row["cause"], row["fix"]);
        for part in parts {
            assert!(text.contains(part), "no {part:?} in {row:#}");
        }
        if status == "failed" {
            for member in ["what", "cause", "fix"] {
                let text = row[member].as_str().unwrap();
                assert!(
                    !text.is_empty() && !text.contains('\n'),
                    "{member} is not a line: {row:#}"
                );
            }
        }
    }
}
