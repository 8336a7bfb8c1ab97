//! A new key that is published ahead: logins and refreshes continue without interruption.

use std::time::Duration;

use bff::keys::KeyKind;

use super::{AHEAD, builder, by_hand, in_state, published, settled, signers, swap_named_key};
use crate::support::{Logs, Stack};

/// Lets `duration` pass under load: Ada uses her session continuously, and every minute a person logs in. Each of
/// these has to succeed.
async fn pass_under_load(stack: &Stack, duration: Duration) {
    let ada = stack.browser();
    ada.log_in().await;
    let end = bff::clock::Clock::now(&stack.clock).saturating_add(duration);
    let mut seconds = 0_u32;
    while bff::clock::Clock::now(&stack.clock) < end {
        stack.clock.advance(Duration::from_secs(5));
        seconds += 5;
        for _ in 0..4 {
            crate::support::pause().await;
        }
        // Her access token lives a minute, so that she needs a refresh all the time.
        let answer = ada.get("/api/hello").await;
        assert_eq!(answer.status, 200, "after {seconds} s: {}", answer.body);
        if seconds.is_multiple_of(60) {
            stack.browser().log_in().await;
        }
    }
}

/// It keeps our keys for their `max-age`.
#[tokio::test]
async fn a_rotation_loses_nothing_with_a_caching_idp() {
    let logs = Logs::capture();
    let stack = builder().start().await;
    let old = in_state(&stack, "active").unwrap();
    logs.clear();
    pass_under_load(&stack, Duration::from_secs(30)).await;
    swap_named_key(&stack, KeyKind::P256);
    pass_under_load(&stack, AHEAD + Duration::from_mins(3)).await;

    let new = in_state(&stack, "active").unwrap();
    assert_ne!(new, old);
    assert_eq!(
        signers(&stack),
        [old.clone(), new.clone()],
        "first one, then the other"
    );
    assert_eq!(published(&stack).await, [new, old]);
    assert_eq!(logs.lines("WARN"), Vec::<String>::new());
    assert_eq!(logs.lines("ERROR"), Vec::<String>::new());
}

/// The rotation above without publishing ahead, which shows the price of `--now`. No session ends.
#[tokio::test]
async fn a_key_signing_at_once_is_refused_until_the_next_fetch() {
    let stack = builder().start().await;
    let ada = stack.browser();
    ada.log_in().await;
    let old = in_state(&stack, "active").unwrap();
    let ended = by_hand(&stack, &["rotate", "--now"], &[]).await;
    assert_eq!(ended.code, 0, "{}", ended.output);
    let new = in_state(&stack, "active").unwrap();
    stack
        .advance_until("the new key signs", Duration::from_mins(2), |stack| {
            signers(stack) == [old.clone(), new.clone()]
        })
        .await;
    // The pushed request is refused.
    let refused = stack.browser().get("/auth/login").await;
    assert_eq!(refused.status, 502);
    assert!(
        ada.is_logged_in().await,
        "an outage of our own making ends no session"
    );

    // Five minutes after it had fetched them, the IdP fetches our keys again.
    for _ in 0..70 {
        stack.clock.advance(Duration::from_secs(5));
        for _ in 0..4 {
            crate::support::pause().await;
        }
    }
    stack.browser().log_in().await;
    assert_eq!(ada.get("/api/hello").await.status, 200);
}

#[tokio::test]
async fn by_age_a_key_is_made_in_time_and_takes_over() {
    let mut stack = builder().set("BFF_JWK_ROTATE_AFTER_DAYS", "1").start().await;
    let old = in_state(&stack, "active").unwrap();
    stack
        .clock
        .advance(Duration::from_hours(24).saturating_sub(AHEAD));
    stack
        .advance_until("a key is next", Duration::from_mins(1), |stack| {
            in_state(stack, "next").is_some()
        })
        .await;
    let new = in_state(&stack, "next").unwrap();
    settled().await;
    assert_eq!(published(&stack).await, [old.clone(), new.clone()]);
    assert_eq!(in_state(&stack, "active").unwrap(), old);
    stack
        .advance_until("it signs", AHEAD + Duration::from_mins(5), |stack| {
            in_state(stack, "active").as_ref() == Some(&new)
        })
        .await;
    settled().await;
    stack.idp.clear_requests();
    stack.browser().log_in().await;
    assert_eq!(signers(&stack), std::slice::from_ref(&new));
    // A restart finds everything as it was.
    stack.restart_with(&[("DCR_IAT", "")]).await;
    assert_eq!(published(&stack).await, [new, old]);
    stack.browser().log_in().await;
}

/// The error says what to do.
#[tokio::test]
async fn a_key_without_the_registered_algorithm_never_signs() {
    let logs = Logs::capture();
    let stack = builder().start().await;
    let old = in_state(&stack, "active").unwrap();
    swap_named_key(&stack, KeyKind::Ed25519);
    stack
        .advance_until("it is refused", AHEAD + Duration::from_mins(5), |_| {
            !logs.lines("ERROR").is_empty()
        })
        .await;
    stack.advance(Duration::from_mins(3)).await;
    assert_eq!(in_state(&stack, "active").unwrap(), old);
    let errors = logs.lines("ERROR");
    assert_eq!(errors.len(), 1, "once: {errors:?}");
    for part in [
        "ES256",
        "BFF_KEY_TYPE",
        "bff keys retire",
        "bff keys rotate --now",
    ] {
        assert!(errors[0].contains(part), "no {part} in {}", errors[0]);
    }
    stack.browser().log_in().await;

    // On purpose, it does, and the registration follows without a restart.
    let ended = by_hand(&stack, &["rotate", "--now"], &[]).await;
    assert_eq!(ended.code, 0, "{}", ended.output);
    let algorithm = |stack: &Stack| {
        let client = stack.idp.registered_client("bff-server").unwrap();
        client["token_endpoint_auth_signing_alg"] == "EdDSA"
    };
    stack
        .advance_until("the registration follows", Duration::from_mins(3), algorithm)
        .await;
    stack.idp.forget_client_keys();
    settled().await;
    stack.browser().log_in().await;
}
