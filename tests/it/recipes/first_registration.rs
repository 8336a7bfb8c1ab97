//! README.md: from the environment of a compose file to a registered client that needs no token any more.

use super::recipe;
use crate::support::{HOSTS, Process, Stack};

/// The environment of the service in the compose file, as its lines say it.
fn environment(yaml: &str) -> Vec<(String, String)> {
    let body = yaml.split_once("environment:\n").unwrap().1;
    let body = body.split_once("    volumes:").unwrap().0;
    let mut variables: Vec<(String, String)> = Vec::new();
    for line in body
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#') && !line.is_empty())
    {
        match line.split_once(": ") {
            Some((name, ">-")) => variables.push((name.to_owned(), String::new())),
            Some((name, value)) => {
                let value = value.split(" #").next().unwrap().trim().trim_matches('"');
                variables.push((name.to_owned(), value.to_owned()));
            }
            // The lines of a folded value.
            None => {
                let (_, value) = variables.last_mut().unwrap();
                value.push_str(line);
                value.push(' ');
            }
        }
    }
    variables
}

#[tokio::test]
async fn the_readme_registers_a_client_and_takes_the_token_away() {
    let stack = Stack::builder()
        .without_server()
        .without_iat()
        .start_without_waiting()
        .await;
    let folder = stack.folder();
    let port = stack.address.port();
    let here = |text: &str| {
        text.replace("https://idp.example", &stack.issuer)
            .replace("https://bff.example", &format!("http://127.0.0.1:{port}"))
            .replace("https://automate.example", &format!("http://{}:{port}", HOSTS[0]))
            .replace("https://authn.example", &format!("http://{}:{port}", HOSTS[1]))
            .replace("https://authz.example", &format!("http://127.0.0.1:{port}"))
            .replace("/app/keys", folder.join("keys").to_str().unwrap())
            .replace("0.0.0.0", "127.0.0.1")
    };

    let mint = here(&recipe(
        "README.md",
        "curl -X POST https://idp.example/api/admin/dcr/initial-access-tokens",
    ));
    let admin = [("ADMIN_TOKEN", "admin-token")];
    let minted = Process::shell(&folder, &mint.replace("curl ", "curl -s "), &admin)
        .ended()
        .await;
    minted.says(0, &["\"token\""]);
    let minted: serde_json::Value = serde_json::from_str(minted.output.trim()).unwrap();
    let token = minted["token"].as_str().unwrap();

    let yaml = here(&recipe("README.md", "services:").replace("<paste the token>", token));
    let mut variables = environment(&yaml);
    assert!(
        variables
            .iter()
            .any(|(name, value)| name == "DCR_IAT" && value == token)
    );
    variables.push(("PORT".to_owned(), port.to_string()));
    let mut bff = Process::start(&folder, &[], &variables);
    bff.says("201 Created").await;
    bff.says("Client registered: bff-server").await;
    let client = stack.idp.registered_client("bff-server").unwrap();
    assert_eq!(client["token_endpoint_auth_method"], "private_key_jwt");
    let at = format!("http://127.0.0.1:{port}/.well-known/jwks.json");
    assert_eq!(client["jwks_uri"], at);
    let check = recipe("README.md", "bff check ");
    Process::shell(&folder, &check, &variables)
        .ended()
        .await
        .says(0, &["bff-server is registered"]);
    stack.browser().log_in().await;
    bff.terminate();
    bff.ended().await.says(0, &[]);

    variables.retain(|(name, _)| name != "DCR_IAT");
    let mut bff = Process::start(&folder, &[], &variables);
    bff.says("registration unchanged").await;
    bff.terminate();
    bff.ended().await.says(0, &[]);
}

/// docs/install.md refers to this environment, which is that of a container.
#[test]
fn what_is_for_a_container_alone_is_left_out_without_one() {
    let document = std::fs::read_to_string(super::document::root().join("docs/install.md")).unwrap();
    let left_out = document.split_once("Leave out ").unwrap().1;
    let left_out = left_out.split_once("Paths need no setting").unwrap().0;
    for (name, value) in environment(&recipe("README.md", "services:")) {
        if value.contains("/app/") || value == "0.0.0.0" || name == "DCR_IAT" {
            assert!(left_out.contains(&format!("`{name}`")), "{name}={value}");
        }
    }
}
