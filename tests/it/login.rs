//! Logging in: the order of checks, several hosts, attacks.

mod age;
mod callback;
mod clients;
mod cookies;
mod exchange;
mod flood;
mod hosts;
mod id_token;
mod initiated;
mod limits;
mod logs;
mod notices;
mod offline_access;
mod once;
mod pages;
mod planted;
mod prefetch;
mod refused;
mod request;
pub mod return_to;
mod strict;
mod tabs;
mod way_in;

use std::collections::BTreeMap;

use devstack_idp::Endpoint;
use http::StatusCode;
use url::Url;

use crate::support::{Browser, Reply, Stack};

/// The parameters of a URL; none may be there twice.
#[track_caller]
pub fn query(url: &str) -> BTreeMap<String, String> {
    let url = Url::parse(url).unwrap();
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let map: BTreeMap<String, String> = pairs.iter().cloned().collect();
    assert_eq!(map.len(), pairs.len(), "a parameter is there twice");
    map
}

/// `url` with one parameter set or removed.
fn with_parameter(url: &str, name: &str, value: Option<&str>) -> String {
    let mut url = Url::parse(url).unwrap();
    let others: Vec<(String, String)> = url
        .query_pairs()
        .into_owned()
        .filter(|(known, _)| known != name)
        .collect();
    url.query_pairs_mut()
        .clear()
        .extend_pairs(others)
        .extend_pairs(value.map(|value| (name, value)));
    url.into()
}

/// Logs in with a misbehaving IdP. The callback answers an error with this status and code, as JSON and as a page,
/// and nobody is logged in. Granted tokens, if any, are revoked.
#[track_caller]
fn refused<'a>(stack: &'a mut Stack, status: u16, code: &'a str) -> impl Future<Output = ()> + use<'a> {
    let place = std::panic::Location::caller();
    async move {
        for json in [true, false] {
            let ada = stack.browser();
            let callback = ada.authorize("/auth/login").await;
            let reply = if json {
                ada.get_json(&callback).await
            } else {
                ada.get(&callback).await
            };
            assert_eq!(reply.status.as_u16(), status, "{place}: {}", reply.body);
            if json {
                assert_eq!(reply.code(), code, "{place}");
            } else {
                is_error_page(&reply, code);
            }
            nobody(&ada, &reply).await;
        }
        stack
            .until("what was granted is revoked", |stack| {
                stack.idp.issued_refresh_tokens_live("u-ada") == 0
            })
            .await;
    }
}

/// The browser is not logged in, the attempt is over, and the answer set no session cookie.
async fn nobody(browser: &Browser, reply: &Reply) {
    let sets = reply.set_cookies();
    assert!(!sets.iter().any(|set| set.starts_with("__Host-Http-bff_session=")));
    assert_eq!(browser.login_cookies(), Vec::<String>::new());
    assert_eq!(browser.session_cookie(), None);
    assert!(!browser.is_logged_in().await);
}

/// A page for a person: title, explanation, a way on, and headers that let nothing else happen.
#[track_caller]
pub fn is_error_page(reply: &Reply, code: &str) {
    assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"));
    let page = &reply.body;
    let title = page
        .split_once("<title>")
        .unwrap()
        .1
        .split_once("</title>")
        .unwrap()
        .0;
    assert!(!title.is_empty() && page.contains(&format!("<h1>{title}</h1>")));
    let text = page.split_once("<h1>").unwrap().1.split_once("<p>").unwrap().1;
    assert!(text.split_once("</p>").unwrap().0.len() > 20, "no explanation");
    assert!(page.contains("<a class=\"action\" href=\""), "no way on");
    assert!(page.contains(&format!("<code>{code}</code>")), "{page}");
    let correlation = reply.header("x-correlation-id").unwrap();
    assert!(page.contains(&format!("<code>{correlation}</code>")));
    guarded(reply);
}

/// The headers of every page.
#[track_caller]
pub fn guarded(reply: &Reply) {
    let policy = reply.header("content-security-policy").unwrap();
    for directive in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"] {
        assert!(policy.contains(directive), "{policy}");
    }
    assert!(!policy.contains("script-src") && !policy.contains("unsafe-eval"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert_eq!(reply.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(reply.header("x-frame-options"), Some("DENY"));
    assert!(!reply.body.contains("<script"));
}

/// No code was exchanged: the callback was refused before.
#[track_caller]
fn nothing_exchanged(stack: &Stack) {
    assert_eq!(stack.idp.count(Endpoint::Token), 0, "the code was exchanged");
}

/// The callback was refused with this status and code.
#[track_caller]
fn is_problem(reply: &Reply, status: StatusCode, code: &str) {
    assert_eq!((reply.status, reply.code().as_str()), (status, code));
}
