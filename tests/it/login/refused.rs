//! The IdP returns an error: a person with a session continues, and some errors pass by themselves.

use devstack_idp::Endpoint;
use http::StatusCode;

use super::{is_error_page, is_problem, nobody, nothing_exchanged, query, with_parameter};
use crate::support::{Browser, Reply, Stack};

/// The answer to a login that the IdP refuses with `error`.
async fn refused_with(browser: &Browser, login: &str, error: &str) -> Reply {
    let callback = browser.authorize(login).await;
    let callback = with_parameter(&callback, "code", None);
    browser
        .get(&with_parameter(&callback, "error", Some(error)))
        .await
}

#[tokio::test]
async fn who_has_a_session_goes_on_with_it_whatever_the_error() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    let session = ada.session_cookie();
    stack.idp.clear_requests();
    for error in [
        "temporarily_unavailable",
        "authentication_expired",
        "access_denied",
        "server_error",
        "login_required",
        "invalid_scope",
    ] {
        let reply = refused_with(&ada, "/auth/login?return_to=%2Fdeep%3Fa%3Db", error).await;
        assert_eq!(reply.status, StatusCode::FOUND, "{error}");
        assert_eq!(
            reply.location(),
            format!("{}/deep?a=b", stack.origin(0)),
            "{error}"
        );
        assert_eq!(ada.session_cookie(), session);
        assert!(ada.login_cookies().is_empty(), "{error}: the attempt is over");
    }
    nothing_exchanged(&stack);
}

#[tokio::test]
async fn a_failed_step_up_is_reported_to_the_page() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    for wish in [
        "prompt=login",
        "prompt=consent",
        "max_age=0",
        "max_age=60",
        "acr_values=gold",
    ] {
        let login = format!("/auth/login?return_to=/deep&{wish}");
        for (error, code) in [
            ("access_denied", "access_denied"),
            ("temporarily_unavailable", "idp_unavailable"),
            ("authentication_expired", "idp_refused"),
        ] {
            let reply = refused_with(&ada, &login, error).await;
            assert!(
                reply.status.is_client_error() || reply.status.is_server_error(),
                "{wish}"
            );
            is_error_page(&reply, code);
        }
    }
    assert!(ada.is_logged_in().await);
}

#[tokio::test]
async fn attack_22_without_the_attempt_an_error_leads_nowhere() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    for target in [
        "/auth/callback?error=temporarily_unavailable".to_owned(),
        "/auth/callback?error=temporarily_unavailable&state=forged".to_owned(),
        format!(
            "/auth/callback?error=access_denied&state=forged&iss={}",
            stack.issuer
        ),
    ] {
        // The start page, as for every callback that belongs to no attempt.
        let reply = ada.get(&target).await;
        assert_eq!(reply.location(), format!("{}/", stack.origin(0)));
        let reply = stack.browser().get(&target).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST);
        is_error_page(&reply, "login_unknown");
    }
}

#[tokio::test]
async fn an_error_that_passes_by_itself_begins_the_login_again_once() {
    let stack = Stack::start().await;
    for error in ["temporarily_unavailable", "authentication_expired"] {
        let ada = stack.browser();
        let reply = refused_with(&ada, "/auth/login?return_to=/deep", error).await;
        assert_eq!(reply.status, StatusCode::FOUND, "{error}");
        assert!(
            reply.location().starts_with(&stack.issuer),
            "{error}: not to the IdP"
        );
        assert_eq!(ada.login_cookies().len(), 1);

        // The second attempt works as any other.
        let callback = ada.person().authorize(reply.location()).await.unwrap();
        let reply = ada.get(&callback).await;
        assert_eq!(reply.leads_on(), format!("{}/deep", stack.origin(0)));
        assert!(ada.is_logged_in().await);

        // Or fails for good.
        let ada = stack.browser();
        let reply = refused_with(&ada, "/auth/login?return_to=/deep", error).await;
        let callback = ada.person().authorize(reply.location()).await.unwrap();
        let callback = with_parameter(&callback, "code", None);
        let reply = ada.get(&with_parameter(&callback, "error", Some(error))).await;
        assert_eq!(reply.status, StatusCode::BAD_GATEWAY, "{error}");
        assert!(reply.body.contains("href=\"/auth/login?return_to=%2Fdeep\""));
        nobody(&ada, &reply).await;
    }
}

#[tokio::test]
async fn other_errors_and_special_logins_do_not_begin_again() {
    let stack = Stack::start().await;
    let plain = "/auth/login";
    for (login, error) in [
        (plain, "access_denied"),
        (plain, "server_error"),
        (plain, "invalid_request"),
        ("/auth/login?prompt=login", "temporarily_unavailable"),
        ("/auth/login?max_age=60", "authentication_expired"),
        ("/auth/login?acr_values=gold", "temporarily_unavailable"),
    ] {
        let ada = stack.browser();
        let reply = refused_with(&ada, login, error).await;
        assert_ne!(reply.status, StatusCode::FOUND, "{login} {error}");
        nobody(&ada, &reply).await;
    }
}

#[tokio::test]
async fn a_script_hears_of_the_error() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    let callback = ada.authorize("/auth/login").await;
    let callback = with_parameter(&callback, "code", None);
    let callback = with_parameter(&callback, "error", Some("temporarily_unavailable"));
    is_problem(
        &ada.get_json(&callback).await,
        StatusCode::BAD_GATEWAY,
        "idp_unavailable",
    );
}

#[tokio::test]
async fn where_beginning_again_is_not_possible_the_page_is_shown() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    let callback = ada.authorize("/auth/login?return_to=/deep").await;
    assert!(query(&callback).contains_key("state"));
    stack
        .idp
        .fail_always(Endpoint::Par, devstack_idp::Fault::status(500));
    let callback = with_parameter(&callback, "code", None);
    let callback = with_parameter(&callback, "error", Some("temporarily_unavailable"));
    let reply = ada.get(&callback).await;
    assert_eq!(reply.status, StatusCode::BAD_GATEWAY);
    is_error_page(&reply, "idp_unavailable");
    nobody(&ada, &reply).await;
}
