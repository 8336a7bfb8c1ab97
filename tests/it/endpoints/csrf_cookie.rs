//! The CSRF token in a cookie, for pages of the original system.

use axum::response::IntoResponse as _;
use http::{Method, StatusCode};

use crate::support::{Browser, Stack};

const NAME: &str = "_eid_csrf_v1";

async fn stack() -> (Stack, Browser) {
    let stack = Stack::builder().set("BFF_CSRF_COOKIE", "true").start().await;
    let ada = stack.browser();
    ada.log_in().await;
    (stack, ada)
}

fn kept(browser: &Browser) -> Option<String> {
    browser.cookies(browser.origin()).remove(NAME)
}

#[tokio::test]
async fn without_the_setting_there_is_no_such_cookie() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    ada.csrf_token().await;
    assert_eq!(kept(&ada), None);
}

#[tokio::test]
async fn a_login_and_the_session_tell_pages_the_token() {
    let (_stack, ada) = stack().await;
    let told = kept(&ada).unwrap();
    assert_eq!(told, ada.csrf_token().await);
    for path in ["/auth/session", "/auth/session?touch=false", "/auth/csrf"] {
        // Only if the browser does not have it.
        assert!(ada.get(path).await.set_cookies().is_empty(), "{path}");
        ada.set_cookie(NAME, "stale");
        let reply = ada.get(path).await;
        let [cookie] = reply.set_cookies()[..] else {
            panic!("{path}: {:?}", reply.set_cookies());
        };
        assert_eq!(
            cookie,
            format!("{NAME}={told}; SameSite=Strict; Secure; Path=/"),
            "{path}"
        );
        assert_eq!(kept(&ada), Some(told.clone()));
    }
    ada.log_in().await;
    assert_ne!(kept(&ada), Some(told));
    let request = ada
        .request(Method::POST, "/auth/logout")
        .header("x-csrf-token", ada.csrf_token().await);
    let reply = ada.send(request).await;
    let cleared = reply
        .set_cookies()
        .into_iter()
        .find(|cookie| cookie.starts_with(NAME));
    assert!(cleared.unwrap().contains("Max-Age=0"));
    // A person without a session has none.
    assert!(ada.get("/auth/session").await.set_cookies().is_empty());
}

#[tokio::test]
async fn the_cookie_alone_proves_nothing() {
    let (stack, ada) = stack().await;
    let token = kept(&ada).unwrap();
    let post = |headers: &[(&'static str, &str)]| {
        let request = ada.request(Method::POST, "/api/x");
        headers
            .iter()
            .fold(request, |request, (name, value)| request.header(*name, *value))
    };
    let refused = (403, "csrf_token".to_owned());
    assert_eq!(ada.send(post(&[])).await.refusal(), refused);
    // A sibling subdomain may have planted both.
    ada.set_cookie(NAME, "planted");
    assert_eq!(
        ada.send(post(&[("x-csrf-token", "planted")])).await.refusal(),
        refused
    );
    assert!(stack.api.calls().is_empty());
    for name in ["x-csrf-token", "_csrf_token"] {
        let reply = ada.send(post(&[(name, &token)])).await;
        assert_eq!(reply.status, StatusCode::OK, "{name}");
        assert_eq!(stack.api.last().header(name), None);
    }
    // The usual name decides if both are there.
    let both = [("x-csrf-token", "wrong"), ("_csrf_token", token.as_str())];
    assert_eq!(ada.send(post(&both)).await.refusal(), refused);
    let origin = ada
        .request(Method::POST, "/api/x")
        .header("x-csrf-token", &token)
        .build()
        .map(|mut request| {
            request
                .headers_mut()
                .insert("origin", "https://evil.example".parse().unwrap());
            request
        })
        .unwrap();
    assert_eq!(
        ada.execute(origin).await.refusal(),
        (403, "csrf_origin".to_owned())
    );
}

#[tokio::test]
async fn attack_6_and_28_the_csrf_cookie_is_ours_alone() {
    let (stack, ada) = stack().await;
    ada.set_cookie("theme", "dark");
    stack.api.answer(|_| {
        let cookies = [("set-cookie", "_eid_csrf_v1=planted; Path=/")];
        (cookies, "ok").into_response()
    });
    let reply = ada.get("/api/x").await;
    assert_eq!(stack.api.last().header("cookie"), Some("theme=dark"));
    assert!(reply.set_cookies().is_empty());
}
