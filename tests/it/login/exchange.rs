//! The token endpoint on bad days, while a code is exchanged.

use std::{sync::Arc, time::Duration};

use devstack_idp::{Endpoint, Fault};
use http::StatusCode;
use serde_json::json;

use super::{is_error_page, is_problem, nobody, refused};
use crate::support::{Logs, Stack, times};

/// It logs nobody in.
#[tokio::test]
async fn every_failure_has_its_status_and_code() {
    let mut stack = Stack::start().await;
    for (fault, status, code) in [
        (
            Fault::oauth_error(400, "invalid_grant"),
            400,
            "login_code_refused",
        ),
        (
            Fault::oauth_error(401, "invalid_grant"),
            400,
            "login_code_refused",
        ),
        (Fault::oauth_error(400, "invalid_request"), 502, "idp_refused"),
        (Fault::oauth_error(400, "unauthorized_client"), 502, "idp_refused"),
        (Fault::oauth_error(401, "invalid_client"), 502, "idp_refused"),
        (
            Fault::oauth_error(403, "invalid_grant"),
            400,
            "login_code_refused",
        ),
        (
            Fault::oauth_error(400, "temporarily_unavailable"),
            502,
            "idp_unavailable",
        ),
        (Fault::status(404), 502, "idp_refused"),
        (Fault::html(200), 502, "idp_refused"),
        (Fault::html(400), 502, "idp_refused"),
        (Fault::json(200, &json!({})), 502, "idp_refused"),
        (Fault::json(200, &json!([])), 502, "idp_refused"),
        (Fault::text(200, "application/json", "{"), 502, "idp_refused"),
        (Fault::status(500), 502, "idp_unavailable"),
        (Fault::html(502), 502, "idp_unavailable"),
        (Fault::CloseWithoutAnswer, 502, "idp_unavailable"),
        (
            Fault::text(200, "application/json", &" ".repeat(2 << 20)),
            502,
            "idp_unavailable",
        ),
    ] {
        stack.idp.fail_always(Endpoint::Token, fault);
        refused(&mut stack, status, code).await;
        // One exchange for each login: a code is never sent twice.
        assert_eq!(stack.idp.count(Endpoint::Token), 2, "{code}");
        stack.idp.heal_all();
        stack.idp.clear_requests();
    }
    stack.browser().log_in().await;
}

/// The request is not repeated.
#[tokio::test]
async fn a_lost_answer_logs_nobody_in() {
    let stack = Stack::start().await;
    for fault in [Fault::CloseAfterProcessing, Fault::CutBody] {
        stack.idp.fail_next(Endpoint::Token, fault);
        let ada = stack.browser();
        let callback = ada.authorize("/auth/login").await;
        let reply = ada.get_json(&callback).await;
        is_problem(&reply, StatusCode::BAD_GATEWAY, "idp_unavailable");
        nobody(&ada, &reply).await;
        assert_eq!(stack.idp.count(Endpoint::Token), 1);
        stack.idp.clear_requests();
        ada.log_in_by("/auth/login").await.leads_on();
        stack.idp.clear_requests();
    }
}

#[tokio::test]
async fn attack_36_a_redirect_of_the_token_endpoint_is_not_followed() {
    let mut stack = Stack::start().await;
    for status in [301, 302, 303, 307, 308] {
        let location = format!("{}/token", stack.api.url());
        stack
            .idp
            .fail_always(Endpoint::Token, Fault::redirect(status, &location));
        refused(&mut stack, 502, "idp_refused").await;
        let inside = format!("{}/userinfo", stack.issuer);
        stack
            .idp
            .fail_always(Endpoint::Token, Fault::redirect(status, &inside));
        refused(&mut stack, 502, "idp_refused").await;
    }
    assert!(stack.api.calls().is_empty(), "the redirect was followed");
    assert_eq!(stack.idp.count(Endpoint::UserInfo), 0);
}

#[tokio::test]
async fn attack_15_a_busy_idp_is_asked_again_with_a_fresh_assertion() {
    for status in [429, 503] {
        let stack = Stack::start().await;
        stack.idp.fail_next(Endpoint::Token, Fault::status(status));
        let ada = stack.browser();
        let callback = ada.authorize("/auth/login").await;
        let waiting = tokio::spawn({
            let ada = ada.clone();
            async move { ada.get(&callback).await }
        });
        while !waiting.is_finished() {
            stack.advance(Duration::from_millis(250)).await;
        }
        waiting.await.unwrap().leads_on();
        let tries = stack.idp.requests(Endpoint::Token);
        let jti = |at: usize| tries[at].assertion().unwrap().1["jti"].clone();
        assert_eq!(tries.len(), 2);
        assert_ne!(jti(0), jti(1));
    }
}

#[tokio::test]
async fn an_idp_that_does_not_answer_is_given_up_in_time() {
    for endpoint in [Endpoint::Token, Endpoint::UserInfo, Endpoint::Par] {
        let mut stack = Stack::start().await;
        stack.idp.fail_always(endpoint, Fault::Hang);
        let ada = stack.browser();
        let target = match endpoint {
            Endpoint::Par => "/auth/login".to_owned(),
            _ => ada.authorize("/auth/login").await,
        };
        let waiting = tokio::spawn({
            let ada = ada.clone();
            async move { ada.get_json(&target).await }
        });
        stack
            .until("the IdP is asked", |stack| stack.idp.count(endpoint) == 1)
            .await;
        assert!(!waiting.is_finished());
        stack.clock.advance(times::IDP_TIMEOUT);
        let reply = waiting.await.unwrap();
        if endpoint == Endpoint::UserInfo {
            // No login depends on it.
            reply.leads_on();
            continue;
        }
        is_problem(&reply, StatusCode::GATEWAY_TIMEOUT, "idp_timeout");
        nobody(&ada, &reply).await;
    }
}

/// The person sees none of them.
#[tokio::test]
async fn invalid_client_shows_the_sent_facts_to_the_operator() {
    let stack = Stack::start().await;
    let logs = Logs::capture();
    stack
        .idp
        .fail_next(Endpoint::Token, Fault::oauth_error(401, "invalid_client"));
    let ada = stack.browser();
    let reply = ada.log_in_by("/auth/login").await;
    assert_eq!(reply.status, StatusCode::BAD_GATEWAY);
    is_error_page(&reply, "idp_refused");
    for secret in [
        "invalid_client",
        "private_key_jwt",
        "bff-server",
        "kid",
        "rehearsed",
    ] {
        assert!(!reply.body.contains(secret), "the page says {secret}");
    }
    let line = logs.lines_with("was not exchanged").pop().unwrap();
    for part in [
        "invalid_client",
        "private_key_jwt",
        "ES256",
        "MS_BFF_TOKEN_AUTH_METHOD",
        "BFF_JWT_SIGNING_KEY",
        "kid `",
        "in our JWKS",
        stack.issuer.as_str(),
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
}

#[tokio::test]
async fn malformed_members_of_the_answer_are_refused() {
    let stack = Stack::start().await;
    let logs = Logs::capture();
    for (name, value) in [
        ("access_token", json!(null)),
        ("access_token", json!(7)),
        ("access_token", json!("a b")),
        ("access_token", json!("a\r\nb")),
        ("access_token", json!("x".repeat(65 * 1024))),
        ("refresh_token", json!({"a": 1})),
        ("token_type", json!("DPoP")),
        ("token_type", json!(null)),
        ("refresh_token", json!("x".repeat(65 * 1024))),
        ("id_token", json!("x".repeat(65 * 1024))),
    ] {
        let size = value.as_str().map_or(0, str::len);
        stack
            .idp
            .on_next_token_response(move |answer| answer[name] = value.clone());
        let ada = stack.browser();
        let callback = ada.authorize("/auth/login").await;
        let reply = ada.get_json(&callback).await;
        is_problem(&reply, StatusCode::BAD_GATEWAY, "idp_refused");
        nobody(&ada, &reply).await;
        let line = logs.lines_with("was not exchanged").pop().unwrap();
        assert!(line.contains(&format!("`{name}`")), "{line}");
        if size > 60 * 1024 {
            assert!(line.contains(&format!("{size} bytes")), "{line}");
        }
    }
}

#[tokio::test]
async fn optional_members_of_another_type_cost_nobody_the_login() {
    let stack = Stack::start().await;
    for (name, value) in [
        ("expires_in", json!("60")),
        ("expires_in", json!([60])),
        ("expires_in", json!(null)),
        ("scope", json!(["openid", "email"])),
        ("scope", json!(7)),
        ("scope", json!({"a": 1})),
        ("refresh_expires_in", json!([])),
    ] {
        stack
            .idp
            .on_next_token_response(move |answer| answer[name] = value.clone());
        stack.browser().log_in().await;
    }
}

/// At the callback.
#[tokio::test]
async fn a_browser_that_hangs_up_leaves_nothing_behind() {
    let stack = Stack::start().await;
    let gate = Arc::new(tokio::sync::Notify::new());
    stack
        .idp
        .fail_next(Endpoint::Token, Fault::HoldUntil(Arc::clone(&gate)));
    let ada = stack.browser();
    let callback = ada.authorize("/auth/login").await;
    let waiting = tokio::spawn({
        let ada = ada.clone();
        async move { ada.get(&callback).await }
    });
    while stack.idp.count(Endpoint::Token) == 0 {
        crate::support::pause().await;
    }
    waiting.abort();
    gate.notify_one();
    assert!(!ada.is_logged_in().await);
    // The next login works as if nothing had been.
    ada.log_in().await;
}
