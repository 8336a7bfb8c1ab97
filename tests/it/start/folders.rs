//! A read-only folder: reported before anything is spent, with the fix.

use std::{fs, time::Duration};

use bff::keys::KeyKind;
use devstack_idp::Endpoint;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::make_key;
use crate::support::{Process, Stack};

/// No user can make files here, not even root.
const NOWHERE: &str = "/proc";
/// 32 bytes.
const SESSION_SECRET: &str = "cGxhbnRlZC1zZWNyZXQtdGhhdC1ub2JvZHktbWF5LWV2ZXItcmVhZA==";

#[tokio::test]
async fn a_read_only_folder_is_named_before_a_token_is_spent() {
    let stack = Stack::builder().without_server().start_without_waiting().await;
    let folder = stack.folder();
    make_key(&folder.join("keys/bff-signing.pem"), KeyKind::P256);
    for (changes, parts) in [
        // Nothing can be made at all.
        (
            &[("BFF_JWT_SIGNING_KEY", "/proc/nowhere/bff-signing.pem")][..],
            &["/proc/nowhere is no place for files", "the signing key"][..],
        ),
        // There is a key, and no place for the files of the server.
        (
            &[("BFF_STATE_DIR", NOWHERE)],
            &["/proc is no place for files", "BFF_STATE_DIR"],
        ),
        (
            &[("BFF_STATE_DIR", NOWHERE), ("SESSION_SECRET", SESSION_SECRET)],
            &["/proc is no place for files", "the credentials of the client"],
        ),
        // This is not a failure of the IdP, which could pass.
        (
            &[
                ("BFF_STATE_DIR", NOWHERE),
                ("SESSION_SECRET", SESSION_SECRET),
                ("ALLOW_BOOTSTRAP_FAILURE", "true"),
            ],
            &["/proc is no place for files", "the credentials of the client"],
        ),
    ] {
        let mut variables = stack.variables.clone();
        variables.retain(|(name, _)| changes.iter().all(|(other, _)| other != name));
        variables.extend(
            changes
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        let ended = Process::start(&folder, &[], &variables).ended().await;
        assert_eq!(ended.code, 64, "{}", ended.output);
        for part in parts {
            assert!(ended.output.contains(part), "no {part:?} in:\n{}", ended.output);
        }
        assert_eq!(stack.idp.count(Endpoint::Register), 0);
    }

    // The token is as good as new.
    let mut bff = Process::start(&folder, &[], &stack.variables);
    bff.says("Client registered: bff-server").await;
    bff.terminate();
    assert_eq!(bff.ended().await.code, 0);
}

#[tokio::test]
async fn a_stored_registration_serves_from_a_read_only_folder() {
    let mut stack = Stack::start().await;
    // The lock is written first.
    let lock = stack.folder().join("keys/bff_client.json.lock");
    fs::remove_file(&lock).unwrap();
    fs::create_dir(&lock).unwrap();
    stack
        .restart_with(&[("DCR_IAT", ""), ("OIDC_SCOPES", "openid")])
        .await;
    stack.browser().log_in().await;
}

/// Another replica registered.
#[tokio::test]
async fn with_allowed_failure_another_registration_serves() {
    let mut stack = Stack::builder()
        .without_iat()
        .set("ALLOW_BOOTSTRAP_FAILURE", "true")
        .start_without_waiting()
        .await;
    stack
        .until("it is known", |stack| stack.credentials_problem().is_some())
        .await;
    assert_eq!(stack.is_live().await.status, 503);

    // An operator starts one more, on the same folder, with a token.
    let before = stack.variables.clone();
    let iat = stack.idp.mint_iat(devstack_idp::MintIat::default());
    stack.variables.push(("DCR_IAT".to_owned(), iat));
    let other = stack.app().await.unwrap();
    stack.variables = before;
    let health = other.health().clone();
    let listeners = bff::app::Listeners {
        public: TcpListener::bind("127.0.0.1:0").await.unwrap(),
        internal: None,
        admin: None,
    };
    let stop = CancellationToken::new();
    let running = tokio::spawn(other.run(listeners, stop.clone()));
    stack.until("the other is ready", |_| health.report().ready).await;

    stack
        .advance_until("both are", Duration::from_mins(10), Stack::is_ready)
        .await;
    assert_eq!(stack.idp.count(Endpoint::Register), 1);
    stack.browser().log_in().await;
    stop.cancel();
    running.await.unwrap().unwrap();
}
