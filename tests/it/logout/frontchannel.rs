//! Logouts that a page of the IdP reports in a frame (OpenID Connect Front-Channel Logout 1.0).

use devstack_idp::{Control, Endpoint};
use http::{Method, StatusCode};
use serde_json::json;

use super::{out, still_in};
use crate::support::{Browser, Logs, Reply, Stack};

const PATH: &str = "/auth/frontchannel-logout";

/// The URL that the IdP would load in the frame.
fn frame(issuer: &str, sid: &str) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("iss", issuer)
        .append_pair("sid", sid)
        .finish();
    format!("{PATH}?{query}")
}

fn sid(stack: &Stack, sub: &str) -> String {
    stack.idp.sids(sub).remove(0)
}

/// A page that only the IdP may frame.
#[track_caller]
fn is_for_the_idp(stack: &Stack, reply: &Reply) {
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    let policy = reply.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'"), "{policy}");
    assert!(
        policy.ends_with(&format!("frame-ancestors {}", stack.issuer)),
        "{policy}"
    );
    assert_eq!(reply.header("x-frame-options"), None);
    assert_eq!(reply.header("cache-control"), Some("no-store"));
}

/// Its tokens are revoked.
#[tokio::test]
async fn a_frontchannel_logout_ends_the_named_session() {
    let logs = Logs::capture();
    let mut stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    let cookie = ada.session_cookie().unwrap();
    let grace = Browser::new("grace", &stack.origin(0));
    grace.log_in().await;
    let reply = ada.get(&frame(&stack.issuer, &sid(&stack, "u-ada"))).await;
    is_for_the_idp(&stack, &reply);
    assert_eq!(reply.set_cookies().len(), 1);
    out(&stack, &ada, &cookie).await;
    assert!(grace.is_logged_in().await);
    stack
        .until("the tokens are revoked", |stack| {
            stack.idp.issued_refresh_tokens_live("u-ada") == 0 && stack.idp.count(Endpoint::Revoke) == 2
        })
        .await;
    logs.has_part("INFO", "reason=\"front_channel\"");
}

#[tokio::test]
async fn attack_35_a_frame_of_a_foreign_page_ends_nothing() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    let issuer = &*stack.issuer;
    // Without a `sid` that names a session the page is the same, and nothing has happened.
    let reply = ada.get(&frame(issuer, "x")).await;
    is_for_the_idp(&stack, &reply);
    still_in(&stack, &ada, &reply).await;
    let good = sid(&stack, "u-ada");
    for target in [
        PATH.to_owned(),
        format!("{PATH}?iss={issuer}"),
        format!("{PATH}?sid={good}"),
        format!("{PATH}?iss={issuer}&sid="),
        frame("https://evil.example", &good),
        frame(&format!("{issuer}/"), &good),
    ] {
        let reply = ada.get(&target).await;
        assert_eq!(reply.refusal(), (400, "invalid_request".to_owned()), "{target}");
        still_in(&stack, &ada, &reply).await;
    }
    let reply = ada.get(&format!("{}&sid={good}", frame(issuer, &good))).await;
    assert_eq!(reply.refusal(), (400, "duplicate_parameter".to_owned()));
    still_in(&stack, &ada, &reply).await;
    // Nor does a look ahead, or a POST.
    let target = frame(issuer, &good);
    let request = ada
        .request(Method::GET, &target)
        .header("sec-purpose", "prefetch");
    let reply = ada.send(request).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    let reply = ada.send(ada.request(Method::HEAD, &target)).await;
    assert_eq!(reply.status, StatusCode::NO_CONTENT);
    let reply = ada.send(ada.request(Method::POST, &target)).await;
    assert_eq!(reply.status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(ada.is_logged_in().await);
}

/// No other session ends.
#[tokio::test]
async fn a_frame_without_a_cookie_ends_the_session_of_its_sid() {
    let stack = Stack::start().await;
    let (ada, grace) = (stack.browser(), Browser::new("grace", &stack.origin(0)));
    ada.log_in().await;
    grace.log_in().await;
    let cookie = ada.session_cookie().unwrap();
    // Browsers do not send the cookie in a frame of another site.
    let frame_of_ada = stack.browser();
    let reply = frame_of_ada
        .get(&frame(&stack.issuer, &sid(&stack, "u-ada")))
        .await;
    is_for_the_idp(&stack, &reply);
    assert!(reply.set_cookies().is_empty());
    assert!(!ada.is_logged_in().await);
    assert!(grace.is_logged_in().await);
    let again = stack.browser();
    again.set_cookie("__Host-Http-bff_session", &cookie);
    assert!(!again.is_logged_in().await);
}

#[tokio::test]
async fn a_browser_without_a_session_gets_the_page() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    let reply = ada.get(&frame(&stack.issuer, "x")).await;
    is_for_the_idp(&stack, &reply);
    assert!(reply.set_cookies().is_empty());
}

#[tokio::test]
async fn a_session_without_a_sid_is_named_by_none() {
    let stack = Stack::start().await;
    stack.idp.on_id_token(|draft| drop(draft.claims.remove("sid")));
    let ada = stack.browser();
    ada.log_in().await;
    let reply = ada.get(&frame(&stack.issuer, &sid(&stack, "u-ada"))).await;
    is_for_the_idp(&stack, &reply);
    still_in(&stack, &ada, &reply).await;
}

#[tokio::test]
async fn it_is_registered_where_the_idp_has_no_better_way() {
    let offers = |back: bool, front: bool| {
        move |idp: &Control| {
            idp.on_discovery(move |document| {
                document["backchannel_logout_supported"] = json!(back);
                document["frontchannel_logout_supported"] = json!(front);
                document["frontchannel_logout_session_supported"] = json!(front);
            });
        }
    };
    for (back, front, registered) in [(false, true, true), (true, true, false), (false, false, false)] {
        let stack = Stack::builder().prepare(offers(back, front)).start().await;
        let client = stack.idp.registered_client("bff-server").unwrap();
        let uri = format!("http://127.0.0.1:{}{PATH}", stack.address.port());
        let expected = registered.then_some(json!(uri));
        assert_eq!(
            client.get("frontchannel_logout_uri"),
            expected.as_ref(),
            "{back} {front}"
        );
        let required = registered.then_some(json!(true));
        assert_eq!(
            client.get("frontchannel_logout_session_required"),
            required.as_ref()
        );
        assert_eq!(client.get("backchannel_logout_uri").is_some(), back);
    }
}
