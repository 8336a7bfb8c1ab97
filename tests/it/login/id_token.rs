//! Invalid ID tokens and UserInfo answers, through the whole callback.

use devstack_idp::{Endpoint, Fault, IdTokenDraft, Signer};
use serde_json::{Value, json};

use super::refused;
use crate::support::{Logs, Stack};

const NOW: u64 = 1_800_000_000;

fn claim(name: &'static str, value: Value) -> impl Fn(&mut IdTokenDraft) + Send + Sync + 'static {
    move |draft| {
        draft.claims.insert(name.to_owned(), value.clone());
    }
}

fn without(name: &'static str) -> impl Fn(&mut IdTokenDraft) + Send + Sync + 'static {
    move |draft| {
        draft.claims.remove(name);
    }
}

fn header(name: &'static str, value: Value) -> impl Fn(&mut IdTokenDraft) + Send + Sync + 'static {
    move |draft| {
        draft.header.insert(name.to_owned(), value.clone());
    }
}

#[tokio::test]
async fn attack_26_what_is_not_signed_by_the_idp_is_refused() {
    let mut stack = Stack::start().await;
    for signer in [
        Signer::None,
        Signer::Hs256WithPublicKey,
        Signer::Hs256WithPublicJwk,
        Signer::Hs256WithSecret(b"bff-server".to_vec()),
        Signer::Hs256WithSecret(Vec::from([0])),
        Signer::OtherKeySameKid,
        Signer::EmbeddedJwk,
        Signer::BrokenSignature,
    ] {
        stack.idp.on_id_token(move |draft| draft.signer = signer.clone());
        refused(&mut stack, 502, "idp_answer_refused").await;
    }
    // A key that the header says where to find is not fetched.
    let evil = stack.api.url();
    for name in ["jku", "x5u"] {
        let url = evil.clone();
        stack.idp.on_id_token(move |draft| {
            draft.header.insert(name.to_owned(), json!(format!("{url}/keys")));
            draft.signer = Signer::OtherKeySameKid;
        });
        refused(&mut stack, 502, "idp_answer_refused").await;
    }
    assert!(stack.api.calls().is_empty());
    stack.idp.clear_hooks();
    stack.browser().log_in().await;
}

#[tokio::test]
async fn attack_26_headers_that_change_what_the_token_is_are_refused() {
    let mut stack = Stack::start().await;
    for (name, value) in [
        ("typ", json!("at+jwt")),
        ("typ", json!("logout+jwt")),
        ("crit", json!(["exp"])),
        ("alg", json!("none")),
        ("alg", json!("HS256")),
        ("alg", json!("PS512")),
        ("kid", json!(7)),
    ] {
        stack.idp.on_id_token(header(name, value));
        refused(&mut stack, 502, "idp_answer_refused").await;
    }
}

#[tokio::test]
async fn attack_16_an_unpublished_key_is_fetched_once() {
    let mut stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    ada.post("/auth/logout").await;
    stack.clock.advance(std::time::Duration::from_mins(2));
    let before = stack.idp.count(Endpoint::Jwks);
    stack.idp.on_id_token(header("kid", json!("unknown")));
    for _ in 0..3 {
        refused(&mut stack, 502, "idp_unavailable").await;
    }
    assert_eq!(stack.idp.count(Endpoint::Jwks), before + 1);
}

#[tokio::test]
async fn attack_26_foreign_or_missing_audience_and_issuer_are_refused() {
    let mut stack = Stack::start().await;
    for (name, value) in [
        ("aud", json!("other-client")),
        ("aud", json!(["bff-server", "other-client"])),
        ("aud", json!([])),
        ("aud", json!(["bff-server", 1])),
        ("azp", json!("other-client")),
        ("iss", json!("https://evil.example")),
        ("iss", json!(format!("{}/", stack.issuer))),
    ] {
        stack.idp.on_id_token(claim(name, value));
        refused(&mut stack, 502, "idp_answer_refused").await;
    }
    for name in ["aud", "iss"] {
        stack.idp.on_id_token(without(name));
        refused(&mut stack, 502, "idp_answer_refused").await;
    }
}

#[tokio::test]
async fn attack_26_a_missing_or_foreign_nonce_is_refused() {
    let mut stack = Stack::start().await;
    stack.idp.on_id_token(without("nonce"));
    refused(&mut stack, 502, "idp_answer_refused").await;
    for nonce in [json!("foreign"), json!(""), json!(1), json!(null), json!(["a"])] {
        stack.idp.on_id_token(claim("nonce", nonce));
        refused(&mut stack, 502, "idp_answer_refused").await;
    }
    // The nonce of an earlier login of the same person is foreign too.
    stack.idp.clear_hooks();
    stack.idp.clear_requests();
    stack.browser().get("/auth/login").await;
    let earlier = stack.idp.requests(Endpoint::Par)[0]
        .field("nonce")
        .unwrap()
        .to_owned();
    stack.idp.on_id_token(claim("nonce", json!(earlier)));
    refused(&mut stack, 502, "idp_answer_refused").await;
}

#[tokio::test]
async fn times_that_are_past_or_in_the_future_are_refused() {
    let mut stack = Stack::start().await;
    for (name, value) in [
        ("exp", json!(NOW - 61)),
        ("exp", json!("never")),
        ("exp", json!(-1)),
        ("iat", json!(NOW + 3_600)),
        ("nbf", json!(NOW + 3_600)),
    ] {
        stack.idp.on_id_token(claim(name, value));
        refused(&mut stack, 502, "idp_answer_refused").await;
    }
    stack.idp.on_id_token(without("exp"));
    refused(&mut stack, 502, "idp_answer_refused").await;
}

#[tokio::test]
async fn subjects_that_cannot_be_one_are_refused() {
    let mut stack = Stack::start().await;
    stack.idp.on_id_token(without("sub"));
    refused(&mut stack, 502, "idp_answer_refused").await;
    for sub in [
        json!(""),
        json!(7),
        json!("x".repeat(256)),
        json!("a\r\nb"),
        json!("zo\u{eb}"),
    ] {
        stack.idp.on_id_token(claim("sub", sub));
        refused(&mut stack, 502, "idp_answer_refused").await;
    }
}

#[tokio::test]
async fn at_hash_of_another_access_token_is_refused() {
    let mut stack = Stack::start().await;
    for hash in [json!("AAAAAAAAAAAAAAAAAAAAAA"), json!(""), json!(1)] {
        stack.idp.on_id_token(claim("at_hash", hash));
        refused(&mut stack, 502, "idp_answer_refused").await;
    }
    // The access token was swapped on the way.
    stack.idp.clear_hooks();
    stack.idp.on_token_response(|answer| {
        let swapped = format!("{}x", answer["access_token"].as_str().unwrap());
        answer["access_token"] = json!(swapped);
    });
    refused(&mut stack, 502, "idp_answer_refused").await;
    // Core 3.1.3.6 makes it optional for a code.
    stack.idp.clear_hooks();
    stack.idp.on_id_token(without("at_hash"));
    stack.browser().log_in().await;
}

#[tokio::test]
async fn a_token_answer_without_a_usable_id_token_is_refused() {
    let mut stack = Stack::start().await;
    for token in [
        json!(null),
        json!(""),
        json!("a.b"),
        json!("a.b.c"),
        json!("a.b.c.d.e"),
        json!("eyJhbGciOiJub25lIn0.e30."),
    ] {
        stack
            .idp
            .on_token_response(move |answer| answer["id_token"] = token.clone());
        refused(&mut stack, 502, "idp_answer_refused").await;
    }
}

#[tokio::test]
async fn userinfo_of_another_person_is_refused() {
    let mut stack = Stack::start().await;
    for sub in [
        json!("u-grace"),
        json!(null),
        json!(1),
        json!("U-ADA"),
        json!("u-ada "),
    ] {
        stack
            .idp
            .on_userinfo(move |document| document["sub"] = sub.clone());
        refused(&mut stack, 502, "idp_answer_refused").await;
    }
}

#[tokio::test]
async fn userinfo_that_fails_leaves_the_claims_of_the_id_token() {
    let stack = Stack::start().await;
    let logs = Logs::capture();
    for (fault, said) in [
        (Fault::status(401), "401 Unauthorized"),
        (Fault::status(403), "403 Forbidden"),
        (Fault::status(404), "404 Not Found"),
        (Fault::status(429), "429 Too Many Requests"),
        (Fault::status(500), "500 Internal Server Error"),
        (Fault::status(503), "503 Service Unavailable"),
        (Fault::CloseWithoutAnswer, "the connection to"),
        (Fault::CutBody, "the connection to"),
        (Fault::html(200), "not a JSON object"),
        (Fault::json(200, &json!([{"sub": "u-ada"}])), "not a JSON object"),
        (
            Fault::text(200, "application/jwt", "a.b.c"),
            "userinfo_signed_response_alg",
        ),
        (Fault::redirect(302, "https://evil.example/"), "302 Found"),
        (
            Fault::text(200, "application/json", &" ".repeat(2 << 20)),
            "the answer is larger",
        ),
    ] {
        stack.idp.fail_always(Endpoint::UserInfo, fault);
        let ada = stack.browser();
        ada.log_in().await;
        assert_eq!(ada.session().await["user"]["sub"], "u-ada", "{said}");
        let lines = logs.lines_with("logins and renewals continue without UserInfo");
        let line = lines.last().unwrap();
        assert!(
            line.contains(said) && line.contains("OIDC_USERINFO_URL=none"),
            "{line}"
        );
        stack.idp.heal_all();
    }
}

#[tokio::test]
async fn userinfo_that_is_switched_off_is_not_asked() {
    let stack = Stack::builder().set("OIDC_USERINFO_URL", "none").start().await;
    let ada = stack.browser();
    ada.log_in().await;
    assert_eq!(ada.session().await["user"]["sub"], "u-ada");
    assert_eq!(stack.idp.count(Endpoint::UserInfo), 0);
}

#[tokio::test]
async fn every_optional_endpoint_can_be_switched_off() {
    let mut builder = Stack::builder();
    for name in [
        "OIDC_PAR_URL",
        "OIDC_USERINFO_URL",
        "OIDC_END_SESSION_URL",
        "OIDC_REVOCATION_URL",
        "OIDC_INTROSPECTION_URL",
    ] {
        builder = builder.set(name, "none");
    }
    let stack = builder.start().await;
    let ada = stack.browser();
    ada.log_in().await;
    ada.post("/auth/logout").await;
    assert!(!ada.is_logged_in().await);
    for endpoint in [
        Endpoint::Par,
        Endpoint::UserInfo,
        Endpoint::EndSession,
        Endpoint::Revoke,
    ] {
        assert_eq!(stack.idp.count(endpoint), 0, "{endpoint:?}");
    }
}

#[tokio::test]
async fn without_a_userinfo_endpoint_the_id_token_is_enough() {
    let stack = Stack::builder()
        .prepare(|idp| {
            idp.on_discovery(|document| {
                document.as_object_mut().unwrap().remove("userinfo_endpoint");
            });
        })
        .start()
        .await;
    let ada = stack.browser();
    ada.log_in().await;
    assert_eq!(ada.session().await["user"]["sub"], "u-ada");
    assert_eq!(stack.idp.count(Endpoint::UserInfo), 0);
}

#[tokio::test]
async fn keys_that_cannot_be_fetched_make_an_outage_and_not_a_refusal() {
    let mut stack = Stack::start().await;
    stack.idp.fail_always(Endpoint::Jwks, Fault::status(503));
    refused(&mut stack, 502, "idp_unavailable").await;
    stack.idp.heal_all();
    stack.clock.advance(std::time::Duration::from_mins(2));
    let ada = stack.browser();
    ada.log_in_by("/auth/login").await.leads_on();
}
