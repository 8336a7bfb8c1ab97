//! The same callback several times: one token request, one session, one answer.

use std::{sync::Arc, time::Duration};

use devstack_idp::{Endpoint, Fault};
use http::StatusCode;
use tokio::sync::Notify;

use super::{is_problem, nobody, with_parameter};
use crate::support::{Browser, Stack, pause};

/// The next code is exchanged, and the answer is held until the gate opens.
fn hold_answer(stack: &Stack) -> Arc<Notify> {
    let gate = Arc::new(Notify::new());
    let fault = Fault::HoldAnswerUntil(Arc::clone(&gate));
    stack.idp.fail_next(Endpoint::Token, fault);
    gate
}

/// Another browser with the cookies of this one, which it does not share.
fn copy_of(stack: &Stack, browser: &Browser) -> Browser {
    let copy = stack.browser();
    for (name, value) in browser.cookies(&stack.origin(0)) {
        copy.set_cookie(&name, &value);
    }
    copy
}

async fn exchanges_are(stack: &mut Stack, count: usize) {
    stack
        .until("the code is exchanged", |stack| {
            stack.idp.count(Endpoint::Token) >= count
        })
        .await;
    for _ in 0..30 {
        pause().await;
    }
    assert_eq!(stack.idp.count(Endpoint::Token), count);
}

/// And one token request.
#[tokio::test]
async fn attack_46_ten_equal_callbacks_are_one_session() {
    let mut stack = Stack::start().await;
    let ada = stack.browser();
    let callback = ada.authorize("/auth/login?return_to=/deep").await;
    let gate = hold_answer(&stack);
    let tabs: Vec<Browser> = (0..10).map(|_| copy_of(&stack, &ada)).collect();
    let calls: Vec<_> = tabs
        .iter()
        .map(|tab| {
            let (tab, callback) = (tab.clone(), callback.clone());
            tokio::spawn(async move { tab.get(&callback).await })
        })
        .collect();
    exchanges_are(&mut stack, 1).await;
    gate.notify_one();
    for call in calls {
        let reply = call.await.unwrap();
        reply.leads_on();
        assert_eq!(reply.leads_on(), format!("{}/deep", stack.origin(0)));
    }
    let first = tabs[0].session_cookie().unwrap();
    for tab in &tabs {
        assert_eq!(tab.session_cookie().as_ref(), Some(&first));
        assert!(tab.is_logged_in().await);
    }
    assert_eq!(stack.idp.count(Endpoint::Token), 1);
    // One session: nothing else is left when it ends.
    assert_eq!(tabs[0].post("/auth/logout").await.status, StatusCode::SEE_OTHER);
    assert!(!tabs[1].is_logged_in().await);
}

/// It hung up before.
#[tokio::test]
async fn attack_46_a_browser_that_returns_gets_the_answer() {
    let mut stack = Stack::start().await;
    let ada = stack.browser();
    let callback = ada.authorize("/auth/login").await;
    let gate = hold_answer(&stack);
    let (tab, target) = (ada.clone(), callback.clone());
    let first = tokio::spawn(async move { tab.get(&target).await });
    exchanges_are(&mut stack, 1).await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    let (tab, target) = (ada.clone(), callback.clone());
    let second = tokio::spawn(async move { tab.get(&target).await });
    for _ in 0..30 {
        pause().await;
    }
    gate.notify_one();
    second.await.unwrap().leads_on();
    assert!(ada.is_logged_in().await);
    assert_eq!(stack.idp.count(Endpoint::Token), 1);
}

#[tokio::test]
async fn attack_46_only_the_browser_of_the_attempt_joins() {
    let mut stack = Stack::start().await;
    let ada = stack.browser();
    let callback = ada.authorize("/auth/login").await;
    let gate = hold_answer(&stack);
    let (tab, target) = (ada.clone(), callback.clone());
    let first = tokio::spawn(async move { tab.get(&target).await });
    exchanges_are(&mut stack, 1).await;

    // The URL alone is worthless, also with the login cookie of another attempt, while it is under way or later.
    let thief = stack.browser();
    let reply = thief.get_json(&callback).await;
    is_problem(&reply, StatusCode::BAD_REQUEST, "login_unknown");
    nobody(&thief, &reply).await;
    let other = stack.browser();
    other.authorize("/auth/login").await;
    let reply = other.get_json(&callback).await;
    is_problem(&reply, StatusCode::BAD_REQUEST, "login_unknown");
    assert_eq!(other.session_cookie(), None);
    gate.notify_one();
    first.await.unwrap().leads_on();
    let reply = thief.get_json(&callback).await;
    is_problem(&reply, StatusCode::BAD_REQUEST, "login_unknown");
    nobody(&thief, &reply).await;
}

#[tokio::test]
async fn one_attempt_gives_at_most_one_session_whatever_code_comes() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    let callback = ada.authorize("/auth/login").await;
    // An attacker who keeps the attempt's cookie.
    let keeper = copy_of(&stack, &ada);
    ada.get(&callback).await.leads_on();

    let other_code = with_parameter(&callback, "code", Some("another"));
    for seconds in [0, 30, 60, 500] {
        stack.advance(Duration::from_secs(seconds)).await;
        let tab = copy_of(&stack, &keeper);
        let reply = tab.get_json(&other_code).await;
        is_problem(&reply, StatusCode::BAD_REQUEST, "login_unknown");
        nobody(&tab, &reply).await;
    }
    let tab = copy_of(&stack, &keeper);
    let reply = tab.get_json(&callback).await;
    is_problem(&reply, StatusCode::BAD_REQUEST, "login_unknown");
    nobody(&tab, &reply).await;
    let requests = stack.idp.requests(Endpoint::Token);
    let exchanges = requests.iter().filter(|request| request.field("code").is_some());
    assert_eq!(exchanges.count(), 1);
}

#[tokio::test]
async fn a_callback_repeated_by_a_proxy_gets_the_same_session() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    let callback = ada.authorize("/auth/login?return_to=/deep").await;
    let again = copy_of(&stack, &ada);
    ada.get(&callback).await.leads_on();
    let reply = again.get(&callback).await;
    assert_eq!(reply.leads_on(), format!("{}/deep", stack.origin(0)));
    assert_eq!(again.session_cookie(), ada.session_cookie());
    assert!(ada.is_logged_in().await);
    assert_eq!(stack.idp.count(Endpoint::Token), 1);
}

#[tokio::test]
async fn a_failure_is_shared_and_its_code_is_not_sent_again() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    let callback = ada.authorize("/auth/login?return_to=/deep").await;
    let again = copy_of(&stack, &ada);
    let fault = Fault::oauth_error(400, "invalid_grant");
    stack.idp.fail_next(Endpoint::Token, fault);
    for tab in [&ada, &again] {
        let reply = tab.get_json(&callback).await;
        is_problem(&reply, StatusCode::BAD_REQUEST, "login_code_refused");
        nobody(tab, &reply).await;
    }
    assert_eq!(stack.idp.count(Endpoint::Token), 1);
}

#[tokio::test]
async fn a_refused_code_offers_a_login_to_the_same_target() {
    let stack = Stack::start().await;
    for status in [400, 401, 403] {
        let fault = Fault::oauth_error(status, "invalid_grant");
        stack.idp.fail_next(Endpoint::Token, fault);
        let reply = stack.browser().log_in_by("/auth/login?return_to=/deep").await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST);
        super::is_error_page(&reply, "login_code_refused");
        assert!(reply.body.contains("href=\"/auth/login?return_to=%2Fdeep\""));
    }
}

#[tokio::test]
async fn a_late_callback_brings_no_session_back_that_was_logged_out() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    let callback = ada.authorize("/auth/login").await;
    let late = copy_of(&stack, &ada);
    ada.get(&callback).await.leads_on();
    assert_eq!(ada.post("/auth/logout").await.status, StatusCode::SEE_OTHER);
    late.get(&callback).await;
    assert!(!late.is_logged_in().await);
    assert_eq!(late.get("/api/hello").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(stack.idp.count(Endpoint::Token), 1);
}
