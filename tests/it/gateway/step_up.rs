//! An API that demands a stronger login (RFC 9470).

use std::{sync::Arc, time::Duration};

use axum::response::IntoResponse as _;
use devstack_idp::Person;
use http::{Method, StatusCode};
use parking_lot::Mutex;
use serde_json::json;

use crate::support::{Browser, Logs, Reply, Stack, times};

const CHALLENGE: &str = "DPoP algs=\"ES256\", Bearer error=\"insufficient_user_authentication\", \
     error_description=\"of token 4711\", acr_values=\"gold platinum\", max_age=\"300\"";

/// A person who is logged in, and an API that demands `CHALLENGE` while it is closed.
struct Harness {
    stack: Stack,
    ada: Browser,
    closed: Arc<Mutex<bool>>,
}

// === impl Harness ===

impl Harness {
    async fn start() -> Self {
        let stack = Stack::start().await;
        let ada = stack.browser();
        ada.log_in().await;
        let closed = Arc::new(Mutex::new(true));
        let is_closed = Arc::clone(&closed);
        stack.api.answer(move |_| {
            if *is_closed.lock() {
                return (
                    StatusCode::UNAUTHORIZED,
                    [("www-authenticate", CHALLENGE)],
                    "more",
                )
                    .into_response();
            }
            "here".into_response()
        });
        Self { stack, ada, closed }
    }

    /// The IdP logs the next person in as strongly as this.
    fn acr(&self, acr: &'static str) {
        self.stack
            .idp
            .on_next_id_token(move |draft| drop(draft.claims.insert("acr".to_owned(), json!(acr))));
    }

    async fn lives(&self, cookie: &str) -> bool {
        let browser = self.stack.browser();
        browser.set_cookie("__Host-Http-bff_session", cookie);
        browser.is_logged_in().await
    }
}

/// The login that the answer leads to.
#[track_caller]
fn login_url(reply: &Reply) -> String {
    assert_eq!(
        reply.refusal(),
        (401, "step_up_required".to_owned()),
        "{}",
        reply.body
    );
    reply.json()["login_url"].as_str().unwrap().to_owned()
}

/// Nothing of the token.
#[tokio::test]
async fn the_browser_learns_only_the_demanded_login() {
    let harness = Harness::start().await;
    let request = harness
        .ada
        .request(Method::GET, "/api/x")
        .header("referer", format!("{}/orders?page=2", harness.ada.origin()));
    let reply = harness.ada.send(request).await;
    assert_eq!(
        login_url(&reply),
        "/auth/login?acr_values=gold+platinum&max_age=300&return_to=%2Forders%3Fpage%3D2"
    );
    assert_eq!(reply.json()["acr_values"], "gold platinum");
    assert_eq!(reply.json()["max_age"], 300);
    assert_eq!(
        reply.header("www-authenticate"),
        Some("Bearer error=\"insufficient_user_authentication\", acr_values=\"gold platinum\", max_age=300")
    );
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert!(!reply.body.contains("4711"));
    // The page is never one of another origin, nor one of ours.
    for referer in ["https://evil.example/a", "{origin}/auth/logout", "garbage"] {
        let referer = referer.replace("{origin}", harness.ada.origin());
        let request = harness.ada.request(Method::GET, "/api/x");
        let reply = harness.ada.send(request.header("referer", referer)).await;
        assert_eq!(
            login_url(&reply),
            "/auth/login?acr_values=gold+platinum&max_age=300"
        );
    }
    // A person sees a page that leads on.
    let reply = harness.ada.go_on_to("/api/page?a=b").await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    let link = "/auth/login?acr_values=gold+platinum&amp;max_age=300&amp;return_to=%2Fapi%2Fpage%3Fa%3Db";
    assert!(reply.body.contains(link), "{}", reply.body);
}

/// It is of the same person.
#[tokio::test]
async fn a_stronger_login_replaces_the_session() {
    let harness = Harness::start().await;
    let old = harness.ada.session_cookie().unwrap();
    let login = login_url(&harness.ada.get("/api/x").await);
    harness.acr("platinum");
    harness.ada.log_in_by(&login).await.leads_on();
    *harness.closed.lock() = false;
    assert_eq!(harness.ada.get("/api/x").await.body, "here");
    let session = harness.ada.session().await;
    assert_eq!(session["acr"], "platinum");
    assert_ne!(harness.ada.session_cookie().unwrap(), old);
    assert!(!harness.lives(&old).await);
}

#[tokio::test]
async fn a_login_that_is_not_stronger_changes_nothing() {
    let harness = Harness::start().await;
    let old = harness.ada.session_cookie().unwrap();
    for acr in ["silver", "gold platinum", "goldx"] {
        let login = login_url(&harness.ada.get("/api/x").await);
        harness.acr(acr);
        let reply = harness.ada.log_in_by(&login).await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN, "{acr}");
        assert!(reply.body.contains("login_too_weak"), "{}", reply.body);
        assert_eq!(harness.ada.session_cookie().as_ref(), Some(&old));
        assert!(harness.ada.is_logged_in().await);
    }
    *harness.closed.lock() = false;
    // The tokens of the session are still good, also after a refresh.
    harness.stack.advance(Duration::from_mins(4)).await;
    assert_eq!(harness.ada.get("/api/x").await.body, "here");
}

/// It takes nothing over.
#[tokio::test]
async fn a_login_of_another_person_ends_the_session() {
    let harness = Harness::start().await;
    let old = harness.ada.session_cookie().unwrap();
    let login = login_url(&harness.ada.get("/api/x").await);
    let started = harness.ada.get(&login).await;
    harness.acr("gold");
    let grace = Person::new("grace", "grace").unwrap();
    let callback = grace.authorize(started.location()).await.unwrap();
    harness.ada.get(&callback).await.leads_on();
    assert_eq!(harness.ada.session().await["user"]["sub"], "u-grace");
    assert!(!harness.lives(&old).await);
}

#[tokio::test]
async fn an_api_that_is_never_content_makes_no_loop() {
    let harness = Harness::start().await;
    let login = login_url(&harness.ada.get("/api/x").await);
    harness.acr("gold");
    harness.ada.log_in_by(&login).await.leads_on();
    let logs = Logs::capture();
    for _ in 0..3 {
        let reply = harness.ada.get("/api/x").await;
        assert_eq!(reply.refusal(), (403, "step_up_not_enough".to_owned()));
        assert_eq!(reply.header("www-authenticate"), None);
    }
    let told = logs
        .text()
        .matches("an API demands a stronger login right after one")
        .count();
    assert_eq!(told, 1, "{}", logs.text());
    harness.stack.advance(times::OVER_A_MINUTE).await;
    login_url(&harness.ada.get("/api/x").await);
}

/// As OpenID Connect defines it.
#[tokio::test]
async fn without_a_session_the_demand_becomes_a_request_parameter() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    // OpenID Connect Core 1.0 section 3.1.2.1: a voluntary claim.
    ada.log_in_by("/auth/login?acr_values=gold").await.leads_on();
    assert!(ada.is_logged_in().await);
}

#[tokio::test]
async fn a_public_route_passes_the_demand_on() {
    let harness = Harness::start().await;
    let reply = harness.ada.get("/public/x").await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    assert_eq!(reply.header("www-authenticate"), Some(CHALLENGE));
    assert_eq!(reply.body, "more");
}

#[tokio::test]
async fn an_idp_that_says_itself_that_it_cannot_is_told_as_such() {
    let harness = Harness::start().await;
    let login = login_url(&harness.ada.get("/api/x").await);
    let callback = harness.ada.authorize(&login).await;
    // OpenID Connect Core Error Code unmet_authentication_requirements 1.0.
    let mut callback = url::Url::parse(&callback).unwrap();
    let kept: Vec<(String, String)> = callback
        .query_pairs()
        .filter(|(name, _)| name != "code")
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    callback
        .query_pairs_mut()
        .clear()
        .extend_pairs(kept)
        .append_pair("error", "unmet_authentication_requirements");
    let reply = harness.ada.get(callback.as_str()).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    assert!(reply.body.contains("login_too_weak"), "{}", reply.body);
    assert!(harness.ada.is_logged_in().await);
}
