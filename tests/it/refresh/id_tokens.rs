//! Refreshed ID tokens: checked as fully as the first.

use devstack_idp::{Endpoint, Fault, IdTokenDraft, Signer};
use serde_json::{Value, json};

use super::{Answers, Scene, eventually};
use crate::support::Logs;

type Forgery = fn(&mut IdTokenDraft);

fn claim(draft: &mut IdTokenDraft, name: &str, value: Value) {
    draft.claims.insert(name.to_owned(), value);
}

/// Refreshed ID tokens are forged until it is healed; the one of the login is not.
fn forge(scene: &Scene, forgery: impl Fn(&mut IdTokenDraft) + Send + Sync + 'static) {
    scene.stack.idp.on_id_token(move |draft| {
        if draft.refreshed {
            forgery(draft);
        }
    });
}

/// What belongs to somebody else ends the session, and is revoked with all that is left of it.
async fn ends(what: &str, prepare: impl FnOnce(&Scene)) {
    let scene = Scene::start().await;
    let answers = Answers::of(&scene.stack);
    prepare(&scene);
    scene.pass(31).await;
    eventually(what, async || !scene.ada.is_logged_in().await).await;
    scene.has_ended().await;
    let arrived = ["access_token", "refresh_token"].map(|member| answers.text(0, member));
    eventually("what arrived is revoked", async || scene.revoked().len() >= 2).await;
    for token in &arrived {
        assert!(scene.revoked().contains(token), "{what}");
    }
    assert_eq!(scene.stack.idp.issued_refresh_tokens_live("u-ada"), 0, "{what}");
    scene.pass(40).await;
    assert_eq!(scene.refreshes().len(), 1, "{what}");
}

#[tokio::test]
async fn attack_17_a_refreshed_id_token_of_another_person_ends_the_session() {
    ends("sub", |scene| {
        forge(scene, |draft| claim(draft, "sub", json!("u-grace")));
    })
    .await;
}

#[tokio::test]
async fn attack_17_a_refreshed_id_token_of_another_issuer_or_client_ends_the_session() {
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
        ends(what, |scene| forge(scene, forgery)).await;
    }
}

#[tokio::test]
async fn attack_17_an_access_token_of_another_person_ends_the_session() {
    ends("UserInfo", |scene| {
        scene.stack.idp.id_token_on_refresh(false);
        scene
            .stack
            .idp
            .on_userinfo(|answer| answer["sub"] = json!("u-grace"));
    })
    .await;
}

#[tokio::test]
async fn attack_17_without_rotation_the_own_refresh_token_is_revoked_too() {
    let scene = Scene::start().await;
    scene.stack.idp.rotate_refresh_tokens(false);
    forge(&scene, |draft| claim(draft, "sub", json!("u-grace")));
    scene.pass(31).await;
    eventually("it ends", async || !scene.ada.is_logged_in().await).await;
    let live = || scene.stack.idp.issued_refresh_tokens_live("u-ada");
    eventually("it is revoked", async || live() == 0).await;
}

#[tokio::test]
async fn attack_17_logout_hints_with_the_newest_id_token() {
    let scene = Scene::start().await;
    let answers = Answers::of(&scene.stack);
    let before = scene.refreshed_at().await;
    scene.is_renewed_within(33, &before).await;
    let reply = scene.ada.post("/auth/logout").await;
    let location = url::Url::parse(reply.location()).unwrap();
    let hint = location.query_pairs().find(|(name, _)| name == "id_token_hint");
    assert!(hint.unwrap().1 == answers.text(0, "id_token"), "an older hint");
}

/// A forged ID token is not accepted, nor the access token beside it; the session lives on and recovers.
async fn is_refused(scene: &Scene, what: &str, forgery: impl Fn(&mut IdTokenDraft) + Send + Sync + 'static) {
    let (token, before) = (scene.token().await, scene.refreshed_at().await);
    let user = scene.ada.session().await["user"].clone();
    let seen = scene.refreshes().len();
    forge(scene, move |draft| {
        claim(draft, "name", json!("Mallory"));
        forgery(draft);
    });
    for _ in 0..35 {
        if scene.refreshes().len() > seen {
            break;
        }
        scene.pass(1).await;
    }
    scene.pass(3).await;
    assert!(scene.refreshes().len() > seen, "{what}: the IdP was not asked");
    assert!(scene.token().await == token, "{what}: the token beside it serves");
    assert_eq!(scene.ada.session().await["user"], user, "{what}");
    assert_eq!(scene.refreshed_at().await, before, "{what}");
    scene.stack.idp.clear_hooks();
    scene.is_renewed_within(90, &before).await;
    assert_eq!(scene.ada.session().await["user"], user, "{what}");
}

#[tokio::test]
async fn attack_26_a_refreshed_id_token_with_a_false_signature_is_refused() {
    let scene = Scene::start().await;
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
        is_refused(&scene, &what, move |draft| draft.signer = signer.clone()).await;
    }
}

#[tokio::test]
async fn attack_26_a_refreshed_id_token_with_false_claims_is_refused() {
    let scene = Scene::start().await;
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
        is_refused(&scene, what, forgery).await;
    }
}

#[tokio::test]
async fn attack_52_an_id_token_with_a_fault_that_stays_ends_in_a_login() {
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
        let scene = Scene::start().await;
        let token = scene.token().await;
        forge(&scene, forgery);
        for _ in 0..60 {
            if !scene.ada.is_logged_in().await {
                break;
            }
            // As long as it is there, the token of before serves, not the one beside the faulty ID token.
            assert!(scene.token().await == token, "{what}");
            scene.pass(1).await;
        }
        scene.has_ended().await;
        assert_eq!(scene.refreshes().len(), 3, "{what}");
        let line = logs.lines_with("the session has ended").pop().unwrap();
        assert!(line.contains("reason=\"id_token\""), "{what}: {line}");
        // Of the grant nothing is left, the refresh token that arrived last included.
        eventually("it is revoked", async || {
            scene.stack.idp.issued_refresh_tokens_live("u-ada") == 0
        })
        .await;
    }
}

#[tokio::test]
async fn attack_52_beyond_the_access_token_the_first_faulty_id_token_ends_in_a_login() {
    let scene = Scene::start().await;
    scene.stack.idp.fail_always(Endpoint::Token, Fault::status(500));
    scene.pass(65).await;
    scene.is_pending().await;
    forge(&scene, |draft| claim(draft, "nonce", json!("foreign")));
    scene.stack.idp.heal(Endpoint::Token);
    for _ in 0..90 {
        scene.pass(1).await;
        if !scene.ada.is_logged_in().await {
            break;
        }
    }
    scene.has_ended().await;
}

#[tokio::test]
async fn attack_52_a_key_that_the_idp_never_publishes_ends_in_a_login() {
    let logs = Logs::capture();
    let scene = Scene::start().await;
    forge(&scene, |draft| {
        draft.header.insert("kid".to_owned(), json!("never-published"));
    });
    // While the access token lives the IdP may still publish it.
    scene.pass(58).await;
    scene.token().await;
    scene.pass(60).await;
    scene.has_ended().await;
    assert!(logs.text().contains("reason=\"id_token\""));
}

#[tokio::test]
async fn a_later_login_for_another_client_is_accepted_with_one_warning() {
    let logs = Logs::capture();
    let scene = Scene::start().await;
    let (first, mut before) = (scene.token().await, scene.refreshed_at().await);
    let later = scene.now() + 20;
    forge(&scene, move |draft| claim(draft, "auth_time", json!(later)));
    for _ in 0..3 {
        scene.is_renewed_within(33, &before).await;
        before = scene.refreshed_at().await;
    }
    assert!(scene.token().await != first);
    assert_eq!(logs.lines_with("names a later login").len(), 1);
    // The session keeps the time of its own login.
    let reply = scene.ada.get("/auth/verify").await;
    let shown = reply.header("x-auth-time").unwrap();
    assert_eq!(shown.parse::<u64>().unwrap() + 20, later, "{shown}");
}

#[tokio::test]
async fn attack_16_keys_rotated_at_the_idp_are_found_without_a_restart() {
    let scene = Scene::start().await;
    let before = scene.refreshed_at().await;
    // Of the keys that the server knows, none is published any more.
    scene.stack.idp.rotate_keys().unwrap();
    scene.stack.idp.drop_previous_keys();
    scene.is_renewed_within(33, &before).await;
    assert_eq!(scene.refreshes().len(), 1);
    assert_eq!(scene.stack.idp.count(Endpoint::Jwks), 1);

    scene.pass(40).await;
    let before = scene.refreshed_at().await;
    scene.stack.idp.rotate_keys().unwrap();
    scene.is_renewed_within(95, &before).await;
    let grace = crate::support::Browser::new("grace", &scene.stack.origin(1));
    grace.log_in().await;
}

#[tokio::test]
async fn attack_16_keys_that_cannot_be_read_end_no_session() {
    let scene = Scene::start().await;
    let before = scene.refreshed_at().await;
    let token = scene.token().await;
    scene.stack.idp.rotate_keys().unwrap();
    scene.stack.idp.drop_previous_keys();
    scene.stack.idp.fail_always(Endpoint::Jwks, Fault::status(500));
    scene.pass(35).await;
    assert!(scene.token().await == token, "an unchecked token serves");
    assert_eq!(scene.refreshed_at().await, before);
    scene.stack.idp.heal_all();
    scene.is_renewed_within(150, &before).await;
    scene.token().await;
}

#[tokio::test]
async fn attack_16_a_flood_of_random_kids_asks_for_the_keys_once() {
    let scene = Scene::start().await;
    for _ in 0..7 {
        scene.stack.browser().log_in().await;
    }
    scene.stack.idp.clear_requests();
    let before = scene.refreshed_at().await;
    let number = std::sync::atomic::AtomicU64::new(0);
    forge(&scene, move |draft| {
        let kid = number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        draft
            .header
            .insert("kid".to_owned(), json!(format!("invented-{kid}")));
    });
    scene.pass(50).await;
    assert!(scene.refreshes().len() >= 16);
    assert_eq!(scene.stack.idp.count(Endpoint::Jwks), 1);
    assert!(scene.ada.is_logged_in().await);
    scene.stack.idp.clear_hooks();
    scene.is_renewed_within(90, &before).await;
    scene.token().await;
}
