//! The first registration, the no-op, the update.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use super::*;
use crate::{clock::SystemClock, jose::Algorithm};

fn changed(options: &mut Options) {
    options.scopes.push("email".to_owned());
}

#[tokio::test]
async fn a_first_registration_is_created_stored_and_told() {
    let harness = Harness::new(Habits::default()).await;
    let logs = Logs::capture();
    let outcome = harness.ensure(with_iat).await.unwrap();

    assert_eq!(outcome.client.id, "bff-server");
    assert_eq!(
        outcome.client.auth,
        ClientAuthentication::PrivateKeyJwt {
            algorithm: Algorithm::ES256
        }
    );
    logs.has("201 Created");
    logs.has("Client registered: bff-server\n");
    check_no_secret(&logs.text());

    let seen = harness.idp.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].call, "POST /register");
    assert_eq!(seen[0].bearer.as_deref(), Some(IAT));
    assert_eq!(seen[0].body["client_id"], "bff-server");
    assert_eq!(seen[0].body["token_endpoint_auth_signing_alg"], "ES256");
    assert_eq!(seen[0].body.as_object().unwrap().len(), 12);

    let file = harness.file();
    assert_eq!(file["state"], "registered");
    assert_eq!(file["client_id"], "bff-server");
    assert_eq!(file["requested_client_id"], "bff-server");
    assert_eq!(file["issuer"], harness.idp.issuer());
    assert_eq!(file["token_endpoint_auth_signing_alg"], "ES256");
    assert_eq!(file["spent_initial_access_tokens"].as_array().unwrap().len(), 1);
    assert!(file.get("pending").is_none());
    assert!(!file.to_string().contains(IAT), "only its hash is kept");
    let mode = fs::metadata(harness.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_restart_without_initial_access_token_changes_nothing() {
    let harness = Harness::registered(Habits::default()).await;
    let before = fs::read(harness.path()).unwrap();
    let logs = Logs::capture();
    assert!(matches!(harness.event(as_is).await, Event::Unchanged));
    logs.has("registration unchanged");
    assert_eq!(harness.idp.calls(), ["GET /register/bff-server"]);
    assert_eq!(fs::read(harness.path()).unwrap(), before);
}

#[tokio::test]
async fn the_seeds_environment_left_in_place_does_not_break_a_restart() {
    let harness = Harness::registered(Habits::default()).await;
    for token in [Some(IAT), None] {
        let event = harness
            .event(|options| {
                options.initial_access_token = token.map(Secret::from);
                options.force_replace = true;
            })
            .await;
        assert!(matches!(event, Event::Unchanged), "{event:?}");
        assert_eq!(harness.idp.calls(), ["GET /register/bff-server"]);
    }
}

#[tokio::test]
async fn another_assigned_id_wins_with_one_warning_and_both_are_kept() {
    let harness = Harness::new(Habits {
        own_ids: true,
        ..Habits::default()
    })
    .await;
    let logs = Logs::capture();
    let outcome = harness.ensure(with_iat).await.unwrap();
    assert_eq!(outcome.client.id, "client-1");
    logs.has("Client registered: client-1 (asked for bff-server)");
    assert_eq!(logs.count("WARN"), 1, "{}", logs.text());
    assert_eq!(harness.file()["requested_client_id"], "bff-server");
    assert_eq!(harness.file()["client_id"], "client-1");

    for wish in [Some("bff-server"), Some("client-1"), None] {
        let event = harness
            .event(|options| options.client_id = wish.map(str::to_owned))
            .await;
        assert!(matches!(event, Event::Unchanged), "{wish:?}: {event:?}");
    }
}

#[tokio::test]
async fn changed_metadata_is_updated_with_the_registration_token() {
    let harness = Harness::registered(Habits::default()).await;
    harness
        .idp
        .edit("bff-server", "logo_uri", json!("https://a.example/logo"));
    let logs = Logs::capture();
    let Event::Updated(changes) = harness.event(changed).await else {
        panic!("no update");
    };
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].field, "scope");
    logs.has("registration updated: scope: \"openid profile offline_access\" -> \"openid profile offline_access email\"");
    check_no_secret(&logs.text());

    let seen = harness.idp.seen();
    assert_eq!(seen[1].call, "PUT /register/bff-server");
    assert_eq!(seen[1].bearer.as_deref(), Some("rat-1"));
    assert_eq!(seen[1].body["client_id"], "bff-server");
    assert_eq!(
        seen[1].body["logo_uri"], "https://a.example/logo",
        "unknown fields are kept"
    );
    for forbidden in [
        "registration_access_token",
        "registration_client_uri",
        "client_secret",
    ] {
        assert!(seen[1].body.get(forbidden).is_none(), "{forbidden}");
    }
    assert_eq!(
        harness.idp.client("bff-server")["scope"],
        "openid profile offline_access email"
    );
    assert!(matches!(harness.event(changed).await, Event::Unchanged));
}

#[tokio::test]
async fn drift_made_at_the_idp_is_repaired() {
    let harness = Harness::registered(Habits::default()).await;
    harness.idp.edit(
        "bff-server",
        "redirect_uris",
        json!(["https://a.example/auth/callback"]),
    );
    harness.idp.edit(
        "bff-server",
        "token_endpoint_auth_method",
        json!("client_secret_basic"),
    );
    let Event::Updated(changes) = harness.event(as_is).await else {
        panic!("no update");
    };
    assert_eq!(changes.len(), 2, "{changes:?}");
    assert!(matches!(harness.event(as_is).await, Event::Unchanged));
}

/// They are not requested again.
#[tokio::test]
async fn replaced_values_are_logged_once() {
    let mut habits = Habits::default();
    habits.overrides.insert("scope".to_owned(), json!("openid"));
    let harness = Harness::new(habits).await;
    let logs = Logs::capture();
    harness.ensure(with_iat).await.unwrap();
    logs.has("the IdP registered other values than requested in scope");
    assert!(matches!(harness.event(as_is).await, Event::Unchanged));
}

#[tokio::test]
async fn the_algorithm_that_the_idp_answers_wins_and_is_kept() {
    let mut habits = Habits {
        algorithms: Some(json!(["ES256", "RS256"])),
        ..Habits::default()
    };
    habits
        .overrides
        .insert("token_endpoint_auth_signing_alg".to_owned(), json!("PS256"));
    let harness = Harness::new(habits).await;
    let error = harness.refusal(with_iat).await;
    assert!(
        matches!(error, RegistrationError::AlgorithmReplaced { .. }),
        "{error}"
    );
    assert_eq!(harness.file()["token_endpoint_auth_signing_alg"], "PS256");
    assert_eq!(error.kind(), ErrorKind::Refused);
}

#[tokio::test]
async fn no_common_algorithm_is_said_before_anything_is_sent() {
    let harness = Harness::new(Habits {
        algorithms: Some(json!(["RS256"])),
        ..Habits::default()
    })
    .await;
    let error = harness.ensure(with_iat).await.unwrap_err();
    assert!(matches!(error, RegistrationError::Algorithm(_)), "{error}");
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(harness.idp.calls().is_empty());
}

#[tokio::test]
async fn inline_keys_are_registered_with_a_warning() {
    let harness = Harness::new(Habits::default()).await;
    let logs = Logs::capture();
    let inline = |options: &mut Options| {
        with_iat(options);
        options.jwks = Jwks::Inline;
    };
    harness.ensure(inline).await.unwrap();
    logs.has("cannot rotate without an update");
    let body = &harness.idp.seen()[0].body;
    assert!(body.get("jwks_uri").is_none());
    let key = &body["jwks"]["keys"][0];
    assert_eq!(key["kty"], "EC");
    assert!(key.get("d").is_none(), "public members only");
    assert!(matches!(harness.event(inline).await, Event::Unchanged));
}

#[tokio::test]
async fn a_method_with_a_secret_uses_the_one_that_the_idp_gave() {
    let basic = |options: &mut Options| {
        with_iat(options);
        options.auth_method = AuthMethod::ClientSecretBasic;
    };
    let harness = Harness::new(Habits::default()).await;
    let outcome = harness.ensure(basic).await.unwrap();
    assert_eq!(
        outcome.client.auth,
        ClientAuthentication::ClientSecretBasic("client-secret".into())
    );
    harness.idp.seen();
    let event = harness
        .event(|options| {
            basic(options);
            changed(options);
        })
        .await;
    assert!(matches!(event, Event::Updated(_)));
    let put = harness.idp.seen().remove(1);
    assert_eq!(
        put.body["client_secret"], "client-secret",
        "an update carries the secret (RFC 7592 section 2.2)"
    );
    assert!(put.body.get("client_secret_expires_at").is_none());
}

#[tokio::test]
async fn another_method_than_asked_for_is_no_usable_client() {
    let mut habits = Habits::default();
    habits.overrides.insert(
        "token_endpoint_auth_method".to_owned(),
        json!("client_secret_basic"),
    );
    let harness = Harness::new(habits).await;
    for _ in 0..2 {
        let error = harness.refusal(with_iat).await;
        assert!(
            matches!(error, RegistrationError::MethodReplaced { .. }),
            "{error}"
        );
    }
    // The operator follows the hint.
    let outcome = harness
        .ensure(|options| options.auth_method = AuthMethod::ClientSecretBasic)
        .await
        .unwrap();
    assert!(matches!(
        outcome.client.auth,
        ClientAuthentication::ClientSecretBasic(_)
    ));
}

#[tokio::test]
async fn a_missing_secret_is_said() {
    let harness = Harness::new(Habits::default()).await;
    harness.idp.odd(
        "POST /register",
        fake::Odd::Json(201, json!({"client_id": "bff-server"})),
    );
    let error = harness
        .refusal(|options| {
            with_iat(options);
            options.auth_method = AuthMethod::ClientSecretPost;
        })
        .await;
    assert!(matches!(error, RegistrationError::NoSecret { .. }), "{error}");
}

#[tokio::test]
async fn a_secret_that_has_expired_is_said() {
    let basic = |options: &mut Options| {
        with_iat(options);
        options.auth_method = AuthMethod::ClientSecretBasic;
    };
    let harness = Harness::new(Habits::default()).await;
    harness.ensure(basic).await.unwrap();
    for (at, warns) in [(0, false), (1_700_000_000, true), (1_900_000_000, false)] {
        harness.edit_file(|file| file["client_secret_expires_at"] = json!(at));
        harness.idp.habits(|habits| habits.reads = false);
        let logs = Logs::capture();
        harness.ensure(basic).await.unwrap();
        assert_eq!(
            logs.text()
                .contains("the client secret of bff-server has expired"),
            warns,
            "{at}"
        );
    }
}

#[tokio::test]
async fn a_registration_answered_by_200_is_taken_with_a_note() {
    let harness = Harness::new(Habits::default()).await;
    harness
        .idp
        .odd("POST /register", fake::Odd::Json(200, json!({"client_id": "x"})));
    let logs = Logs::capture();
    assert!(matches!(harness.event(with_iat).await, Event::Registered { .. }));
    logs.has("200 OK: the IdP registered the client");
    assert!(!logs.text().contains("INFO bff::registration::calls: 201 Created"));
}

#[tokio::test]
async fn an_admin_token_mints_an_initial_access_token() {
    let harness = Harness::new(Habits::default()).await;
    let logs = Logs::capture();
    let admin = |options: &mut Options| options.admin_token = Some(Secret::from("admin-token"));
    assert!(matches!(harness.event(admin).await, Event::Registered { .. }));
    check_no_secret(&logs.text());
    let seen = harness.idp.seen();
    assert_eq!(seen[0].call, format!("POST {}", fake::MINT));
    assert_eq!(
        seen[0].body,
        json!({"label": "bff-server", "expires_in": 300, "max_uses": 1})
    );
    assert_eq!(seen[1].bearer.as_deref(), Some("minted-1"));

    // Nothing is minted where nothing has to be created.
    assert!(matches!(harness.event(admin).await, Event::Unchanged));
    assert_eq!(harness.idp.calls(), ["GET /register/bff-server"]);
}

#[tokio::test]
async fn a_configured_token_is_used_before_one_is_minted() {
    let harness = Harness::new(Habits::default()).await;
    harness
        .event(|options| {
            with_iat(options);
            options.admin_token = Some(Secret::from("admin-token"));
        })
        .await;
    assert_eq!(harness.idp.calls(), ["POST /register"]);
}

#[tokio::test]
async fn while_registration_is_skipped_no_call_is_made() {
    let skip = |options: &mut Options| {
        with_iat(options);
        changed(options);
        options.skip = true;
    };
    let harness = Harness::registered(Habits {
        own_ids: true,
        ..Habits::default()
    })
    .await;
    let outcome = harness.ensure(skip).await.unwrap();
    assert_eq!(outcome.client.id, "client-1");
    assert!(matches!(outcome.event, Event::Skipped));
    assert!(harness.idp.calls().is_empty());

    // Without stored credentials the configuration says who we are.
    fs::remove_file(harness.path()).unwrap();
    assert_eq!(harness.ensure(skip).await.unwrap().client.id, "bff-server");
    let secret = |secret: Option<&'static str>| {
        move |options: &mut Options| {
            skip(options);
            options.auth_method = AuthMethod::ClientSecretBasic;
            options.client_secret = secret.map(Secret::from);
        }
    };
    assert!(harness.ensure(secret(Some("s"))).await.is_ok());
    let error = harness.refusal(secret(None)).await;
    assert!(
        matches!(error, RegistrationError::NothingToSkipTo { .. }),
        "{error}"
    );
    assert!(harness.idp.calls().is_empty());
    assert!(!harness.path().exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exactly_one_of_several_processes_registers() {
    let harness = Harness::new(Habits::default()).await;
    let metadata = harness.party.provider().discover().await.unwrap();
    let tasks: Vec<_> = (0..10)
        .map(|_| {
            let mut registration = harness.registration(with_iat);
            registration.clock = Arc::new(SystemClock);
            let metadata = Arc::clone(&metadata);
            tokio::spawn(async move { registration.ensure(&metadata).await.unwrap() })
        })
        .collect();
    let mut registered = 0;
    for task in tasks {
        let outcome = task.await.unwrap();
        assert_eq!(outcome.client.id, "bff-server");
        registered += usize::from(matches!(outcome.event, Event::Registered { .. }));
    }
    assert_eq!(registered, 1);
    let calls = harness.idp.calls();
    assert_eq!(calls.iter().filter(|call| *call == "POST /register").count(), 1);
}

/// The process dies at each call of a first registration, an update and a replacement. Each later start either
/// continues or reports the loss, and none makes a second client by itself.
/// Or it says what is lost.
#[tokio::test]
async fn the_next_start_recovers_from_a_kill_at_any_call() {
    type Change = fn(&mut Options);
    let fresh = |options: &mut Options| {
        options.initial_access_token = Some("fresh-token".into());
        options.force_replace = true;
    };
    let steps: [(bool, Change, &str); 5] = [
        (false, with_iat, "POST /register"),
        (true, changed, "GET /register/client-1"),
        (true, changed, "PUT /register/client-1"),
        (true, fresh, "POST /register"),
        (true, fresh, "DELETE /register/client-1"),
    ];
    for (registered, change, call) in steps {
        let habits = Habits {
            own_ids: true,
            rotates: true,
            ..Habits::default()
        };
        let harness = if registered {
            Harness::registered(habits).await
        } else {
            Harness::new(habits).await
        };
        harness.idp.allow("fresh-token");
        harness.idp.odd(call, fake::Odd::Hang);
        if call.starts_with("DELETE") {
            harness.ensure(change).await.unwrap();
            harness.clock.advance(Duration::from_secs(30));
        }
        {
            let attempt = harness.ensure(change);
            tokio::pin!(attempt);
            tokio::select! {
                outcome = &mut attempt => panic!("{call}: {outcome:?}"),
                () = harness.idp.called(call) => {}
            }
        }
        match harness.ensure(change).await {
            Ok(outcome) => {
                assert!(registered);
                assert!(
                    matches!(outcome.event, Event::Unchanged | Event::Updated(_)),
                    "{call}: {:?}",
                    outcome.event
                );
            }
            Err(error) => {
                assert!(!registered, "{call}: {error}");
                assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);
            }
        }
        assert!(
            harness.idp.clients().len() <= 1,
            "{call}: {:?}",
            harness.idp.clients()
        );
    }
}
