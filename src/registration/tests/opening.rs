//! IdPs that register without an initial access token (RFC 7591 section 3).

use super::{fake::Odd, *};
use crate::diagnostic::Explain as _;

const CREATE: &str = "POST /register";

fn open(options: &mut Options) {
    options.open_registration = true;
}

fn nameless(options: &mut Options) {
    open(options);
    options.client_id = None;
}

async fn harness() -> Harness {
    Harness::new(Habits {
        open: true,
        ..Habits::default()
    })
    .await
}

#[tokio::test]
async fn a_client_is_registered_without_a_token_once() {
    let harness = harness().await;
    let event = harness.event(open).await;
    assert!(matches!(event, Event::Registered { .. }), "{event:?}");
    let seen = harness.idp.seen();
    assert_eq!(seen[0].call, CREATE);
    assert_eq!(seen[0].bearer, None);
    let file = harness.file();
    assert_eq!(file["state"], "registered");
    assert!(file.get("pending").is_none());

    // The same holds if a switch that needs a token stays on.
    for force_replace in [false, true] {
        let event = harness
            .event(|options| {
                open(options);
                options.force_replace = force_replace;
            })
            .await;
        assert!(matches!(event, Event::Unchanged), "{event:?}");
    }
    assert_eq!(harness.idp.clients(), ["bff-server"]);
}

#[tokio::test]
async fn an_idp_that_wants_a_token_is_told_as_such() {
    let harness = Harness::new(Habits::default()).await;
    let error = harness.refusal(open).await;
    assert!(
        matches!(error, RegistrationError::TokenRequired { .. }),
        "{error}"
    );
    let text = error.told();
    assert!(
        text.contains("[InitialAccessToken]") && text.contains("mint one"),
        "{text}"
    );
    assert_eq!(error.kind().exit_code(), 77);
    assert!(!harness.path().exists());
}

/// Unless the client would be found.
#[tokio::test]
async fn a_lost_answer_is_not_requested_again() {
    let harness = harness().await;
    harness.idp.odd(CREATE, Odd::Hang);
    let error = harness.refusal(open).await;
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);
    assert!(
        error.told().contains("take the member `pending` out of the file"),
        "{error}"
    );
    assert!(matches!(harness.event(open).await, Event::Registered { .. }));

    let harness = self::harness().await;
    harness.idp.odd(CREATE, Odd::Hang);
    for _ in 0..2 {
        let error = harness.refusal(nameless).await;
        assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);
    }
    assert_eq!(harness.idp.calls(), [CREATE]);
    // The text of the hint.
    harness.edit_file(|file| {
        file.as_object_mut().unwrap().remove("pending");
    });
    assert!(matches!(harness.event(nameless).await, Event::Registered { .. }));
}

#[tokio::test]
async fn a_lost_registration_token_registers_anew_once() {
    let harness = Harness::new(Habits {
        open: true,
        own_ids: true,
        ..Habits::default()
    })
    .await;
    harness.event(open).await;
    harness.idp.forget_tokens();
    assert!(matches!(harness.event(open).await, Event::Registered { .. }));
    harness.idp.forget_tokens();
    for _ in 0..2 {
        assert!(matches!(harness.event(open).await, Event::UpdateRefused(_)));
    }
    assert_eq!(harness.idp.clients().len(), 2);
}

#[tokio::test]
async fn the_doctor_asks_without_a_token() {
    let harness = harness().await;
    let metadata = harness.party.provider().discover().await.unwrap();
    let registration = harness.registration(open);
    let Inspection::Unregistered(prospect) = registration.inspect(&metadata).await.unwrap() else {
        panic!("it is registered");
    };
    let registering = prospect.registering().unwrap();
    assert_eq!(registering.access, TokenSource::Open);
    harness.idp.odd(
        CREATE,
        Odd::Json(400, serde_json::json!({"error": "invalid_redirect_uri"})),
    );
    let trial = registration.try_initial_token(&metadata).await.unwrap();
    assert_eq!(trial, Some(TokenTrial::NotRefused));
    assert_eq!(harness.idp.seen()[0].bearer, None);

    let harness = Harness::new(Habits::default()).await;
    let metadata = harness.party.provider().discover().await.unwrap();
    let error = harness
        .registration(open)
        .try_initial_token(&metadata)
        .await
        .unwrap_err();
    assert!(
        matches!(error, RegistrationError::TokenRequired { .. }),
        "{error}"
    );
}
