//! Logging out.

mod backchannel;
mod csrf;
mod frontchannel;
mod idp;
mod return_to;

use devstack_idp::Endpoint;
use http::{Method, StatusCode, header};

use crate::support::{Browser, Reply, Stack};

/// Posts a form like a page of the browser's own origin.
async fn submit(browser: &Browser, fields: &[(&str, &str)]) -> Reply {
    let body = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish();
    let request = browser
        .request(Method::POST, "/auth/logout")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(body);
    browser.send(request).await
}

/// Nothing has happened: the session exists, and the IdP received no request.
async fn still_in(stack: &Stack, browser: &Browser, reply: &Reply) {
    assert!(reply.set_cookies().is_empty());
    assert!(reply.header("location").is_none());
    assert!(browser.is_logged_in().await);
    assert_eq!(stack.idp.count(Endpoint::Revoke), 0);
    assert_eq!(stack.idp.issued_refresh_tokens_live("u-ada"), 1);
}

/// The session is over, in this browser and for anybody who kept its cookie.
async fn out(stack: &Stack, browser: &Browser, cookie: &str) {
    assert_eq!(browser.session_cookie(), None);
    let replay = stack.browser();
    replay.set_cookie("__Host-Http-bff_session", cookie);
    assert!(!replay.is_logged_in().await);
    assert_eq!(replay.get("/api/x").await.status, StatusCode::UNAUTHORIZED);
    assert!(stack.api.calls().is_empty());
}
