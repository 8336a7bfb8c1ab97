//! IdPs that refuse members without a standard, and IdPs that normalise values.

use serde_json::json;

use super::{fake::Odd, *};
use crate::diagnostic::Explain as _;

const CREATE: &str = "POST /register";
const TEXT: &str = "Client Identifier included";

async fn strict(change: impl FnOnce(&mut Habits)) -> Harness {
    let mut habits = Habits {
        refuses_extensions: Some(TEXT),
        ..Habits::default()
    };
    change(&mut habits);
    Harness::new(habits).await
}

#[tokio::test]
async fn a_refused_create_is_repeated_without_extensions() {
    let harness = strict(|_| {}).await;
    let logs = Logs::capture();
    let outcome = harness.ensure(with_iat).await.unwrap();
    assert!(
        matches!(outcome.event, Event::Registered { .. }),
        "{:?}",
        outcome.event
    );
    let seen = harness.idp.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].body["client_id"], "bff-server");
    assert_eq!(seen[0].body["client_profile"], "code-flow-pkjwt");
    for extension in ["client_id", "client_profile"] {
        assert!(seen[1].body.get(extension).is_none(), "{extension}");
    }
    // Nothing else is given up.
    let mut plain = seen[0].body.clone();
    for extension in ["client_id", "client_profile"] {
        plain.as_object_mut().unwrap().remove(extension);
    }
    assert_eq!(seen[1].body, plain);
    assert_eq!(seen[1].bearer.as_deref(), Some(IAT));
    logs.has(TEXT);
    logs.has("once more, without the requested client id");
    logs.has(&format!(
        "Client registered: {} (asked for bff-server)",
        outcome.client.id
    ));
    check_no_secret(&logs.text());

    // The next starts leave them out by themselves, also of an update.
    assert!(matches!(harness.event(as_is).await, Event::Unchanged));
    let changed = |options: &mut Options| options.scopes.push("email".to_owned());
    assert!(matches!(harness.event(changed).await, Event::Updated(_)));
    assert!(matches!(harness.event(changed).await, Event::Unchanged));
    // Until they are configured with another value.
    let event = harness
        .event(|options| options.client_profile = Some("other".to_owned()))
        .await;
    assert!(matches!(event, Event::UpdateRefused(_)), "{event:?}");
}

#[tokio::test]
async fn a_second_refusal_is_told_and_leaves_the_token_unused() {
    let harness = strict(|_| {}).await;
    harness
        .idp
        .odd(CREATE, Odd::Json(400, fake::oauth_error("invalid_request", TEXT)));
    harness
        .idp
        .odd(CREATE, Odd::Json(400, fake::oauth_error("invalid_scope", "no")));
    let error = harness.refusal(with_iat).await;
    assert!(matches!(error, RegistrationError::InvalidScope { .. }), "{error}");
    assert_eq!(harness.idp.calls(), [CREATE, CREATE]);
    assert!(!harness.path().exists());
    assert!(matches!(harness.event(with_iat).await, Event::Registered { .. }));
}

#[tokio::test]
async fn a_spent_token_reports_the_first_refusal() {
    let harness = strict(|habits| habits.counts_refusals = true).await;
    let logs = Logs::capture();
    let error = harness.refusal(with_iat).await;
    assert!(error.told().contains(TEXT), "{error}");
    logs.has("took the refused request for a use of the initial access token");
    assert_eq!(harness.idp.calls(), [CREATE, CREATE]);
    // With another token the same would happen, unless the extensions are unset.
    harness.idp.allow("another-token");
    let event = harness
        .event(|options| {
            options.initial_access_token = Some("another-token".into());
            options.client_id = None;
            options.client_profile = None;
        })
        .await;
    assert!(matches!(event, Event::Registered { .. }), "{event:?}");
}

#[tokio::test]
async fn a_lost_second_answer_is_noted() {
    let harness = strict(|_| {}).await;
    harness
        .idp
        .odd(CREATE, Odd::Json(400, fake::oauth_error("invalid_request", TEXT)));
    harness.idp.odd(CREATE, Odd::Cut(201));
    let error = harness.refusal(with_iat).await;
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{error}");
    assert_eq!(harness.file()["state"], "requesting");
}

#[tokio::test]
async fn an_id_that_is_taken_is_never_given_up() {
    let harness = Harness::registered(Habits::default()).await;
    fs::remove_file(harness.path()).unwrap();
    harness.idp.allow("another-token");
    let error = harness
        .refusal(|options| options.initial_access_token = Some("another-token".into()))
        .await;
    assert!(
        matches!(error, RegistrationError::ClientIdTaken { .. }),
        "{error}"
    );
    assert_eq!(harness.idp.calls(), [CREATE]);
}

/// An IdP that has taken the extensions once does not refuse them now: a replacement keeps the id.
#[tokio::test]
async fn a_replacement_does_not_lose_the_id() {
    let harness = Harness::registered(Habits::default()).await;
    harness.idp.allow("another-token");
    harness.idp.odd(
        CREATE,
        Odd::Json(400, json!({"error": "invalid_client_metadata"})),
    );
    let event = harness
        .event(|options| {
            options.initial_access_token = Some("another-token".into());
            options.force_replace = true;
        })
        .await;
    assert!(matches!(event, Event::Unchanged), "{event:?}");
    assert_eq!(harness.idp.clients(), ["bff-server"]);
}

#[tokio::test]
async fn values_in_lists_of_one_are_read_as_values() {
    let harness = Harness::registered(Habits {
        writes_lists: true,
        ..Habits::default()
    })
    .await;
    let logs = Logs::capture();
    for _ in 0..3 {
        assert!(matches!(harness.event(as_is).await, Event::Unchanged));
    }
    assert_eq!(harness.idp.calls(), ["GET /register/bff-server"; 3]);
    assert_eq!(logs.count("WARN"), 0, "{}", logs.text());
    // The server writes the difference nevertheless, once.
    let changed = |options: &mut Options| options.scopes.push("email".to_owned());
    assert!(matches!(harness.event(changed).await, Event::Updated(_)));
    assert!(matches!(harness.event(changed).await, Event::Unchanged));
}

/// A reading counts like the answer to an update, also for the algorithm.
#[tokio::test]
async fn the_algorithm_of_the_idp_wins_in_any_form() {
    for value in [json!("PS256"), json!(["PS256"])] {
        for reading in [false, true] {
            let harness = Harness::registered(Habits::default()).await;
            assert_eq!(harness.file()["token_endpoint_auth_signing_alg"], "ES256");
            harness.idp.habits(|habits| {
                let name = "token_endpoint_auth_signing_alg".to_owned();
                let laid_over = if reading {
                    &mut habits.reads_as
                } else {
                    &mut habits.overrides
                };
                laid_over.insert(name, value.clone());
            });
            let error = harness
                .refusal(|options| {
                    if !reading {
                        options.scopes.push("email".to_owned());
                    }
                })
                .await;
            // The key of this harness does no PS256.
            assert!(
                matches!(error, RegistrationError::AlgorithmReplaced { .. }),
                "{error}"
            );
            assert_eq!(harness.file()["token_endpoint_auth_signing_alg"], "PS256");
        }
    }
}

/// The operator follows the error's advice: the new key signs at once, because the former one was useless.
#[tokio::test]
async fn the_next_start_uses_a_named_key_that_fits() {
    let harness = Harness::new(Habits::default()).await;
    harness.idp.habits(|habits| {
        let name = "token_endpoint_auth_signing_alg".to_owned();
        habits.overrides.insert(name, json!("EdDSA"));
    });
    let error = harness.refusal(with_iat).await;
    assert!(
        matches!(error, RegistrationError::AlgorithmReplaced { .. }),
        "{error}"
    );
    assert!(error.told().contains("[SigningKey]"), "{error}");

    let open = |file: &str| {
        let options = keys::Options {
            signing_key: harness.dir.path().join(file),
            kid: None,
            generate: KeyKind::P256,
            extra: Vec::new(),
            dir: harness.dir.path().to_owned(),
            identity_markers: Vec::new(),
            guard: crate::private_file::Guard::Strict,
        };
        let rotation = keys::Rotation {
            state_dir: harness.dir.path().to_owned(),
            policy: keys::Policy::default(),
            algorithm: None,
        };
        keys::Keeper::open(options, rotation, harness.clock.now())
            .unwrap()
            .1
    };
    let before = open("bff-signing.pem");
    let named = harness.dir.path().join("other.pem");
    keys::generate_if_new(&named, KeyKind::Ed25519, &[]).unwrap();
    let after = open("other.pem");
    assert_eq!(after.signing().kid(), before.signing().kid(), "it is no rotation");

    let mut options = options();
    options.credentials = harness.path();
    let registration = Registration::new(
        options,
        harness.outbound.clone(),
        after,
        Arc::new(harness.clock.clone()),
    );
    let metadata = harness.party.provider().discover().await.unwrap();
    let outcome = registration.ensure(&metadata).await.unwrap();
    assert!(matches!(outcome.event, Event::Unchanged), "{:?}", outcome.event);
    let ClientAuthentication::PrivateKeyJwt { algorithm } = outcome.client.auth else {
        panic!("{:?}", outcome.client.auth);
    };
    assert_eq!(algorithm.name(), "EdDSA");
}

#[tokio::test]
async fn display_fields_are_registered_and_removed() {
    let url = |text: &str| Some(url::Url::parse(text).unwrap());
    let described = |options: &mut Options| {
        options.description = Description {
            name: "Bestellungen für Ämter".to_owned(),
            uri: url("https://app.example/about"),
            logo_uri: url("https://app.example/logo.svg"),
            policy_uri: url("https://app.example/privacy"),
            tos_uri: url("https://app.example/terms"),
            contacts: vec!["ops@app.example".to_owned(), "sec@app.example".to_owned()],
        };
    };
    let harness = Harness::registered(Habits::default()).await;
    // Values that somebody wrote at the IdP stay.
    harness
        .idp
        .edit("bff-server", "policy_uri", json!("https://idp.example/policy"));
    assert!(matches!(harness.event(as_is).await, Event::Unchanged));

    assert!(matches!(harness.event(described).await, Event::Updated(_)));
    let client = harness.idp.client("bff-server");
    assert_eq!(client["client_name"], "Bestellungen für Ämter");
    assert_eq!(client["client_uri"], "https://app.example/about");
    assert_eq!(client["logo_uri"], "https://app.example/logo.svg");
    assert_eq!(client["policy_uri"], "https://app.example/privacy");
    assert_eq!(client["tos_uri"], "https://app.example/terms");
    assert_eq!(client["contacts"], json!(["ops@app.example", "sec@app.example"]));
    // The order of contacts means nothing.
    harness.idp.edit(
        "bff-server",
        "contacts",
        json!(["sec@app.example", "ops@app.example"]),
    );
    assert!(matches!(harness.event(described).await, Event::Unchanged));

    assert!(matches!(harness.event(as_is).await, Event::Updated(_)));
    let client = harness.idp.client("bff-server");
    assert_eq!(client["client_name"], "bff");
    for gone in ["client_uri", "logo_uri", "policy_uri", "tos_uri", "contacts"] {
        assert!(client.get(gone).is_none(), "{gone}");
    }
    assert!(matches!(harness.event(as_is).await, Event::Unchanged));
}
