//! The IdP accepts no algorithm of the key: the advice of the error helps at once.

use bff::keys::KeyKind;
use serde_json::json;

use super::{AHEAD, in_state, signers};
use crate::{
    recipes::recipe,
    support::{Process, Stack, told},
};

/// A stack with an RSA key at an IdP that accepts only ES256. It has not started.
async fn refused() -> Stack {
    let mut stack = Stack::builder()
        .set("BFF_KEY_TYPE", "rsa-2048")
        .set("BFF_JWK_PUBLISH_AHEAD", "10m")
        .prepare(|idp| {
            idp.on_discovery(|metadata| {
                metadata["token_endpoint_auth_signing_alg_values_supported"] = json!(["ES256"]);
            });
        })
        .start_without_waiting()
        .await;
    let error = stack.ended().await;
    let text = told(&error);
    for part in [
        "PS256",
        "ES256",
        "BFF_JWT_SIGNING_KEY",
        "BFF_KEY_TYPE",
        "bff keys rotate",
    ] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    assert!(stack.idp.client_ids().is_empty());
    stack
}

/// The new key signs, now and when it takes over.
async fn works(stack: &mut Stack, old: &str) {
    let client = stack.idp.registered_client("bff-server").unwrap();
    assert_eq!(client["token_endpoint_auth_signing_alg"], "ES256");
    let new = in_state(stack, "next").unwrap();
    stack.idp.clear_requests();
    stack.browser().log_in().await;
    assert_eq!(signers(stack), std::slice::from_ref(&new));
    stack.restart_with(&[("DCR_IAT", "")]).await;
    stack.browser().log_in().await;

    stack
        .advance_until("it takes over", AHEAD * 2, |stack| {
            in_state(stack, "active").as_ref() == Some(&new)
        })
        .await;
    assert_eq!(in_state(stack, "previous").as_deref(), Some(old));
    stack.browser().log_in().await;
    assert_eq!(signers(stack), [new]);
}

/// Runs a recipe of the document in the stack's folder, and returns the value of a variable.
async fn follow(stack: &Stack, block: &str, variable: &str) -> String {
    let script = format!("{block}\necho \"{variable}=${variable}\"");
    let ended = Process::shell(&stack.folder(), &script, &stack.variables)
        .ended()
        .await;
    ended.says(0, &[]);
    let value = ended
        .output
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{variable}=")));
    value.unwrap().to_owned()
}

/// The one before could not.
#[tokio::test]
async fn a_named_key_of_another_type_signs_when_needed() {
    let mut stack = refused().await;
    let old = in_state(&stack, "active").unwrap();
    let block = recipe("docs/keys.md", "openssl genpkey -algorithm EC");
    let named = follow(&stack, &block, "BFF_JWT_SIGNING_KEY").await;
    let path = stack.folder().join(named).display().to_string();
    stack.restart_with(&[("BFF_JWT_SIGNING_KEY", &path)]).await;
    works(&mut stack, &old).await;
}

/// The key before could not.
#[tokio::test]
async fn a_rotation_to_another_type_signs_when_needed() {
    let mut stack = refused().await;
    let old = in_state(&stack, "active").unwrap();
    let block = recipe("docs/keys.md", "export BFF_KEY_TYPE=p-256");
    let kind = follow(&stack, &block, "BFF_KEY_TYPE").await;
    stack.restart_with(&[("BFF_KEY_TYPE", &kind)]).await;
    works(&mut stack, &old).await;
}

/// `bff register` and the start of a server agree.
#[tokio::test]
async fn the_command_registers_with_an_unseen_named_key() {
    let stack = refused().await;
    let path = stack.folder().join("keys/other.pem");
    crate::start::make_key(&path, KeyKind::P256);
    let mut variables = stack.variables.clone();
    variables.retain(|(name, _)| name != "BFF_JWT_SIGNING_KEY");
    variables.push((
        "BFF_JWT_SIGNING_KEY".to_owned(),
        path.to_str().unwrap().to_owned(),
    ));
    let ended = Process::start(&stack.folder(), &["register"], &variables)
        .ended()
        .await;
    ended.says(0, &["bff-server"]);
    let client = stack.idp.registered_client("bff-server").unwrap();
    assert_eq!(client["token_endpoint_auth_signing_alg"], "ES256");
}
