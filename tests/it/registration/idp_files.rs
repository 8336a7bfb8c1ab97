//! The IdP's files: `clients.yaml`, as in the project's founding document.

use crate::support::{Logs, Stack};

#[tokio::test]
async fn clients_yaml_reads_as_documented_and_outlives_the_idp() {
    let logs = Logs::capture();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clients.yaml");
    let clients_file = path.clone();
    let mut stack = Stack::builder()
        .idp(|options| options.clients_file = Some(clients_file))
        .start()
        .await;
    let text = std::fs::read_to_string(&path).unwrap();
    let port = stack.address.port();
    for line in [
        "- client_id: bff-server".to_owned(),
        "token_endpoint_auth_method: private_key_jwt".to_owned(),
        format!("jwks_uri: http://127.0.0.1:{port}/.well-known/jwks.json"),
        "redirect_uris:".to_owned(),
        format!("- http://automate.localhost:{port}/auth/callback"),
        format!("- http://authn.localhost:{port}/auth/callback"),
        format!("- http://authz.localhost:{port}/auth/callback"),
    ] {
        let found = text.lines().filter(|found| found.trim() == line).count();
        assert_eq!(found, 1, "{line} in:\n{text}");
    }
    let token = super::file(&stack)["registration_access_token"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(!text.contains(&token), "a token in the clear");

    // The IdP starts again with new keys and the same clients.
    stack.restart_idp().await;
    logs.clear();
    stack.restart_with(&[("DCR_IAT", "")]).await;
    logs.has_line("INFO", "registration unchanged");
    stack.browser().log_in().await;
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[tokio::test]
async fn inline_keys_stand_there_with_the_kid_that_we_publish() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clients.yaml");
    let clients_file = path.clone();
    let stack = Stack::builder()
        .set("BFF_BASE_URL", "")
        .idp(|options| options.clients_file = Some(clients_file))
        .start()
        .await;
    let text = std::fs::read_to_string(&path).unwrap();
    let keys = stack.browser().get("/.well-known/jwks.json").await.json();
    let kid = keys["keys"][0]["kid"].as_str().unwrap();
    assert!(text.contains("jwks:") && text.contains(kid), "{text}");
    assert!(!text.contains("jwks_uri"), "{text}");
}
