//! An API that refuses a token before its end: one refresh, and the call once more.

use std::{sync::Arc, time::Duration};

use axum::response::IntoResponse as _;
use devstack_idp::{Endpoint, Fault};
use http::{Method, StatusCode};
use parking_lot::Mutex;

use crate::support::{Browser, Reply, Stack};

/// A stack with Ada logged in, a minute after the login, and an API that refuses the tokens in the list.
struct Harness {
    stack: Stack,
    ada: Browser,
    refused: Arc<Mutex<Vec<String>>>,
    refreshes_before: usize,
}

impl Harness {
    async fn start() -> Self {
        let stack = Stack::start().await;
        stack.idp.set_access_token_lifetime(Duration::from_hours(1));
        let ada = stack.browser();
        ada.log_in().await;
        let refused: Arc<Mutex<Vec<String>>> = Arc::default();
        let list = Arc::clone(&refused);
        stack.api.answer(move |call| {
            let token = call.header("authorization").unwrap_or_default();
            if list
                .lock()
                .iter()
                .any(|refused| refused == token || refused == "all")
            {
                let challenge = [("www-authenticate", "Bearer error=\"invalid_token\"")];
                return (StatusCode::UNAUTHORIZED, challenge, "refused").into_response();
            }
            call.body.clone().into_response()
        });
        stack.advance(Duration::from_mins(1)).await;
        let refreshes_before = stack.idp.count(Endpoint::Token);
        Self {
            stack,
            ada,
            refused,
            refreshes_before,
        }
    }

    /// Lets the API refuse the token of now.
    async fn refuse_this_token(&self) -> String {
        assert_eq!(self.get().await.status, StatusCode::OK);
        let token = self.stack.api.last().header("authorization").unwrap().to_owned();
        self.refused.lock().push(token.clone());
        token
    }

    async fn get(&self) -> Reply {
        self.ada.get("/api/x").await
    }

    async fn post(&self, body: Vec<u8>) -> Reply {
        let token = self.ada.csrf_token().await;
        let request = self.ada.request(Method::POST, "/api/x");
        self.ada
            .send(request.header("x-csrf-token", token).body(body))
            .await
    }

    fn refreshes(&self) -> usize {
        self.stack.idp.count(Endpoint::Token) - self.refreshes_before
    }

    fn calls(&self) -> usize {
        self.stack.api.calls().len()
    }
}

/// With a new token.
#[tokio::test]
async fn a_call_with_a_refused_token_is_repeated_once() {
    let harness = Harness::start().await;
    let old = harness.refuse_this_token().await;
    let before = harness.calls();
    let reply = harness.post(b"order".to_vec()).await;
    assert_eq!((reply.status, reply.body.as_str()), (StatusCode::OK, "order"));
    assert_eq!((harness.refreshes(), harness.calls() - before), (1, 2));
    assert_ne!(
        harness.stack.api.last().header("authorization"),
        Some(old.as_str())
    );
    // The new token stays.
    assert_eq!(harness.get().await.status, StatusCode::OK);
    assert_eq!(harness.refreshes(), 1);
}

#[tokio::test]
async fn many_calls_with_a_refused_token_make_one_refresh() {
    let harness = Harness::start().await;
    harness.refuse_this_token().await;
    let calls = (0..20).map(|_| harness.get());
    for reply in futures_util::future::join_all(calls).await {
        assert_eq!(reply.status, StatusCode::OK);
    }
    assert_eq!(harness.refreshes(), 1);
}

#[tokio::test]
async fn an_api_that_refuses_every_token_makes_one_refresh_a_minute() {
    let harness = Harness::start().await;
    harness.refused.lock().push("all".to_owned());
    let before = harness.calls();
    let reply = harness.get().await;
    assert_eq!(
        (reply.status, reply.body.as_str()),
        (StatusCode::UNAUTHORIZED, "refused")
    );
    assert_eq!((harness.refreshes(), harness.calls() - before), (1, 2));
    // The new token is younger than 30 seconds, then the last refresh is younger than a minute.
    for _ in 0..5 {
        harness.stack.advance(Duration::from_secs(11)).await;
        assert_eq!(harness.get().await.status, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(harness.refreshes(), 1);
    harness.stack.advance(Duration::from_secs(6)).await;
    harness.get().await;
    assert_eq!(harness.refreshes(), 2);
    assert!(harness.ada.is_logged_in().await);
}

/// The token is renewed all the same.
#[tokio::test]
async fn a_streamed_body_is_not_sent_again() {
    let harness = Harness::start().await;
    harness.refuse_this_token().await;
    let before = harness.calls();
    let reply = harness.post(vec![7; 65 * 1024]).await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    assert_eq!((harness.refreshes(), harness.calls() - before), (1, 1));
    assert_eq!(harness.post(vec![7; 65 * 1024]).await.status, StatusCode::OK);
    assert_eq!(harness.post(vec![7; 64 * 1024]).await.status, StatusCode::OK);
}

/// And the session.
#[tokio::test]
async fn a_failed_refresh_keeps_the_answer_of_the_api() {
    let harness = Harness::start().await;
    harness.refuse_this_token().await;
    harness.stack.idp.fail_always(Endpoint::Token, Fault::status(503));
    let call = tokio::spawn(harness.ada.request(Method::GET, "/api/x").send());
    // The refresh is tried again for a while.
    let reply = harness.stack.advance_until_done(call).await.unwrap();
    assert_eq!(reply.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(reply.text().await.unwrap(), "refused");
    assert!(harness.ada.is_logged_in().await);
}

#[tokio::test]
async fn a_refusal_that_is_none_of_the_token_passes_as_it_is() {
    let harness = Harness::start().await;
    harness.stack.api.answer(|_| {
        let challenge = [("www-authenticate", "Bearer error=\"insufficient_scope\"")];
        (StatusCode::UNAUTHORIZED, challenge, "more").into_response()
    });
    assert_eq!(harness.get().await.body, "more");
    assert_eq!(harness.refreshes(), 0);
}
