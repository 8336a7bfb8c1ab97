//! The callback: the order of its checks, and the effect of each falsified redirect.

use devstack_idp::{Endpoint, Person};
use http::StatusCode;

use super::{is_error_page, is_problem, nobody, nothing_exchanged, query, with_parameter};
use crate::support::{Browser, Stack};

#[tokio::test]
async fn attack_22_state_is_looked_at_before_anything_else_that_came() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    let callback = ada.authorize("/auth/login?return_to=/mine").await;
    // Each of these would be another answer if `state` were not first.
    for other in [
        "/auth/callback?error=access_denied".to_owned(),
        "/auth/callback?error=access_denied&state=unknown&iss=https://evil.example".to_owned(),
        format!(
            "/auth/callback?error=login_required&state=unknown&iss={}",
            stack.issuer
        ),
        "/auth/callback?state=unknown".to_owned(),
        "/auth/callback?code=stolen&state=unknown&iss=https://evil.example".to_owned(),
        "/auth/callback".to_owned(),
        format!("/auth/callback?error=access_denied&state={}", "s".repeat(4_000)),
    ] {
        let reply = ada.get_json(&other).await;
        is_problem(&reply, StatusCode::BAD_REQUEST, "login_unknown");
        assert!(reply.set_cookies().is_empty(), "an attempt was touched");
        is_error_page(&ada.get(&other).await, "login_unknown");
    }
    nothing_exchanged(&stack);
    // The real one still works.
    assert_eq!(
        ada.get(&callback).await.leads_on(),
        format!("{}/mine", stack.origin(0))
    );
}

#[tokio::test]
async fn attack_22_iss_is_looked_at_before_code_and_error() {
    let stack = Stack::start().await;
    for iss in [
        None,
        Some("https://evil.example".to_owned()),
        Some(format!("{}/", stack.issuer)),
        Some(stack.issuer.to_uppercase()),
        Some(String::new()),
    ] {
        for error in [false, true] {
            let ada = stack.browser();
            let callback = ada.authorize("/auth/login").await;
            let mut callback = with_parameter(&callback, "iss", iss.as_deref());
            if error {
                callback = with_parameter(&callback, "error", Some("access_denied"));
            }
            let reply = ada.get_json(&callback).await;
            is_problem(&reply, StatusCode::BAD_REQUEST, "login_wrong_issuer");
            nobody(&ada, &reply).await;
        }
    }
    nothing_exchanged(&stack);
}

/// The IdP does not promise it (RFC 9207).
#[tokio::test]
async fn iss_may_be_absent_but_not_differ() {
    let stack = Stack::builder()
        .prepare(|idp| {
            idp.on_discovery(|document| {
                document["authorization_response_iss_parameter_supported"] = false.into();
            });
        })
        .start()
        .await;
    let ada = stack.browser();
    let callback = ada.authorize("/auth/login").await;
    let foreign = with_parameter(&callback, "iss", Some("https://evil.example"));
    is_problem(
        &ada.get_json(&foreign).await,
        StatusCode::BAD_REQUEST,
        "login_wrong_issuer",
    );
    nothing_exchanged(&stack);
    let callback = ada.authorize("/auth/login").await;
    let without = with_parameter(&callback, "iss", None);
    ada.get(&without).await.leads_on();
    assert!(ada.is_logged_in().await);
}

/// Its description is not shown.
#[tokio::test]
async fn attack_22_an_error_of_the_idp_is_escaped() {
    let stack = Stack::start().await;
    let evil = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>";
    for name in ["error", "error_description", "error_uri"] {
        let ada = stack.browser();
        let callback = ada.authorize("/auth/login").await;
        let callback = with_parameter(&callback, "error", Some("custom_error"));
        let callback = with_parameter(&callback, name, Some(evil));
        let reply = ada.get(&callback).await;
        assert_eq!(reply.status, StatusCode::BAD_GATEWAY);
        is_error_page(&reply, "idp_refused");
        assert!(!reply.body.contains("<img") && !reply.body.contains("<script"));
        assert_eq!(reply.body.contains("&lt;script&gt;"), name == "error", "{name}");
        nobody(&ada, &reply).await;
    }
    nothing_exchanged(&stack);
}

/// The page says what happened.
#[tokio::test]
async fn a_person_who_declines_can_try_again() {
    let stack = Stack::start().await;
    let person = Person::new("ada", "ada").unwrap().denying();
    let ada = Browser::of(person, &stack.origin(0));
    let callback = ada.authorize("/auth/login?return_to=%2Fdeep%3Fa%3Db%26c").await;
    assert_eq!(query(&callback)["error"], "access_denied");
    let reply = ada.get(&callback).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    is_error_page(&reply, "access_denied");
    assert!(
        reply
            .body
            .contains("href=\"/auth/login?return_to=%2Fdeep%3Fa%3Db%26c\"")
    );
    nobody(&ada, &reply).await;
    let callback = ada.authorize("/auth/login").await;
    is_problem(
        &ada.get_json(&callback).await,
        StatusCode::FORBIDDEN,
        "access_denied",
    );
}

#[tokio::test]
async fn what_the_idp_answers_is_sorted() {
    let stack = Stack::start().await;
    for (error, code) in [
        ("server_error", "idp_unavailable"),
        ("temporarily_unavailable", "idp_unavailable"),
        ("invalid_scope", "idp_refused"),
        ("unauthorized_client", "idp_refused"),
    ] {
        let ada = stack.browser();
        let callback = ada.authorize("/auth/login").await;
        let callback = with_parameter(&callback, "code", None);
        let reply = ada
            .get_json(&with_parameter(&callback, "error", Some(error)))
            .await;
        is_problem(&reply, StatusCode::BAD_GATEWAY, code);
        nobody(&ada, &reply).await;
    }
    nothing_exchanged(&stack);
}

#[tokio::test]
async fn an_error_beside_a_code_wins() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    let callback = ada.authorize("/auth/login").await;
    let reply = ada
        .get_json(&with_parameter(&callback, "error", Some("access_denied")))
        .await;
    is_problem(&reply, StatusCode::FORBIDDEN, "access_denied");
    nothing_exchanged(&stack);
}

#[tokio::test]
async fn without_a_usable_code_nothing_is_exchanged() {
    let stack = Stack::start().await;
    let long = "c".repeat(4 * 1024 + 1);
    for code in [None, Some(""), Some(long.as_str())] {
        let ada = stack.browser();
        let callback = ada.authorize("/auth/login").await;
        let reply = ada.get_json(&with_parameter(&callback, "code", code)).await;
        is_problem(&reply, StatusCode::BAD_REQUEST, "login_no_code");
        nobody(&ada, &reply).await;
    }
    nothing_exchanged(&stack);
}

/// The attempt stays.
#[tokio::test]
async fn doubled_parameters_and_huge_queries_are_refused() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    let callback = ada.authorize("/auth/login").await;
    for name in ["state", "code", "iss", "error", "error_description"] {
        let doubled = format!("{callback}&{name}=other&{name}=another");
        let reply = ada.get_json(&doubled).await;
        is_problem(&reply, StatusCode::BAD_REQUEST, "duplicate_parameter");
        is_error_page(&ada.get(&doubled).await, "duplicate_parameter");
    }
    let reply = ada.get_json(&format!("{callback}&x={}", "x".repeat(9_000))).await;
    is_problem(&reply, StatusCode::BAD_REQUEST, "query_too_long");
    nothing_exchanged(&stack);
    ada.get(&callback).await.leads_on();
    assert!(ada.is_logged_in().await);
}

#[tokio::test]
async fn bytes_that_are_no_text_are_answered() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    for query in [
        "%ff%fe",
        "state=%ff&code=%00",
        "state=%f0%9f%92%a9",
        "=&=&&&",
        "state",
        "code=%0d%0aSet-Cookie:x=y",
    ] {
        let reply = ada.get_json(&format!("/auth/callback?{query}")).await;
        is_problem(&reply, StatusCode::BAD_REQUEST, "login_unknown");
    }
}

/// A code works once.
#[tokio::test]
async fn a_second_callback_of_a_login_leads_home() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    let callback = ada.authorize("/auth/login?return_to=/deep").await;
    assert_eq!(
        ada.get(&callback).await.leads_on(),
        format!("{}/deep", stack.origin(0))
    );
    let session = ada.session_cookie();
    // Reload, or the back button.
    let reply = ada.get(&callback).await;
    assert_eq!(reply.location(), format!("{}/", stack.origin(0)));
    assert_eq!(ada.session_cookie(), session);
    assert_eq!(stack.idp.count(devstack_idp::Endpoint::Token), 1);
}

#[tokio::test]
async fn a_session_id_is_new_at_every_login_and_the_old_one_is_dead() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    let old = ada.session_cookie().unwrap();
    ada.log_in().await;
    let new = ada.session_cookie().unwrap();
    assert_ne!(old, new);
    let replay = stack.browser();
    replay.set_cookie("__Host-Http-bff_session", &old);
    assert!(!replay.is_logged_in().await);
    assert_eq!(replay.get("/api/x").await.status, StatusCode::UNAUTHORIZED);
    assert!(stack.api.calls().is_empty());
    // An IdP may keep both logins in one grant, and revoking the old tokens would end the new session with them.
    assert_eq!(stack.idp.count(Endpoint::Revoke), 0);
}
