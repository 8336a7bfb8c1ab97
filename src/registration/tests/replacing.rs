//! `DCR_FORCE_REPLACE`.

use serde_json::json;

use super::{
    fake::{Odd, oauth_error},
    *,
};
use crate::diagnostic::Explain as _;

const FRESH: &str = "fresh-token";

fn forced(options: &mut Options) {
    options.force_replace = true;
    options.initial_access_token = Some(Secret::from(FRESH));
}

fn forced_and_changed(options: &mut Options) {
    forced(options);
    options.scopes.push("email".to_owned());
}

/// A registered harness with a fresh initial access token.
async fn harness(habits: Habits) -> Harness {
    let harness = Harness::registered(habits).await;
    harness.idp.allow(FRESH);
    harness
}

async fn with_own_ids() -> Harness {
    harness(Habits {
        own_ids: true,
        ..Habits::default()
    })
    .await
}

/// The time in which every process on the file notices a new client.
const FOLLOWED: Duration = Duration::from_secs(30);

/// A start after all processes have followed.
async fn later(harness: &Harness) -> Event {
    harness.clock.advance(FOLLOWED);
    harness.event(as_is).await
}

#[tokio::test]
async fn the_old_client_is_deleted_once_all_processes_follow() {
    let harness = with_own_ids().await;
    let event = harness.event(forced).await;
    assert!(
        matches!(&event, Event::Registered { assigned, .. } if assigned == "client-2"),
        "{event:?}"
    );
    assert_eq!(harness.idp.calls(), ["POST /register"]);
    assert_eq!(harness.file()["superseded"][0]["client_id"], "client-1");

    // Another process may still use it.
    harness
        .clock
        .advance(FOLLOWED.checked_sub(Duration::from_secs(1)).unwrap());
    assert!(matches!(harness.event(as_is).await, Event::Unchanged));
    assert_eq!(harness.idp.calls(), ["GET /register/client-2"]);
    assert_eq!(harness.idp.clients(), ["client-1", "client-2"]);
    harness.clock.advance(Duration::from_secs(1));
    assert!(matches!(harness.event(as_is).await, Event::Unchanged));
    assert_eq!(
        harness.idp.calls(),
        ["DELETE /register/client-1", "GET /register/client-2"]
    );
    assert_eq!(harness.idp.clients(), ["client-2"]);
    assert!(harness.file().get("superseded").is_none());

    // Left in place it does nothing.
    for change in [forced as fn(&mut Options), |options| options.force_replace = true] {
        assert!(matches!(harness.event(change).await, Event::Unchanged));
        assert_eq!(harness.idp.calls(), ["GET /register/client-2"]);
    }
}

#[tokio::test]
async fn a_crash_at_the_deletion_is_made_up_for_at_the_next_start() {
    let harness = with_own_ids().await;
    let delete = "DELETE /register/client-1";
    harness.idp.odd(delete, Odd::Hang);
    harness.ensure(forced).await.unwrap();
    harness.clock.advance(FOLLOWED);
    {
        let attempt = harness.ensure(as_is);
        tokio::pin!(attempt);
        tokio::select! {
            outcome = &mut attempt => panic!("{outcome:?}"),
            () = harness.idp.called(delete) => {}
        }
    }
    assert_eq!(
        harness.file()["client_id"],
        "client-2",
        "the new client is stored"
    );
    harness.idp.seen();
    assert!(matches!(harness.event(as_is).await, Event::Unchanged));
    assert_eq!(harness.idp.calls(), [delete, "GET /register/client-2"]);
    assert_eq!(harness.idp.clients(), ["client-2"]);
}

#[tokio::test]
async fn an_old_client_that_cannot_be_deleted_is_named_and_left_alone() {
    let harness = harness(Habits {
        own_ids: true,
        deletes: false,
        ..Habits::default()
    })
    .await;
    let logs = Logs::capture();
    harness.ensure(forced).await.unwrap();
    later(&harness).await;
    logs.has("client-1 cannot be deleted from here; remove it at the IdP");
    assert!(harness.file().get("superseded").is_none());

    let harness = with_own_ids().await;
    let logs = Logs::capture();
    harness
        .idp
        .odd("DELETE", Odd::Text(403, "text/html", String::new()));
    harness.ensure(forced).await.unwrap();
    later(&harness).await;
    logs.has("client-1 cannot be deleted; remove it at the IdP");
    check_no_secret(&logs.text());

    // A temporary failure is tried again.
    let harness = with_own_ids().await;
    harness
        .idp
        .odd("DELETE", Odd::Text(503, "text/html", String::new()));
    harness.ensure(forced).await.unwrap();
    later(&harness).await;
    assert_eq!(harness.file()["superseded"][0]["client_id"], "client-1");
    harness.ensure(as_is).await.unwrap();
    assert_eq!(harness.idp.clients(), ["client-2"]);

    // One that the IdP gave nothing to delete it with.
    let harness = with_own_ids().await;
    let logs = Logs::capture();
    harness.edit_file(|file| {
        file.as_object_mut().unwrap().remove("registration_access_token");
    });
    harness.ensure(forced).await.unwrap();
    logs.has("client-1 cannot be deleted from here; remove it at the IdP");
    assert!(harness.file().get("superseded").is_none());
}

#[tokio::test]
async fn all_successively_replaced_clients_are_deleted() {
    let harness = with_own_ids().await;
    harness.ensure(forced).await.unwrap();
    harness.clock.advance(FOLLOWED / 2);
    harness.idp.allow("another-token");
    harness
        .ensure(|options| {
            options.force_replace = true;
            options.initial_access_token = Some("another-token".into());
        })
        .await
        .unwrap();
    assert_eq!(harness.idp.clients(), ["client-1", "client-2", "client-3"]);
    harness.clock.advance(FOLLOWED / 2);
    harness.ensure(as_is).await.unwrap();
    assert_eq!(harness.idp.clients(), ["client-2", "client-3"]);
    later(&harness).await;
    assert_eq!(harness.idp.clients(), ["client-3"]);
    assert!(harness.file().get("superseded").is_none());
}

/// Before, one was kept, and without a time.
#[tokio::test]
async fn what_an_earlier_version_left_to_be_deleted_is_deleted() {
    let harness = with_own_ids().await;
    harness.ensure(forced).await.unwrap();
    harness.edit_file(|file| {
        let mut old = file["superseded"][0].take();
        old.as_object_mut().unwrap().remove("since");
        file["superseded"] = old;
    });
    harness.ensure(as_is).await.unwrap();
    assert_eq!(harness.idp.clients(), ["client-2"]);
}

#[tokio::test]
async fn where_the_id_is_taken_everything_wanted_is_written_over_it() {
    let harness = harness(Habits::default()).await;
    harness
        .idp
        .edit("bff-server", "logo_uri", json!("https://a.example/logo"));
    let event = harness.event(forced_and_changed).await;
    assert!(
        matches!(&event, Event::Updated(changes) if changes.len() == 1),
        "{event:?}"
    );
    let seen = harness.idp.seen();
    let calls: Vec<_> = seen.iter().map(|seen| seen.call.as_str()).collect();
    assert_eq!(
        calls,
        [
            "POST /register",
            "GET /register/bff-server",
            "PUT /register/bff-server"
        ]
    );
    assert_eq!(seen[2].bearer.as_deref(), Some("rat-1"));
    assert!(
        seen[2].body.get("logo_uri").is_none(),
        "the whole wanted metadata and nothing else"
    );
    assert_eq!(harness.idp.clients(), ["bff-server"]);

    // The token has done its work.
    assert!(matches!(
        harness.event(forced_and_changed).await,
        Event::Unchanged
    ));
    assert_eq!(harness.idp.calls(), ["GET /register/bff-server"]);
}

#[tokio::test]
async fn only_where_nothing_else_is_left_the_client_is_deleted_first() {
    let harness = harness(Habits {
        puts: false,
        patches: false,
        ..Habits::default()
    })
    .await;
    let logs = Logs::capture();
    let event = harness.event(forced_and_changed).await;
    assert!(matches!(event, Event::Registered { .. }), "{event:?}");
    logs.has("all refresh tokens end with it");
    assert_eq!(
        harness.idp.calls(),
        [
            "POST /register",
            "GET /register/bff-server",
            "PUT /register/bff-server",
            "PATCH /register/bff-server",
            "DELETE /register/bff-server",
            "POST /register",
        ]
    );
    assert_eq!(harness.file()["registration_access_token"], "rat-3");
    assert_eq!(
        harness.idp.client("bff-server")["scope"],
        "openid profile offline_access email"
    );
}

#[tokio::test]
async fn a_crash_after_that_deletion_is_made_up_for_at_the_next_start() {
    let harness = harness(Habits {
        puts: false,
        patches: false,
        ..Habits::default()
    })
    .await;
    let create = "POST /register";
    harness.idp.odd(
        create,
        Odd::Json(400, oauth_error("invalid_client_metadata", "client_id is taken")),
    );
    harness.idp.odd(create, Odd::Hang);
    {
        let attempt = harness.ensure(forced);
        tokio::pin!(attempt);
        tokio::select! {
            outcome = &mut attempt => panic!("{outcome:?}"),
            () = harness.idp.called_times(create, 2) => {}
        }
    }
    assert!(harness.idp.clients().is_empty());
    let error = harness.refusal(forced).await;
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{error}");
    harness.idp.allow("another-token");
    let event = harness
        .event(|options| {
            options.force_replace = true;
            options.initial_access_token = Some("another-token".into());
        })
        .await;
    assert!(matches!(event, Event::Registered { .. }), "{event:?}");
    assert_eq!(harness.idp.clients(), ["bff-server"]);
}

#[tokio::test]
async fn a_fresh_token_that_is_bad_does_not_break_a_restart() {
    let harness = Harness::registered(Habits::default()).await;
    let logs = Logs::capture();
    assert!(matches!(harness.event(forced).await, Event::Unchanged));
    logs.has("not replaced: the IdP refused the initial access token");
    assert!(harness.file().get("pending").is_none());
}

#[tokio::test]
async fn without_force_a_fresh_token_is_not_touched() {
    let harness = harness(Habits::default()).await;
    let event = harness
        .event(|options| options.initial_access_token = Some(FRESH.into()))
        .await;
    assert!(matches!(event, Event::Unchanged));
    assert_eq!(harness.idp.calls(), ["GET /register/bff-server"]);
}

/// It is not repeated.
#[tokio::test]
async fn a_lost_replacement_keeps_the_old_client() {
    let harness = with_own_ids().await;
    harness.idp.odd("POST", Odd::Hang);
    let outcome = harness.ensure(forced).await.unwrap();
    assert_eq!(outcome.client.id, "client-1");
    let Event::UpdateRefused(error) = outcome.event else {
        panic!("{:?}", outcome.event);
    };
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);
    harness.idp.seen();

    let logs = Logs::capture();
    assert!(matches!(harness.event(forced).await, Event::Unchanged));
    logs.has("not replaced: the outcome of a registration request");
    assert_eq!(harness.idp.calls(), ["GET /register/client-1"]);
}

#[tokio::test]
async fn a_replacement_that_is_refused_leaves_the_old_client() {
    for (odd, postponed) in [
        (Odd::Json(400, oauth_error("invalid_redirect_uri", "no")), false),
        (Odd::Text(404, "text/html", String::new()), false),
        (Odd::Text(503, "text/html", String::new()), true),
    ] {
        let harness = with_own_ids().await;
        harness.idp.odd("POST", odd);
        let outcome = harness.ensure(forced).await.unwrap();
        assert_eq!(outcome.client.id, "client-1");
        assert_eq!(
            matches!(outcome.event, Event::Postponed(_)),
            postponed,
            "{:?}",
            outcome.event
        );
        assert!(harness.file().get("pending").is_none());
        assert!(matches!(harness.event(forced).await, Event::Registered { .. }));
    }
}

#[tokio::test]
async fn a_lost_registration_token_with_a_taken_id_says_what_to_do() {
    let harness = harness(Habits::default()).await;
    harness.idp.forget_tokens();
    let read = "GET /register/bff-server";
    for (odd, found) in [
        (None, "refused the registration access token of bff-server"),
        (
            Some(Odd::Text(404, "text/html", String::new())),
            "has no registration of bff-server",
        ),
    ] {
        if let Some(odd) = odd {
            harness.idp.odd(read, odd);
        }
        let Event::UpdateRefused(error) = harness.event(forced).await else {
            panic!("no refusal");
        };
        check_text(&error);
        let text = error.told();
        assert!(text.contains(found), "{text}");
        assert!(text.contains("the client id bff-server is taken"), "{text}");
        let hint = text.split_once("fix: ").unwrap().1;
        assert!(hint.starts_with("have the client removed at the IdP"), "{text}");
    }
}

/// A warning names it.
#[tokio::test]
async fn an_old_client_with_a_refused_token_is_left_behind() {
    for (odd, warnings) in [
        (Odd::Json(401, oauth_error("invalid_token", "no")), 1),
        (Odd::Text(404, "text/html", String::new()), 0),
    ] {
        let harness = with_own_ids().await;
        harness.ensure(forced).await.unwrap();
        harness.idp.odd("DELETE", odd);
        let logs = Logs::capture();
        later(&harness).await;
        logs.has("the replaced client client-1 ");
        assert_eq!(logs.count("WARN"), warnings, "{}", logs.text());
        assert!(harness.file().get("superseded").is_none());
    }
}

#[tokio::test]
async fn another_wish_is_followed_only_by_a_replacement() {
    let harness = harness(Habits::default()).await;
    let other = |options: &mut Options| options.client_id = Some("other".to_owned());
    let error = harness.refusal(other).await;
    assert!(matches!(error, RegistrationError::Credentials(_)), "{error}");
    let event = harness
        .event(|options| {
            forced(options);
            other(options);
        })
        .await;
    assert!(matches!(event, Event::Registered { .. }), "{event:?}");
    harness.clock.advance(FOLLOWED);
    assert!(matches!(harness.event(other).await, Event::Unchanged));
    assert_eq!(harness.idp.clients(), ["other"]);
}
