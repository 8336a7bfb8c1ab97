//! Rotation of our signing keys, through the whole server: nothing that people do is refused meanwhile.

mod another_type;
mod command;
mod folder;
mod inline;
mod planned;
mod replicas;

use std::{path::PathBuf, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bff::keys::KeyKind;
use devstack_idp::Endpoint;
use serde_json::Value;

use crate::support::{Browser, Builder, Ended, Process, Stack};

/// How long a new key is published here before it signs.
const AHEAD: Duration = Duration::from_mins(10);

/// A stack whose keys are published for [`AHEAD`], at an IdP that keeps our JWK Set for five minutes in any case.
fn builder() -> Builder {
    Stack::builder()
        .set("BFF_JWK_PUBLISH_AHEAD", "10m")
        .prepare(|idp| idp.keep_client_keys(true))
}

/// Runs `bff keys …` on the files of the stack, with these variables changed.
pub async fn by_hand(stack: &Stack, arguments: &[&str], changes: &[(&str, &str)]) -> Ended {
    let mut variables = stack.variables.clone();
    for (name, value) in changes {
        variables.retain(|(known, _)| known != name);
        variables.push(((*name).to_owned(), (*value).to_owned()));
    }
    let arguments: Vec<&str> = std::iter::once("keys").chain(arguments.iter().copied()).collect();
    Process::start(&stack.folder(), &arguments, &variables)
        .ended()
        .await
}

/// The key ids that a server publishes.
async fn published_at(origin: &str) -> Vec<String> {
    let jwks = Browser::new("nobody", origin)
        .get("/.well-known/jwks.json")
        .await
        .json();
    let keys = jwks["keys"].as_array().unwrap().iter();
    keys.map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

async fn published(stack: &Stack) -> Vec<String> {
    published_at(&format!("http://{}", stack.address)).await
}

/// The key ids of the client assertions that the token endpoint has seen, each once, in their order.
fn signers(stack: &Stack) -> Vec<String> {
    let mut kids: Vec<String> = stack
        .idp
        .requests(Endpoint::Token)
        .iter()
        .filter_map(|request| {
            let header = request.field("client_assertion")?.split('.').next()?;
            let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
            Some(header["kid"].as_str()?.to_owned())
        })
        .collect();
    kids.dedup();
    kids
}

/// Waits until the effects of a keyring change in a server are complete.
async fn settled() {
    for _ in 0..50 {
        crate::support::pause().await;
    }
}

/// `keyring.json`.
fn keyring(stack: &Stack) -> Value {
    serde_json::from_slice(&std::fs::read(stack.folder().join("keys/keyring.json")).unwrap()).unwrap()
}

/// The key id of the key in a state.
fn in_state(stack: &Stack, state: &str) -> Option<String> {
    let ring = keyring(stack);
    let keys = ring["keys"].as_array().unwrap().iter();
    let mut kids = keys
        .filter(|key| key["state"] == state)
        .map(|key| key["kid"].as_str().unwrap());
    kids.next().map(str::to_owned)
}

/// Puts another key of this kind in the place of the named one, in one step.
fn swap_named_key(stack: &Stack, kind: KeyKind) -> PathBuf {
    let path = stack.folder().join("keys/bff-signing.pem");
    let made = tempfile::tempdir_in(stack.folder()).unwrap();
    let fresh = made.path().join("fresh.pem");
    crate::start::make_key(&fresh, kind);
    std::fs::rename(fresh, &path).unwrap();
    path
}
