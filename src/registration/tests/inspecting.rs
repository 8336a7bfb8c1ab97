//! Looking without changing anything.

use serde_json::json;

use super::{
    fake::{Odd, oauth_error},
    *,
};
use crate::diagnostic::Explain as _;

const READ: &str = "GET /register/bff-server";

impl Harness {
    async fn look(&self, change: impl FnOnce(&mut Options)) -> Inspection {
        let metadata = self.party.provider().discover().await.unwrap();
        self.registration(change).inspect(&metadata).await.unwrap()
    }

    async fn client(&self, change: impl FnOnce(&mut Options)) -> Inspected {
        match self.look(change).await {
            Inspection::Registered(client) => *client,
            other => panic!("{other:?}"),
        }
    }

    async fn prospect(&self, change: impl FnOnce(&mut Options)) -> Plan {
        match self.look(change).await {
            Inspection::Unregistered(plan) => *plan,
            other => panic!("{other:?}"),
        }
    }

    async fn try_token(&self) -> Result<Option<TokenTrial>, RegistrationError> {
        let metadata = self.party.provider().discover().await.unwrap();
        self.registration(with_iat).try_initial_token(&metadata).await
    }
}

fn no(status: u16, code: &str) -> Odd {
    Odd::Json(status, oauth_error(code, ""))
}

fn why(client: &Inspected) -> Option<Why> {
    let registering = client.plan.registering()?;
    Some(registering.why.clone())
}

fn other_scopes(options: &mut Options) {
    options.scopes = vec!["openid".to_owned()];
}

#[tokio::test]
async fn the_difference_is_told_and_nothing_is_changed() {
    let harness = Harness::registered(Habits::default()).await;
    let before = harness.file();
    let client = harness.client(other_scopes).await;
    assert_eq!(client.client_id, "bff-server");
    assert!(matches!(client.reading, Reading::Read(_)), "{:?}", client.reading);
    let fields: Vec<&str> = client
        .changes
        .iter()
        .map(|change| change.field.as_str())
        .collect();
    assert_eq!(fields, ["scope"]);
    assert!(client.client.is_ok());
    assert_eq!(harness.idp.calls(), [READ]);
    assert_eq!(harness.file(), before);
    assert!(harness.client(as_is).await.changes.is_empty());
}

#[tokio::test]
async fn a_token_that_reading_replaces_is_stored() {
    let harness = Harness::registered(Habits {
        rotates: true,
        ..Habits::default()
    })
    .await;
    harness.client(as_is).await;
    assert_eq!(harness.file()["registration_access_token"], "rat-2");
    // And used from then on.
    assert!(matches!(harness.event(as_is).await, Event::Unchanged));
    assert_eq!(harness.idp.seen()[1].bearer.as_deref(), Some("rat-2"));
}

#[tokio::test]
async fn where_its_outcome_could_not_be_stored_nothing_is_read() {
    let harness = Harness::registered(Habits {
        rotates: true,
        ..Habits::default()
    })
    .await;
    let lock = harness.dir.path().join("bff_client.json.lock");
    fs::remove_file(&lock).unwrap();
    fs::create_dir(&lock).unwrap();
    let client = harness.client(other_scopes).await;
    let Reading::Failed(error) = client.reading else {
        panic!("{:?}", client.reading);
    };
    check_text(&error);
    assert!(harness.idp.calls().is_empty());
    assert_eq!(client.changes.len(), 1, "what was sent last is compared");
    assert_eq!(harness.file()["registration_access_token"], "rat-1");
}

#[tokio::test]
async fn a_process_that_registers_is_waited_for_and_not_for_ever() {
    let harness = Harness::registered(Habits::default()).await;
    let file = CredentialsFile::new(harness.path());
    let lock = file.lock(&harness.clock).await.unwrap();
    let metadata = harness.party.provider().discover().await.unwrap();
    let registration = harness.registration(as_is);
    let looking = tokio::spawn(async move { registration.inspect(&metadata).await });
    while !looking.is_finished() {
        harness.clock.advance(Duration::from_millis(200));
        tokio::task::yield_now().await;
    }
    let Inspection::Registered(client) = looking.await.unwrap().unwrap() else {
        panic!("it is registered");
    };
    let Reading::Failed(error) = client.reading else {
        panic!("{:?}", client.reading);
    };
    assert!(error.to_string().contains("another process"), "{error}");
    assert!(harness.idp.calls().is_empty());
    drop(lock);
    assert!(matches!(harness.client(as_is).await.reading, Reading::Read(_)));
}

#[tokio::test]
async fn what_nobody_lets_read_is_compared_with_what_was_sent() {
    for habits in [
        Habits {
            reads: false,
            ..Habits::default()
        },
        Habits {
            manages: false,
            ..Habits::default()
        },
    ] {
        let harness = Harness::registered(habits).await;
        let client = harness.client(other_scopes).await;
        assert!(
            matches!(client.reading, Reading::NotOffered),
            "{:?}",
            client.reading
        );
        assert_eq!(client.changes.len(), 1);
        assert!(harness.client(as_is).await.changes.is_empty());
    }
}

#[tokio::test]
async fn a_registration_token_is_sent_nowhere_else() {
    let harness = Harness::registered(Habits::default()).await;
    harness.edit_file(|file| file["registration_client_uri"] = json!("https://elsewhere.example/register/x"));
    let client = harness.client(as_is).await;
    assert!(
        matches!(&client.reading, Reading::Elsewhere { origin } if origin == "https://elsewhere.example"),
        "{:?}",
        client.reading
    );
    assert!(harness.idp.calls().is_empty());
}

#[tokio::test]
async fn skipped_means_that_nobody_is_asked() {
    let harness = Harness::registered(Habits::default()).await;
    let client = harness.client(|options| options.skip = true).await;
    assert!(matches!(client.reading, Reading::Skipped), "{:?}", client.reading);
    assert!(client.client.is_ok());
    fs::remove_file(harness.path()).unwrap();
    let configured = harness.look(|options| options.skip = true).await;
    assert!(matches!(configured, Inspection::Configured(client, _) if client.is_ok()));
    assert!(harness.idp.calls().is_empty());
}

#[tokio::test]
async fn a_replacement_is_announced_once_for_each_token() {
    let harness = Harness::registered(Habits::default()).await;
    let fresh = |options: &mut Options| {
        options.force_replace = true;
        options.initial_access_token = Some(Secret::from("another-token"));
    };
    let client_id = "bff-server".to_owned();
    assert_eq!(why(&harness.client(fresh).await), Some(Why::Forced { client_id }));
    let spent = |options: &mut Options| {
        with_iat(options);
        options.force_replace = true;
    };
    assert_eq!(why(&harness.client(spent).await), None);
}

#[tokio::test]
async fn a_look_deletes_no_replaced_client() {
    let harness = Harness::registered(Habits {
        own_ids: true,
        ..Habits::default()
    })
    .await;
    harness.idp.allow("another-token");
    harness
        .event(|options| {
            options.force_replace = true;
            options.initial_access_token = Some(Secret::from("another-token"));
        })
        .await;
    harness.idp.seen();
    harness.clock.advance(Duration::from_mins(1));
    let client = harness.client(as_is).await;
    assert!(
        matches!(
            client.plan.steps(),
            [Step::DeleteReplaced { .. }, Step::Keep { .. }]
        ),
        "{:?}",
        client.plan
    );
    assert!(matches!(client.reading, Reading::Read(_)), "{:?}", client.reading);
    assert_eq!(harness.idp.calls(), ["GET /register/client-2"]);
    assert_eq!(harness.idp.clients(), ["client-1", "client-2"]);
}

/// It needs a token to renew it with.
#[tokio::test]
async fn the_next_start_renews_a_lost_token() {
    let harness = Harness::registered(Habits::default()).await;
    harness.idp.forget_tokens();
    let fresh = |options: &mut Options| {
        options.initial_access_token = Some(Secret::from("another-token"));
    };
    let admin = |options: &mut Options| options.admin_token = Some(Secret::from("admin-token"));
    let client_id = "bff-server".to_owned();
    assert_eq!(
        why(&harness.client(fresh).await),
        Some(Why::TokenLost { client_id })
    );
    let client = harness.client(admin).await;
    assert!(
        matches!(client.plan.steps(), [Step::RenewToken { or_anew: true, .. }, ..]),
        "{:?}",
        client.plan
    );
    for client in [harness.client(with_iat).await, harness.client(as_is).await] {
        assert!(
            matches!(
                client.reading,
                Reading::Failed(RegistrationError::RegistrationTokenRefused { .. })
            ),
            "{:?}",
            client.reading
        );
        assert_eq!(why(&client), None, "what is spent renews nothing");
    }
    assert_eq!(harness.idp.calls(), [READ; 4]);
}

/// The report names the wanted value all the same.
#[tokio::test]
async fn an_unchangeable_field_is_not_a_difference() {
    let harness = Harness::registered(Habits::default()).await;
    let theirs = json!(["https://old.example/auth/callback"]);
    harness.idp.edit("bff-server", "redirect_uris", theirs);
    let keeps = |options: &mut Options| options.redirect_update = RedirectUpdate::Keep;
    let client = harness.client(keeps).await;
    assert!(client.changes.is_empty(), "{:?}", client.changes);
    assert_eq!(
        client.wanted.fields()["redirect_uris"],
        json!(options().redirect_uris)
    );
    assert_eq!(harness.client(as_is).await.changes.len(), 1);
}

#[tokio::test]
async fn before_the_first_registration_it_says_what_would_be_spent() {
    let harness = Harness::new(Habits::default()).await;
    let access = |plan: &Plan| plan.registering().map(|registering| registering.access);
    assert_eq!(
        access(&harness.prospect(with_iat).await),
        Some(TokenSource::Configured)
    );
    let admin = |options: &mut Options| options.admin_token = Some(Secret::from("admin-token"));
    assert_eq!(access(&harness.prospect(admin).await), Some(TokenSource::Minted));
    let nothing = harness.prospect(as_is).await;
    assert!(
        matches!(nothing.refusal(), Some(RegistrationError::NoToken { .. })),
        "{nothing:?}"
    );
    assert!(harness.idp.calls().is_empty());
    let left: Vec<_> = fs::read_dir(harness.dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["bff-signing.pem"], "nothing is written");
}

#[tokio::test]
async fn an_initial_token_is_tried_with_what_no_client_can_be_made_of() {
    let harness = Harness::new(Habits::default()).await;
    harness
        .idp
        .odd("POST /register", no(400, "invalid_client_metadata"));
    assert_eq!(harness.try_token().await.unwrap(), Some(TokenTrial::NotRefused));
    let seen = harness.idp.seen();
    assert_eq!(seen[0].bearer.as_deref(), Some(IAT));
    assert!(
        seen[0]
            .body
            .as_object()
            .unwrap()
            .values()
            .all(|value| *value == json!(0))
    );

    for odd in [
        no(401, "invalid_token"),
        no(400, "invalid_token"),
        no(403, "invalid_token"),
    ] {
        harness.idp.odd("POST /register", odd);
        let error = harness.try_token().await.unwrap_err();
        assert!(
            matches!(error, RegistrationError::InitialTokenRefused { .. }),
            "{error}"
        );
        check_text(&error);
    }
    // If every registration fails for another reason, the token is not to blame.
    harness.idp.odd("POST /register", no(403, "access_denied"));
    let error = harness.try_token().await.unwrap_err();
    assert!(matches!(error, RegistrationError::Refused { .. }), "{error}");
    for status in [201, 422] {
        harness.idp.odd("POST /register", Odd::Json(status, json!({})));
        let unclear = harness.try_token().await.unwrap();
        assert!(matches!(unclear, Some(TokenTrial::Unclear(_))), "{unclear:?}");
    }
    // Another endpoint has the address.
    for status in [404, 405, 415] {
        harness.idp.odd("POST /register", Odd::Json(status, json!({})));
        let error = harness.try_token().await.unwrap_err();
        assert!(
            error.told().contains("correct [RegistrationEndpoint]"),
            "{}",
            error.told()
        );
    }
    harness.idp.odd("POST /register", Odd::Json(503, json!({})));
    let error = harness.try_token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(!harness.path().exists());
}
