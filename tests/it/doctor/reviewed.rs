//! The words of the doctor, as snapshots. Its other tests look for parts of them.

use serde_json::Value;

use super::{Harness, run};
use crate::support::{Port, Stack, redacted};

/// The row of clocks that agree.
const SAME_TIME: &str = "the same as the IdP's, to the second";

/// The beginnings of lines in a table, which breaks lines by the length of paths.
const LINES: [&str; 8] = [
    "✓ ", "✗ ", "– ", "cause: ", "fix: ", "view: ", "note: ", "All is ",
];

/// Without the values that differ between runs, such as a second that passes between question and answer.
fn words(output: &str, stack: &Stack) -> String {
    let late = |text: String, seconds| text.replace(&format!("{seconds} s ahead of the IdP's"), SAME_TIME);
    (1..=60).rev().fold(redacted(output, stack), late)
}

/// The words of a table. Only a doctor in a container has a view of it.
fn table(output: &str, stack: &Stack) -> String {
    let output: Vec<&str> = output.split_whitespace().collect();
    let begin = |text: String, line: &&str| text.replace(&format!(" {line}"), &format!("\n{line}"));
    let text = LINES.iter().fold(output.join(" "), begin);
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("view: ")).collect();
    words(&lines.join("\n"), stack)
}

/// With the server running, and everything as it should be.
#[tokio::test]
async fn a_table_without_a_fault_is_as_reviewed() {
    let harness = Harness::start().await;
    let stack = &harness.stack;
    let ended = run(stack, &["check"], &[]).await;
    assert_eq!(ended.code, 0, "{}", ended.output);
    insta::assert_snapshot!("all_is_well", table(&ended.output, stack));
    let ended = run(stack, &["check", "--json"], &[]).await;
    let mut report: Value = serde_json::from_str(&ended.output).unwrap();
    for row in report["findings"].as_array_mut().unwrap() {
        row.as_object_mut().unwrap().remove("view");
    }
    insta::assert_snapshot!("all_is_well_json", words(&format!("{report:#}"), stack));
}

#[tokio::test]
async fn a_table_with_faults_is_as_reviewed() {
    let harness = Harness::start().await;
    let stack = &harness.stack;
    let ended = run(stack, &["check"], &[("OIDC_SCOPES", "openid unknown-scope")]).await;
    insta::assert_snapshot!("faults", table(&ended.output, stack));
    let silent = Port::reserve();
    let gone = format!("http://{}", silent.address());
    let ended = run(stack, &["check"], &[("OIDC_ISSUER", &gone)]).await;
    assert_eq!(ended.code, 69, "{}", ended.output);
    insta::assert_snapshot!("no_idp", table(&ended.output, stack));
}
