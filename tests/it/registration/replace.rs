//! `DCR_FORCE_REPLACE` with a fresh initial access token.

use std::time::Duration;

use devstack_idp::{Endpoint, MintIat};

use super::{calls, file, fresh_iat, management, registered};
use crate::support::{Logs, Stack, pause};

/// With everything that is wanted.
#[tokio::test]
async fn a_taken_id_updates_the_client_once() {
    let logs = Logs::capture();
    let mut stack = Stack::start().await;
    stack.browser().log_in().await;
    stack
        .idp
        .mutate_client("bff-server", |client| {
            client["contacts"] = serde_json::json!(["x@example"]);
        })
        .unwrap();
    stack.idp.clear_requests();
    let iat = fresh_iat(&stack);
    stack
        .restart_with(&[
            ("DCR_IAT", &iat),
            ("DCR_FORCE_REPLACE", "true"),
            ("OIDC_SCOPES", "openid profile"),
        ])
        .await;
    assert_eq!(
        calls(&stack),
        [
            "POST /register",
            "GET /register/bff-server",
            "PUT /register/bff-server"
        ]
    );
    let put = management(&stack, "PUT");
    let sent = put.json().unwrap();
    assert_eq!(sent["scope"], "openid profile");
    assert!(
        sent.get("contacts").is_none(),
        "the whole wanted metadata and nothing else"
    );
    assert_eq!(registered(&stack)["scope"], "openid profile");
    assert!(registered(&stack).get("contacts").is_none());
    assert_eq!(stack.idp.client_ids(), ["bff-server"]);
    stack.browser().log_in().await;

    // The token has done its work.
    logs.clear();
    stack.idp.clear_requests();
    stack.restart_with(&[]).await;
    assert_eq!(calls(&stack), ["GET /register/bff-server"]);
    logs.has_line("INFO", "registration unchanged");
}

/// The new one is stored, the old one deleted.
#[tokio::test]
async fn another_assigned_id_replaces_the_old_client() {
    let logs = Logs::capture();
    let mut stack = Stack::builder().set("DCR_CLIENT_ID", "").start().await;
    let old = file(&stack)["client_id"].as_str().unwrap().to_owned();
    assert_eq!(stack.idp.client_ids(), [old.as_str()]);
    stack.idp.clear_requests();
    let iat = fresh_iat(&stack);
    stack
        .restart_with(&[("DCR_IAT", &iat), ("DCR_FORCE_REPLACE", "true")])
        .await;
    let new = file(&stack)["client_id"].as_str().unwrap().to_owned();
    assert_ne!(new, old);
    assert_eq!(calls(&stack), ["POST /register"]);
    // Other replicas may not have noticed yet: for them the old one works.
    assert_eq!(stack.idp.client_ids().len(), 2);
    stack.browser().log_in().await;

    // The server that runs deletes it.
    stack.advance(Duration::from_secs(10)).await;
    assert_eq!(stack.idp.client_ids().len(), 2);
    stack.idp.clear_requests();
    let mut left = 5_000;
    while file(&stack).get("superseded").is_some() {
        left -= 1;
        assert!(left > 0, "it is never deleted");
        stack.advance(Duration::from_secs(10)).await;
        pause().await;
    }
    assert_eq!(calls(&stack), [format!("DELETE /register/{old}")]);
    assert_eq!(stack.idp.client_ids(), [new.as_str()]);
    logs.has_line("INFO", &format!("the replaced client {old} was deleted"));
    stack.browser().log_in().await;

    stack.idp.clear_requests();
    stack.restart_with(&[]).await;
    assert_eq!(calls(&stack), [format!("GET /register/{new}")]);
}

#[tokio::test]
async fn a_fresh_token_without_the_switch_is_not_touched() {
    let mut stack = Stack::start().await;
    stack.idp.clear_requests();
    let iat = fresh_iat(&stack);
    stack.restart_with(&[("DCR_IAT", &iat)]).await;
    assert_eq!(calls(&stack), ["GET /register/bff-server"]);
}

#[tokio::test]
async fn a_fresh_token_that_is_bad_is_told_and_the_client_serves() {
    let logs = Logs::capture();
    let mut stack = Stack::start().await;
    let brief = MintIat {
        expires_in: Duration::from_secs(5),
        ..MintIat::default()
    };
    let iat = stack.idp.mint_iat(brief);
    stack.advance(Duration::from_secs(10)).await;
    stack
        .restart_with(&[("DCR_IAT", &iat), ("DCR_FORCE_REPLACE", "true")])
        .await;
    let errors = logs.lines("ERROR");
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].contains("expired, used up or wrong") && errors[0].contains("DCR_IAT"));
    logs.has_line("INFO", "registration unchanged");
    assert_eq!(stack.idp.count(Endpoint::Register), 2);
    stack.browser().log_in().await;
}

#[tokio::test]
async fn another_wished_id_is_followed_by_a_replacement_only() {
    let mut stack = Stack::start().await;
    let iat = fresh_iat(&stack);
    stack
        .restart_with(&[
            ("DCR_IAT", &iat),
            ("DCR_FORCE_REPLACE", "true"),
            ("DCR_CLIENT_ID", "bff-second"),
        ])
        .await;
    assert_eq!(stack.idp.client_ids(), ["bff-second", "bff-server"]);
    assert_eq!(file(&stack)["requested_client_id"], "bff-second");
    stack.browser().log_in().await;
}
