//! When tokens are renewed, and who waits for it.

use std::time::Duration;

use devstack_idp::{Endpoint, Fault};
use http::StatusCode;

use super::{DUE, Harness, eventually, shown};
use crate::support::{Browser, Stack, times};

#[tokio::test]
async fn a_token_is_renewed_in_the_background_after_half_of_its_life() {
    let harness = Harness::start().await;
    let (first, before) = (harness.token().await, harness.refreshed_at().await);
    harness.pass(DUE - 3).await;
    assert_eq!(harness.refreshes().len(), 0);
    assert_eq!(harness.token().await, first);

    harness.is_renewed_within(4, &before).await;
    assert_eq!(harness.refreshes().len(), 1);
    let session = harness.ada.session().await;
    let renewed = harness.refreshed_at().await;
    assert_ne!(harness.token().await, first);
    assert_eq!(session["refreshed_at"], renewed.as_str());

    // Again and again, from the new token on.
    harness.is_renewed_within(33, &renewed).await;
    assert_eq!(harness.refreshes().len(), 2);
}

#[tokio::test]
async fn a_renewed_token_lives_from_its_arrival_on() {
    let harness = Harness::start().await;
    harness.stack.idp.fail_always(Endpoint::UserInfo, Fault::Hang);
    harness.pass(DUE - 2).await;
    eventually("it is due", async || {
        if harness.refreshes().is_empty() {
            harness.pass(1).await;
        }
        harness.stack.idp.count(Endpoint::UserInfo) > 0
    })
    .await;
    let arrived = harness.now();
    let before = harness.refreshed_at().await;
    // UserInfo does not answer: the tokens wait for it, but not for long.
    harness.pass(4).await;
    assert_eq!(harness.refreshed_at().await, before);
    harness.is_renewed_within(2, &before).await;
    let session = harness.ada.session().await;
    assert_eq!(session["refreshed_at"], shown(arrived));
    assert_eq!(session["token_expires_at"], shown(arrived + 60));
}

#[tokio::test]
async fn the_threshold_decides_for_tokens_that_live_long() {
    let long = |control: &devstack_idp::Control| {
        control.set_access_token_lifetime(Duration::from_hours(1));
    };
    let harness = Harness::of(Stack::builder().prepare(long)).await;
    let before = harness.refreshed_at().await;
    harness.stack.clock.advance(Duration::from_secs(3_600 - 300 - 3));
    harness.pass(2).await;
    assert_eq!(harness.refreshes().len(), 0);
    harness.is_renewed_within(4, &before).await;

    let harness = Harness::of(Stack::builder().set("TOKEN_REFRESH_THRESHOLD", "10s")).await;
    let before = harness.refreshed_at().await;
    harness.pass(48).await;
    assert_eq!(harness.refreshes().len(), 0);
    harness.is_renewed_within(4, &before).await;
}

#[tokio::test]
async fn a_request_waits_only_for_a_token_that_is_about_to_expire() {
    let harness = Harness::start().await;
    let first = harness.token().await;
    harness.stack.idp.fail_always(Endpoint::Token, Fault::Hang);
    // The refresh hangs. More than six seconds remain, so no call waits for it: time stands still here.
    harness.stack.clock.advance(Duration::from_millis(53_900));
    harness.refreshes_are(1).await;
    let reply = harness.ada.get("/api/hello").await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(harness.stack.api.last().header("authorization"), Some(&*first));

    // Six remain: requests wait for it now.
    harness.stack.clock.advance(Duration::from_millis(100));
    let call = harness.ada.get("/api/hello");
    tokio::pin!(call);
    for _ in 0..50 {
        assert!(futures_util::poll!(&mut call).is_pending());
        crate::support::pause().await;
    }
    assert_eq!(harness.stack.api.calls().len(), 2);
    harness.stack.idp.heal(Endpoint::Token);
    assert_eq!(call.await.status, StatusCode::OK);
    assert_ne!(harness.stack.api.last().header("authorization"), Some(&*first));
    assert_eq!(harness.refreshes().len(), 1);
}

#[tokio::test]
async fn a_request_waits_ten_seconds_and_no_longer() {
    let harness = Harness::start().await;
    harness.stack.clock.advance(Duration::from_secs(20));
    harness.stack.idp.fail_always(Endpoint::Token, Fault::Hang);
    harness.stack.clock.advance(Duration::from_secs(36));
    let tab = harness.ada.clone();
    let call = tokio::spawn(async move { tab.get("/api/hello").await });
    let rest = async || {
        for _ in 0..20 {
            crate::support::pause().await;
        }
    };
    harness.refreshes_are(1).await;
    rest().await;
    harness.stack.clock.advance(Duration::from_millis(9_900));
    rest().await;
    assert!(!call.is_finished());
    harness.stack.clock.advance(Duration::from_millis(100));
    let reply = call.await.unwrap();
    assert_eq!(reply.code(), "token_refresh_pending");
    assert_eq!(harness.stack.api.calls().len(), 0);
    assert_eq!(harness.refreshes().len(), 1);
}

/// They live a second or two.
#[tokio::test]
async fn short_lived_tokens_are_renewed_on_use() {
    for life in [1, 2] {
        let short = move |control: &devstack_idp::Control| {
            control.set_access_token_lifetime(Duration::from_secs(life));
        };
        let harness = Harness::of(Stack::builder().prepare(short)).await;
        for _ in 0..8 {
            harness.pass(1).await;
            let reply = harness.call().await;
            // A token that has expired on its way is useless; the next attempt brings another.
            assert!(
                reply.status == StatusCode::OK || reply.code() == "token_refresh_pending",
                "{}",
                reply.body
            );
        }
        assert!(harness.stack.api.calls().len() >= 4);
        let elapsed = harness.now() - 1_800_000_000;
        let refreshes = harness.refreshes().len() as u64;
        assert!(refreshes <= elapsed * 2 + 8, "{refreshes} in {elapsed} s");
        assert!(harness.ada.is_logged_in().await);
    }
}

#[tokio::test]
async fn a_token_without_a_lifetime_counts_as_five_minutes() {
    let harness = Harness::of(Stack::builder().prepare(|control| {
        control.on_token_response(|answer| {
            answer.as_object_mut().unwrap().remove("expires_in");
        });
    }))
    .await;
    let (session, before) = (harness.ada.session().await, harness.refreshed_at().await);
    assert_eq!(session["token_expires_at"], shown(harness.now() + 300));
    harness.pass(148).await;
    assert_eq!(harness.refreshes().len(), 0);
    harness.is_renewed_within(4, &before).await;
}

#[tokio::test]
async fn an_absurd_lifetime_does_no_harm() {
    let harness = Harness::of(Stack::builder().prepare(|control| {
        control.on_token_response(|answer| answer["expires_in"] = serde_json::json!(1e300));
    }))
    .await;
    harness.token().await;
    harness.stack.clock.advance(Duration::from_mins(59));
    harness.token().await;
    assert_eq!(harness.refreshes().len(), 0);
}

#[tokio::test]
async fn refreshes_run_in_parallel_up_to_the_limit() {
    let harness = Harness::of(Stack::builder().set("TOKEN_REFRESH_CONCURRENCY", "2")).await;
    let others: Vec<Browser> = (0..4).map(|_| harness.stack.browser()).collect();
    for other in &others {
        other.log_in().await;
    }
    harness.stack.idp.fail_always(Endpoint::Token, Fault::Hang);
    let before = harness.refreshed_at().await;
    harness.pass(33).await;
    assert_eq!(harness.refreshes().len(), 2);
    harness.stack.idp.heal(Endpoint::Token);
    eventually("all are renewed", async || {
        for browser in others.iter().chain([&harness.ada]) {
            if browser.session().await["refreshed_at"] == before.as_str() {
                return false;
            }
        }
        true
    })
    .await;
    assert_eq!(harness.refreshes().len(), 5);
}

#[tokio::test]
async fn a_higher_limit_holds_for_the_calls_as_well() {
    let harness = Harness::of(Stack::builder().set("TOKEN_REFRESH_CONCURRENCY", "36")).await;
    for _ in 0..35 {
        harness.stack.browser().log_in().await;
    }
    harness.stack.idp.clear_requests();
    harness.stack.idp.fail_always(Endpoint::Token, Fault::Hang);
    harness.stack.clock.advance(times::DUE);
    harness.refreshes_are(36).await;
}
