//! The lifetime of sessions, and what counts as use.

use std::time::Duration;

use devstack_idp::{Endpoint, Fault};
use http::StatusCode;

use super::{Harness, LIFE, eventually};
use crate::support::Stack;

fn idle_for_two_minutes() -> crate::support::Builder {
    Stack::builder().set("SESSION_IDLE_TIMEOUT", "120s")
}

#[tokio::test]
async fn a_session_that_nobody_uses_is_not_kept_alive() {
    let harness = Harness::of(idle_for_two_minutes()).await;
    harness.pass(118).await;
    let refreshes = harness.refreshes().len();
    assert!((3..=4).contains(&refreshes), "{refreshes}");
    assert_eq!(harness.stack.idp.issued_refresh_tokens_live("u-ada"), 1);
    harness.pass(LIFE).await;
    harness.has_ended().await;
    assert!(harness.refreshes().len() <= 4);
    // Its tokens are given back.
    let live = || harness.stack.idp.issued_refresh_tokens_live("u-ada");
    eventually("it is revoked", async || live() == 0).await;
}

#[tokio::test]
async fn looking_does_not_count_as_use_when_it_says_so() {
    let harness = Harness::of(idle_for_two_minutes()).await;
    for _ in 0..3 {
        harness.pass(39).await;
        assert!(harness.ada.is_logged_in().await);
    }
    harness.pass(4).await;
    harness.has_ended().await;
}

#[tokio::test]
async fn calls_and_questions_count_as_use() {
    for path in ["/api/hello", "/auth/session", "/auth/verify"] {
        let harness = Harness::of(idle_for_two_minutes()).await;
        for _ in 0..4 {
            harness.pass(80).await;
            let reply = harness.while_time_passes(harness.ada.get(path)).await;
            assert_eq!(reply.status, StatusCode::OK, "{path}: {}", reply.body);
            assert_eq!(reply.set_cookies().len(), 1, "{path}");
        }
        assert!(harness.ada.is_logged_in().await, "{path}");
        harness.pass(121).await;
        harness.has_ended().await;
    }
}

#[tokio::test]
async fn calls_that_find_no_token_count_as_use_too() {
    let harness = Harness::of(idle_for_two_minutes()).await;
    harness.stack.idp.fail_always(Endpoint::Token, Fault::status(500));
    for _ in 0..4 {
        harness.pass(80).await;
        let reply = harness.call().await;
        assert_eq!(reply.code(), "token_refresh_pending");
        assert_eq!(reply.set_cookies().len(), 1);
        assert_eq!(reply.header("cache-control"), Some("no-store"));
    }
    harness.stack.idp.heal_all();
    harness.pass(90).await;
    harness.token().await;
}

#[tokio::test]
async fn no_use_and_no_refresh_extends_the_absolute_limit() {
    let harness = Harness::of(
        Stack::builder()
            .set("SESSION_LIFETIME", "150s")
            .set("SESSION_IDLE_TIMEOUT", "100s"),
    )
    .await;
    for _ in 0..4 {
        harness.pass(36).await;
        harness.token().await;
    }
    assert!(harness.refreshes().len() >= 3);
    harness.stack.clock.advance(Duration::from_secs(6));
    harness.has_ended().await;
    let live = || harness.stack.idp.issued_refresh_tokens_live("u-ada");
    harness.pass(6).await;
    eventually("it is revoked", async || live() == 0).await;
}
