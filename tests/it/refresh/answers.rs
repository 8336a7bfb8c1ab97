//! The optional parts of answers to a refresh.

use devstack_idp::{Control, Endpoint, Fault};
use serde_json::json;

use super::{Harness, LIFE, eventually, shown};
use crate::support::{Logs, Stack};

fn without_user_info(control: &Control) {
    control.on_discovery(|document| {
        document.as_object_mut().unwrap().remove("userinfo_endpoint");
    });
}

#[tokio::test]
async fn attack_21_the_id_token_of_a_refresh_removes_a_role() {
    let harness = Harness::of(Stack::builder().prepare(without_user_info)).await;
    assert_eq!(
        harness.ada.session().await["user"]["roles"],
        json!(["admin", "user"])
    );
    assert!(harness.stack.idp.set_roles("u-ada", &["user"]));
    let before = harness.refreshed_at().await;
    harness.is_renewed_within(33, &before).await;
    let session = harness.ada.session().await;
    assert_eq!(session["user"]["roles"], json!(["user"]));
    assert_eq!(session["user"]["name"], "Ada Lovelace");
    assert_eq!(harness.stack.idp.count(Endpoint::UserInfo), 0);
}

#[tokio::test]
async fn attack_21_user_info_after_a_refresh_removes_a_role() {
    let harness = Harness::start().await;
    harness.stack.idp.id_token_on_refresh(false);
    assert!(harness.stack.idp.set_roles("u-ada", &[]));
    let before = harness.refreshed_at().await;
    harness.is_renewed_within(33, &before).await;
    let session = harness.ada.session().await;
    assert_eq!(session["user"]["roles"], json!([]));
    assert_eq!(session["user"]["name"], "Ada Lovelace");
}

#[tokio::test]
async fn attack_21_a_claim_that_disappears_altogether_disappears_here() {
    let harness = Harness::start().await;
    harness
        .stack
        .idp
        .on_id_token(|draft| drop(draft.claims.remove("roles")));
    harness
        .stack
        .idp
        .on_userinfo(|answer| drop(answer.as_object_mut().unwrap().remove("roles")));
    let before = harness.refreshed_at().await;
    harness.is_renewed_within(33, &before).await;
    assert!(harness.ada.session().await["user"].get("roles").is_none());
}

#[tokio::test]
async fn a_user_info_that_fails_keeps_no_token_from_anybody() {
    for fault in [
        Fault::status(503),
        Fault::html(200),
        Fault::json(200, &json!({})),
        Fault::status(401),
    ] {
        let harness = Harness::start().await;
        let first = harness.token().await;
        harness.stack.idp.fail_always(Endpoint::UserInfo, fault);
        let before = harness.refreshed_at().await;
        harness.is_renewed_within(33, &before).await;
        assert!(harness.token().await != first);
        let session = harness.ada.session().await;
        assert_eq!(session["user"]["sub"], "u-ada");
        assert_eq!(session["user"]["roles"], json!(["admin", "user"]));
    }
}

#[tokio::test]
async fn a_refresh_token_that_is_not_rotated_stays_in_use() {
    let harness = Harness::start().await;
    harness.stack.idp.rotate_refresh_tokens(false);
    for _ in 0..3 {
        let before = harness.refreshed_at().await;
        harness.is_renewed_within(33, &before).await;
    }
    let refreshes = harness.refreshes();
    assert_eq!(refreshes.len(), 3);
    let first = refreshes[0].field("refresh_token");
    assert!(
        first.is_some()
            && refreshes
                .iter()
                .all(|request| request.field("refresh_token") == first)
    );
}

#[tokio::test]
async fn a_refresh_without_an_id_token_keeps_the_one_before() {
    let harness = Harness::start().await;
    harness.stack.idp.id_token_on_refresh(false);
    let before = harness.refreshed_at().await;
    harness.is_renewed_within(33, &before).await;
    harness.token().await;
    let reply = harness.ada.post("/auth/logout").await;
    let location = url::Url::parse(reply.location()).unwrap();
    assert!(
        location
            .query_pairs()
            .any(|(name, value)| name == "id_token_hint" && !value.is_empty())
    );
}

/// The log says so once.
#[tokio::test]
async fn without_a_refresh_token_a_session_ends_with_its_token() {
    let logs = Logs::capture();
    let harness = Harness::of(Stack::builder().prepare(|control| control.issue_refresh_tokens(false))).await;
    harness.stack.browser().log_in().await;
    let said = |text: &str| logs.text().matches(text).count();
    assert_eq!(said("the IdP gave no refresh token"), 1);
    assert_eq!(said("OIDC_PROMPT=consent"), 1);

    let session = harness.ada.session().await;
    assert_eq!(session["expires_at"], shown(harness.now() + 60));
    assert_eq!(session["token_expires_at"], session["expires_at"]);
    harness.pass(LIFE - 2).await;
    harness.token().await;
    harness.pass(2).await;
    harness.has_ended().await;
    harness.pass(10).await;
    assert_eq!(harness.refreshes().len(), 0);
    // Of the rest, the access token is revoked.
    eventually("it is revoked", async || harness.revoked().len() == 2).await;
}

#[tokio::test]
async fn without_offline_access_the_operator_reads_what_is_missing() {
    let logs = Logs::capture();
    let harness = Harness::of(Stack::builder().set("OIDC_SCOPES", "openid profile")).await;
    let text = logs.text();
    assert_eq!(text.matches("add offline_access to OIDC_SCOPES").count(), 1);
    assert!(!text.contains("OIDC_PROMPT=consent"));
    harness.pass(LIFE + 1).await;
    harness.has_ended().await;
    assert_eq!(harness.refreshes().len(), 0);
}

#[tokio::test]
async fn the_granted_scope_is_what_the_last_answer_says() {
    let harness = Harness::start().await;
    harness
        .stack
        .idp
        .on_token_response(|answer| drop(answer.as_object_mut().unwrap().remove("scope")));
    let before = harness.refreshed_at().await;
    harness.is_renewed_within(33, &before).await;
    harness.token().await;
}
