//! Logouts that the IdP reports (OpenID Connect Back-Channel Logout 1.0).

mod race;
mod refused;

use std::time::Duration;

use devstack_idp::{Endpoint, IdTokenDraft};
use http::{StatusCode, header};
use serde_json::json;

use crate::support::{Browser, Logs, Reply, Stack, http_client};

pub(super) const FORM: &str = "application/x-www-form-urlencoded";
const PATH: &str = "/auth/backchannel-logout";

/// Sends a body to the endpoint, as an IdP does: without a cookie, to any name of the server.
async fn send(stack: &Stack, content_type: &str, body: String) -> Reply {
    let request = http_client()
        .post(format!("http://{}{PATH}", stack.address))
        .header(header::CONTENT_TYPE, content_type)
        .body(body);
    Reply::read(request.send().await.unwrap()).await
}

/// Sends a logout token.
async fn tell(stack: &Stack, token: &str) -> Reply {
    send(stack, FORM, format!("logout_token={token}")).await
}

/// A logout token of the IdP, for us, changed before it is signed.
fn token(
    stack: &Stack,
    sub: Option<&str>,
    sid: Option<&str>,
    change: impl FnOnce(&mut IdTokenDraft),
) -> String {
    stack.idp.logout_token("bff-server", sub, sid, change).unwrap()
}

/// Logs a person in, and says which session of the IdP that is.
async fn log_in(stack: &Stack, browser: &Browser, sub: &str) -> String {
    let before = stack.idp.sids(sub);
    browser.log_in().await;
    let mut sids = stack.idp.sids(sub);
    sids.retain(|sid| !before.contains(sid));
    assert_eq!(sids.len(), 1);
    sids.remove(0)
}

#[track_caller]
fn done(reply: &Reply) {
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    assert_eq!(reply.body, "");
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert!(reply.set_cookies().is_empty());
}

#[track_caller]
fn refused(reply: &Reply, error: &str) {
    assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{}", reply.body);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let body = reply.json();
    assert_eq!(body["error"], error, "{body}");
    assert!(body["error_description"].is_string());
    assert_eq!(body.as_object().unwrap().len(), 2);
}

/// Its tokens are revoked.
#[tokio::test]
async fn a_logout_at_the_idp_ends_the_session() {
    let logs = Logs::capture();
    let mut stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    let cookie = ada.session_cookie().unwrap();
    let grace = Browser::new("grace", &stack.origin(0));
    grace.log_in().await;
    // The person logs out there, or from another application.
    ada.person()
        .visit(&format!("{}/logout", stack.issuer))
        .await
        .unwrap();
    assert!(!ada.is_logged_in().await);
    let replay = stack.browser();
    replay.set_cookie("__Host-Http-bff_session", &cookie);
    assert_eq!(replay.get("/api/x").await.status, StatusCode::UNAUTHORIZED);
    assert!(grace.is_logged_in().await);
    stack
        .until("the tokens are revoked", |stack| {
            stack.idp.issued_refresh_tokens_live("u-ada") == 0 && stack.idp.count(Endpoint::Revoke) == 2
        })
        .await;
    logs.has_part("INFO", "reason=\"back_channel\"");
    logs.has_part("INFO", "the identity provider has logged a person out");
    // Or an administrator does it.
    assert_eq!(stack.idp.log_out("u-grace").await, [Ok(200)]);
    assert!(!grace.is_logged_in().await);
}

#[tokio::test]
async fn a_logout_that_began_here_comes_back_and_finds_nothing() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    let reply = ada.post("/auth/logout").await;
    let back = ada.person().visit(reply.location()).await.unwrap();
    assert!(back.headers().contains_key("location"));
    ada.log_in().await;
}

#[tokio::test]
async fn a_sid_ends_one_login_and_a_sub_all_of_the_person() {
    let stack = Stack::start().await;
    let [one, two, three] = [stack.browser(), stack.browser(), stack.browser()];
    let sid = log_in(&stack, &one, "u-ada").await;
    let other = log_in(&stack, &two, "u-ada").await;
    log_in(&stack, &three, "u-ada").await;
    let grace = Browser::new("grace", &stack.origin(0));
    log_in(&stack, &grace, "u-grace").await;

    done(&tell(&stack, &token(&stack, None, Some(&sid), |_| {})).await);
    assert!(!one.is_logged_in().await);
    assert!(two.is_logged_in().await && three.is_logged_in().await && grace.is_logged_in().await);
    // Both have to fit.
    done(&tell(&stack, &token(&stack, Some("u-grace"), Some(&other), |_| {})).await);
    assert!(two.is_logged_in().await && grace.is_logged_in().await);
    done(&tell(&stack, &token(&stack, Some("u-ada"), Some(&other), |_| {})).await);
    assert!(!two.is_logged_in().await);
    assert!(three.is_logged_in().await && grace.is_logged_in().await);

    // In the same second the logout would count as the later one.
    stack.clock.advance(Duration::from_secs(1));
    one.log_in().await;
    done(&tell(&stack, &token(&stack, Some("u-ada"), None, |_| {})).await);
    for browser in [&one, &two, &three] {
        assert!(!browser.is_logged_in().await);
    }
    assert!(grace.is_logged_in().await);
}

#[tokio::test]
async fn a_logout_of_a_person_without_a_session_here_succeeds() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    for (sub, sid) in [
        (Some("u-nobody"), None),
        (None, Some("no-session")),
        (Some("u-ada"), Some("no-session")),
    ] {
        done(&tell(&stack, &token(&stack, sub, sid, |_| {})).await);
    }
    assert!(ada.is_logged_in().await);
}

#[tokio::test]
async fn attack_13_a_logout_token_counts_once() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    let token = token(&stack, Some("u-ada"), None, |_| {});
    done(&tell(&stack, &token).await);
    assert!(!ada.is_logged_in().await);
    stack.clock.advance(Duration::from_secs(1));
    ada.log_in().await;
    // Up to its end, and after it.
    for seconds in [0, 60, 119, 1, 120, 3600] {
        stack.clock.advance(Duration::from_secs(seconds));
        refused(&tell(&stack, &token).await, "invalid_request");
    }
    let again = self::token(&stack, Some("u-ada"), None, |draft| {
        draft.claims.insert("jti".to_owned(), json!("jti-1"));
    });
    let other = self::token(&stack, Some("u-grace"), None, |draft| {
        draft.claims.insert("jti".to_owned(), json!("jti-1"));
    });
    done(&tell(&stack, &other).await);
    refused(&tell(&stack, &again).await, "invalid_request");
}

#[tokio::test]
async fn a_rotated_key_of_the_idp_is_known() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    stack.idp.rotate_keys().unwrap();
    done(&tell(&stack, &token(&stack, Some("u-ada"), None, |_| {})).await);
    assert!(!ada.is_logged_in().await);
}

#[tokio::test]
async fn the_token_may_call_itself_a_jwt_or_nothing() {
    let stack = Stack::start().await;
    for typ in [Some("JWT"), None, Some("LOGOUT+JWT")] {
        let ada = stack.browser();
        let sid = log_in(&stack, &ada, "u-ada").await;
        let token = token(&stack, None, Some(&sid), |draft| {
            match typ {
                Some(typ) => draft.header.insert("typ".to_owned(), json!(typ)),
                None => draft.header.remove("typ"),
            };
        });
        done(&tell(&stack, &token).await);
        assert!(!ada.is_logged_in().await, "{typ:?}");
    }
}

#[tokio::test]
async fn every_host_accepts_a_logout_token_without_cors() {
    let stack = Stack::builder()
        .set("CORS__ALLOW_ORIGINS", r#"["https://app.example"]"#)
        .start()
        .await;
    let ada = stack.browser();
    ada.log_in().await;
    let url = format!("http://{}{PATH}", stack.address);
    let body = format!("logout_token={}", token(&stack, Some("u-ada"), None, |_| {}));
    let request = http_client()
        .post(&url)
        .header(header::HOST, "bff.internal:8000")
        .header(header::ORIGIN, "https://app.example")
        .header(header::CONTENT_TYPE, FORM)
        .body(body);
    let reply = Reply::read(request.send().await.unwrap()).await;
    done(&reply);
    assert_eq!(reply.header("access-control-allow-origin"), None);
    assert!(!ada.is_logged_in().await);

    let preflight = http_client()
        .request(http::Method::OPTIONS, &url)
        .header(header::ORIGIN, "https://app.example")
        .header(header::ACCESS_CONTROL_REQUEST_METHOD, "POST");
    let reply = Reply::read(preflight.send().await.unwrap()).await;
    assert_eq!(reply.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(reply.header("access-control-allow-origin"), None);
}
