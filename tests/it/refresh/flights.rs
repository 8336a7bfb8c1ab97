//! One refresh at a time, while callers come and go.

use std::sync::Arc;

use devstack_idp::{Endpoint, Fault, Signer};
use http::StatusCode;
use tokio::sync::Notify;

use super::{Answers, DUE, Harness, LIFE, eventually};
use crate::support::{pause, times};

/// The next request to the token endpoint is processed, and answered when the gate opens.
fn hold_answer(harness: &Harness) -> Arc<Notify> {
    let gate = Arc::new(Notify::new());
    let fault = Fault::HoldAnswerUntil(Arc::clone(&gate));
    harness.stack.idp.fail_next(Endpoint::Token, fault);
    gate
}

/// Their access token is stale.
#[tokio::test]
async fn attack_9_fifty_calls_make_one_token_request() {
    let harness = Harness::start().await;
    let first = harness.token().await;
    let gate = hold_answer(&harness);
    // All find a token that has expired.
    harness.stack.clock.advance(times::EXPIRED);
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let tab = harness.ada.clone();
            tokio::spawn(async move { tab.get("/api/hello").await })
        })
        .collect();
    harness.refreshes_are(1).await;
    for _ in 0..100 {
        pause().await;
    }
    assert_eq!(harness.stack.api.calls().len(), 1);
    gate.notify_one();
    for call in calls {
        let reply = call.await.unwrap();
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    }
    let renewed = harness.token().await;
    assert_ne!(renewed, first);
    for call in &harness.stack.api.calls()[1..] {
        assert!(call.header("authorization") == Some(&*renewed), "another token");
    }
    assert_eq!(harness.refreshes().len(), 1);
}

#[tokio::test]
async fn attack_10_a_caller_that_hangs_up_loses_nothing() {
    let harness = Harness::start().await;
    let gate = hold_answer(&harness);
    // A single step, and a call before the background loop gets to run.
    harness.stack.clock.advance(times::EXPIRED);
    let tab = harness.ada.clone();
    let call = tokio::spawn(async move { tab.get("/api/hello").await });
    harness.refreshes_are(1).await;
    for _ in 0..20 {
        pause().await;
    }
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    for _ in 0..20 {
        pause().await;
    }
    gate.notify_one();
    harness.token().await;
    assert_eq!(harness.refreshes().len(), 1);
    // The rotated token is stored: the next refresh sends it.
    let before = harness.refreshed_at().await;
    harness.is_renewed_within(33, &before).await;
    let refreshes = harness.refreshes();
    assert_eq!(refreshes.len(), 2);
    assert!(refreshes[0].field("refresh_token") != refreshes[1].field("refresh_token"));
}

/// Before the rest of the answer is read.
#[tokio::test]
async fn attack_10_a_rotated_token_is_stored_first() {
    let harness = Harness::start().await;
    let answers = Answers::of(&harness.stack);
    let (first, before) = (harness.token().await, harness.refreshed_at().await);
    harness
        .stack
        .idp
        .on_next_id_token(|draft| draft.signer = Signer::BrokenSignature);
    harness.pass(DUE).await;
    harness.refreshes_are(1).await;
    eventually("the answer is there", async || answers.0.lock().len() == 1).await;
    // It is not accepted: the old token serves on.
    assert_eq!(harness.refreshed_at().await, before);
    assert_eq!(harness.token().await, first);
    // But its refresh token is used next, because the former one is used up.
    harness.is_renewed_within(15, &before).await;
    let refreshes = harness.refreshes();
    assert_eq!(refreshes.len(), 2);
    assert!(refreshes[1].field("refresh_token") == Some(&*answers.text(0, "refresh_token")));
    assert!(harness.token().await == format!("Bearer {}", answers.text(1, "access_token")));
}

#[tokio::test]
async fn attack_32_a_logout_during_a_refresh_is_final() {
    let harness = Harness::start().await;
    let answers = Answers::of(&harness.stack);
    let used = harness.ada.session_cookie().unwrap();
    let gate = hold_answer(&harness);
    harness.pass(DUE).await;
    harness.refreshes_are(1).await;
    let reply = harness.ada.post("/auth/logout").await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER);
    eventually("the tokens are revoked", async || harness.revoked().len() == 2).await;
    gate.notify_one();
    eventually("what arrives is revoked", async || harness.revoked().len() == 4).await;
    assert!(harness.revoked()[2] == answers.text(0, "refresh_token"));
    assert!(harness.revoked()[3] == answers.text(0, "access_token"));
    assert_eq!(harness.stack.idp.issued_refresh_tokens_live("u-ada"), 0);
    harness.ada.set_cookie("__Host-Http-bff_session", &used);
    harness.has_ended().await;
    harness.pass(LIFE).await;
    assert_eq!(harness.refreshes().len(), 1);
}

#[tokio::test]
async fn attack_32_an_idp_logout_during_a_refresh_is_final() {
    let harness = Harness::start().await;
    let answers = Answers::of(&harness.stack);
    let gate = hold_answer(&harness);
    harness.pass(DUE).await;
    harness.refreshes_are(1).await;
    assert_eq!(harness.stack.idp.log_out("u-ada").await, [Ok(200)]);
    eventually("the tokens are revoked", async || harness.revoked().len() == 2).await;
    gate.notify_one();
    eventually("what arrives is revoked", async || harness.revoked().len() == 4).await;
    assert!(harness.revoked()[2] == answers.text(0, "refresh_token"));
    assert!(harness.revoked()[3] == answers.text(0, "access_token"));
    assert_eq!(harness.stack.idp.issued_refresh_tokens_live("u-ada"), 0);
    harness.has_ended().await;
    harness.pass(LIFE).await;
    assert_eq!(harness.refreshes().len(), 1);
}

#[tokio::test]
async fn attack_32_a_waiting_call_is_not_forwarded_after_a_logout() {
    let harness = Harness::start().await;
    let gate = Arc::new(Notify::new());
    harness
        .stack
        .idp
        .fail_next(Endpoint::Token, Fault::HoldUntil(Arc::clone(&gate)));
    harness.stack.clock.advance(times::ABOUT_TO_EXPIRE);
    let tab = harness.ada.clone();
    let call = tokio::spawn(async move { tab.get("/api/hello").await });
    harness.refreshes_are(1).await;
    for _ in 0..20 {
        pause().await;
    }
    harness.ada.post("/auth/logout").await;
    // The refresh fails, and the old token would still be valid for some seconds.
    gate.notify_one();
    let reply = call.await.unwrap();
    assert_eq!(
        (reply.status.as_u16(), reply.code().as_str()),
        (401, "unauthenticated")
    );
    assert_eq!(harness.stack.api.calls().len(), 0);
}

#[tokio::test]
async fn attack_32_a_refusal_during_a_logout_brings_no_old_token_back() {
    let harness = Harness::start().await;
    harness.stack.idp.fail_next(Endpoint::Token, Fault::Hang);
    harness.stack.clock.advance(times::ABOUT_TO_EXPIRE);
    let tab = harness.ada.clone();
    let call = tokio::spawn(async move { tab.get("/api/hello").await });
    harness.refreshes_are(1).await;
    for _ in 0..20 {
        pause().await;
    }
    harness.ada.post("/auth/logout").await;
    // Waits no longer for the IdP, and finds no session.
    let reply = harness.while_time_passes(call).await.unwrap();
    assert_eq!(
        (reply.status.as_u16(), reply.code().as_str()),
        (401, "unauthenticated")
    );
    assert_eq!(harness.stack.api.calls().len(), 0);
}

/// A refresh is under way.
#[tokio::test]
async fn attack_32_a_logout_at_any_moment_revokes_the_whole_grant() {
    for moments in 0..12 {
        let harness = Harness::start().await;
        let session = harness.ada.session_cookie().unwrap();
        let csrf = harness.ada.csrf_token().await;
        harness.stack.clock.advance(times::DUE);
        for _ in 0..moments {
            pause().await;
        }
        let logout = harness
            .ada
            .request(http::Method::POST, "/auth/logout")
            .header("x-csrf-token", csrf);
        assert_eq!(harness.ada.send(logout).await.status, StatusCode::SEE_OTHER);
        eventually("nothing is left", async || {
            harness.stack.idp.issued_refresh_tokens_live("u-ada") == 0
        })
        .await;
        harness.ada.set_cookie("__Host-Http-bff_session", &session);
        harness.has_ended().await;
        // Nor does anything arrive later.
        harness.pass(5).await;
        assert_eq!(
            harness.stack.idp.issued_refresh_tokens_live("u-ada"),
            0,
            "{moments}"
        );
    }
}
