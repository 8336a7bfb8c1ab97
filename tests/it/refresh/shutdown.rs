//! A server that stops.

use std::sync::Arc;

use devstack_idp::{Endpoint, Fault};
use tokio::sync::Notify;

use super::{DUE, Harness, eventually};
use crate::support::{Stack, pause, times};

#[tokio::test]
async fn a_refresh_under_way_is_completed() {
    let mut harness = Harness::start().await;
    let gate = Arc::new(Notify::new());
    let fault = Fault::HoldAnswerUntil(Arc::clone(&gate));
    harness.stack.idp.fail_next(Endpoint::Token, fault);
    harness.pass(DUE).await;
    harness.refreshes_are(1).await;
    let idp = harness.stack.idp.clone();
    let stopping = harness.stack.stop();
    tokio::pin!(stopping);
    for _ in 0..50 {
        assert!(futures_util::poll!(&mut stopping).is_pending());
        pause().await;
    }
    assert_eq!(idp.count(Endpoint::UserInfo), 0);
    gate.notify_one();
    stopping.await.unwrap();
    // The answer was accepted: UserInfo is requested after the tokens are stored.
    assert_eq!(idp.count(Endpoint::UserInfo), 1);
}

#[tokio::test]
async fn a_refresh_outlives_the_request_that_started_it() {
    let mut harness = Harness::start().await;
    let gate = Arc::new(Notify::new());
    let fault = Fault::HoldAnswerUntil(Arc::clone(&gate));
    // The background loop does not get to it before the request does.
    harness.stack.idp.fail_next(Endpoint::Token, fault);
    harness.stack.clock.advance(times::ABOUT_TO_EXPIRE);
    let tab = harness.ada.clone();
    let call = tokio::spawn(async move { tab.get("/api/hello").await });
    harness.refreshes_are(1).await;
    call.abort();
    let idp = harness.stack.idp.clone();
    let stopping = harness.stack.stop();
    tokio::pin!(stopping);
    for _ in 0..50 {
        assert!(futures_util::poll!(&mut stopping).is_pending());
        pause().await;
    }
    gate.notify_one();
    stopping.await.unwrap();
    assert_eq!(idp.count(Endpoint::UserInfo), 1);
}

#[tokio::test]
async fn a_revocation_under_way_is_completed() {
    let mut harness = Harness::start().await;
    let gate = Arc::new(Notify::new());
    let fault = Fault::HoldUntil(Arc::clone(&gate));
    harness.stack.idp.fail_next(Endpoint::Revoke, fault);
    harness.ada.post("/auth/logout").await;
    eventually("it is asked to", async || {
        harness.stack.idp.count(Endpoint::Revoke) == 1
    })
    .await;
    let idp = harness.stack.idp.clone();
    let stopping = harness.stack.stop();
    tokio::pin!(stopping);
    for _ in 0..50 {
        assert!(futures_util::poll!(&mut stopping).is_pending());
        pause().await;
    }
    assert_eq!(idp.issued_refresh_tokens_live("u-ada"), 1);
    gate.notify_one();
    stopping.await.unwrap();
    assert_eq!(idp.issued_refresh_tokens_live("u-ada"), 0);
}

#[tokio::test]
async fn refreshes_that_wait_for_their_turn_do_not_keep_the_server() {
    let mut harness = Harness::of(Stack::builder().set("TOKEN_REFRESH_CONCURRENCY", "1")).await;
    let others = [harness.stack.browser(), harness.stack.browser()];
    for other in &others {
        other.log_in().await;
    }
    harness.stack.idp.clear_requests();
    let gate = Arc::new(Notify::new());
    let fault = Fault::HoldUntil(Arc::clone(&gate));
    harness.stack.idp.fail_next(Endpoint::Token, fault);
    harness.stack.idp.fail_always(Endpoint::Token, Fault::Hang);
    harness.stack.clock.advance(times::ABOUT_TO_EXPIRE);
    let calls = others.map(|browser| tokio::spawn(async move { browser.get("/api/hello").await }));
    harness.refreshes_are(1).await;
    for _ in 0..20 {
        pause().await;
    }
    for call in &calls {
        call.abort();
    }
    let idp = harness.stack.idp.clone();
    let stopping = harness.stack.stop();
    tokio::pin!(stopping);
    for _ in 0..50 {
        assert!(futures_util::poll!(&mut stopping).is_pending());
        pause().await;
    }
    gate.notify_one();
    stopping.await.unwrap();
    assert!(idp.count(Endpoint::Token) <= 2);
}
