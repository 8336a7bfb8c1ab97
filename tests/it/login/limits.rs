//! How many sessions there may be, and how long one lives without a refresh token.

use std::time::Duration;

use devstack_idp::Endpoint;
use http::StatusCode;

use super::{is_error_page, is_problem, nobody};
use crate::support::{Browser, Logs, Stack};

#[tokio::test]
async fn at_session_max_a_new_login_is_refused_and_nobody_is_evicted() {
    let mut stack = Stack::builder().set("SESSION_MAX", "1").start().await;
    let logs = Logs::capture();
    let ada = stack.browser();
    ada.log_in().await;
    let grace = Browser::new("grace", &stack.origin(0));
    let callback = grace.authorize("/auth/login").await;
    let reply = grace.get_json(&callback).await;
    is_problem(&reply, StatusCode::SERVICE_UNAVAILABLE, "too_many_sessions");
    assert!(reply.header("retry-after").is_some());
    nobody(&grace, &reply).await;
    let page = grace.log_in_by("/auth/login").await;
    is_error_page(&page, "too_many_sessions");
    assert!(ada.is_logged_in().await);
    assert!(
        !logs.lines_with("SESSION_MAX").is_empty(),
        "the operator is not told"
    );
    stack
        .until("what was granted to nobody is revoked", |stack| {
            stack.idp.issued_refresh_tokens_live("u-grace") == 0
        })
        .await;

    // A person with a session may log in again: the new one takes its place.
    ada.log_in().await;
    // And a place that has become free can be taken.
    ada.post("/auth/logout").await;
    grace.log_in().await;
}

#[tokio::test]
async fn at_the_limit_for_one_person_the_oldest_session_ends() {
    let stack = Stack::builder().set("SESSION_MAX_PER_USER", "2").start().await;
    let browsers = [stack.browser(), stack.browser(), stack.browser()];
    let grace = Browser::new("grace", &stack.origin(0));
    grace.log_in().await;
    for browser in &browsers {
        browser.log_in().await;
        stack.advance(Duration::from_secs(1)).await;
    }
    assert!(!browsers[0].is_logged_in().await);
    assert!(browsers[1].is_logged_in().await && browsers[2].is_logged_in().await);
    assert!(grace.is_logged_in().await);
    // An IdP may keep all logins of a person in one grant, so the tokens of the ended one are not revoked.
    assert_eq!(stack.idp.count(Endpoint::Revoke), 0);

    // Logging in again in one browser costs another one nothing.
    browsers[2].log_in().await;
    assert!(browsers[1].is_logged_in().await);
}

/// The log says so once.
#[tokio::test]
async fn without_a_refresh_token_the_session_ends_with_the_token() {
    let stack = Stack::builder()
        .prepare(|idp| idp.issue_refresh_tokens(false))
        .start()
        .await;
    let logs = Logs::capture();
    let ada = stack.browser();
    ada.log_in().await;
    Browser::new("grace", &stack.origin(0)).log_in().await;
    let said = logs.lines_with("no refresh token");
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].contains("WARN") && said[0].contains("OIDC_PROMPT"),
        "{}",
        said[0]
    );
    let session = ada.session().await;
    assert_eq!(session["expires_at"], session["token_expires_at"]);

    stack.advance(Duration::from_secs(59)).await;
    assert_eq!(ada.get("/api/x").await.status, StatusCode::OK);
    stack.advance(Duration::from_secs(1)).await;
    assert_eq!(ada.get("/api/x").await.status, StatusCode::UNAUTHORIZED);
    assert!(!ada.is_logged_in().await);
    // Nothing has tried to renew an unrenewable token.
    assert_eq!(stack.idp.count(Endpoint::Token), 2);
}

#[tokio::test]
async fn without_offline_access_the_warning_names_the_scope() {
    let stack = Stack::builder()
        .set("OIDC_SCOPES", "openid profile")
        .start()
        .await;
    let logs = Logs::capture();
    let ada = stack.browser();
    ada.log_in().await;
    ada.log_in().await;
    let said = logs.lines_with("no refresh token");
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("OIDC_SCOPES"), "{}", said[0]);
}
