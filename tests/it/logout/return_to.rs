//! The target after a logout.

use http::{Method, StatusCode, header};
use url::form_urlencoded::byte_serialize;

use super::{out, still_in, submit};
use crate::{
    login::return_to::{OFF_THE_LIST, PATHS_OF_OURS},
    support::{Browser, Reply, Stack},
};

const LOGOUT: &str = "__Host-Http-bff_logout";

fn logout(target: &str) -> String {
    let target: String = byte_serialize(target.as_bytes()).collect();
    format!("/auth/logout?return_to={target}")
}

/// Through the IdP and back.
async fn go_through(browser: &Browser, reply: &Reply) -> Reply {
    let back = browser.person().visit(reply.location()).await.unwrap();
    let back = back.headers()["location"].to_str().unwrap().to_owned();
    browser.get(&back).await
}

#[tokio::test]
async fn the_target_is_kept_sealed_and_reached_once() {
    let stack = Stack::builder()
        .set("BFF_ALLOWED_REDIRECT_HOSTS", "spa.example")
        .start()
        .await;
    for (target, expected) in [
        ("/bye?a=b", format!("{}/bye?a=b", stack.origin(0))),
        ("https://spa.example/bye", "https://spa.example/bye".to_owned()),
    ] {
        let ada = stack.browser();
        ada.log_in().await;
        let reply = ada.post(&logout(target)).await;
        assert_eq!(reply.status, StatusCode::SEE_OTHER);
        let sets = reply.set_cookies();
        let set = sets.iter().find(|set| set.starts_with(LOGOUT)).unwrap();
        for attribute in ["HttpOnly", "SameSite=Lax", "Secure", "Path=/", "Max-Age=600"] {
            assert!(set.split("; ").any(|found| found == attribute), "{attribute}");
        }
        assert!(!set.contains("bye") && !reply.location().contains("bye"));
        let landed = go_through(&ada, &reply).await;
        assert_eq!(
            (landed.status, landed.location()),
            (StatusCode::FOUND, expected.as_str())
        );
        assert!(!ada.cookies(ada.origin()).contains_key(LOGOUT));
        // The next one has no target any more.
        assert_eq!(ada.get("/auth/logged-out").await.status, StatusCode::OK);
    }
    // A form can name it too.
    let ada = stack.browser();
    ada.log_in().await;
    let token = ada.csrf_token().await;
    let reply = submit(&ada, &[("csrf_token", &token), ("return_to", "/form")]).await;
    let landed = go_through(&ada, &reply).await;
    assert_eq!(landed.location(), format!("{}/form", stack.origin(0)));
}

#[tokio::test]
async fn attack_8_no_logout_leads_off_the_allow_list() {
    let stack = Stack::builder()
        .set("BFF_ALLOWED_REDIRECT_HOSTS", "spa.example")
        .start()
        .await;
    let ada = stack.browser();
    ada.log_in().await;
    for target in OFF_THE_LIST {
        let reply = ada.post(&logout(target)).await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (StatusCode::BAD_REQUEST, "invalid_return_to")
        );
        still_in(&stack, &ada, &reply).await;
        let token = ada.csrf_token().await;
        let reply = submit(&ada, &[("csrf_token", &token), ("return_to", target)]).await;
        assert_eq!(reply.code(), "invalid_return_to");
        let request = ada
            .request(Method::GET, &logout(target))
            .header("sec-fetch-site", "same-origin")
            .header("sec-fetch-mode", "navigate");
        let reply = ada.send(request).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST);
        crate::login::is_error_page(&reply, "invalid_return_to");
        still_in(&stack, &ada, &reply).await;
    }
}

#[tokio::test]
async fn attack_38_no_logout_leads_to_a_path_of_ours() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    for path in PATHS_OF_OURS {
        for target in [
            (*path).to_owned(),
            format!("{}{path}", stack.origin(0)),
            format!("{}{path}", stack.origin(2)),
        ] {
            let reply = ada.post(&logout(&target)).await;
            assert_eq!(
                (reply.status, reply.code().as_str()),
                (StatusCode::BAD_REQUEST, "invalid_return_to")
            );
            still_in(&stack, &ada, &reply).await;
            let token = ada.csrf_token().await;
            let reply = submit(&ada, &[("csrf_token", &token), ("return_to", &target)]).await;
            assert_eq!(reply.code(), "invalid_return_to");
            let request = ada
                .request(Method::GET, &logout(&target))
                .header("sec-fetch-site", "same-origin")
                .header("sec-fetch-mode", "navigate");
            crate::login::is_error_page(&ada.send(request).await, "invalid_return_to");
        }
    }
    assert!(ada.is_logged_in().await);
}

#[tokio::test]
async fn attack_38_a_kept_target_that_has_become_ours_is_not_reached() {
    let mut stack = Stack::builder()
        .set("BFF_ALLOWED_REDIRECT_HOSTS", "http://late.localhost:8000")
        .start()
        .await;
    let ada = stack.browser();
    ada.log_in().await;
    ada.post(&logout("http://late.localhost:8000/auth/login")).await;
    assert!(ada.cookies(ada.origin()).contains_key(LOGOUT));
    let uris = stack
        .variables
        .iter()
        .find(|(name, _)| name == "DCR_REDIRECT_URIS");
    let uris = format!("{},http://late.localhost:8000/auth/callback", uris.unwrap().1);
    stack.restart_with(&[("DCR_REDIRECT_URIS", &uris)]).await;
    let reply = ada.get("/auth/logged-out").await;
    assert_eq!(reply.status, StatusCode::OK);
    assert!(reply.header("location").is_none());
}

#[tokio::test]
async fn a_planted_logout_cookie_leads_nowhere() {
    let mut stack = Stack::builder()
        .set("BFF_ALLOWED_REDIRECT_HOSTS", "spa.example")
        .start()
        .await;
    let ada = stack.browser();
    ada.log_in().await;
    // A login attempt is sealed by the same server, for another purpose.
    ada.get("/auth/login").await;
    let attempt = ada.login_cookies().pop().unwrap();
    let attempt = ada.cookies(ada.origin())[&attempt].clone();
    ada.post(&logout("https://spa.example/bye")).await;
    let sealed = ada.cookies(ada.origin())[LOGOUT].clone();

    for planted in [
        "https://evil.example",
        "aHR0cHM6Ly9ldmlsLmV4YW1wbGU",
        &attempt,
        &sealed[1..],
    ] {
        let victim = stack.browser();
        victim.set_cookie(LOGOUT, planted);
        let reply = victim.get("/auth/logged-out").await;
        assert_eq!(reply.status, StatusCode::OK);
        crate::login::guarded(&reply);
        assert!(!reply.body.contains("evil") && reply.header("location").is_none());
    }
    // A duplicate parameter is ignored.
    let twice = stack
        .browser()
        .request(Method::GET, "/auth/logged-out")
        .header(header::COOKIE, format!("{LOGOUT}={sealed}; {LOGOUT}={sealed}"));
    assert_eq!(ada.send(twice).await.status, StatusCode::OK);
    // A target that has left the list since then is not reached either.
    stack
        .restart_with(&[("BFF_ALLOWED_REDIRECT_HOSTS", "other.example")])
        .await;
    let reply = ada.get("/auth/logged-out").await;
    assert_eq!(reply.status, StatusCode::OK);
    assert!(reply.header("location").is_none());
}

/// Anybody can open the page, also without a logout before it.
#[tokio::test]
async fn the_logged_out_page_never_claims_an_end_that_did_not_come() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    let reply = ada.get("/auth/logged-out").await;
    assert_eq!(reply.status, StatusCode::OK);
    crate::login::guarded(&reply);
    assert!(
        reply.body.contains("<h1>You are still logged in</h1>"),
        "{}",
        reply.body
    );
    assert!(!reply.body.contains("You are logged out") && reply.body.contains("href=\"/\""));
    still_in(&stack, &ada, &reply).await;
    // The button of the page ends the session.
    let token = ada.csrf_token().await;
    assert!(reply.body.contains("action=\"/auth/logout\"") && reply.body.contains(&token));
    let cookie = ada.session_cookie().unwrap();
    submit(&ada, &[("csrf_token", &token)]).await;
    out(&stack, &ada, &cookie).await;
    let reply = ada.get("/auth/logged-out").await;
    assert!(
        reply.body.contains("<h1>You are logged out</h1>"),
        "{}",
        reply.body
    );
}

#[tokio::test]
async fn attack_8_the_logged_out_page_takes_no_target_from_its_query() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    for query in [
        "return_to=https://evil.example",
        "state=https://evil.example",
        "post_logout_redirect_uri=//evil.example",
    ] {
        let reply = ada.get(&format!("/auth/logged-out?{query}")).await;
        assert_eq!(reply.status, StatusCode::OK);
        assert!(!reply.body.contains("evil") && reply.header("location").is_none());
    }
}
