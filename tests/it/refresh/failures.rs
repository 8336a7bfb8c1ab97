//! Failures of a refresh: which ones end the session.

use std::collections::BTreeSet;

use devstack_idp::{Endpoint, Fault};
use serde_json::json;

use super::{DUE, Harness, LIFE, eventually};
use crate::support::{Browser, Logs, Stack, times};

/// The session survives the fault: the old token serves while it is valid, then there is none, then it recovers.
async fn survives(harness: &Harness, what: &str, fault: Fault) {
    let (token, before) = (harness.token().await, harness.refreshed_at().await);
    let seen = harness.refreshes().len();
    harness.stack.idp.fail_always(Endpoint::Token, fault);
    for _ in 0..33 {
        if harness.refreshes().len() > seen {
            break;
        }
        harness.pass(1).await;
    }
    assert!(harness.refreshes().len() > seen, "{what}: the IdP was not asked");
    harness.pass(5).await;
    assert_eq!(harness.token().await, token, "{what}: not the old token");

    harness.pass(DUE - 1).await;
    let seconds = harness.is_pending().await;
    assert!((1..=75).contains(&seconds), "{what}: {seconds}");
    assert_eq!(harness.refreshed_at().await, before, "{what}");

    harness.stack.idp.heal(Endpoint::Token);
    harness.is_renewed_within(90, &before).await;
    assert_ne!(harness.token().await, token, "{what}");
}

#[tokio::test]
async fn attack_11_an_idp_that_is_down_ends_no_session() {
    let harness = Harness::start().await;
    survives(&harness, "503", Fault::status(503)).await;
    survives(&harness, "500", Fault::status(500)).await;
    survives(&harness, "a page of a proxy", Fault::html(502)).await;
    survives(&harness, "a reset", Fault::CloseWithoutAnswer).await;
    survives(&harness, "silence", Fault::Hang).await;
}

#[tokio::test]
async fn attack_11_an_idp_that_refuses_for_the_moment_ends_no_session() {
    let harness = Harness::start().await;
    let refusals = [
        (401, "invalid_client"),
        (400, "invalid_client"),
        (403, "invalid_client"),
        (400, "temporarily_unavailable"),
        (400, "server_error"),
        (400, "slow_down"),
        (400, "something_that_nobody_knows"),
        // These statuses speak of the moment; the body does not matter.
        (408, "invalid_grant"),
        (425, "invalid_grant"),
        (429, "invalid_grant"),
        (500, "invalid_grant"),
    ];
    for (status, code) in refusals {
        survives(&harness, code, Fault::oauth_error(status, code)).await;
    }
}

/// A passing refusal: a session survives that is refused until a few seconds after its token has expired.
#[tokio::test]
async fn attack_11_a_refusal_that_passes_ends_no_session() {
    let harness = Harness::start().await;
    for code in REFUSALS {
        survives(&harness, code, Fault::oauth_error(400, code)).await;
    }
    let nothing = Fault::Respond {
        status: 400,
        headers: Vec::new(),
        body: Vec::new(),
    };
    survives(&harness, "400 without a body", nothing).await;
}

const REFUSALS: [&str; 6] = [
    "invalid_request",
    "unauthorized_client",
    "access_denied",
    "invalid_scope",
    "unsupported_grant_type",
    "invalid_target",
];

/// One that does not pass: 503 for a while, then a login.
/// After a few tries.
#[tokio::test]
async fn attack_52_a_lasting_refusal_ends_the_session_in_time() {
    let nothing = Fault::Respond {
        status: 400,
        headers: Vec::new(),
        body: Vec::new(),
    };
    let faults = REFUSALS.map(|code| Fault::oauth_error(403, code));
    for fault in faults.into_iter().chain([nothing]) {
        let logs = Logs::capture();
        let harness = Harness::start().await;
        harness.stack.idp.fail_always(Endpoint::Token, fault);
        harness.pass(LIFE + 2).await;
        harness.is_pending().await;
        harness.pass(40).await;
        harness.has_ended().await;
        let asked = harness.refreshes().len();
        assert!((6..=16).contains(&asked), "{asked}");
        assert!(logs.text().contains("reason=\"refused\""));
        // Its remaining tokens are revoked, and there are no further attempts.
        eventually("it is revoked", async || !harness.revoked().is_empty()).await;
        harness.pass(LIFE).await;
        assert_eq!(harness.refreshes().len(), asked);
        harness.stack.idp.heal_all();
        harness.ada.log_in_by("/auth/login").await.leads_on();
    }
}

#[tokio::test]
async fn attack_52_an_outage_between_refusals_does_not_forgive_them() {
    let harness = Harness::start().await;
    let refused = || Fault::oauth_error(400, "unauthorized_client");
    harness.stack.idp.fail_always(Endpoint::Token, refused());
    harness.pass(LIFE + 2).await;
    harness.is_pending().await;
    harness.stack.idp.fail_always(Endpoint::Token, Fault::status(500));
    harness.pass(LIFE).await;
    harness.is_pending().await;
    harness.stack.idp.fail_always(Endpoint::Token, refused());
    harness.pass(90).await;
    harness.has_ended().await;
}

#[tokio::test]
async fn attack_52_a_needed_person_ends_the_session_at_once() {
    for code in [
        "interaction_required",
        "login_required",
        "consent_required",
        "account_selection_required",
    ] {
        for status in [400, 401, 403] {
            let logs = Logs::capture();
            let harness = Harness::start().await;
            let fault = Fault::oauth_error(status, code);
            harness.stack.idp.fail_next(Endpoint::Token, fault);
            harness.pass(DUE).await;
            eventually("the session ends", async || !harness.ada.is_logged_in().await).await;
            harness.has_ended().await;
            assert_eq!(harness.refreshes().len(), 1);
            let line = logs.lines_with("the session has ended").pop().unwrap();
            assert!(line.contains("reason=\"person_needed\""), "{line}");
            assert!(line.contains(code), "{line}");
        }
    }
}

/// Ten people with revoked grants are not an outage: the breaker gives the eleventh a new token.
#[tokio::test]
async fn attack_52_refusals_of_single_sessions_are_no_outage() {
    for code in ["invalid_grant", "interaction_required", "invalid_request"] {
        let harness = Harness::of(Stack::builder().set("TOKEN_REFRESH_CONCURRENCY", "1")).await;
        let others: Vec<Browser> = (0..10).map(|_| harness.stack.browser()).collect();
        for other in &others {
            other.log_in().await;
        }
        let logs = Logs::capture();
        let before = harness.refreshed_at().await;
        for _ in 0..10 {
            let fault = Fault::oauth_error(400, code);
            harness.stack.idp.fail_next(Endpoint::Token, fault);
        }
        harness.pass(DUE).await;
        harness.pass(15).await;
        assert!(!logs.text().contains("refreshes pause"), "{code}");
        let mut renewed = 0;
        for browser in others.iter().chain([&harness.ada]) {
            let session = browser.session().await;
            let newer = session["refreshed_at"].as_str().is_some_and(|at| at != before);
            renewed += u32::from(newer);
        }
        assert!(renewed >= 1, "{code}: nobody was renewed");
    }
}

#[tokio::test]
async fn attack_11_answers_that_are_none_end_no_session() {
    let harness = Harness::start().await;
    let page = "<html>{\"error\":\"invalid_grant\"}</html>";
    survives(&harness, "a page", Fault::text(400, "text/html", page)).await;
    survives(&harness, "a page of success", Fault::html(200)).await;
    let text = Fault::text(400, "text/html", r#"{"error":"invalid_grant"}"#);
    survives(&harness, "JSON that is none", text).await;
    survives(&harness, "no token", Fault::json(200, &json!({}))).await;
    survives(
        &harness,
        "an error of another kind",
        Fault::json(400, &json!({"error": 1})),
    )
    .await;
}

/// The redirect is not followed.
#[tokio::test]
async fn attack_36_a_redirected_refresh_ends_no_session() {
    let harness = Harness::start().await;
    let elsewhere = format!("{}/stolen", harness.stack.api.url());
    survives(&harness, "a redirect", Fault::redirect(307, &elsewhere)).await;
    assert!(
        harness
            .stack
            .api
            .calls()
            .iter()
            .all(|call| call.target != "/stolen")
    );
}

/// While the refresh token is valid.
#[tokio::test]
async fn attack_11_a_lost_answer_ends_no_session() {
    let harness = Harness::start().await;
    harness.stack.idp.rotate_refresh_tokens(false);
    survives(&harness, "a cut body", Fault::CutBody).await;
    survives(&harness, "a lost answer", Fault::CloseAfterProcessing).await;
    let garbage = Fault::RespondAfterProcessing {
        status: 504,
        body: Vec::new(),
    };
    survives(&harness, "a gateway that gave up", garbage).await;
}

#[tokio::test]
async fn attack_11_invalid_grant_ends_the_session() {
    for status in [400, 401, 403, 404, 422] {
        let logs = Logs::capture();
        let harness = Harness::start().await;
        let fault = Fault::oauth_error(status, "invalid_grant");
        harness.stack.idp.fail_next(Endpoint::Token, fault);
        harness.pass(DUE).await;
        eventually("the session ends", async || !harness.ada.is_logged_in().await).await;
        harness.has_ended().await;
        harness.pass(LIFE).await;
        assert_eq!(harness.refreshes().len(), 1);
        assert!(logs.text().contains("reason=\"invalid_grant\""));
        assert!(!logs.text().contains("answer_lost"));
    }
}

#[tokio::test]
async fn attack_11_invalid_grant_is_401_for_the_requests_that_wait() {
    let harness = Harness::start().await;
    let gate = std::sync::Arc::new(tokio::sync::Notify::new());
    harness
        .stack
        .idp
        .fail_next(Endpoint::Token, Fault::HoldUntil(std::sync::Arc::clone(&gate)));
    harness.stack.idp.revoke_refresh_tokens("u-ada");
    harness.stack.clock.advance(times::ABOUT_TO_EXPIRE);
    let (ada, clone) = (harness.ada.clone(), harness.ada.clone());
    let calls = [ada, clone].map(|browser| tokio::spawn(async move { browser.get("/api/hello").await }));
    harness.refreshes_are(1).await;
    gate.notify_one();
    for call in calls {
        let reply = call.await.unwrap();
        assert_eq!(
            (reply.status.as_u16(), reply.code().as_str()),
            (401, "unauthenticated")
        );
    }
    assert_eq!(harness.stack.api.calls().len(), 0);
    harness.has_ended().await;
    assert_eq!(harness.refreshes().len(), 1);
}

#[tokio::test]
async fn a_token_spent_by_a_lost_answer_is_told_apart() {
    let cut = [Fault::CloseAfterProcessing, Fault::CutBody];
    for fault in cut {
        let logs = Logs::capture();
        let harness = Harness::start().await;
        harness.stack.idp.fail_next(Endpoint::Token, fault);
        harness.pass(DUE).await;
        harness.refreshes_are(1).await;
        assert!(harness.ada.is_logged_in().await);
        // The next one sends the used token again, which the IdP treats as theft.
        harness.pass(20).await;
        eventually("the session ends", async || !harness.ada.is_logged_in().await).await;
        assert_eq!(harness.refreshes().len(), 2);
        assert!(logs.text().contains("reason=\"answer_lost\""));
        assert!(!logs.text().contains("reason=\"invalid_grant\""));
    }
}

#[tokio::test]
async fn a_refusal_that_is_known_leaves_no_doubt_behind() {
    let logs = Logs::capture();
    let harness = Harness::start().await;
    harness
        .stack
        .idp
        .fail_next(Endpoint::Token, Fault::oauth_error(401, "invalid_client"));
    let fault = Fault::oauth_error(400, "invalid_grant");
    harness.stack.idp.fail_next(Endpoint::Token, fault);
    harness.pass(50).await;
    eventually("the session ends", async || !harness.ada.is_logged_in().await).await;
    assert!(logs.text().contains("reason=\"invalid_grant\""));
    assert!(!logs.text().contains("answer_lost"));
}

#[tokio::test]
async fn attack_15_every_try_carries_an_assertion_of_its_own() {
    let harness = Harness::start().await;
    let before = harness.refreshed_at().await;
    let busy = |status, after: &str| Fault::Respond {
        status,
        headers: vec![("retry-after".to_owned(), after.to_owned())],
        body: Vec::new(),
    };
    // Two immediate repetitions, one later one, one that the IdP accepts.
    harness.stack.idp.fail_next(Endpoint::Token, busy(429, "1"));
    harness.stack.idp.fail_next(Endpoint::Token, Fault::status(503));
    harness.stack.idp.fail_next(Endpoint::Token, Fault::status(500));
    harness.pass(DUE - 1).await;
    harness.is_renewed_within(40, &before).await;
    let refreshes = harness.refreshes();
    assert_eq!(refreshes.len(), 4);
    let tokens: BTreeSet<&str> = refreshes
        .iter()
        .filter_map(|request| request.field("refresh_token"))
        .collect();
    assert_eq!(tokens.len(), 1);
    let mut ids = BTreeSet::new();
    for request in &refreshes {
        let (header, claims) = request.assertion().unwrap();
        assert_eq!(header["alg"], "ES256");
        assert_eq!(claims["aud"], harness.stack.issuer.as_str());
        assert_eq!(claims["iss"], "bff-server");
        assert!(ids.insert(claims["jti"].as_str().unwrap().to_owned()));
    }
}

#[tokio::test]
async fn the_idp_says_when_to_come_again() {
    let harness = Harness::start().await;
    let fault = Fault::Respond {
        status: 429,
        headers: vec![("retry-after".to_owned(), "40".to_owned())],
        body: Vec::new(),
    };
    let before = harness.refreshed_at().await;
    harness.stack.idp.fail_next(Endpoint::Token, fault);
    harness.pass(DUE).await;
    harness.refreshes_are(1).await;
    harness.pass(38).await;
    // Waiting people do not shorten the pause; they get `Retry-After`.
    let seconds = harness.is_pending().await;
    assert!((1..=13).contains(&seconds), "{seconds}");
    assert_eq!(harness.refreshes().len(), 1);
    harness.is_renewed_within(14, &before).await;
}

#[tokio::test]
async fn refreshes_pause_after_outages_and_resume() {
    let harness = Harness::of(Stack::builder().set("TOKEN_REFRESH_CONCURRENCY", "1")).await;
    let others: Vec<Browser> = (0..9).map(|_| harness.stack.browser()).collect();
    for other in &others {
        other.log_in().await;
    }
    let before = harness.refreshed_at().await;
    harness.stack.idp.fail_always(Endpoint::Token, Fault::status(500));
    harness.pass(DUE - 2).await;
    eventually("it is due", async || {
        harness.pass(1).await;
        harness.refreshes().len() == 5
    })
    .await;
    // Ten are due, five have asked.
    harness.pass(3).await;
    assert_eq!(harness.refreshes().len(), 5);
    // One at a time finds out whether it works again, ever more rarely.
    harness.pass(LIFE).await;
    let asked = harness.refreshes().len();
    assert!((7..=10).contains(&asked), "{asked}");

    harness.stack.idp.heal(Endpoint::Token);
    for _ in 0..150 {
        harness.pass(1).await;
    }
    for browser in others.iter().chain([&harness.ada]) {
        let session = browser.session().await;
        assert_eq!(session["authenticated"], true);
        assert_ne!(session["refreshed_at"], before.as_str());
    }
}
