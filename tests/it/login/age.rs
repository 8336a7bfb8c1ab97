//! `max_age` and `prompt=none`.

use std::time::Duration;

use http::StatusCode;
use serde_json::json;

use super::{is_problem, query, refused};
use crate::support::Stack;

#[tokio::test]
async fn max_age_is_held_against_auth_time() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    stack.advance(Duration::from_secs(200)).await;
    // Young enough for a request with 300 seconds.
    ada.log_in_by("/auth/login?max_age=300").await.leads_on();

    // An IdP that does not ask again although it should.
    for auth_time in [Some(1_800_000_000), None] {
        stack.idp.on_next_id_token(move |draft| {
            draft.claims.remove("auth_time");
            if let Some(time) = auth_time {
                draft.claims.insert("auth_time".to_owned(), json!(time));
            }
        });
        let callback = ada.authorize("/auth/login?max_age=100").await;
        let before = ada.session_cookie();
        let reply = ada.get_json(&callback).await;
        is_problem(&reply, StatusCode::BAD_GATEWAY, "idp_answer_refused");
        assert_eq!(ada.session_cookie(), before, "the session that was there stays");
        assert!(ada.is_logged_in().await);
    }
    // Without `max_age` the same token is valid.
    stack.idp.on_next_id_token(|draft| {
        draft.claims.remove("auth_time");
    });
    ada.log_in_by("/auth/login").await.leads_on();
}

#[tokio::test]
async fn max_age_zero_and_the_largest_one_work() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    for max_age in ["0", "18446744073709551615"] {
        let reply = ada.log_in_by(&format!("/auth/login?max_age={max_age}")).await;
        reply.leads_on();
    }
}

#[tokio::test]
async fn an_authentication_in_the_future_is_refused() {
    let mut stack = Stack::start().await;
    stack.idp.on_id_token(|draft| {
        draft
            .claims
            .insert("auth_time".to_owned(), json!(1_800_000_000_u64 + 3_600));
    });
    refused(&mut stack, 502, "idp_answer_refused").await;
}

/// `prompt=none`.
#[tokio::test]
async fn a_silent_login_that_needs_a_person_returns_an_error() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    let callback = ada
        .authorize("/auth/login?prompt=none&return_to=%2Fapp%3Ftab%3D1")
        .await;
    assert_eq!(query(&callback)["error"], "login_required");
    let reply = ada.get(&callback).await;
    assert_eq!(reply.status, StatusCode::FOUND);
    assert_eq!(
        reply.location(),
        format!("{}/app?tab=1&error=login_required", stack.origin(0))
    );
    super::nobody(&ada, &reply).await;

    let callback = ada.authorize("/auth/login?prompt=none").await;
    let reply = ada.get_json(&callback).await;
    is_problem(&reply, StatusCode::UNAUTHORIZED, "login_required");
    super::nobody(&ada, &reply).await;
    super::nothing_exchanged(&stack);
}

#[tokio::test]
async fn every_way_to_need_a_person_is_told_as_login_required() {
    let stack = Stack::start().await;
    for error in [
        "interaction_required",
        "consent_required",
        "account_selection_required",
    ] {
        stack.idp.on_authorize_response(move |params| {
            for (name, value) in params.iter_mut() {
                if name == "error" {
                    error.clone_into(value);
                }
            }
        });
        let ada = stack.browser();
        let reply = ada.log_in_by("/auth/login?prompt=none").await;
        assert_eq!(
            reply.location(),
            format!("{}/?error=login_required", stack.origin(0))
        );
    }
    // For a login that had a person in front of it, the same is an error page.
    stack.idp.on_authorize_response(|params| {
        params.retain(|(name, _)| name != "code");
        params.push(("error".to_owned(), "login_required".to_owned()));
    });
    let ada = stack.browser();
    let reply = ada.log_in_by("/auth/login").await;
    assert_eq!(reply.status, StatusCode::BAD_GATEWAY);
    super::is_error_page(&reply, "idp_refused");
}

/// `prompt=none`.
#[tokio::test]
async fn a_silent_login_works_for_a_person_known_to_the_idp() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    ada.forget_cookies();
    // Consent to the scopes of a login without `prompt=consent`.
    ada.log_in_by("/auth/login?prompt=login").await.leads_on();
    ada.forget_cookies();
    let reply = ada.log_in_by("/auth/login?prompt=none").await;
    assert_eq!(reply.leads_on(), format!("{}/", stack.origin(0)));
    assert!(ada.is_logged_in().await);
}
