//! The answers to automatic requests of a browser, if no route serves them.

use http::{Method, StatusCode};

use crate::support::{Browser, Reply, Stack};

async fn page(browser: &Browser) -> Reply {
    let request = browser.request(Method::GET, "/");
    browser
        .send(request.header("accept", "text/html,*/*;q=0.8"))
        .await
}

#[tokio::test]
async fn the_start_page_shows_the_session_and_the_next_step() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    let before = page(&ada).await;
    assert_eq!(before.status, StatusCode::OK);
    assert!(before.body.contains("You are not logged in") && before.body.contains("href=\"/auth/login\""));
    ada.log_in().await;
    let after = page(&ada).await;
    assert!(after.body.contains("You are logged in") && after.body.contains("href=\"/auth/logout\""));
    assert_eq!(after.header("cache-control"), Some("no-store"));
    assert!(after.header("content-security-policy").is_some());
    // A program gets the usual answer.
    assert_eq!(ada.get_json("/").await.refusal(), (404, "not_found".to_owned()));
    assert_eq!(ada.get("/").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_icon_that_is_not_there_is_a_404_without_words() {
    let stack = Stack::start().await;
    let reply = stack.browser().get("/favicon.ico").await;
    assert_eq!((reply.status, reply.body.as_str()), (StatusCode::NOT_FOUND, ""));
}

#[tokio::test]
async fn a_route_for_the_start_comes_first() {
    let stack = Stack::builder()
        .routes("services:\n  api: { base_url: \"{api}\" }\nroutes:\n  - { id: all, path: /*, target_service: api, auth: none }\n")
        .start()
        .await;
    let ada = stack.browser();
    assert_eq!(page(&ada).await.body, "{\"ok\":true}");
    assert_eq!(ada.get("/favicon.ico").await.body, "{\"ok\":true}");
}

#[tokio::test]
async fn what_a_problem_says_is_a_sentence() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    for target in [
        "/api/a//b",
        "/api/%2e%2e/x",
        "/nothing",
        "/auth/login?return_to=//evil.example",
        "/api/x",
    ] {
        let detail = ada.get_json(target).await.json()["detail"]
            .as_str()
            .unwrap()
            .to_owned();
        let starts_well = detail.starts_with(char::is_uppercase);
        assert!(starts_well && detail.ends_with('.'), "{target}: {detail}");
    }
}
