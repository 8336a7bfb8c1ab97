//! The words of a start, as snapshots.

use crate::support::{Process, Stack, redacted};

/// The lines of a start, in one order: discovery runs beside the rest.
fn in_order(lines: &str) -> String {
    let found = |line: &&str| line.contains("the identity provider was found");
    let (discovered, others): (Vec<&str>, Vec<&str>) = lines.lines().partition(found);
    let ordered = others.into_iter().flat_map(|line| {
        let after: &[&str] = if line.contains("listening") {
            &discovered
        } else {
            &[]
        };
        std::iter::once(line)
            .chain(after.iter().copied())
            .collect::<Vec<_>>()
    });
    ordered.fold(String::new(), |text, line| text + line + "\n")
}

/// From the first line to the registration, without the access lines of the IdP's requests.
#[tokio::test]
async fn the_lines_of_a_start_are_as_reviewed() {
    let stack = Stack::builder().without_server().start_without_waiting().await;
    let mut variables = stack.variables.clone();
    variables.retain(|(name, _)| name != "LOG_LEVEL");
    variables.push(("LOG_LEVEL".to_owned(), "info,bff::access=off".to_owned()));
    let mut server = Process::start(&stack.folder(), &[], &variables);
    server.says("Client registered: ").await;
    server.terminate();
    let ended = server.ended().await;
    insta::assert_snapshot!("start", in_order(&redacted(&ended.output, &stack)));

    // The same, by a program that reads logs.
    variables.push(("LOG_FORMAT".to_owned(), "json".to_owned()));
    let mut server = Process::start(&stack.folder(), &[], &variables);
    server.says("registration unchanged").await;
    server.terminate();
    let ended = server.ended().await;
    insta::assert_snapshot!("start_json", in_order(&redacted(&ended.output, &stack)));
}

/// Every kind of mistake alone is in the snapshots of `src/config`.
#[tokio::test]
async fn several_mistakes_at_once_are_as_reviewed() {
    let stack = Stack::builder().without_server().start_without_waiting().await;
    let mut variables = stack.variables.clone();
    for (name, value) in [
        ("SESSION_LIFETIME", "soon"),
        ("BFF_COOKIE_SAMESITE", "None"),
        ("OIDC_ISSUER", "ftp://idp.example"),
        ("SESION_STORE", "redis"),
    ] {
        variables.retain(|(known, _)| known != name);
        variables.push((name.to_owned(), value.to_owned()));
    }
    let ended = Process::start(&stack.folder(), &[], &variables).ended().await;
    assert_eq!(ended.code, 64);
    insta::assert_snapshot!("mistakes", redacted(&ended.output, &stack));
}
