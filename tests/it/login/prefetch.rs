//! Prefetches of browsers and scanners.

use devstack_idp::Endpoint;
use http::{Method, StatusCode};

use super::{guarded, is_error_page};
use crate::support::Stack;

const AHEAD: [(&str, &str); 9] = [
    ("sec-purpose", "prefetch"),
    ("sec-purpose", "prefetch;prerender"),
    ("sec-purpose", "prefetch;anonymous-client-ip"),
    ("Sec-Purpose", "Prefetch"),
    ("purpose", "prefetch"),
    ("purpose", "prerender"),
    ("x-purpose", "preview"),
    ("x-moz", "prefetch"),
    ("x-moz", "prerender"),
];

#[tokio::test]
async fn attack_45_no_prefetch_and_no_head_starts_a_login() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    let pushed = stack.idp.count(Endpoint::Par);
    for (name, value) in AHEAD {
        let request = ada.request(Method::GET, "/auth/login").header(name, value);
        let reply = ada.send(request).await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN, "{name}: {value}");
        is_error_page(&reply, "prefetch_refused");
        assert!(reply.set_cookies().is_empty() && reply.header("location").is_none());
    }
    let reply = ada.send(ada.request(Method::HEAD, "/auth/login")).await;
    assert_eq!(reply.status, StatusCode::NO_CONTENT);
    assert!(reply.set_cookies().is_empty() && reply.header("location").is_none());
    assert_eq!(stack.idp.count(Endpoint::Par), pushed);
    // The same without the announcement does.
    ada.log_in().await;
}

#[tokio::test]
async fn attack_45_no_prefetch_and_no_head_uses_up_a_callback() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    let callback = ada.authorize("/auth/login?return_to=/deep").await;
    for (name, value) in AHEAD {
        let request = ada.request(Method::GET, &callback).header(name, value);
        let reply = ada.send(request).await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN, "{name}: {value}");
        assert!(reply.set_cookies().is_empty());
    }
    let reply = ada.send(ada.request(Method::HEAD, &callback)).await;
    assert_eq!(reply.status, StatusCode::NO_CONTENT);
    assert!(reply.set_cookies().is_empty());
    assert_eq!(stack.idp.count(Endpoint::Token), 0);
    // Nothing was used up: the person arrives.
    let reply = ada.get(&callback).await;
    assert_eq!(reply.leads_on(), format!("{}/deep", stack.origin(0)));
    assert!(ada.is_logged_in().await);
}

/// They keep the return target.
#[tokio::test]
async fn attack_45_prefetch_and_head_end_no_session() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    for path in ["/auth/logout", "/api/auth/logout", "/auth/logout?return_to=/bye"] {
        let own_navigation = |method: Method| {
            ada.request(method, path)
                .header("sec-fetch-site", "same-origin")
                .header("sec-fetch-mode", "navigate")
        };
        for (name, value) in AHEAD {
            let reply = ada.send(own_navigation(Method::GET).header(name, value)).await;
            assert_eq!(reply.status, StatusCode::FORBIDDEN, "{path} {name}: {value}");
            guarded(&reply);
            assert!(reply.set_cookies().is_empty() && reply.header("location").is_none());
            assert!(!reply.body.contains("<form"));
        }
        let reply = ada.send(own_navigation(Method::HEAD)).await;
        assert_eq!(reply.status, StatusCode::NO_CONTENT, "{path}");
        assert!(reply.set_cookies().is_empty() && reply.header("location").is_none());
    }
    assert!(ada.is_logged_in().await);
    assert_eq!(stack.idp.count(Endpoint::Revoke), 0);

    let reply = ada.post("/auth/logout?return_to=/bye").await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER);
    for (name, value) in AHEAD {
        let request = ada.request(Method::GET, "/auth/logged-out").header(name, value);
        assert!(ada.send(request).await.set_cookies().is_empty());
    }
    let head = ada.send(ada.request(Method::HEAD, "/auth/logged-out")).await;
    assert!(head.set_cookies().is_empty());
    let reply = ada.get("/auth/logged-out").await;
    assert_eq!(reply.location(), format!("{}/bye", stack.origin(0)));
}
