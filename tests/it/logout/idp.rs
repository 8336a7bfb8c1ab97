//! The effect of a logout at the IdP.

use std::{sync::Arc, time::Duration};

use devstack_idp::{Endpoint, Fault};
use http::{Method, StatusCode};
use parking_lot::Mutex;
use serde_json::json;

use super::{out, submit};
use crate::{
    login::query,
    support::{Browser, Logs, Stack, times},
};

/// The session ends, and the browser comes back from the IdP.
#[tokio::test]
async fn a_logout_revokes_the_tokens_and_visits_the_idp() {
    let mut stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    let cookie = ada.session_cookie().unwrap();
    let reply = ada.post("/auth/logout").await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER);
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert!(reply.location().starts_with(&format!("{}/logout?", stack.issuer)));
    let sent = query(reply.location());
    assert_eq!(sent["client_id"], "bff-server");
    assert_eq!(
        sent["post_logout_redirect_uri"],
        format!("{}/auth/logged-out", stack.origin(0))
    );
    assert!(sent.contains_key("id_token_hint"));
    out(&stack, &ada, &cookie).await;
    stack
        .until("the refresh token is revoked", |stack| {
            stack.idp.issued_refresh_tokens_live("u-ada") == 0
        })
        .await;
    stack
        .until("the access token is revoked, too", |stack| {
            stack.idp.count(Endpoint::Revoke) == 2
        })
        .await;
    let revoked = stack.idp.requests(Endpoint::Revoke);
    for (request, kind) in revoked.iter().zip(["refresh_token", "access_token"]) {
        assert_eq!(request.field("token_type_hint"), Some(kind));
        assert!(request.field("client_assertion").is_some());
    }

    // The IdP accepts all of it and sends the person back.
    let back = ada.person().visit(reply.location()).await.unwrap();
    let back = back.headers()["location"].to_str().unwrap().to_owned();
    assert_eq!(back, sent["post_logout_redirect_uri"]);
    let page = ada.get(&back).await;
    assert_eq!(page.status, StatusCode::OK);
    crate::login::guarded(&page);
    assert!(page.body.contains("You are logged out"));
    assert!(page.body.contains("href=\"/\""));
}

#[tokio::test]
async fn the_alias_json_and_the_form_do_the_same() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    let cookie = ada.session_cookie().unwrap();
    let request = ada
        .request(Method::POST, "/api/auth/logout")
        .header("x-csrf-token", ada.csrf_token().await)
        .header("accept", "application/json");
    let reply = ada.send(request).await;
    assert_eq!(reply.status, StatusCode::OK);
    let document = reply.json();
    assert_eq!(document.as_object().unwrap().len(), 1);
    let url = document["logout_url"].as_str().unwrap();
    assert!(url.starts_with(&format!("{}/logout?", stack.issuer)));
    out(&stack, &ada, &cookie).await;

    ada.log_in().await;
    let cookie = ada.session_cookie().unwrap();
    let token = ada.csrf_token().await;
    let reply = submit(&ada, &[("csrf_token", &token)]).await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER);
    out(&stack, &ada, &cookie).await;
}

#[tokio::test]
async fn everywhere_ends_exactly_the_sessions_of_the_person() {
    let mut stack = Stack::start().await;
    for by_query in [false, true] {
        let browsers = [stack.browser(), stack.browser(), stack.browser()];
        for browser in &browsers {
            browser.log_in().await;
        }
        let grace = Browser::new("grace", &stack.origin(0));
        grace.log_in().await;
        // Any other value than `true` means only this browser.
        let token = browsers[0].csrf_token().await;
        submit(&browsers[0], &[("csrf_token", &token), ("everywhere", "1")]).await;
        assert!(browsers[1].is_logged_in().await && browsers[2].is_logged_in().await);
        if by_query {
            browsers[1].post("/auth/logout?everywhere=true").await;
        } else {
            let token = browsers[1].csrf_token().await;
            submit(&browsers[1], &[("csrf_token", &token), ("everywhere", "true")]).await;
        }
        for browser in &browsers {
            assert!(!browser.is_logged_in().await);
        }
        assert!(grace.is_logged_in().await);
        stack
            .until("all tokens are revoked", |stack| {
                stack.idp.issued_refresh_tokens_live("u-ada") == 0
            })
            .await;
    }
}

#[tokio::test]
async fn a_revocation_endpoint_that_is_dead_stops_no_logout() {
    for fault in [
        Fault::status(500),
        Fault::oauth_error(401, "invalid_client"),
        Fault::CloseWithoutAnswer,
        Fault::Hang,
        Fault::redirect(307, "https://evil.example/"),
    ] {
        let mut stack = Stack::start().await;
        let logs = Logs::capture();
        let hangs = matches!(fault, Fault::Hang);
        stack.idp.fail_always(Endpoint::Revoke, fault);
        let ada = stack.browser();
        ada.log_in().await;
        let cookie = ada.session_cookie().unwrap();
        let reply = ada.post("/auth/logout").await;
        assert_eq!(reply.status, StatusCode::SEE_OTHER);
        out(&stack, &ada, &cookie).await;
        stack
            .until("the IdP is asked", |stack| stack.idp.count(Endpoint::Revoke) == 1)
            .await;
        if hangs {
            stack.clock.advance(times::IDP_TIMEOUT);
        }
        stack
            .until("the operator is told", |_| {
                !logs.lines_with("were not revoked").is_empty()
            })
            .await;
    }
}

#[tokio::test]
async fn an_idp_without_these_endpoints_is_no_obstacle() {
    let stack = Stack::builder()
        .prepare(|idp| {
            idp.on_discovery(|document| {
                let document = document.as_object_mut().unwrap();
                document.remove("end_session_endpoint");
                document.remove("revocation_endpoint");
            });
        })
        .start()
        .await;
    let ada = stack.browser();
    ada.log_in().await;
    let cookie = ada.session_cookie().unwrap();
    let reply = ada.post("/auth/logout").await;
    assert_eq!(reply.location(), format!("{}/auth/logged-out", stack.origin(0)));
    out(&stack, &ada, &cookie).await;
    assert_eq!(stack.idp.count(Endpoint::Revoke), 0);
}

#[tokio::test]
async fn attack_17_the_newest_id_token_is_the_hint() {
    let stack = Stack::start().await;
    let issued: Arc<Mutex<Vec<String>>> = Arc::default();
    stack.idp.on_token_response({
        let issued = Arc::clone(&issued);
        move |answer| {
            if let Some(token) = answer["id_token"].as_str() {
                issued.lock().push(token.to_owned());
            }
        }
    });
    let ada = stack.browser();
    ada.log_in().await;
    stack.clock.advance(times::DUE);
    let first = ada.session().await["refreshed_at"].clone();
    while ada.session().await["refreshed_at"] == first {
        stack.clock.advance(Duration::from_secs(1));
        crate::support::pause().await;
    }
    // A refresh without an ID token keeps the present one.
    stack.idp.id_token_on_refresh(false);
    let second = ada.session().await["refreshed_at"].clone();
    stack.clock.advance(times::DUE);
    while ada.session().await["refreshed_at"] == second {
        stack.clock.advance(Duration::from_secs(1));
        crate::support::pause().await;
    }
    let reply = ada.post("/auth/logout").await;
    let hint = query(reply.location())["id_token_hint"].clone();
    let issued = issued.lock();
    assert_eq!(issued.len(), 2);
    assert!(
        hint == issued[1] && hint != issued[0],
        "an older ID token is the hint"
    );
}

/// The client id stays.
#[tokio::test]
async fn a_hint_beyond_four_kib_is_omitted() {
    let stack = Stack::start().await;
    stack.idp.on_id_token(|draft| {
        draft.claims.insert("groups".to_owned(), json!("g".repeat(5_000)));
    });
    let ada = stack.browser();
    ada.log_in().await;
    let reply = ada.post("/auth/logout").await;
    let sent = query(reply.location());
    assert!(!sent.contains_key("id_token_hint"));
    assert_eq!(sent["client_id"], "bff-server");
    let back = ada.person().visit(reply.location()).await.unwrap();
    assert_eq!(
        back.headers()["location"],
        sent["post_logout_redirect_uri"].as_str()
    );
}

#[tokio::test]
async fn without_a_session_the_person_is_still_led_to_the_idp() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    let request = ada.request(Method::POST, "/auth/logout");
    let reply = ada.send(request).await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER);
    let sent = query(reply.location());
    assert_eq!(sent["client_id"], "bff-server");
    assert!(!sent.contains_key("id_token_hint"));
    assert_eq!(stack.idp.count(Endpoint::Revoke), 0);
    // Twice is as good as once.
    ada.log_in().await;
    ada.post("/auth/logout").await;
    let reply = ada.send(ada.request(Method::POST, "/auth/logout")).await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER);
}
