//! Invalid logout tokens.

use devstack_idp::{Endpoint, Fault, IdTokenDraft, Signer};
use http::{StatusCode, header};
use serde_json::{Value, json};

use super::{FORM, PATH, log_in, refused, send, tell, token};
use crate::support::{Logs, Reply, Stack, http_client};

const NOW: u64 = 1_800_000_000;
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

type Change = fn(&mut IdTokenDraft);

fn claim(draft: &mut IdTokenDraft, name: &str, value: Value) {
    draft.claims.insert(name.to_owned(), value);
}

fn head(draft: &mut IdTokenDraft, name: &str, value: Value) {
    draft.header.insert(name.to_owned(), value);
}

const FORGED: &[(&str, Change)] = &[
    ("unsigned", |d| d.signer = Signer::None),
    ("HMAC with the public key", |d| {
        d.signer = Signer::Hs256WithPublicKey;
    }),
    ("HMAC with the public JWK", |d| {
        d.signer = Signer::Hs256WithPublicJwk;
    }),
    ("HMAC with the client id", |d| {
        d.signer = Signer::Hs256WithSecret(b"bff-server".to_vec());
    }),
    ("another key", |d| d.signer = Signer::OtherKeySameKid),
    ("a key of its own", |d| d.signer = Signer::EmbeddedJwk),
    ("a broken signature", |d| d.signer = Signer::BrokenSignature),
    ("an unknown key", |d| head(d, "kid", json!("other"))),
    ("a critical header", |d| head(d, "crit", json!(["x"]))),
    ("an access token", |d| head(d, "typ", json!("at+jwt"))),
    ("a security event", |d| head(d, "typ", json!("secevent+jwt"))),
    ("no issuer", |d| drop(d.claims.remove("iss"))),
    ("another issuer", |d| {
        claim(d, "iss", json!("https://evil.example"));
    }),
    ("no audience", |d| drop(d.claims.remove("aud"))),
    ("another client", |d| claim(d, "aud", json!("other"))),
    ("two clients", |d| claim(d, "aud", json!(["bff-server", "other"]))),
    ("no iat", |d| drop(d.claims.remove("iat"))),
    ("an old iat", |d| claim(d, "iat", json!(NOW - 3600))),
    ("a future iat", |d| claim(d, "iat", json!(NOW + 3600))),
    ("no exp", |d| drop(d.claims.remove("exp"))),
    ("a past exp", |d| claim(d, "exp", json!(NOW - 61))),
    ("no jti", |d| drop(d.claims.remove("jti"))),
    ("no events", |d| drop(d.claims.remove("events"))),
    ("another event", |d| claim(d, "events", json!({ "x": {} }))),
    ("an event that is no object", |d| {
        claim(d, "events", json!({ EVENT: true }));
    }),
    ("a nonce", |d| claim(d, "nonce", json!("n"))),
    ("nobody", |d| {
        d.claims.remove("sub");
        d.claims.remove("sid");
    }),
    ("a sid that is none", |d| claim(d, "sid", json!(7))),
    ("a sub that is none", |d| claim(d, "sub", json!(["u-ada"]))),
];

#[tokio::test]
async fn attack_13_forged_logout_tokens_end_nothing() {
    let logs = Logs::capture();
    let stack = Stack::start().await;
    let ada = stack.browser();
    let sid = log_in(&stack, &ada, "u-ada").await;
    for (name, change) in FORGED {
        let reply = tell(&stack, &token(&stack, Some("u-ada"), Some(&sid), change)).await;
        refused(&reply, "invalid_request");
        assert!(ada.is_logged_in().await, "{name}");
    }
    // The log contains neither the tokens nor their names.
    let text = logs.text();
    assert!(!text.contains(&sid) && !text.contains("eyJ"));
    assert_eq!(stack.idp.count(Endpoint::Revoke), 0);
}

#[tokio::test]
async fn attack_13_the_id_token_of_the_session_is_no_logout_token() {
    let stack = Stack::start().await;
    let issued = std::sync::Arc::new(parking_lot::Mutex::new(String::new()));
    stack.idp.on_token_response({
        let issued = std::sync::Arc::clone(&issued);
        move |answer| *issued.lock() = answer["id_token"].as_str().unwrap().to_owned()
    });
    let ada = stack.browser();
    ada.log_in().await;
    let id_token = issued.lock().clone();
    refused(&tell(&stack, &id_token).await, "invalid_request");
    assert!(ada.is_logged_in().await);
}

#[tokio::test]
async fn attack_13_a_logout_token_is_no_id_token() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    let callback = ada.authorize("/auth/login").await;
    for typ in ["JWT", "logout+jwt"] {
        let forged = token(&stack, Some("u-ada"), Some("sid"), |draft| {
            head(draft, "typ", json!(typ));
        });
        stack
            .idp
            .on_token_response(move |answer| answer["id_token"] = json!(forged));
        let callback = ada.authorize("/auth/login").await;
        let reply = ada.get(&callback).await;
        assert_eq!(reply.status, StatusCode::BAD_GATEWAY, "{typ}");
        assert!(!ada.is_logged_in().await);
    }
    stack.idp.clear_hooks();
    ada.get(&callback).await.leads_on();
}

#[tokio::test]
async fn what_is_no_form_with_one_token_is_refused() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    let good = token(&stack, Some("u-ada"), None, |_| {});
    for (content_type, body) in [
        ("application/json", json!({ "logout_token": good }).to_string()),
        ("text/plain", format!("logout_token={good}")),
        ("application/jwt", good.clone()),
        (FORM, String::new()),
        (FORM, "logout_token=".to_owned()),
        (FORM, format!("token={good}")),
        (FORM, format!("logout_token={good}&logout_token={good}")),
        (FORM, format!("logout_token={good}&logout_token=")),
        (FORM, format!("logout_token={}", "x".repeat(100_000))),
        (FORM, "logout_token=\u{0}%ff%fe".to_owned()),
    ] {
        refused(&send(&stack, content_type, body).await, "invalid_request");
    }
    let url = format!("http://{}{PATH}", stack.address);
    let request = http_client().post(&url).body(format!("logout_token={good}"));
    refused(
        &Reply::read(request.send().await.unwrap()).await,
        "invalid_request",
    );
    // Not in the query, and by no other method.
    let request = http_client()
        .post(format!("{url}?logout_token={good}"))
        .header(header::CONTENT_TYPE, FORM);
    refused(
        &Reply::read(request.send().await.unwrap()).await,
        "invalid_request",
    );
    let reply = ada.get(&format!("{PATH}?logout_token={good}")).await;
    assert_eq!(reply.status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(ada.is_logged_in().await);
    // Other parameters are ignored.
    let reply = send(&stack, FORM, format!("x=1&x=2&logout_token={good}&state=y")).await;
    super::done(&reply);
    assert!(!ada.is_logged_in().await);
}

#[tokio::test]
async fn a_token_that_cannot_be_checked_now_may_come_again() {
    let stack = Stack::builder().start().await;
    let ada = stack.browser();
    // There was no login yet, so the keys are unknown.
    let token = token(&stack, Some("u-ada"), None, |_| {});
    stack.idp.fail_always(Endpoint::Jwks, Fault::status(500));
    refused(&tell(&stack, &token).await, "temporarily_unavailable");
    stack.idp.heal_all();
    stack.clock.advance(std::time::Duration::from_secs(10));
    ada.log_in().await;
    super::done(&tell(&stack, &token).await);
    assert!(!ada.is_logged_in().await);
}
