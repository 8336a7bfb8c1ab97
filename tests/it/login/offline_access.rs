//! `OIDC_PROMPT=auto`: consent is requested only if no refresh token comes without it.

use devstack_idp::Endpoint;

use crate::support::{Logs, Stack};

/// The requested prompt of the last login.
fn prompt(stack: &Stack) -> Option<String> {
    let request = stack.idp.requests(Endpoint::Par).pop().unwrap();
    request.field("prompt").map(str::to_owned)
}

/// Whether the session of the last login outlives its access token.
async fn has_refresh_token(browser: &crate::support::Browser) -> bool {
    let session = browser.session().await;
    session["expires_at"] != session["token_expires_at"]
}

/// A login of a fresh browser: the prompt that was sent, and whether a refresh token came.
async fn login(stack: &Stack) -> (Option<String>, bool) {
    let ada = stack.browser();
    ada.log_in().await;
    (prompt(stack), has_refresh_token(&ada).await)
}

fn consent() -> String {
    "consent".to_owned()
}

async fn is_kept(stack: &mut Stack, text: &'static str) {
    let file = stack.folder().join("keys/offline_access.json");
    stack
        .until("it is kept", |_| {
            std::fs::read_to_string(&file).is_ok_and(|content| content.contains(text))
        })
        .await;
}

#[tokio::test]
async fn where_refresh_tokens_come_nobody_is_asked_for_consent() {
    let stack = Stack::start().await;
    for _ in 0..3 {
        assert_eq!(login(&stack).await, (None, true));
    }
}

/// Also after a restart.
#[tokio::test]
async fn consent_is_requested_after_a_missing_refresh_token() {
    let logs = Logs::capture();
    let mut stack = Stack::builder()
        .prepare(|idp| idp.offline_access_wants_prompt(true))
        .start()
        .await;
    assert_eq!(login(&stack).await, (None, false));
    assert_eq!(login(&stack).await, (Some(consent()), true));
    assert_eq!(login(&stack).await, (Some(consent()), true));
    assert_eq!(logs.lines_with("the IdP gave no refresh token").len(), 1);
    assert!(logs.lines("ERROR").is_empty());

    is_kept(&mut stack, "needed").await;
    logs.clear();
    stack.restart_with(&[]).await;
    assert_eq!(login(&stack).await, (Some(consent()), true));
    assert_eq!(logs.lines_with("refresh token").len(), 0);
    // A login with its own prompt gets that one.
    let ada = stack.browser();
    ada.log_in_by("/auth/login?prompt=login").await;
    assert_eq!(prompt(&stack).as_deref(), Some("login"));
    assert_eq!(login(&stack).await, (Some(consent()), true));
}

#[tokio::test]
async fn consent_that_brings_no_refresh_token_is_given_up() {
    let logs = Logs::capture();
    let mut stack = Stack::builder()
        .prepare(|idp| idp.issue_refresh_tokens(false))
        .start()
        .await;
    assert_eq!(login(&stack).await, (None, false));
    assert_eq!(login(&stack).await, (Some(consent()), false));
    assert_eq!(login(&stack).await, (None, false));
    assert_eq!(login(&stack).await, (None, false));
    assert_eq!(logs.lines_with("the IdP gave no refresh token").len(), 1);
    assert_eq!(logs.lines_with("prompt=consent did not bring").len(), 1);
    is_kept(&mut stack, "useless").await;

    // Until the IdP is repaired.
    stack.idp.issue_refresh_tokens(true);
    assert_eq!(login(&stack).await, (None, true));
    stack.idp.offline_access_wants_prompt(true);
    assert_eq!(login(&stack).await, (None, false));
    assert_eq!(login(&stack).await, (Some(consent()), true));
}

#[tokio::test]
async fn an_empty_setting_never_asks_and_a_named_one_always_does() {
    let strict = |idp: &devstack_idp::Control| idp.offline_access_wants_prompt(true);
    let stack = Stack::builder()
        .set("OIDC_PROMPT", "")
        .prepare(strict)
        .start()
        .await;
    for _ in 0..2 {
        assert_eq!(login(&stack).await, (None, false));
    }
    let stack = Stack::builder()
        .set("OIDC_PROMPT", "consent")
        .prepare(strict)
        .start()
        .await;
    for _ in 0..2 {
        assert_eq!(login(&stack).await, (Some(consent()), true));
    }
}

#[tokio::test]
async fn without_offline_access_nothing_is_learnt() {
    let stack = Stack::builder()
        .set("OIDC_SCOPES", "openid profile")
        .start()
        .await;
    for _ in 0..2 {
        assert_eq!(login(&stack).await, (None, false));
    }
    assert!(!stack.folder().join("keys/offline_access.json").exists());
}
