//! The key does nothing that the IdP takes: what the error says helps at once.

use bff::keys::KeyKind;
use serde_json::json;

use super::{AHEAD, by_hand, in_state, signers};
use crate::support::Stack;

/// A stack with a P-256 key at an IdP that takes EdDSA alone. It has not started.
async fn refused() -> Stack {
    let mut stack = Stack::builder()
        .set("BFF_KEY_TYPE", "p-256")
        .set("BFF_JWK_PUBLISH_AHEAD", "10m")
        .prepare(|idp| {
            idp.on_discovery(|metadata| {
                metadata["token_endpoint_auth_signing_alg_values_supported"] = json!(["EdDSA"]);
            });
        })
        .start_without_waiting()
        .await;
    let error = stack.ended().await;
    let text = error.to_string();
    for part in [
        "ES256",
        "EdDSA",
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
    assert_eq!(client["token_endpoint_auth_signing_alg"], "EdDSA");
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

#[tokio::test]
async fn a_named_key_of_another_type_signs_where_the_one_before_could_not() {
    let mut stack = refused().await;
    let old = in_state(&stack, "active").unwrap();
    let path = stack.folder().join("keys/other.pem");
    crate::start::make_key(&path, KeyKind::Ed25519);
    stack
        .restart_with(&[("BFF_JWT_SIGNING_KEY", path.to_str().unwrap())])
        .await;
    works(&mut stack, &old).await;
}

#[tokio::test]
async fn a_rotation_to_another_type_signs_where_the_one_before_could_not() {
    let mut stack = refused().await;
    let old = in_state(&stack, "active").unwrap();
    let ended = by_hand(&stack, &["rotate"], &[("BFF_KEY_TYPE", "ed25519")]).await;
    ended.says(0, &[]);
    stack.restart_with(&[("BFF_KEY_TYPE", "ed25519")]).await;
    works(&mut stack, &old).await;
}

/// `bff register` and the start of a server agree.
#[tokio::test]
async fn the_command_registers_with_a_named_key_that_no_server_has_seen() {
    let stack = refused().await;
    let path = stack.folder().join("keys/other.pem");
    crate::start::make_key(&path, KeyKind::Ed25519);
    let mut variables = stack.variables.clone();
    variables.retain(|(name, _)| name != "BFF_JWT_SIGNING_KEY");
    variables.push((
        "BFF_JWT_SIGNING_KEY".to_owned(),
        path.to_str().unwrap().to_owned(),
    ));
    let ended = crate::support::Process::start(&stack.folder(), &["register"], &variables)
        .ended()
        .await;
    ended.says(0, &["bff-server"]);
    let client = stack.idp.registered_client("bff-server").unwrap();
    assert_eq!(client["token_endpoint_auth_signing_alg"], "EdDSA");
}
