//! `/auth/sessions`: a person sees their sessions, and ends one in another browser.

use std::time::Duration;

use devstack_idp::Endpoint;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Browser, Events, Reply, Stack};

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0";
const SAFARI: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 \
                      Mobile/15E148 Safari/604.1";

/// Logs in with a browser that calls itself so, from behind a proxy.
async fn log_in(browser: &Browser, user_agent: &str, address: &str) {
    let callback = browser.authorize("/auth/login").await;
    let request = browser
        .request(Method::GET, &callback)
        .header("user-agent", user_agent)
        .header("x-forwarded-for", address);
    let reply = browser.send(request).await;
    assert!(browser.is_logged_in().await, "{}", reply.body);
}

async fn list(browser: &Browser) -> Vec<Value> {
    let reply = browser.get_json("/auth/sessions").await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    reply.json()["sessions"].as_array().unwrap().clone()
}

async fn end(browser: &Browser, reference: &str) -> Reply {
    let path = format!("/auth/sessions/{reference}");
    let request = browser
        .request(Method::DELETE, &path)
        .header("x-csrf-token", browser.csrf_token().await);
    browser.send(request).await
}

fn reference(entry: &Value) -> &str {
    entry["ref"].as_str().unwrap()
}

/// Ada in two browsers behind a listed proxy, the second one a minute later.
async fn start() -> (Stack, Browser, Browser) {
    let stack = Stack::builder()
        .set("BFF_TRUSTED_PROXIES", "127.0.0.1")
        .start()
        .await;
    let (desk, phone) = (stack.browser(), stack.browser());
    log_in(&desk, FIREFOX, "198.51.100.77").await;
    stack.advance(Duration::from_mins(1)).await;
    log_in(&phone, SAFARI, "2001:db8:1:2::3").await;
    (stack, desk, phone)
}

#[tokio::test]
async fn a_person_sees_all_of_their_sessions_and_nobody_elses() {
    let (stack, desk, phone) = start().await;
    let grace = Browser::new("grace", desk.origin());
    grace.log_in().await;
    let sessions = list(&desk).await;
    let host = desk.origin().trim_start_matches("http://");
    assert_eq!(
        sessions,
        [
            json!({
                "ref": sessions[0]["ref"], "current": false, "browser": "Safari on iPhone",
                "network": "2001:db8:1::/48", "host": host, "since": "2027-01-15T08:01:00Z",
                "last_seen": "2027-01-15T08:01:00Z", "expires_at": "2027-01-15T09:01:00Z",
            }),
            json!({
                "ref": sessions[1]["ref"], "current": true, "browser": "Firefox on Linux",
                "network": "198.51.100.0/24", "host": host, "since": "2027-01-15T08:00:00Z",
                "last_seen": "2027-01-15T08:00:00Z", "expires_at": "2027-01-15T09:00:00Z",
            }),
        ]
    );
    assert_eq!(list(&phone).await[0]["current"], true);
    assert_eq!(list(&grace).await.len(), 1);
    // The name of a session reveals neither its cookie nor its record.
    for entry in &sessions {
        let replay = stack.browser();
        replay.set_cookie("__Host-Http-bff_session", reference(entry));
        assert!(!replay.is_logged_in().await);
    }
    let nobody = stack.browser();
    let reply = nobody.get_json("/auth/sessions").await;
    assert_eq!(reply.refusal(), (401, "unauthenticated".to_owned()));

    // Reading the list is not a use, and ended sessions are absent.
    stack.clock.advance(Duration::from_mins(59));
    assert_eq!(list(&phone).await.len(), 1);
}

#[tokio::test]
async fn a_person_ends_a_session_of_theirs_from_another_browser() {
    let (stack, desk, phone) = start().await;
    let mut tab = Events::open(&phone).await;
    tab.more().await;
    let sessions = list(&desk).await;
    let reply = end(&desk, reference(&sessions[0])).await;
    assert_eq!((reply.status, reply.body.as_str()), (StatusCode::NO_CONTENT, ""));
    assert!(reply.set_cookies().is_empty());
    assert!(!phone.is_logged_in().await);
    assert!(desk.is_logged_in().await);
    assert_eq!(
        tab.next().await,
        Some(("session-ended".to_owned(), json!({ "reason": "elsewhere" })))
    );
    while stack.idp.count(Endpoint::Revoke) == 0 {
        crate::support::pause().await;
    }
    let again = end(&desk, reference(&sessions[0])).await;
    assert_eq!(again.refusal(), (404, "session_not_found".to_owned()));

    // One's own is a logout.
    let reply = end(&desk, reference(&sessions[1])).await;
    assert_eq!(reply.status, StatusCode::NO_CONTENT);
    assert!(!desk.is_logged_in().await);
    assert_eq!(desk.session_cookie(), None);
}

#[tokio::test]
async fn ending_a_session_needs_its_owner_and_both_csrf_checks() {
    let (stack, desk, phone) = start().await;
    let theirs = list(&desk).await;
    let grace = Browser::new("grace", desk.origin());
    grace.log_in().await;
    for reference in [
        reference(&theirs[0]),
        "unknown",
        &"x".repeat(4_000),
        "%00",
        "..%2f..",
    ] {
        let reply = end(&grace, reference).await;
        assert!(
            matches!(reply.status.as_u16(), 400 | 404),
            "{reference}: {}",
            reply.body
        );
    }
    // Not even text.
    assert_eq!(
        end(&grace, "%ff").await.refusal(),
        (404, "session_not_found".to_owned())
    );
    assert_eq!(
        end(&grace, reference(&theirs[0])).await.refusal(),
        (404, "session_not_found".to_owned())
    );

    let path = format!("/auth/sessions/{}", reference(&theirs[0]));
    let token = desk.csrf_token().await;
    let without_token = desk.send(desk.request(Method::DELETE, &path)).await;
    assert_eq!(without_token.refusal(), (403, "csrf_token".to_owned()));
    let foreign_token = desk.request(Method::DELETE, &path);
    let foreign_token = foreign_token.header("x-csrf-token", phone.csrf_token().await);
    assert_eq!(
        desk.send(foreign_token).await.refusal(),
        (403, "csrf_token".to_owned())
    );
    let evil = desk.at("http://evil.localhost");
    let foreign_origin = evil
        .request(Method::DELETE, &format!("{}{path}", desk.origin()))
        .header("x-csrf-token", token);
    assert_eq!(
        desk.send(foreign_origin).await.refusal(),
        (403, "csrf_origin".to_owned())
    );
    let nobody = stack.browser();
    let reply = nobody.send(nobody.request(Method::DELETE, &path)).await;
    assert_eq!(reply.refusal(), (401, "unauthenticated".to_owned()));
    for method in [Method::GET, Method::POST] {
        let reply = desk.send(desk.request(method, &path)).await;
        assert_eq!(reply.refusal(), (405, "method_not_allowed".to_owned()));
    }
    assert!(phone.is_logged_in().await);
    assert_eq!(stack.idp.count(Endpoint::Revoke), 0);
}
