//! The content of pages and answers, for people and for programs.

use http::{Method, StatusCode};

use super::{guarded, is_error_page};
use crate::support::Stack;

#[tokio::test]
async fn login_answers_have_no_cache_and_no_referrer() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    let started = ada.get("/auth/login").await;
    let callback = ada.person().authorize(started.location()).await.unwrap();
    let failed = ada.get("/auth/callback?state=unknown").await;
    let done = ada.get(&callback).await;
    for reply in [started, failed, done] {
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert_eq!(reply.header("referrer-policy"), Some("no-referrer"));
        assert!(reply.header("x-correlation-id").is_some());
    }
}

#[tokio::test]
async fn accept_decides_between_a_page_and_json() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    for (accept, json) in [
        ("application/json", true),
        ("application/problem+json", true),
        ("application/json;q=0.9, */*;q=0.1", true),
        (
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            false,
        ),
        ("text/html, application/json", false),
        ("*/*", false),
    ] {
        let request = ada
            .request(Method::GET, "/auth/callback")
            .header("accept", accept);
        let reply = ada.send(request).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{accept}");
        if json {
            assert_eq!(reply.code(), "login_unknown", "{accept}");
            let document = reply.json();
            assert_eq!(document["status"], 400);
            assert_eq!(
                document["correlation_id"],
                reply.header("x-correlation-id").unwrap()
            );
            for name in ["title", "detail", "type"] {
                assert!(!document[name].as_str().unwrap().is_empty(), "{name}");
            }
        } else {
            is_error_page(&reply, "login_unknown");
        }
    }
}

/// The page navigates on.
#[tokio::test]
async fn with_a_strict_cookie_the_callback_is_a_page() {
    let stack = Stack::builder()
        .set("BFF_COOKIE_SAMESITE", "Strict")
        .start()
        .await;
    let ada = stack.browser();
    let reply = ada
        .log_in_by("/auth/login?return_to=%2Fdeep%3Fa%3Db%26c%3Dd")
        .await;
    assert_eq!(reply.status, StatusCode::OK);
    guarded(&reply);
    let target = format!("{}/deep?a=b&amp;c=d", stack.origin(0));
    assert!(reply.body.contains(&format!(
        "<meta http-equiv=\"refresh\" content=\"0;url={target}\">"
    )));
    assert!(reply.body.contains(&format!("href=\"{target}\"")));
    let sets = reply.set_cookies();
    let session = sets
        .iter()
        .find(|set| set.starts_with("__Host-Http-bff_session="))
        .unwrap();
    assert!(session.contains("; SameSite=Strict"), "{session}");
    assert!(ada.is_logged_in().await);
}

#[tokio::test]
async fn other_methods_begin_and_end_no_login() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    let callback = ada.authorize("/auth/login").await;
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        for target in ["/auth/login", callback.as_str()] {
            // A form of another site may begin a login (OpenID Connect Core 1.0 section 4).
            if (&method, target) == (&Method::POST, "/auth/login") {
                continue;
            }
            let reply = ada.send(ada.request(method.clone(), target)).await;
            assert_eq!(reply.status, StatusCode::METHOD_NOT_ALLOWED);
            assert_eq!(reply.code(), "method_not_allowed");
            assert!(reply.set_cookies().is_empty());
        }
    }
    super::nothing_exchanged(&stack);
    ada.get(&callback).await.leads_on();
}
