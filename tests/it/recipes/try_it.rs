//! docs/registration.md: the two terminals.

use super::recipe;
use crate::support::{Process, Stack};

/// The recipes with the ports, the admin token and the program of the tests.
fn here(stack: &Stack, text: &str) -> String {
    let port = stack.address.port();
    text.replace("http://localhost:9000", &stack.issuer)
        .replace("http://localhost:8000", &format!("http://127.0.0.1:{port}"))
        .replace("localhost:8000", &format!("localhost:{port}"))
        .replace("local-admin", "admin-token")
        .replace("cargo run", "exec bff")
}

#[tokio::test]
async fn registering_and_switching_the_method_on_one_machine() {
    let stack = Stack::builder()
        .without_server()
        .without_iat()
        .start_without_waiting()
        .await;
    let folder = stack.folder();
    let port = [("PORT".to_owned(), stack.address.port().to_string())];
    // The exported variables of the second terminal apply to every command there.
    let environment = here(
        &stack,
        &recipe("docs/registration.md", "mkdir -p target/try/config"),
    );
    let start = |command: &str| Process::shell(&folder, &format!("{environment}\n{command}"), &port);

    let mint = here(
        &stack,
        &recipe("docs/registration.md", "curl -s -X POST http://localhost:9000/"),
    );
    let minted = start(&mint).ended().await;
    let minted: serde_json::Value = serde_json::from_str(minted.output.trim()).unwrap();
    let token = minted["token"].as_str().unwrap();

    let first = here(&stack, &recipe("docs/registration.md", "DCR_IAT=… cargo run"));
    let mut bff = start(&first.replace('…', token));
    bff.says("Client registered: bff-server").await;
    let shown = here(
        &stack,
        &recipe("docs/registration.md", "WARN BFF_BASE_URL, OIDC_ISSUER"),
    );
    for line in shown
        .lines()
        .filter(|line| line.starts_with("INFO") && !line.contains('='))
    {
        let line = line.strip_prefix("INFO ").unwrap();
        assert!(bff.output().contains(line), "no {line} in {}", bff.output());
    }
    stack.browser().log_in().await;
    bff.terminate();
    bff.ended().await.says(0, &[]);

    let switching = here(
        &stack,
        &recipe(
            "docs/registration.md",
            "MS_BFF_TOKEN_AUTH_METHOD=client_secret_basic",
        ),
    );
    let methods = ["client_secret_basic", "client_secret_post", "private_key_jwt"];
    assert_eq!(switching.lines().count(), methods.len());
    for (command, method) in switching.lines().zip(methods) {
        let mut bff = start(command);
        bff.says("registration updated: ").await;
        assert!(
            bff.output().contains(&format!("\"{method}\"")),
            "{}",
            bff.output()
        );
        let client = stack.idp.registered_client("bff-server").unwrap();
        assert_eq!(client["token_endpoint_auth_method"], method);
        stack.browser().log_in().await;
        bff.terminate();
        bff.ended().await.says(0, &[]);
    }
}

/// The first terminal.
#[test]
fn the_development_provider_takes_its_arguments() {
    let command = recipe("docs/registration.md", "cargo run -p devstack -- idp");
    let words = command.split_ascii_whitespace().skip(5);
    let words: Vec<&str> = words.collect();
    assert_eq!(words[0], "idp");
    let parsed = devstack::command::parse(&words);
    assert!(parsed.is_ok(), "{parsed:?}");
}
