//! A registration access token that is lost.

use serde_json::json;

use super::{
    fake::{MINT, Odd, oauth_error},
    *,
};
use crate::diagnostic::Explain as _;

const FRESH: &str = "fresh-token";
const READ: &str = "GET /register/client-1";
const CREATE: &str = "POST /register";
const RENEW: &str = "POST /api/admin/dcr/clients/client-1/tokens";

fn fresh(options: &mut Options) {
    options.initial_access_token = Some(Secret::from(FRESH));
}

fn admin(options: &mut Options) {
    options.admin_token = Some(Secret::from("admin-token"));
}

/// A registered harness whose IdP has forgotten the token of the registration.
async fn harness(own_ids: bool) -> Harness {
    let harness = Harness::registered(Habits {
        own_ids,
        ..Habits::default()
    })
    .await;
    harness.idp.allow(FRESH);
    harness.idp.forget_tokens();
    harness
}

/// It is unused or minted.
#[tokio::test]
async fn a_fresh_initial_access_token_registers_anew() {
    let mint = format!("POST {MINT}");
    for (with, calls) in [
        (fresh as fn(&mut Options), vec![READ, CREATE]),
        // This IdP has no API that would renew the token.
        (admin, vec![READ, RENEW, &mint, CREATE]),
    ] {
        let harness = harness(true).await;
        let logs = Logs::capture();
        let outcome = harness.ensure(with).await.unwrap();
        assert!(
            matches!(outcome.event, Event::Registered { .. }),
            "{:?}",
            outcome.event
        );
        assert_eq!(harness.idp.calls(), calls);
        let id = outcome.client.id;
        assert_ne!(id, "client-1");
        assert_eq!(harness.file()["client_id"], id);
        logs.has(&format!("Client registered: {id} (asked for bff-server)"));
        logs.has("client-1 is still registered");
        logs.has("remove it at the IdP");
        check_no_secret(&logs.text());

        // It is as good as the first one.
        assert!(matches!(harness.event(with).await, Event::Unchanged));
        assert!(harness.file().get("renewed").is_none());
    }
}

/// A refused registration token together with `invalid_client`.
#[tokio::test]
async fn a_client_that_the_idp_accepts_no_more_was_deleted() {
    let token = "POST /token";
    let no = |code: &str| Odd::Json(401, oauth_error(code, ""));
    for (answer, is_deleted) in [
        (no("invalid_client"), true),
        (no("invalid_grant"), false),
        (Odd::Json(500, json!({})), false),
        (Odd::Text(401, "text/html", String::new()), false),
    ] {
        let harness = harness(true).await;
        let metadata = harness.party.provider().discover().await.unwrap();
        // The party repeats a refused assertion by the IdP's clock.
        for _ in 0..2 {
            harness.idp.odd(token, answer.clone());
        }
        let registration = harness.registration(as_is).asking(harness.party.clone());
        let looked = registration.inspect(&metadata).await.unwrap();
        let is_found = matches!(
            looked.plan().refusal(),
            Some(RegistrationError::ClientDeleted { .. })
        );
        assert_eq!(is_found, is_deleted, "{looked:?}");
        check_text(looked.plan().refusal().unwrap());
        assert_eq!(harness.idp.clients(), ["client-1"]);
    }
}

#[tokio::test]
async fn a_deleted_client_is_told_and_registered_anew() {
    let harness = harness(true).await;
    let metadata = harness.party.provider().discover().await.unwrap();
    for with in [as_is as fn(&mut Options), fresh] {
        for _ in 0..2 {
            let no = Odd::Json(401, oauth_error("invalid_client", ""));
            harness.idp.odd("POST /token", no);
        }
        let logs = Logs::capture();
        let registration = harness.registration(with).asking(harness.party.clone());
        let event = registration.ensure(&metadata).await.unwrap().event;
        logs.has("client-1 was deleted at the IdP");
        match event {
            Event::UpdateRefused(error @ RegistrationError::ClientDeleted { .. }) => check_text(&error),
            Event::Registered { assigned, .. } => assert_eq!(assigned, harness.file()["client_id"]),
            other => panic!("{other:?}"),
        }
        check_no_secret(&logs.text());
    }
    assert_ne!(harness.file()["client_id"], "client-1");
}

/// The client stays the same, and no refresh token ends.
#[tokio::test]
async fn an_admin_token_renews_the_registration_token() {
    let renews = || Habits {
        own_ids: true,
        renews_tokens: true,
        ..Habits::default()
    };
    for (reads, status) in [(true, 401), (true, 403), (false, 401)] {
        let harness = Harness::registered(Habits { reads, ..renews() }).await;
        harness.idp.forget_tokens();
        if status == 403 {
            harness
                .idp
                .odd(READ, Odd::Json(403, oauth_error("access_denied", "no")));
        }
        let logs = Logs::capture();
        let changed = |options: &mut Options| {
            admin(options);
            options.scopes.push("email".to_owned());
        };
        let outcome = harness.ensure(changed).await.unwrap();
        assert!(matches!(outcome.event, Event::Updated(_)), "{:?}", outcome.event);
        assert_eq!(outcome.client.id, "client-1");
        let calls = harness.idp.calls();
        assert_eq!(calls.iter().filter(|call| *call == RENEW).count(), 1, "{calls:?}");
        assert_eq!(
            calls.last().unwrap(),
            "PUT /register/client-1",
            "repeated with the new token"
        );
        assert_eq!(harness.idp.clients(), ["client-1"]);
        assert_eq!(
            harness.idp.client("client-1")["scope"],
            "openid profile offline_access email"
        );
        logs.has("was renewed with the admin token of the IdP");
        check_no_secret(&logs.text());
        assert_eq!(logs.count("ERROR"), 0, "{}", logs.text());
        // The next start needs no admin.
        assert!(matches!(
            harness
                .event(|options| options.scopes.push("email".to_owned()))
                .await,
            Event::Unchanged
        ));
    }
}

/// No client is created.
#[tokio::test]
async fn a_renewed_token_refused_again_is_logged_once() {
    let harness = Harness::registered(Habits {
        own_ids: true,
        renews_tokens: true,
        ..Habits::default()
    })
    .await;
    let no = || Odd::Json(401, oauth_error("invalid_token", "no"));
    harness.idp.odd(READ, no());
    harness.idp.odd(READ, no());
    let event = harness.event(admin).await;
    assert!(
        matches!(
            event,
            Event::UpdateRefused(RegistrationError::RegistrationTokenRefused { .. })
        ),
        "{event:?}"
    );
    assert_eq!(harness.idp.calls(), [READ, RENEW, READ]);
    assert_eq!(harness.idp.clients(), ["client-1"]);
}

#[tokio::test]
async fn what_hinders_the_renewal_of_the_token_is_made_up_for() {
    for odd in [
        Odd::Hang,
        Odd::Cut(201),
        Odd::Text(503, "text/html", String::new()),
    ] {
        let harness = Harness::registered(Habits {
            own_ids: true,
            renews_tokens: true,
            ..Habits::default()
        })
        .await;
        harness.idp.forget_tokens();
        harness.idp.odd(RENEW, odd);
        let outcome = harness.ensure(admin).await.unwrap();
        assert!(
            matches!(outcome.event, Event::Postponed(_)),
            "{:?}",
            outcome.event
        );
        assert_eq!(outcome.client.id, "client-1");
        assert!(matches!(harness.event(admin).await, Event::Unchanged));
        assert_eq!(harness.idp.clients(), ["client-1"]);
    }
}

/// An id that is taken is written over by the client's own token, which may be lost as well.
#[tokio::test]
async fn a_replacement_in_place_renews_the_token_too() {
    let harness = Harness::registered(Habits {
        renews_tokens: true,
        ..Habits::default()
    })
    .await;
    harness.idp.allow(FRESH);
    harness.idp.forget_tokens();
    let event = harness
        .event(|options| {
            admin(options);
            fresh(options);
            options.force_replace = true;
            options.scopes.push("email".to_owned());
        })
        .await;
    assert!(matches!(event, Event::Updated(_)), "{event:?}");
    assert_eq!(harness.idp.clients(), ["bff-server"]);
}

#[tokio::test]
async fn a_refused_update_renews_it_too() {
    let harness = Harness::registered(Habits {
        own_ids: true,
        reads: false,
        ..Habits::default()
    })
    .await;
    harness.idp.forget_tokens();
    let event = harness
        .event(|options| {
            admin(options);
            options.scopes.push("email".to_owned());
        })
        .await;
    assert!(matches!(event, Event::Registered { .. }), "{event:?}");
}

/// The error says exactly what to do.
#[tokio::test]
async fn without_an_unused_token_nothing_is_sent() {
    for with in [as_is as fn(&mut Options), with_iat] {
        let harness = harness(true).await;
        let outcome = harness.ensure(with).await.unwrap();
        assert_eq!(outcome.client.id, "client-1");
        let Event::UpdateRefused(error) = outcome.event else {
            panic!("{:?}", outcome.event);
        };
        check_text(&error);
        assert!(error.told().contains("mint an initial access token"), "{error}");
        assert_eq!(harness.idp.calls(), [READ]);
    }
}

/// The error says what to do.
#[tokio::test]
async fn an_id_that_is_still_taken_keeps_the_client() {
    let harness = harness(false).await;
    for _ in 0..2 {
        let logs = Logs::capture();
        let outcome = harness.ensure(admin).await.unwrap();
        assert_eq!(outcome.client.id, "bff-server");
        let Event::UpdateRefused(error) = outcome.event else {
            panic!("{:?}", outcome.event);
        };
        check_text(&error);
        let text = error.told();
        assert!(
            text.contains("refused the registration access token of bff-server"),
            "{text}"
        );
        assert!(
            text.contains("not registered anew: the client id bff-server is taken"),
            "{text}"
        );
        let hint = text.split_once("fix: ").unwrap().1;
        assert!(hint.starts_with("have the client removed at the IdP"), "{text}");
        assert!(hint.contains("issue a new registration access token"), "{text}");
        assert_eq!(logs.count("WARN"), 0, "{}", logs.text());
        assert_eq!(logs.count("ERROR"), 1, "{}", logs.text());
        assert!(harness.file().get("pending").is_none());
    }
    assert_eq!(harness.idp.clients(), ["bff-server"]);
}

#[tokio::test]
async fn renewing_is_not_repeated_for_a_useless_token() {
    let harness = harness(true).await;
    harness.ensure(admin).await.unwrap();
    harness.idp.forget_tokens();
    harness.idp.seen();
    for _ in 0..3 {
        let event = harness.event(admin).await;
        assert!(
            matches!(
                event,
                Event::UpdateRefused(RegistrationError::RegistrationTokenRefused { .. })
            ),
            "{event:?}"
        );
        let renew = "POST /api/admin/dcr/clients/client-3/tokens";
        assert_eq!(harness.idp.calls(), ["GET /register/client-3", renew]);
    }
    assert_eq!(harness.idp.clients(), ["client-1", "client-3"]);
}

#[tokio::test]
async fn what_fails_on_the_way_leaves_the_stored_client() {
    let mint = format!("POST {MINT}");
    for (call, odd, postponed) in [
        (mint.as_str(), Odd::Text(403, "text/html", String::new()), false),
        (mint.as_str(), Odd::Text(503, "text/html", String::new()), true),
        (CREATE, Odd::Json(400, oauth_error("invalid_scope", "no")), false),
        (CREATE, Odd::Json(401, oauth_error("invalid_token", "no")), false),
        (CREATE, Odd::Text(503, "text/html", String::new()), true),
    ] {
        let harness = harness(true).await;
        harness.idp.odd(call, odd);
        let outcome = harness.ensure(admin).await.unwrap();
        assert_eq!(outcome.client.id, "client-1");
        assert_eq!(
            matches!(outcome.event, Event::Postponed(_)),
            postponed,
            "{call}: {:?}",
            outcome.event
        );
        assert_eq!(harness.file()["client_id"], "client-1");
        assert!(harness.file().get("pending").is_none());
        assert!(matches!(harness.event(admin).await, Event::Registered { .. }));
    }
}

#[tokio::test]
async fn where_the_answer_is_lost_no_third_client_is_made() {
    let harness = harness(true).await;
    harness.idp.odd(CREATE, Odd::Cut(201));
    let nameless = |options: &mut Options| {
        admin(options);
        options.client_id = None;
    };
    for creates in [1, 0] {
        let outcome = harness.ensure(nameless).await.unwrap();
        assert_eq!(outcome.client.id, "client-1");
        let Event::UpdateRefused(error) = outcome.event else {
            panic!("{:?}", outcome.event);
        };
        assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{error}");
        let calls = harness.idp.calls();
        assert_eq!(calls.iter().filter(|call| *call == CREATE).count(), creates);
    }
    // A person's new token is a word to try again.
    assert!(matches!(harness.event(fresh).await, Event::Registered { .. }));
}

#[tokio::test]
async fn a_new_client_that_cannot_be_stored_leaves_the_old_one() {
    let harness = harness(true).await;
    let gate = Arc::new(tokio::sync::Notify::new());
    harness.idp.odd(CREATE, Odd::Later(Arc::clone(&gate)));
    let disk_fails = async {
        harness.idp.called(CREATE).await;
        fs::rename(harness.path(), harness.dir.path().join("kept")).unwrap();
        fs::create_dir(harness.path()).unwrap();
        gate.notify_one();
    };
    let (outcome, ()) = tokio::join!(harness.ensure(admin), disk_fails);
    let outcome = outcome.unwrap();
    assert_eq!(outcome.client.id, "client-1");
    let Event::UpdateRefused(error) = outcome.event else {
        panic!("{:?}", outcome.event);
    };
    check_text(&error);
    assert!(matches!(error, RegistrationError::NotStored { .. }), "{error}");
}
