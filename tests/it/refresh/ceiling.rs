//! The provider says when its session ends (`session_expiry` in the ID token), and ours ends with it.

use std::time::Duration;

use http::StatusCode;
use serde_json::json;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{Harness, LIFE};
use crate::support::{Logs, Stack};

const NOW: u64 = 1_800_000_000;

/// Every ID token says from now on that the session ends then.
fn ends_at(stack: &Stack, seconds: u64) {
    stack.idp.on_id_token(move |draft| {
        draft.claims.insert("session_expiry".to_owned(), json!(seconds));
    });
}

impl Harness {
    /// The end of the session, as shown to the page.
    async fn ends(&self) -> u64 {
        let session = self.ada.session().await;
        let text = session["expires_at"]
            .as_str()
            .unwrap_or_else(|| panic!("{session}"));
        let time = OffsetDateTime::parse(text, &Rfc3339).unwrap();
        time.unix_timestamp().try_into().unwrap()
    }
}

#[tokio::test]
async fn a_session_ends_with_the_one_at_the_provider() {
    let logs = Logs::capture();
    let harness = Harness::of(Stack::builder().prepare(|idp| {
        idp.on_id_token(|draft| {
            draft.claims.insert("session_expiry".to_owned(), json!(NOW + 20));
        });
    }))
    .await;
    assert_eq!(harness.ends().await, NOW + 20);
    harness.pass(19).await;
    assert!(harness.ada.is_logged_in().await);
    harness.pass(2).await;
    harness.has_ended().await;
    harness.pass(LIFE).await;
    assert_eq!(harness.refreshes().len(), 0);
    logs.has_part("INFO", "reason=\"lifetime\"");
}

#[tokio::test]
async fn a_refresh_moves_the_end_within_the_lifetime() {
    // Idle for longer than all of it.
    let harness = Harness::of(
        Stack::builder()
            .set("SESSION_LIFETIME", "10m")
            .set("SESSION_IDLE_TIMEOUT", "10m"),
    )
    .await;
    assert_eq!(harness.ends().await, NOW + 600);
    for (says, ends) in [
        (NOW + 300, NOW + 300),
        (NOW + 400, NOW + 400),
        (NOW + 100_000, NOW + 600),
    ] {
        ends_at(&harness.stack, says);
        let before = harness.refreshed_at().await;
        harness.is_renewed_within(40, &before).await;
        assert_eq!(harness.ends().await, ends);
    }
    // One without the claim changes nothing, and one in the past ends the session.
    ends_at(&harness.stack, NOW + 500);
    let before = harness.refreshed_at().await;
    harness.is_renewed_within(40, &before).await;
    harness.stack.idp.clear_hooks();
    let before = harness.refreshed_at().await;
    harness.is_renewed_within(40, &before).await;
    assert_eq!(harness.ends().await, NOW + 500);
    ends_at(&harness.stack, NOW);
    harness.pass(40).await;
    harness.has_ended().await;
}

/// Every token answer says from now on how long the refresh token lives.
fn refresh_token_lives(stack: &Stack, name: &'static str, seconds: u64) {
    stack.idp.on_token_response(move |answer| {
        answer[name] = json!(seconds);
    });
}

/// Each refresh moves that end.
#[tokio::test]
async fn a_session_ends_with_its_refresh_token() {
    let harness = Harness::of(
        Stack::builder()
            .set("SESSION_LIFETIME", "10m")
            .set("SESSION_IDLE_TIMEOUT", "10m")
            .prepare(|idp| {
                idp.on_token_response(|answer| answer["refresh_expires_in"] = json!(300));
            }),
    )
    .await;
    assert_eq!(harness.ends().await, NOW + 300);
    let seconds = |text: String| {
        let time = OffsetDateTime::parse(&text, &Rfc3339).unwrap();
        u64::try_from(time.unix_timestamp()).unwrap()
    };
    for (name, lives) in [("refresh_expires_in", 320), ("refresh_token_expires_in", 100)] {
        harness.stack.idp.clear_hooks();
        refresh_token_lives(&harness.stack, name, lives);
        let before = harness.refreshed_at().await;
        harness.is_renewed_within(40, &before).await;
        let ends = harness.ends().await;
        assert_eq!(ends, seconds(harness.refreshed_at().await) + lives);
    }
    // An unknown end adds no end, and the lifetime still applies.
    for lives in [0, 100_000] {
        harness.stack.idp.clear_hooks();
        refresh_token_lives(&harness.stack, "refresh_token_expires_in", lives);
        let before = harness.refreshed_at().await;
        harness.is_renewed_within(40, &before).await;
        assert_eq!(harness.ends().await, NOW + 600);
    }
    // With nothing that renews it, the session ends with the token.
    harness.stack.idp.clear_hooks();
    refresh_token_lives(&harness.stack, "refresh_expires_in", 45);
    let before = harness.refreshed_at().await;
    harness.is_renewed_within(40, &before).await;
    harness
        .stack
        .idp
        .fail_always(devstack_idp::Endpoint::Token, devstack_idp::Fault::status(503));
    harness.pass(46).await;
    harness.has_ended().await;
}

#[tokio::test]
async fn a_login_needs_a_readable_end_in_the_future() {
    let stack = Stack::start().await;
    for value in [json!(NOW), json!(NOW - 100), json!("soon"), json!(1.5)] {
        let ada = stack.browser();
        let wrong = value.clone();
        stack.idp.on_id_token(move |draft| {
            draft.claims.insert("session_expiry".to_owned(), wrong.clone());
        });
        let reply = ada.log_in_by("/auth/login").await;
        assert_eq!(reply.status, StatusCode::BAD_GATEWAY, "{value}");
        assert!(!ada.is_logged_in().await);
    }
    ends_at(&stack, NOW + 1);
    let ada = stack.browser();
    ada.log_in().await;
    stack.clock.advance(Duration::from_secs(1));
    assert!(!ada.is_logged_in().await);
}
