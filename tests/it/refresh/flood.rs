//! Floods.

use devstack_idp::{Endpoint, Fault};
use http::StatusCode;

use super::{DUE, Harness, eventually};
use crate::support::Browser;

/// This many logins, and exchanges of codes, are at the IdP at once.
const PLACES: usize = 14;

/// A callback that this browser may send, with a code that the IdP never issued.
async fn false_callback(harness: &Harness, browser: &Browser) -> String {
    let started = browser.get("/auth/login").await;
    assert_eq!(started.status, StatusCode::FOUND, "{}", started.body);
    let pushed = harness.stack.idp.requests(Endpoint::Par);
    let state = pushed.last().unwrap().field("state").unwrap().to_owned();
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("code", "false")
        .append_pair("state", &state)
        .append_pair("iss", &harness.stack.issuer)
        .finish();
    format!("/auth/callback?{query}")
}

/// Of logins and callbacks.
#[tokio::test]
async fn attack_31_a_flood_starves_no_refresh_and_no_check() {
    let harness = Harness::start().await;
    let before = harness.refreshed_at().await;
    harness.pass(DUE - 3).await;

    let mut flood = Vec::new();
    for _ in 0..100 {
        let browser = harness.stack.browser();
        let callback = false_callback(&harness, &browser).await;
        flood.push((browser, callback));
    }
    harness.stack.idp.clear_requests();
    // As many exchanges as may run hang, and as many pushed requests.
    for _ in 0..PLACES {
        harness.stack.idp.fail_next(Endpoint::Token, Fault::Hang);
    }
    harness.stack.idp.fail_always(Endpoint::Par, Fault::Hang);
    let mut answers = tokio::task::JoinSet::new();
    for (browser, callback) in flood {
        answers.spawn(async move { browser.get(&callback).await });
        let browser = harness.stack.browser();
        answers.spawn(async move { browser.get("/auth/login").await });
    }
    eventually("the flood is there", async || {
        let idp = &harness.stack.idp;
        idp.count(Endpoint::Token) == PLACES && idp.count(Endpoint::Par) == PLACES
    })
    .await;
    // A call without a place in the queue is refused: four times as many as are served may wait.
    for _ in 0..2 * (100 - 5 * PLACES) {
        let reply = answers.join_next().await.unwrap().unwrap();
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{}", reply.body);
    }

    harness.token().await;
    assert!(harness.ada.is_logged_in().await);
    harness.is_renewed_within(4, &before).await;
    assert_eq!(harness.refreshes().len(), 1);
    harness.token().await;
}
