//! A logout at the IdP while a login is under way.

use std::{sync::Arc, time::Duration};

use devstack_idp::{Endpoint, Fault};
use http::StatusCode;
use tokio::sync::Notify;

use super::{done, tell, token};
use crate::support::{Browser, Reply, Stack, pause};

/// A login that has got as far as `endpoint` of the IdP, which has done its work and does not answer yet.
struct Held {
    stack: Stack,
    ada: Browser,
    gate: Arc<Notify>,
    callback: tokio::task::JoinHandle<Reply>,
}

// === impl Held ===

impl Held {
    async fn at(endpoint: Endpoint) -> Self {
        let mut stack = Stack::start().await;
        let ada = stack.browser();
        let url = ada.authorize("/auth/login").await;
        let gate = Arc::new(Notify::new());
        let fault = Fault::HoldAnswerUntil(Arc::clone(&gate));
        stack.idp.fail_next(endpoint, fault);
        let tab = ada.clone();
        let callback = tokio::spawn(async move { tab.get(&url).await });
        stack
            .until("the login is under way", |stack| stack.idp.count(endpoint) == 1)
            .await;
        for _ in 0..10 {
            pause().await;
        }
        Self {
            stack,
            ada,
            gate,
            callback,
        }
    }

    fn sid(&self) -> String {
        self.stack.idp.sids("u-ada").remove(0)
    }

    /// Lets the login continue, which fails.
    async fn comes_to_nothing(mut self) {
        self.gate.notify_one();
        let reply = self.callback.await.unwrap();
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{}", reply.body);
        assert!(reply.body.contains("login_logged_out"), "{}", reply.body);
        assert!(self.ada.session_cookie().is_none());
        self.stack
            .until("what was granted is revoked", |stack| {
                stack.idp.issued_refresh_tokens_live("u-ada") == 0
            })
            .await;
        // And the person can log in again.
        self.stack.clock.advance(Duration::from_secs(1));
        self.ada.person().forget_cookies();
        self.ada.log_in().await;
    }

    /// Lets the login continue.
    async fn succeeds(self) {
        self.gate.notify_one();
        let reply = self.callback.await.unwrap();
        reply.leads_on();
        assert!(self.ada.is_logged_in().await);
    }
}

/// The logout comes from the IdP.
#[tokio::test]
async fn attack_32_a_logout_during_a_login_gives_no_session() {
    for endpoint in [Endpoint::Token, Endpoint::UserInfo] {
        let login = Held::at(endpoint).await;
        let sid = login.sid();
        done(&tell(&login.stack, &token(&login.stack, None, Some(&sid), |_| {})).await);
        login.comes_to_nothing().await;

        let login = Held::at(endpoint).await;
        done(&tell(&login.stack, &token(&login.stack, Some("u-ada"), None, |_| {})).await);
        login.comes_to_nothing().await;

        // As the IdP itself does it.
        let login = Held::at(endpoint).await;
        assert_eq!(login.stack.idp.log_out("u-ada").await, [Ok(200)]);
        login.comes_to_nothing().await;
    }
}

#[tokio::test]
async fn a_logout_of_somebody_else_disturbs_no_login() {
    let login = Held::at(Endpoint::Token).await;
    let sid = login.sid();
    for (sub, sid) in [
        (Some("u-grace"), None),
        (None, Some("other")),
        (Some("u-ada"), Some("other")),
        (Some("u-grace"), Some(&*sid)),
    ] {
        done(&tell(&login.stack, &token(&login.stack, sub, sid, |_| {})).await);
    }
    login.succeeds().await;
}

#[tokio::test]
async fn attack_32_a_code_for_a_session_that_has_ended_gives_none() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    let callback = ada.authorize("/auth/login").await;
    let sid = stack.idp.sids("u-ada").remove(0);
    stack.clock.advance(Duration::from_secs(2));
    done(&tell(&stack, &token(&stack, None, Some(&sid), |_| {})).await);
    stack.clock.advance(Duration::from_secs(2));
    // The IdP exchanges it all the same.
    let reply = ada.get(&callback).await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{}", reply.body);
    assert!(!ada.is_logged_in().await);
}

#[tokio::test]
async fn a_login_after_a_logout_succeeds() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    for _ in 0..3 {
        done(&tell(&stack, &token(&stack, Some("u-ada"), None, |_| {})).await);
        assert!(!ada.is_logged_in().await);
        stack.clock.advance(Duration::from_secs(1));
        ada.log_in().await;
    }
}

/// A logout comes at the same moment.
#[tokio::test]
async fn attack_32_a_simultaneous_login_leaves_no_session() {
    let stack = Stack::start().await;
    for round in 0..40 {
        let ada = stack.browser();
        let url = ada.authorize("/auth/login").await;
        let logout = token(&stack, Some("u-ada"), None, |_| {});
        let tab = ada.clone();
        let callback = tokio::spawn(async move { tab.get(&url).await });
        // From before the exchange to after the answer.
        for _ in 0..round / 2 {
            tokio::task::yield_now().await;
        }
        if round % 2 == 1 {
            pause().await;
        }
        done(&tell(&stack, &logout).await);
        callback.await.unwrap();
        assert!(!ada.is_logged_in().await, "{round}");
    }
}

#[tokio::test]
async fn attack_32_logging_out_everywhere_ends_a_login_under_way() {
    let login = Held::at(Endpoint::Token).await;
    let phone = login.stack.browser();
    phone.log_in().await;
    login.stack.clock.advance(Duration::from_millis(1));
    let reply = phone.post("/auth/logout?everywhere=true").await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER);
    login.gate.notify_one();
    let reply = login.callback.await.unwrap();
    assert!(reply.body.contains("login_logged_out"), "{}", reply.body);
    assert!(login.ada.session_cookie().is_none());
    // One that begins afterwards is a new one.
    login.ada.log_in().await;
}
