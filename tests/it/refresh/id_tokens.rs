//! Refreshed ID tokens: checked as fully as the first.

use devstack_idp::{Endpoint, Fault, IdTokenDraft, Signer};
use serde_json::{Value, json};

use super::{Answers, DUE, Harness, LIFE, eventually};
use crate::support::Logs;

type Forgery = fn(&mut IdTokenDraft);

fn claim(draft: &mut IdTokenDraft, name: &str, value: Value) {
    draft.claims.insert(name.to_owned(), value);
}

/// Refreshed ID tokens are forged until it is healed; the one of the login is not.
fn forge(harness: &Harness, forgery: impl Fn(&mut IdTokenDraft) + Send + Sync + 'static) {
    harness.stack.idp.on_id_token(move |draft| {
        if draft.refreshed {
            forgery(draft);
        }
    });
}

/// Tokens of another person end the session, and are revoked with all its tokens.
async fn ends(what: &str, prepare: impl FnOnce(&Harness)) {
    let harness = Harness::start().await;
    let answers = Answers::of(&harness.stack);
    prepare(&harness);
    harness.pass(DUE).await;
    eventually(what, async || !harness.ada.is_logged_in().await).await;
    harness.has_ended().await;
    let arrived = ["access_token", "refresh_token"].map(|member| answers.text(0, member));
    eventually("what arrived is revoked", async || harness.revoked().len() >= 2).await;
    for token in &arrived {
        assert!(harness.revoked().contains(token), "{what}");
    }
    assert_eq!(harness.stack.idp.issued_refresh_tokens_live("u-ada"), 0, "{what}");
    harness.pass(40).await;
    assert_eq!(harness.refreshes().len(), 1, "{what}");
}

#[tokio::test]
async fn attack_17_an_id_token_of_another_person_ends_the_session() {
    ends("sub", |harness| {
        forge(harness, |draft| claim(draft, "sub", json!("u-grace")));
    })
    .await;
}

/// In a refreshed ID token.
#[tokio::test]
async fn attack_17_another_issuer_or_audience_ends_the_session() {
    let forgeries: [(&str, Forgery); 5] = [
        ("iss", |draft| claim(draft, "iss", json!("https://evil.example"))),
        ("aud", |draft| claim(draft, "aud", json!("other"))),
        ("aud with others", |draft| {
            claim(draft, "aud", json!(["bff-server", "other"]));
        }),
        ("no aud", |draft| drop(draft.claims.remove("aud"))),
        ("azp", |draft| claim(draft, "azp", json!("other"))),
    ];
    for (what, forgery) in forgeries {
        ends(what, |harness| forge(harness, forgery)).await;
    }
}

#[tokio::test]
async fn attack_17_an_access_token_of_another_person_ends_the_session() {
    ends("UserInfo", |harness| {
        harness.stack.idp.id_token_on_refresh(false);
        harness
            .stack
            .idp
            .on_userinfo(|answer| answer["sub"] = json!("u-grace"));
    })
    .await;
}

/// The provider does not rotate it.
#[tokio::test]
async fn attack_17_the_own_refresh_token_is_revoked_too() {
    let harness = Harness::start().await;
    harness.stack.idp.rotate_refresh_tokens(false);
    forge(&harness, |draft| claim(draft, "sub", json!("u-grace")));
    harness.pass(DUE).await;
    eventually("it ends", async || !harness.ada.is_logged_in().await).await;
    let live = || harness.stack.idp.issued_refresh_tokens_live("u-ada");
    eventually("it is revoked", async || live() == 0).await;
}

#[tokio::test]
async fn attack_17_logout_hints_with_the_newest_id_token() {
    let harness = Harness::start().await;
    let answers = Answers::of(&harness.stack);
    let before = harness.refreshed_at().await;
    harness.is_renewed_within(33, &before).await;
    let reply = harness.ada.post("/auth/logout").await;
    let location = url::Url::parse(reply.location()).unwrap();
    let hint = location.query_pairs().find(|(name, _)| name == "id_token_hint");
    assert!(hint.unwrap().1 == answers.text(0, "id_token"), "an older hint");
}

/// A forged ID token is not accepted, nor the access token beside it; the session survives and recovers.
async fn is_refused(
    harness: &Harness,
    what: &str,
    forgery: impl Fn(&mut IdTokenDraft) + Send + Sync + 'static,
) {
    let (token, before) = (harness.token().await, harness.refreshed_at().await);
    let user = harness.ada.session().await["user"].clone();
    let seen = harness.refreshes().len();
    forge(harness, move |draft| {
        claim(draft, "name", json!("Mallory"));
        forgery(draft);
    });
    for _ in 0..35 {
        if harness.refreshes().len() > seen {
            break;
        }
        harness.pass(1).await;
    }
    harness.pass(3).await;
    assert!(harness.refreshes().len() > seen, "{what}: the IdP was not asked");
    assert!(
        harness.token().await == token,
        "{what}: the token beside it serves"
    );
    assert_eq!(harness.ada.session().await["user"], user, "{what}");
    assert_eq!(harness.refreshed_at().await, before, "{what}");
    harness.stack.idp.clear_hooks();
    harness.is_renewed_within(90, &before).await;
    assert_eq!(harness.ada.session().await["user"], user, "{what}");
}

#[tokio::test]
async fn attack_26_a_refreshed_id_token_needs_a_true_signature() {
    let harness = Harness::start().await;
    let signers = [
        Signer::OtherKeySameKid,
        Signer::EmbeddedJwk,
        Signer::None,
        Signer::Hs256WithPublicKey,
        Signer::Hs256WithPublicJwk,
        Signer::Hs256WithSecret(b"bff-server".to_vec()),
        Signer::BrokenSignature,
    ];
    for signer in signers {
        let what = format!("{signer:?}");
        is_refused(&harness, &what, move |draft| draft.signer = signer.clone()).await;
    }
}

#[tokio::test]
async fn attack_26_a_refreshed_id_token_with_false_claims_is_refused() {
    let harness = Harness::start().await;
    let forgeries: [(&str, Forgery); 11] = [
        ("nonce", |draft| claim(draft, "nonce", json!("foreign"))),
        ("nonce of another kind", |draft| claim(draft, "nonce", json!(1))),
        ("exp", |draft| claim(draft, "exp", json!(1_800_000_000 - 120))),
        ("no exp", |draft| drop(draft.claims.remove("exp"))),
        ("iat", |draft| claim(draft, "iat", json!(2_000_000_000))),
        ("nbf", |draft| claim(draft, "nbf", json!(2_000_000_000))),
        ("at_hash", |draft| {
            claim(draft, "at_hash", json!("AAAAAAAAAAAAAAAAAAAAAA"));
        }),
        ("auth_time", |draft| {
            claim(draft, "auth_time", json!(1_799_000_000));
        }),
        ("no sub", |draft| drop(draft.claims.remove("sub"))),
        ("typ", |draft| {
            draft.header.insert("typ".to_owned(), json!("at+jwt"));
        }),
        ("crit", |draft| {
            draft.header.insert("crit".to_owned(), json!(["x"]));
        }),
    ];
    for (what, forgery) in forgeries {
        is_refused(&harness, what, forgery).await;
    }
}

#[tokio::test]
async fn attack_52_a_lasting_id_token_fault_requires_a_login() {
    let forgeries: [(&str, Forgery); 4] = [
        ("nonce", |draft| claim(draft, "nonce", json!("foreign"))),
        ("auth_time", |draft| {
            claim(draft, "auth_time", json!(1_799_000_000));
        }),
        ("at_hash", |draft| {
            claim(draft, "at_hash", json!("AAAAAAAAAAAAAAAAAAAAAA"));
        }),
        ("signature", |draft| draft.signer = Signer::BrokenSignature),
    ];
    for (what, forgery) in forgeries {
        let logs = Logs::capture();
        let harness = Harness::start().await;
        let token = harness.token().await;
        forge(&harness, forgery);
        for _ in 0..60 {
            if !harness.ada.is_logged_in().await {
                break;
            }
            // While it is valid, the former token serves, not the one beside the faulty ID token.
            assert!(harness.token().await == token, "{what}");
            harness.pass(1).await;
        }
        harness.has_ended().await;
        assert_eq!(harness.refreshes().len(), 3, "{what}");
        let line = logs.lines_with("the session has ended").pop().unwrap();
        assert!(line.contains("reason=\"id_token\""), "{what}: {line}");
        // Nothing of the grant is left, including the last refresh token.
        eventually("it is revoked", async || {
            harness.stack.idp.issued_refresh_tokens_live("u-ada") == 0
        })
        .await;
    }
}

/// The access token has expired.
#[tokio::test]
async fn attack_52_after_expiry_the_first_fault_requires_a_login() {
    let harness = Harness::start().await;
    harness.stack.idp.fail_always(Endpoint::Token, Fault::status(500));
    harness.pass(65).await;
    harness.is_pending().await;
    forge(&harness, |draft| claim(draft, "nonce", json!("foreign")));
    harness.stack.idp.heal(Endpoint::Token);
    for _ in 0..90 {
        harness.pass(1).await;
        if !harness.ada.is_logged_in().await {
            break;
        }
    }
    harness.has_ended().await;
}

#[tokio::test]
async fn attack_52_a_key_that_the_idp_never_publishes_ends_in_a_login() {
    let logs = Logs::capture();
    let harness = Harness::start().await;
    forge(&harness, |draft| {
        draft.header.insert("kid".to_owned(), json!("never-published"));
    });
    // While the access token lives the IdP may still publish it.
    harness.pass(LIFE - 2).await;
    harness.token().await;
    harness.pass(LIFE).await;
    harness.has_ended().await;
    assert!(logs.text().contains("reason=\"id_token\""));
}

/// The person logged in for another client.
#[tokio::test]
async fn a_later_auth_time_is_accepted_with_one_warning() {
    let logs = Logs::capture();
    let harness = Harness::start().await;
    let (first, mut before) = (harness.token().await, harness.refreshed_at().await);
    let later = harness.now() + 20;
    forge(&harness, move |draft| claim(draft, "auth_time", json!(later)));
    for _ in 0..3 {
        harness.is_renewed_within(33, &before).await;
        before = harness.refreshed_at().await;
    }
    assert!(harness.token().await != first);
    assert_eq!(logs.lines_with("names a later login").len(), 1);
    // The session keeps the time of its own login.
    let reply = harness.ada.get("/auth/verify").await;
    let shown = reply.header("x-auth-time").unwrap();
    assert_eq!(shown.parse::<u64>().unwrap() + 20, later, "{shown}");
}

#[tokio::test]
async fn attack_16_rotated_idp_keys_need_no_restart() {
    let harness = Harness::start().await;
    let before = harness.refreshed_at().await;
    // None of the keys that the server knows is published any more.
    harness.stack.idp.rotate_keys().unwrap();
    harness.stack.idp.drop_previous_keys();
    harness.is_renewed_within(33, &before).await;
    assert_eq!(harness.refreshes().len(), 1);
    assert_eq!(harness.stack.idp.count(Endpoint::Jwks), 1);

    harness.pass(40).await;
    let before = harness.refreshed_at().await;
    harness.stack.idp.rotate_keys().unwrap();
    harness.is_renewed_within(95, &before).await;
    let grace = crate::support::Browser::new("grace", &harness.stack.origin(1));
    grace.log_in().await;
}

#[tokio::test]
async fn attack_16_keys_that_cannot_be_read_end_no_session() {
    let harness = Harness::start().await;
    let before = harness.refreshed_at().await;
    let token = harness.token().await;
    harness.stack.idp.rotate_keys().unwrap();
    harness.stack.idp.drop_previous_keys();
    harness.stack.idp.fail_always(Endpoint::Jwks, Fault::status(500));
    harness.pass(35).await;
    assert!(harness.token().await == token, "an unchecked token serves");
    assert_eq!(harness.refreshed_at().await, before);
    harness.stack.idp.heal_all();
    harness.is_renewed_within(150, &before).await;
    harness.token().await;
}

#[tokio::test]
async fn attack_16_a_flood_of_random_kids_asks_for_the_keys_once() {
    let harness = Harness::start().await;
    for _ in 0..7 {
        harness.stack.browser().log_in().await;
    }
    harness.stack.idp.clear_requests();
    let before = harness.refreshed_at().await;
    let number = std::sync::atomic::AtomicU64::new(0);
    forge(&harness, move |draft| {
        let kid = number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        draft
            .header
            .insert("kid".to_owned(), json!(format!("invented-{kid}")));
    });
    harness.pass(50).await;
    assert!(harness.refreshes().len() >= 16);
    assert_eq!(harness.stack.idp.count(Endpoint::Jwks), 1);
    assert!(harness.ada.is_logged_in().await);
    harness.stack.idp.clear_hooks();
    harness.is_renewed_within(90, &before).await;
    harness.token().await;
}
