//! `/auth/events`: the open pages of a browser learn of changes of its session.

use std::{sync::Arc, time::Duration};

use devstack_idp::Endpoint;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::support::{Browser, Events, Reply, Stack, pause};

/// The usual stack with Ada in it.
async fn start() -> (Stack, Browser) {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    (stack, ada)
}

async fn refused(browser: &Browser, last_id: &str) -> (u16, String) {
    Reply::read(Events::ask(browser, last_id).await).await.refusal()
}

fn ended(reason: &str) -> (String, Value) {
    event("session-ended", json!({ "reason": reason }))
}

fn event(name: &str, data: Value) -> (String, Value) {
    (name.to_owned(), data)
}

/// Waits until the server has noticed that its client is gone.
async fn a_while() {
    for _ in 0..50 {
        pause().await;
    }
}

#[tokio::test]
async fn without_a_session_there_is_none() {
    let (stack, ada) = start().await;
    let nobody = stack.browser();
    assert_eq!(refused(&nobody, "").await, (401, "unauthenticated".to_owned()));
    // Invented ids reveal nothing about a session.
    for id in ["1", &"A".repeat(108), &"x".repeat(4_000)] {
        assert_eq!(refused(&nobody, id).await, (401, "unauthenticated".to_owned()));
        Events::after(&ada, id).await;
    }
    // A living session elsewhere does not let anybody in.
    let mut events = Events::open(&ada).await;
    events.more().await;
    let id = events.last_id.clone();
    assert_eq!(refused(&nobody, &id).await, (401, "unauthenticated".to_owned()));
}

#[tokio::test]
async fn nothing_on_the_way_keeps_it_back_or_takes_it_for_dead() {
    let (stack, ada) = start().await;
    let mut events = Events::open(&ada).await;
    assert_eq!(events.header("content-type"), Some("text/event-stream"));
    assert_eq!(events.header("cache-control"), Some("no-store"));
    assert_eq!(events.header("x-accel-buffering"), Some("no"));
    events.more().await;
    assert!(events.all.starts_with("retry: 3000\nid: "), "{}", events.all);
    let greeting = events.all.len();
    stack.clock.advance(Duration::from_secs(25));
    events.more().await;
    assert_eq!(&events.all[greeting..], ":\n\n");
}

/// Their streams end.
#[tokio::test]
async fn attack_48_a_logout_reaches_all_tabs() {
    let (_stack, ada) = start().await;
    let mut tabs = [Events::open(&ada).await, Events::open(&ada).await];
    let mut id = String::new();
    for tab in &mut tabs {
        tab.more().await;
        id.clone_from(&tab.last_id);
    }
    let grace = Browser::new("grace", ada.origin());
    grace.log_in().await;
    let mut other = Events::open(&grace).await;
    other.more().await;
    assert!(ada.post("/auth/logout").await.status.is_redirection());
    for tab in &mut tabs {
        assert_eq!(tab.next().await, Some(ended("logout")));
        assert_eq!(tab.next().await, None);
        // It does not reconnect with the id of the last event.
        assert_eq!(tab.last_id, "");
    }
    assert_eq!(refused(&ada, "").await, (401, "unauthenticated".to_owned()));

    // An unconnected tab learns it when it reconnects, and only once.
    let mut late = Events::after(&ada, &id).await;
    assert_eq!(late.next().await, Some(ended("logout")));
    assert_eq!(late.next().await, None);
    assert_eq!(late.last_id, "");

    let everywhere = grace
        .request(http::Method::POST, "/auth/logout?everywhere=true")
        .header("x-csrf-token", grace.csrf_token().await);
    grace.send(everywhere).await;
    assert_eq!(other.next().await, Some(ended("logout")));
}

#[tokio::test]
async fn attack_25_renewed_tokens_are_told_without_a_token() {
    let (stack, ada) = start().await;
    let issued: Arc<Mutex<Vec<Value>>> = Arc::default();
    let answers = Arc::clone(&issued);
    stack
        .idp
        .on_token_response(move |answer| answers.lock().push(json!(answer)));
    let mut events = Events::open(&ada).await;
    events.more().await;
    let id = events.last_id.clone();
    stack.advance(Duration::from_secs(35)).await;
    let renewed = events.next().await.unwrap();
    assert_eq!(renewed.0, "session-renewed");
    let session = ada.session().await;
    assert_eq!(
        renewed.1,
        json!({
            "expires_at": session["expires_at"],
            "token_expires_at": session["token_expires_at"],
            "refreshed_at": session["refreshed_at"],
        })
    );
    assert_ne!(events.last_id, id);
    assert!(stack.idp.count(Endpoint::Token) >= 2);
    for answer in issued.lock().iter() {
        for member in ["access_token", "refresh_token", "id_token"] {
            let token = answer[member].as_str().unwrap();
            assert!(!events.all.contains(token), "{member}");
        }
    }
    assert!(!events.all.contains(&ada.session_cookie().unwrap()));

    // The missed events of a tab; none if it has missed none.
    let mut late = Events::after(&ada, &id).await;
    assert_eq!(late.next().await, Some(renewed));
    assert_eq!(late.last_id.is_empty(), events.last_id.is_empty());
    let mut current = Events::after(&ada, &late.last_id).await;
    ada.post("/auth/logout").await;
    assert_eq!(current.next().await, Some(ended("logout")));
}

#[tokio::test]
async fn the_end_is_announced_and_a_stream_does_not_delay_it() {
    let stack = Stack::builder()
        .set("SESSION_IDLE_TIMEOUT", "20m")
        .idp(|options| options.access_token_lifetime = Duration::from_hours(5))
        .start()
        .await;
    let ada = stack.browser();
    ada.log_in().await;
    let mut events = Events::open(&ada).await;
    events.more().await;
    stack.advance(Duration::from_mins(10)).await;
    ada.get("/auth/session").await;
    let renewed = events.next().await.unwrap();
    assert_eq!(renewed.0, "session-renewed");
    assert_eq!(renewed.1["expires_at"], "2027-01-15T08:30:00Z");

    stack.advance(Duration::from_mins(18)).await;
    let expiring = json!({ "expires_at": "2027-01-15T08:30:00Z", "reason": "idle" });
    assert_eq!(events.next().await, Some(event("session-expiring", expiring)));
    let id = events.last_id.clone();
    stack.advance(Duration::from_mins(2)).await;
    assert_eq!(events.next().await, Some(ended("idle")));
    assert_eq!(events.next().await, None);
    assert!(!ada.is_logged_in().await);
    let mut late = Events::after(&ada, &id).await;
    assert_eq!(late.next().await, Some(ended("idle")));

    // Forgotten by all processes.
    stack.advance(Duration::from_mins(11)).await;
    assert_eq!(refused(&ada, &id).await, (401, "unauthenticated".to_owned()));
}

#[tokio::test]
async fn another_login_of_the_same_browser_is_a_change_of_the_user() {
    let (stack, ada) = start().await;
    let mut events = Events::open(&ada).await;
    events.more().await;
    let id = events.last_id.clone();
    ada.log_in().await;
    // Told when the browser has the new cookie.
    let late = tokio::spawn(async move {
        let first = events.next().await;
        (first, events.next().await, events.last_id)
    });
    let told = stack.advance_until_done(late).await;
    assert_eq!(
        told,
        (Some(event("user-changed", json!({}))), None, String::new())
    );

    // A reconnecting tab has the new session, and learns that it is another one.
    let mut late = Events::after(&ada, &id).await;
    assert_eq!(late.next().await, Some(event("user-changed", json!({}))));
    let mut again = Events::after(&ada, &late.last_id).await;
    ada.post("/auth/logout").await;
    assert_eq!(late.next().await, Some(ended("logout")));
    assert_eq!(again.next().await, Some(ended("logout")));
}

#[tokio::test]
async fn a_session_has_so_many_streams() {
    let (stack, ada) = start().await;
    let mut open = Vec::new();
    for _ in 0..20 {
        open.push(Events::open(&ada).await);
    }
    let reply = Reply::read(Events::ask(&ada, "").await).await;
    assert_eq!(reply.refusal(), (429, "too_many_streams".to_owned()));
    assert_eq!(reply.header("retry-after"), Some("30"));
    // Other sessions do not lack them.
    let grace = Browser::new("grace", &stack.origin(0));
    grace.log_in().await;
    Events::open(&grace).await;
    open.pop();
    a_while().await;
    Events::open(&ada).await;
}
