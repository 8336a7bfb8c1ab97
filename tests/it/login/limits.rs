//! How many sessions there may be, how many logins may begin, and how long one lives without a refresh token.

use std::time::Duration;

use bff::instruments::Series;
use devstack_idp::Endpoint;
use http::{Method, StatusCode};

use super::{is_error_page, is_problem, nobody, with_parameter};
use crate::support::{Browser, Logs, Reply, Stack};

/// Behind a proxy, with three logins a minute.
async fn with_few_logins() -> Stack {
    Stack::builder()
        .set("LOGIN_RATE_LIMIT", "3/m")
        .set("BFF_TRUSTED_PROXIES", "127.0.0.1/32")
        .start()
        .await
}

/// Starts a login at `address`, as a program does that keeps no cookies.
async fn begin(stack: &Stack, address: &str) -> Reply {
    let browser = stack.browser();
    let request = browser
        .request(Method::GET, "/auth/login")
        .header("accept", "application/json")
        .header("x-forwarded-for", address);
    browser.send(request).await
}

/// Each login costs a signature and a request to the IdP.
#[tokio::test]
async fn attack_31_one_address_starts_few_logins() {
    let stack = with_few_logins().await;
    let before = stack.idp.count(Endpoint::Par);
    for (address, same) in [
        ("192.0.2.1", "::ffff:192.0.2.1"),
        ("2001:db8::1", "2001:db8::ffff:1"),
    ] {
        for _ in 0..3 {
            assert_eq!(begin(&stack, address).await.status, StatusCode::FOUND);
        }
        for address in [address, same] {
            let reply = begin(&stack, address).await;
            is_problem(&reply, StatusCode::TOO_MANY_REQUESTS, "rate_limited");
            assert_eq!(reply.header("retry-after"), Some("20"));
            assert_eq!(reply.header("ratelimit-policy"), Some("\"login\";q=3;w=60"));
            assert_eq!(reply.header("ratelimit"), Some("\"login\";r=0;t=20"));
            assert!(reply.set_cookies().is_empty());
        }
    }
    assert_eq!(stack.idp.count(Endpoint::Par) - before, 6);
    let violations = Series::labelled("bff_rate_limit_violations_total", "kind", "login");
    assert_eq!(stack.counted(violations), 4);
    stack.advance(Duration::from_secs(20)).await;
    assert_eq!(begin(&stack, "192.0.2.1").await.status, StatusCode::FOUND);
    assert_eq!(begin(&stack, "192.0.2.1").await.refusal().0, 429);
}

#[tokio::test]
async fn a_person_sees_a_page_about_too_many_logins() {
    let stack = with_few_logins().await;
    let ada = stack.browser();
    for _ in 0..2 {
        ada.get("/auth/login").await;
    }
    ada.log_in().await;
    let page = Browser::new("grace", &stack.origin(0)).get("/auth/login").await;
    is_error_page(&page, "rate_limited");
    assert_eq!(page.status, StatusCode::TOO_MANY_REQUESTS);
    // Who is logged in notices nothing.
    assert!(ada.is_logged_in().await);
    assert_eq!(ada.get("/api/x").await.status, StatusCode::OK);
}

/// A login that the IdP refuses may begin again, with the same cookie: each time it costs the same.
#[tokio::test]
async fn attack_31_a_refused_login_begins_again_a_few_times() {
    let stack = with_few_logins().await;
    let before = stack.idp.count(Endpoint::Par);
    let ada = stack.browser();
    let callback = ada.authorize("/auth/login").await;
    let callback = with_parameter(&callback, "code", None);
    let refusal = with_parameter(&callback, "error", Some("temporarily_unavailable"));
    let attempt = ada.cookies(&stack.origin(0));
    let mut answers = Vec::new();
    for _ in 0..5 {
        ada.forget_cookies();
        for (name, value) in &attempt {
            ada.set_cookie(name, value);
        }
        answers.push(ada.get(&refusal).await.status);
    }
    assert_eq!(stack.idp.count(Endpoint::Par) - before, 3);
    assert_eq!(answers[..2], [StatusCode::FOUND; 2]);
    assert!(
        answers[2..].iter().all(|status| !status.is_redirection()),
        "{answers:?}"
    );
}

#[tokio::test]
async fn the_limit_of_logins_can_be_switched_off() {
    let stack = Stack::builder().set("LOGIN_RATE_LIMIT", "off").start().await;
    for _ in 0..20 {
        assert_eq!(begin(&stack, "192.0.2.1").await.status, StatusCode::FOUND);
    }
}

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
