//! The target after a login.

use devstack_idp::Endpoint;
use http::StatusCode;
use url::form_urlencoded::byte_serialize;

use super::{is_error_page, is_problem};
use crate::support::{HOSTS, Stack};

/// Targets off the allow-list, which contains only `https://spa.example`.
pub const OFF_THE_LIST: &[&str] = &[
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    "\t//evil.example",
    "/\n/evil.example",
    " //evil.example",
    "/\0/evil.example",
    "https:evil.example",
    "https:/evil.example",
    "HTTPS://evil.example",
    "https://evil.example",
    "http://spa.example",
    "https://spa.example:444",
    "https://spa.example@evil.example",
    "https://user:pw@spa.example",
    "https://@spa.example",
    "https://spa.example.evil.example",
    "https://spa.example\u{3002}evil.example",
    "https://spa.example%2eevil.example@x",
    "/\u{ff0f}evil.example",
    "https://\u{ff53}pa.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "evil.example",
    "/a\r\nLocation: https://evil.example",
    "https://user@spa.example",
];

/// Paths of the server, in several spellings.
pub const PATHS_OF_OURS: &[&str] = &[
    "/auth/logout",
    "/auth/login?prompt=login",
    "/auth/session",
    "/api/auth/logout",
    "/api/auth/logout/",
    "/AUTH/Logout",
    "/%61uth/logout",
    "/%2561uth/logout",
    "/auth%2flogout",
    "/./auth/logout",
    "/.//auth/logout",
    "/x/../auth/logout",
    "/x/..%2fauth/logout",
    "/auth;x/logout",
    "/%EF%BD%81uth/logout",
    "/health",
    "/.well-known/jwks.json",
    "/auth/login",
    "/Auth/login",
    "/auth%2flogin",
    "/x/..%2fauth/login",
];

fn login(name: &str, target: &str) -> String {
    let target: String = byte_serialize(target.as_bytes()).collect();
    format!("/auth/login?{name}={target}")
}

#[tokio::test]
async fn paths_and_allowed_origins_are_reached() {
    let stack = Stack::builder()
        .set(
            "BFF_ALLOWED_REDIRECT_HOSTS",
            "spa.example,https://other.example:8443,http://127.0.0.1:5173",
        )
        .start()
        .await;
    let own = stack.origin(0);
    let ada = stack.browser();
    for (target, expected) in [
        ("/", format!("{own}/")),
        ("/a/b?c=d&e=%2F#f", format!("{own}/a/b?c=d&e=%2F#f")),
        ("https://spa.example/x", "https://spa.example/x".to_owned()),
        (
            "https://other.example:8443/",
            "https://other.example:8443/".to_owned(),
        ),
        (
            "http://127.0.0.1:5173/app",
            "http://127.0.0.1:5173/app".to_owned(),
        ),
    ] {
        for name in ["return_to", "returnUrl"] {
            let reply = ada.log_in_by(&login(name, target)).await;
            assert_eq!(reply.leads_on(), expected);
        }
    }
    // `return_to` wins where both are there.
    let reply = ada
        .log_in_by("/auth/login?returnUrl=/second&return_to=/first")
        .await;
    assert_eq!(reply.leads_on(), format!("{own}/first"));
}

#[tokio::test]
async fn the_hosts_of_the_redirect_uris_are_allowed_by_default() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    let other = format!("{}/app", stack.origin(1));
    assert_eq!(ada.log_in_by(&login("return_to", &other)).await.leads_on(), other);
    let elsewhere = format!("http://{}:1/app", HOSTS[1]);
    let reply = ada.get_json(&login("return_to", &elsewhere)).await;
    is_problem(&reply, StatusCode::BAD_REQUEST, "invalid_return_to");
}

#[tokio::test]
async fn attack_8_no_login_leads_off_the_allow_list() {
    let stack = Stack::builder()
        .set("BFF_ALLOWED_REDIRECT_HOSTS", "spa.example")
        .start()
        .await;
    let ada = stack.browser();
    for target in OFF_THE_LIST {
        for name in ["return_to", "returnUrl"] {
            let reply = ada.get_json(&login(name, target)).await;
            is_problem(&reply, StatusCode::BAD_REQUEST, "invalid_return_to");
            assert!(reply.set_cookies().is_empty() && reply.header("location").is_none());
        }
        let page = ada.get(&login("return_to", target)).await;
        is_error_page(&page, "invalid_return_to");
        assert!(!page.body.contains("evil"), "{target:?} is in the page");
    }
    let long = format!("/{}", "a".repeat(2048));
    is_problem(
        &ada.get_json(&login("return_to", &long)).await,
        StatusCode::BAD_REQUEST,
        "invalid_return_to",
    );
    assert_eq!(stack.idp.count(Endpoint::Par), 0);
}

#[tokio::test]
async fn a_target_of_two_kibibytes_is_reached() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    let target = format!("/{}?q={{\"a\":[1]}}", "a".repeat(2048 - 13));
    assert_eq!(target.len(), 2048);
    let reply = ada.log_in_by(&login("return_to", &target)).await;
    reply.leads_on();
    let expected = target.replace('"', "%22");
    assert_eq!(reply.leads_on(), format!("{}{expected}", stack.origin(0)));
    // A target that is short enough but does not fit its cookie is refused like a long one.
    let odd = format!("/{}", "\"".repeat(2047));
    let reply = ada.get_json(&login("return_to", &odd)).await;
    is_problem(&reply, StatusCode::BAD_REQUEST, "invalid_return_to");
}

#[tokio::test]
async fn attack_38_no_login_leads_to_a_path_of_ours() {
    let stack = Stack::builder()
        .set("BFF_COOKIE_SAMESITE", "Strict")
        .start()
        .await;
    let ada = stack.browser();
    for path in PATHS_OF_OURS {
        let own = [
            stack.origin(0),
            stack.origin(1),
            format!("http://{}", stack.address),
        ];
        let absolute = own.iter().map(|origin| format!("{origin}{path}"));
        for target in std::iter::once((*path).to_owned()).chain(absolute) {
            for name in ["return_to", "returnUrl"] {
                let reply = ada.get_json(&login(name, &target)).await;
                is_problem(&reply, StatusCode::BAD_REQUEST, "invalid_return_to");
                assert!(reply.set_cookies().is_empty() && reply.header("location").is_none());
            }
            is_error_page(&ada.get(&login("return_to", &target)).await, "invalid_return_to");
        }
    }
    assert_eq!(stack.idp.count(Endpoint::Par), 0);
    // A path that only begins with the same letters is the application's.
    let reply = ada.log_in_by("/auth/login?return_to=/authors").await;
    assert_eq!(reply.status, StatusCode::OK);
    assert!(reply.body.contains("/authors"));
}

#[tokio::test]
async fn attack_38_a_target_that_became_ours_leads_to_the_start() {
    let mut stack = Stack::builder()
        .set("BFF_ALLOWED_REDIRECT_HOSTS", "http://late.localhost:8000")
        .start()
        .await;
    let ada = stack.browser();
    let callback = ada
        .authorize(&login("return_to", "http://late.localhost:8000/auth/logout"))
        .await;
    let uris = stack
        .variables
        .iter()
        .find(|(name, _)| name == "DCR_REDIRECT_URIS");
    let uris = format!("{},http://late.localhost:8000/auth/callback", uris.unwrap().1);
    stack.restart_with(&[("DCR_REDIRECT_URIS", &uris)]).await;
    let reply = ada.get(&callback).await;
    assert_eq!(reply.leads_on(), format!("{}/", stack.origin(0)));
}

#[tokio::test]
async fn attack_8_a_target_removed_from_the_list_is_not_reached() {
    let mut stack = Stack::builder()
        .set("BFF_ALLOWED_REDIRECT_HOSTS", "spa.example")
        .start()
        .await;
    let ada = stack.browser();
    let callback = ada.authorize("/auth/login?return_to=https://spa.example/x").await;
    stack
        .restart_with(&[("BFF_ALLOWED_REDIRECT_HOSTS", "other.example")])
        .await;
    // The attempt survives a restart, because it lives in the browser; the permission does not.
    assert_eq!(
        ada.get(&callback).await.leads_on(),
        format!("{}/", stack.origin(0))
    );
    assert!(ada.is_logged_in().await);
}
