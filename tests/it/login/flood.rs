//! A flood of logins or callbacks.

use std::{sync::Arc, time::Duration};

use devstack_idp::{Endpoint, Fault};
use http::StatusCode;
use tokio::{sync::Notify, task::JoinSet};

use super::with_parameter;
use crate::support::{Browser, Logs, Reply, Stack, times};

/// This many logins, or exchanges of codes, are at the IdP at once.
const PLACES: usize = 14;

/// As many more wait for their turn.
const WAITING: usize = 4 * PLACES;

/// Every call got either a place in the queue or a clear refusal.
#[track_caller]
fn is_turned_away(reply: &Reply) {
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (StatusCode::SERVICE_UNAVAILABLE, "busy")
    );
    assert!(reply.header("retry-after").is_some());
    assert!(
        !reply
            .set_cookies()
            .iter()
            .any(|set| set.contains("bff_session=") && !set.contains("=;"))
    );
}

/// A person whose access token is due for renewal in a moment.
async fn almost_due(stack: &Stack) -> Browser {
    let ada = stack.browser();
    ada.log_in().await;
    stack.advance(Duration::from_secs(28)).await;
    ada
}

/// The session's token is renewed and checks are answered, flood or no flood; all within the time that calls of the
/// flood may take.
async fn others_go_on(stack: &Stack, ada: &Browser) {
    let renewed_at = ada.session().await["refreshed_at"].clone();
    for _ in 0..8 {
        stack.clock.advance(Duration::from_secs(1));
        for _ in 0..5 {
            crate::support::pause().await;
        }
    }
    assert_ne!(ada.session().await["refreshed_at"], renewed_at, "not renewed");
    assert_eq!(ada.get("/api/x").await.status, StatusCode::OK);
    assert_eq!(ada.get("/auth/verify").await.status, StatusCode::OK);
}

/// Neither refreshes nor checks.
#[tokio::test]
async fn attack_31_a_flood_of_logins_starves_nothing_else() {
    let logs = Logs::capture();
    let mut stack = Stack::start().await;
    let ada = almost_due(&stack).await;
    let before = stack.idp.count(Endpoint::Par);
    stack.idp.fail_always(Endpoint::Par, Fault::Hang);
    let mut flood = JoinSet::new();
    for _ in 0..150 {
        let browser = stack.browser();
        flood.spawn(async move { browser.get_json("/auth/login").await });
    }
    // The others are refused at once.
    for _ in 0..150 - PLACES - WAITING {
        is_turned_away(&flood.join_next().await.unwrap().unwrap());
    }
    stack
        .until("the lane is full", |stack| {
            stack.idp.count(Endpoint::Par) - before == PLACES
        })
        .await;
    assert_eq!(logs.lines("ERROR"), Vec::<String>::new());
    let told = logs.lines_with("some were refused");
    assert_eq!(told.len(), 1, "{told:?}");
    others_go_on(&stack, &ada).await;
    // Those that waited in vain are refused too; those that hang at the IdP run out of time.
    for _ in 0..WAITING {
        is_turned_away(&flood.join_next().await.unwrap().unwrap());
    }
    stack.clock.advance(times::IDP_TIMEOUT);
    while let Some(reply) = flood.join_next().await {
        let reply = reply.unwrap();
        super::is_problem(&reply, StatusCode::GATEWAY_TIMEOUT, "idp_timeout");
        assert!(reply.set_cookies().is_empty());
    }
    assert_eq!(stack.idp.count(Endpoint::Par) - before, PLACES);
    stack.idp.heal_all();
    stack.browser().log_in().await;
}

/// Neither refreshes nor checks.
#[tokio::test]
async fn attack_31_a_flood_of_false_callbacks_starves_nothing_else() {
    let mut stack = Stack::start().await;
    let ada = almost_due(&stack).await;
    let mut callbacks = Vec::new();
    for _ in 0..120 {
        let browser = stack.browser();
        browser.get("/auth/login").await;
        let state = stack.idp.requests(Endpoint::Par).pop().unwrap();
        let state = state.field("state").unwrap().to_owned();
        let callback = format!("{}/auth/callback?code=false", browser.origin());
        let callback = with_parameter(&callback, "iss", Some(&stack.issuer));
        callbacks.push((browser, with_parameter(&callback, "state", Some(&state))));
    }
    let before = stack.idp.count(Endpoint::Token);
    let gate = Arc::new(Notify::new());
    for _ in 0..PLACES {
        stack
            .idp
            .fail_next(Endpoint::Token, Fault::HoldUntil(Arc::clone(&gate)));
    }
    let mut flood = JoinSet::new();
    for (browser, callback) in callbacks {
        flood.spawn(async move { browser.get_json(&callback).await });
    }
    for _ in 0..120 - PLACES - WAITING {
        is_turned_away(&flood.join_next().await.unwrap().unwrap());
    }
    stack
        .until("the lane is full", |stack| {
            stack.idp.count(Endpoint::Token) - before == PLACES
        })
        .await;
    others_go_on(&stack, &ada).await;
    for _ in 0..WAITING {
        is_turned_away(&flood.join_next().await.unwrap().unwrap());
    }
    gate.notify_waiters();
    while let Some(reply) = flood.join_next().await {
        super::is_problem(&reply.unwrap(), StatusCode::BAD_REQUEST, "login_code_refused");
    }
    assert!(ada.is_logged_in().await);
    stack.browser().log_in().await;
}
