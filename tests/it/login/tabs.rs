//! Many tabs at once.

use std::time::Duration;

use http::StatusCode;

use super::{is_error_page, is_problem};
use crate::support::Stack;

/// In any order; a tab starts again at most once.
#[tokio::test]
async fn attack_14_each_of_twenty_tabs_ends_logged_in() {
    let stack = Stack::start().await;
    for order in 0..3 {
        let ada = stack.browser();
        let mut callbacks = Vec::new();
        for _ in 0..20 {
            callbacks.push(ada.authorize("/auth/login?return_to=/tab").await);
            assert!(ada.login_cookies().len() <= 5);
        }
        match order {
            0 => callbacks.reverse(),
            1 => callbacks.rotate_left(7),
            _ => {}
        }
        let (mut done, mut restarts) = (0, 0);
        for callback in callbacks {
            let reply = ada.get(&callback).await;
            if let Some(target) = reply.target() {
                done += 1;
                assert!(target.starts_with(&stack.origin(0)));
                assert!(!target.contains("/auth/login"), "a loop");
                assert!(ada.is_logged_in().await);
            } else {
                restarts += 1;
                assert_eq!(reply.status, StatusCode::BAD_REQUEST);
                is_error_page(&reply, "login_unknown");
                // The way on that the page offers works at the first try.
                let again = stack.browser();
                again.log_in_by("/auth/login").await.leads_on();
            }
        }
        assert!(
            done >= 5 && done + restarts == 20,
            "{done} done, {restarts} started again"
        );
        assert!(ada.is_logged_in().await);
        assert!(ada.login_cookies().is_empty());
    }
}

#[tokio::test]
async fn attack_14_the_newest_five_attempts_work() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    let mut callbacks = Vec::new();
    for _ in 0..8 {
        callbacks.push(ada.authorize("/auth/login").await);
    }
    assert_eq!(ada.login_cookies().len(), 5);
    for callback in &callbacks[..3] {
        is_problem(
            &ada.get_json(callback).await,
            StatusCode::BAD_REQUEST,
            "login_unknown",
        );
    }
    for callback in &callbacks[3..] {
        ada.get(callback).await.leads_on();
    }
}

#[tokio::test]
async fn attack_14_simultaneous_tabs_respect_header_limits() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    let target = format!("/{}", "x".repeat(250));
    // None of these requests knows of the cookies of the others.
    let mut values = Vec::new();
    for _ in 0..20 {
        let tab = stack.browser();
        let reply = tab.get(&format!("/auth/login?return_to={target}")).await;
        let set = reply.set_cookies()[0];
        assert!(set.split(';').next().unwrap().len() <= 701, "name, `=` and value");
        values.extend(tab.cookies(tab.origin()));
    }
    for (name, value) in values {
        ada.set_cookie(&name, &value);
    }
    assert_eq!(ada.login_cookies().len(), 20);
    // With all of these in the browser, the next login works and leaves five.
    let callback = ada.authorize("/auth/login").await;
    assert_eq!(ada.login_cookies().len(), 5);
    ada.get(&callback).await.leads_on();
}

/// Login cookies together. nginx takes a header line of 8 KiB by default (`large_client_header_buffers`), which leaves
/// room for the application's cookies.
const TOGETHER: usize = 6 * 1024;
/// The head of an answer: nginx takes a page of memory by default (`proxy_buffer_size`).
const HEAD: usize = 4 * 1024;

/// In twenty tabs.
#[tokio::test]
async fn attack_14_long_targets_respect_the_limits_of_proxies() {
    for par in ["true", "false"] {
        let stack = Stack::builder().set("MS_BFF_PAR_ENABLED", par).start().await;
        let ada = stack.browser();
        let mut callbacks = Vec::new();
        for tab in 10..30 {
            let target = format!("/{tab}{}", "x".repeat(2048 - 3));
            let started = ada.get(&format!("/auth/login?return_to={target}")).await;
            let head: usize = started
                .headers
                .iter()
                .map(|(name, value)| name.as_str().len() + value.len() + 4)
                .sum();
            assert!(head + 64 < HEAD, "an answer with a head of {head} bytes");
            let sent: usize = ada
                .cookies(ada.origin())
                .iter()
                .map(|(name, value)| name.len() + value.len() + 3)
                .sum();
            assert!(sent <= TOGETHER, "{sent} bytes of cookies");
            callbacks.push((target, ada.person().authorize(started.location()).await.unwrap()));
        }
        let mut done = 0;
        for (target, callback) in callbacks.iter().rev() {
            let reply = ada.get(callback).await;
            if reply.target().is_some_and(|reached| reached.ends_with(target)) {
                done += 1;
            }
        }
        assert!(done >= 2, "{done} of the newest attempts were kept");
        assert!(ada.is_logged_in().await && ada.login_cookies().is_empty());
    }
}

#[tokio::test]
async fn a_long_attempt_makes_room_by_dropping_the_oldest_alone() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    let short: Vec<String> = [
        ada.authorize("/auth/login?return_to=/1").await,
        ada.authorize("/auth/login?return_to=/2").await,
        ada.authorize("/auth/login?return_to=/3").await,
    ]
    .into();
    let long = |tab: u8| format!("/auth/login?return_to=/{tab}{}", "x".repeat(1900));
    let first = ada.authorize(&long(1)).await;
    assert_eq!(ada.login_cookies().len(), 4);
    let second = ada.authorize(&long(2)).await;
    let left = ada.login_cookies().len();
    assert!((2..5).contains(&left), "{left}");
    is_problem(
        &ada.get_json(&short[0]).await,
        StatusCode::BAD_REQUEST,
        "login_unknown",
    );
    for callback in [first, second] {
        ada.get(&callback).await.leads_on();
    }
}

/// It says that it is late.
#[tokio::test]
async fn attack_14_a_late_callback_keeps_the_target() {
    // Not pushed, because the IdP keeps a pushed request only for a minute.
    let stack = Stack::builder().set("MS_BFF_PAR_ENABLED", "false").start().await;
    let ada = stack.browser();
    let started = ada.get("/auth/login?return_to=/deep").await;
    let other = ada.get("/auth/login?return_to=/deep").await;
    stack.clock.advance(Duration::from_secs(599));
    let in_time = ada.person().authorize(started.location()).await.unwrap();
    assert_eq!(
        ada.get(&in_time).await.leads_on(),
        format!("{}/deep", stack.origin(0))
    );
    ada.post("/auth/logout").await;
    stack.clock.advance(Duration::from_secs(1));
    let late = ada.person().authorize(other.location()).await.unwrap();
    let reply = ada.get(&late).await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    is_error_page(&reply, "login_expired");
    assert!(reply.body.contains("href=\"/auth/login?return_to=%2Fdeep\""));
    super::nobody(&ada, &reply).await;
    // A browser that has dropped the cookie by then.
    is_problem(
        &ada.get_json(&late).await,
        StatusCode::BAD_REQUEST,
        "login_unknown",
    );
    assert_eq!(stack.idp.count(devstack_idp::Endpoint::Token), 1);
}
