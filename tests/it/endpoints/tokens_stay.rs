//! No request that a browser can send yields an access or refresh token.

use std::{sync::Arc, time::Duration};

use devstack_idp::{Endpoint, Fault};
use http::Method;
use parking_lot::Mutex;
use serde_json::Value;

use crate::support::{Browser, Reply, Stack};

/// Every token that the IdP has issued.
type Issued = Arc<Mutex<Vec<String>>>;

fn collect(stack: &Stack) -> Issued {
    let issued: Issued = Arc::default();
    let tokens = Arc::clone(&issued);
    stack.idp.on_token_response(move |answer| {
        for member in ["access_token", "refresh_token"] {
            if let Some(token) = answer.get(member).and_then(Value::as_str) {
                tokens.lock().push(token.to_owned());
            }
        }
    });
    issued
}

#[track_caller]
fn assert_none(reply: &Reply, issued: &Issued, what: &str) {
    let mut text = reply.body.clone();
    for (name, value) in &reply.headers {
        text.push_str(name.as_str());
        text.push_str(&String::from_utf8_lossy(value.as_bytes()));
        text.push('\n');
    }
    for token in issued.lock().iter() {
        // Its signature alone, or all except the signature, would be too much too.
        let (rest, signature) = token.rsplit_once('.').unwrap_or((token, token));
        let gives_away = [token.as_str(), rest, signature]
            .iter()
            .any(|part| part.len() >= 16 && text.contains(part));
        assert!(!gives_away, "a token in the answer to {what} ({})", reply.status);
    }
    assert!(!reply.headers.contains_key("authorization"), "{what}");
}

async fn walk(ada: &Browser, issued: &Issued) {
    let csrf = ada.csrf_token().await;
    for path in [
        "/auth/session",
        "/auth/session?touch=true",
        "/api/auth/session",
        "/auth/csrf",
        "/auth/verify",
        "/auth/forward",
        "/auth/verify?service=api",
        "/auth/forward?service=api",
        "/auth/verify?service=api&service=api",
        "/auth/login",
        "/auth/login?prompt=none",
        "/auth/login?return_to=https://evil.example",
        "/auth/callback",
        "/auth/callback?code=x&state=y",
        "/auth/callback?error=access_denied&state=y",
        "/auth/logged-out",
        "/auth/logout",
        "/api/auth/logout",
        "/auth/events",
        "/auth/sessions",
        "/auth/unknown",
        "/health",
        "/health/live",
        "/health/ready",
        "/metrics",
        "/.well-known/jwks.json",
        "/nothing",
        "/api/x",
        "/api//x",
        "/public/x",
        "/",
    ] {
        for method in [
            "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE",
        ] {
            // The first ends the session. The second does not end, and `events` reads all of it.
            if path.ends_with("/logout") && method == "POST" || path == "/auth/events" && method == "GET" {
                continue;
            }
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            for accept in ["text/html", "application/json"] {
                let request = ada
                    .request(method.clone(), path)
                    .header("x-csrf-token", &csrf)
                    .header("x-forwarded-for", "127.0.0.1")
                    .header("accept", accept);
                let reply = Reply::read(request.send().await.unwrap()).await;
                assert_none(&reply, issued, &format!("{method} {path}"));
                assert!(reply.status.as_u16() != 500, "{method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn attack_25_no_request_of_a_browser_yields_a_token() {
    let stack = Stack::builder().with_internal_listener().start().await;
    let issued = collect(&stack);
    let ada = stack.browser();
    let callback = ada.authorize("/auth/login?return_to=/app").await;
    let reply = ada.get(&callback).await;
    assert_none(&reply, &issued, "the callback");
    assert_eq!(issued.lock().len(), 2);
    ada.get("/api/x").await;
    let seen = stack.api.last().header("authorization").unwrap().to_owned();
    assert!(
        issued
            .lock()
            .iter()
            .any(|token| seen == format!("Bearer {token}"))
    );

    walk(&ada, &issued).await;
    // The same code again, and the pages of people with a session.
    assert_none(&ada.get(&callback).await, &issued, "the callback again");

    // After a refresh, and while refreshes fail.
    stack.advance(Duration::from_secs(35)).await;
    assert!(issued.lock().len() > 2);
    stack.idp.fail_always(Endpoint::Token, Fault::status(503));
    stack.advance(Duration::from_secs(62)).await;
    // A call waits for the refresh, and the test has to move the clock.
    let (client, tokens) = (ada.clone(), Arc::clone(&issued));
    let call = tokio::spawn(async move {
        let reply = client.get("/api/x").await;
        assert_none(&reply, &tokens, "an API that has no token");
        reply
    });
    assert_eq!(stack.advance_until_done(call).await.refusal().0, 503);

    stack.idp.heal_all();
    let reply = ada.post("/auth/logout").await;
    assert_eq!(reply.status.as_u16(), 303);
    assert_none(&reply, &issued, "the logout");
}
