//! How long sessions live, and what counts as use.

use std::time::Duration;

use devstack_idp::{Endpoint, Fault};
use http::StatusCode;

use super::{Scene, eventually};
use crate::support::Stack;

fn idle_for_two_minutes() -> crate::support::Builder {
    Stack::builder().set("SESSION_IDLE_TIMEOUT", "120s")
}

#[tokio::test]
async fn a_session_that_nobody_uses_is_not_kept_alive() {
    let scene = Scene::of(idle_for_two_minutes()).await;
    scene.pass(118).await;
    let refreshes = scene.refreshes().len();
    assert!((3..=4).contains(&refreshes), "{refreshes}");
    assert_eq!(scene.stack.idp.issued_refresh_tokens_live("u-ada"), 1);
    scene.pass(60).await;
    scene.has_ended().await;
    assert!(scene.refreshes().len() <= 4);
    // Its tokens are given back.
    let live = || scene.stack.idp.issued_refresh_tokens_live("u-ada");
    eventually("it is revoked", async || live() == 0).await;
}

#[tokio::test]
async fn looking_does_not_count_as_use_when_it_says_so() {
    let scene = Scene::of(idle_for_two_minutes()).await;
    for _ in 0..3 {
        scene.pass(39).await;
        assert!(scene.ada.is_logged_in().await);
    }
    scene.pass(4).await;
    scene.has_ended().await;
}

#[tokio::test]
async fn calls_and_questions_count_as_use() {
    for path in ["/api/hello", "/auth/session", "/auth/verify"] {
        let scene = Scene::of(idle_for_two_minutes()).await;
        for _ in 0..4 {
            scene.pass(80).await;
            let reply = scene.while_time_passes(scene.ada.get(path)).await;
            assert_eq!(reply.status, StatusCode::OK, "{path}: {}", reply.body);
            assert_eq!(reply.set_cookies().len(), 1, "{path}");
        }
        assert!(scene.ada.is_logged_in().await, "{path}");
        scene.pass(121).await;
        scene.has_ended().await;
    }
}

#[tokio::test]
async fn calls_that_find_no_token_count_as_use_too() {
    let scene = Scene::of(idle_for_two_minutes()).await;
    scene.stack.idp.fail_always(Endpoint::Token, Fault::status(500));
    for _ in 0..4 {
        scene.pass(80).await;
        let reply = scene.call().await;
        assert_eq!(reply.code(), "token_refresh_pending");
        assert_eq!(reply.set_cookies().len(), 1);
        assert_eq!(reply.header("cache-control"), Some("no-store"));
    }
    scene.stack.idp.heal_all();
    scene.pass(90).await;
    scene.token().await;
}

#[tokio::test]
async fn no_use_and_no_refresh_extends_the_absolute_limit() {
    let scene = Scene::of(
        Stack::builder()
            .set("SESSION_LIFETIME", "150s")
            .set("SESSION_IDLE_TIMEOUT", "100s"),
    )
    .await;
    for _ in 0..4 {
        scene.pass(36).await;
        scene.token().await;
    }
    assert!(scene.refreshes().len() >= 3);
    scene.stack.clock.advance(Duration::from_secs(6));
    scene.has_ended().await;
    let live = || scene.stack.idp.issued_refresh_tokens_live("u-ada");
    scene.pass(6).await;
    eventually("it is revoked", async || live() == 0).await;
}
