//! The registration access token, the registration URI, and the IdP's answers to readings and updates.

use serde_json::json;

use super::{
    fake::{Odd, oauth_error},
    *,
};
use crate::diagnostic::Explain as _;

const READ: &str = "GET /register/bff-server";
const PUT: &str = "PUT /register/bff-server";
const PATCH: &str = "PATCH /register/bff-server";

fn changed(options: &mut Options) {
    options.scopes.push("email".to_owned());
}

fn refused(event: Event) -> RegistrationError {
    match event {
        Event::UpdateRefused(error) => {
            check_text(&error);
            error
        }
        event => panic!("{event:?}"),
    }
}

#[tokio::test]
async fn a_new_token_is_stored_before_it_is_used() {
    let harness = Harness::registered(Habits {
        rotates: true,
        ..Habits::default()
    })
    .await;
    // The process dies during the update: the result of the reading is on disk.
    harness.idp.odd(PUT, Odd::Hang);
    {
        let attempt = harness.ensure(changed);
        tokio::pin!(attempt);
        tokio::select! {
            outcome = &mut attempt => panic!("{outcome:?}"),
            () = harness.idp.called(PUT) => {}
        }
        assert_eq!(harness.file()["registration_access_token"], "rat-2");
    }
    assert_eq!(harness.idp.seen()[1].bearer.as_deref(), Some("rat-2"));

    // The next start continues with it.
    assert!(matches!(harness.event(changed).await, Event::Updated(_)));
    let seen = harness.idp.seen();
    assert_eq!(seen[0].bearer.as_deref(), Some("rat-2"));
    assert_eq!(seen[1].bearer.as_deref(), Some("rat-3"));
    assert_eq!(harness.file()["registration_access_token"], "rat-4");
}

#[tokio::test]
async fn a_new_uri_is_used_from_then_on() {
    let harness = Harness::registered(Habits::default()).await;
    let moved = format!("{}register/bff-server?v=2", harness.idp.url);
    harness.idp.odd(
        READ,
        Odd::Json(
            200,
            json!({"client_id": "bff-server", "registration_client_uri": moved}),
        ),
    );
    assert!(matches!(harness.event(as_is).await, Event::Unchanged));
    assert_eq!(harness.file()["registration_client_uri"], moved);
}

/// The client serves.
#[tokio::test]
async fn a_refused_registration_token_says_how_to_renew_it() {
    let harness = Harness::registered(Habits::default()).await;
    harness.idp.forget_tokens();
    let logs = Logs::capture();
    let outcome = harness.ensure(as_is).await.unwrap();
    assert_eq!(outcome.client.id, "bff-server");
    let error = refused(outcome.event);
    assert!(
        matches!(error, RegistrationError::RegistrationTokenRefused { .. }),
        "{error}"
    );
    assert!(
        error
            .told()
            .contains("[InitialAccessToken] and [ForceReplace]=true")
    );
    assert_eq!(logs.count("ERROR"), 1, "{}", logs.text());
    check_no_secret(&logs.text());

    harness.idp.odd(READ, Odd::Text(403, "text/html", String::new()));
    let error = refused(harness.event(as_is).await);
    assert!(
        matches!(error, RegistrationError::RegistrationTokenRefused { .. }),
        "{error}"
    );
}

/// A client without permission to read or change its registration also gets 403 (RFC 7592 section 2.1): its token is
/// still valid, and another client would not help.
#[tokio::test]
async fn another_error_does_not_blame_the_registration_token() {
    let harness = Harness::registered(Habits::default()).await;
    let odd = Odd::Json(
        403,
        oauth_error("access_denied", "clients do not change themselves"),
    );
    harness.idp.odd(READ, odd);
    harness.idp.allow("fresh-token");
    let fresh = |options: &mut Options| options.initial_access_token = Some("fresh-token".into());
    let error = refused(harness.event(fresh).await);
    assert!(matches!(error, RegistrationError::Refused { .. }), "{error}");
    let text = error.told();
    assert!(
        text.contains("access_denied (clients do not change themselves)"),
        "{text}"
    );
    assert_eq!(harness.idp.calls(), [READ], "no other client is asked for");
}

/// The answer may contain another token, which ends the old one (RFC 7592 section 3).
#[tokio::test]
async fn nothing_is_sent_if_the_answer_cannot_be_stored() {
    let rotates = || Habits {
        rotates: true,
        ..Habits::default()
    };
    for (habits, what) in [
        (rotates(), "read"),
        (
            Habits {
                reads: false,
                ..rotates()
            },
            "update",
        ),
    ] {
        let harness = Harness::registered(habits).await;
        // A folder in the place of a file that is written: fails for every user, also for root.
        let in_the_way = harness.dir.path().join("bff_client.json.probe");
        fs::create_dir(&in_the_way).unwrap();
        let outcome = harness.ensure(changed).await.unwrap();
        assert_eq!(outcome.client.id, "bff-server", "{what}");
        let error = refused(outcome.event);
        assert!(
            matches!(
                error,
                RegistrationError::Credentials(CredentialsError::NotWritable { .. })
            ),
            "{what}: {error}"
        );
        assert!(harness.idp.calls().is_empty(), "{what}");
        assert!(harness.idp.knows_token("bff-server", "rat-1"), "{what}");

        fs::remove_dir(&in_the_way).unwrap();
        assert!(
            matches!(harness.event(changed).await, Event::Updated(_)),
            "{what}"
        );
    }
}

#[tokio::test]
async fn a_registration_that_is_gone_says_how_to_register_anew() {
    for status in [404, 410] {
        let harness = Harness::registered(Habits::default()).await;
        harness
            .idp
            .odd(READ, Odd::Text(status, "text/html", String::new()));
        let error = refused(harness.event(as_is).await);
        assert!(matches!(error, RegistrationError::ClientGone { .. }), "{error}");
    }
}

/// Nothing of it is stored.
#[tokio::test]
async fn an_answer_about_another_client_is_refused() {
    for call in [READ, PUT] {
        let harness = Harness::registered(Habits::default()).await;
        let before = harness.file();
        let other = json!({
            "client_id": "other",
            "client_secret": "x",
            "registration_access_token": "x",
            "registration_client_uri": format!("{}register/other", harness.idp.url),
        });
        harness.idp.odd(call, Odd::Json(200, other));
        let error = refused(harness.event(changed).await);
        assert!(matches!(error, RegistrationError::OtherClient { .. }), "{error}");
        assert_eq!(harness.file(), before);
    }
}

#[tokio::test]
async fn what_passes_by_itself_is_postponed_and_the_client_serves() {
    for call in [READ, PUT] {
        for odd in [
            Odd::Text(500, "text/html", String::new()),
            Odd::Text(503, "text/html", String::new()),
            Odd::Text(504, "text/html", String::new()),
            Odd::RetryAfter(429, "3"),
            Odd::Text(200, "text/html", "<h1>log in</h1>".to_owned()),
            Odd::Json(200, json!({"scope": "openid"})),
            Odd::Json(200, json!([1])),
            Odd::Cut(200),
            Odd::Hang,
            Odd::Text(200, "application/json", " ".repeat(10_000_000)),
            Odd::Redirect("http://127.0.0.1:1/".to_owned()),
        ] {
            let harness = Harness::registered(Habits::default()).await;
            harness.idp.odd(call, odd);
            let outcome = harness.ensure(changed).await.unwrap();
            assert_eq!(outcome.client.id, "bff-server");
            let Event::Postponed(error) = outcome.event else {
                panic!("{call}: {:?}", outcome.event);
            };
            check_text(&error);
            assert!(error.told().contains("registration_client_uri"), "{error}");
            assert!(matches!(harness.event(changed).await, Event::Updated(_)));
        }
    }
}

/// The log shows an error.
#[tokio::test]
async fn a_refused_update_keeps_the_old_registration() {
    let harness = Harness::registered(Habits::default()).await;
    for (odd, part) in [
        (
            Odd::Json(400, oauth_error("invalid_scope", "email")),
            "[ProviderScopes]",
        ),
        (
            Odd::Json(400, oauth_error("invalid_redirect_uri", "x")),
            "[RedirectUris]",
        ),
        (
            Odd::Json(400, oauth_error("invalid_client_metadata", "x")),
            "[ClientProfile]",
        ),
        (
            Odd::Json(401, oauth_error("invalid_token", "x")),
            "[ForceReplace]",
        ),
        (Odd::Text(409, "text/html", String::new()), "409"),
    ] {
        harness.idp.odd(PUT, odd);
        let logs = Logs::capture();
        let outcome = harness.ensure(changed).await.unwrap();
        assert_eq!(outcome.client.id, "bff-server");
        let error = refused(outcome.event);
        assert!(error.told().contains(part), "{error}");
        assert_eq!(logs.count("ERROR"), 1, "{}", logs.text());
    }
    assert!(
        matches!(harness.event(changed).await, Event::Updated(_)),
        "it was not forgotten"
    );
}

#[tokio::test]
async fn where_nothing_can_be_read_what_was_sent_is_compared() {
    let harness = Harness::registered(Habits {
        reads: false,
        ..Habits::default()
    })
    .await;
    assert!(matches!(harness.event(as_is).await, Event::Unchanged));
    assert_eq!(harness.idp.calls(), [READ]);
    assert!(matches!(harness.event(changed).await, Event::Updated(_)));
    assert!(matches!(harness.event(changed).await, Event::Unchanged));
}

#[tokio::test]
async fn a_change_without_a_registration_uri_requests_a_token() {
    let harness = Harness::registered(Habits {
        manages: false,
        ..Habits::default()
    })
    .await;
    assert!(matches!(harness.event(as_is).await, Event::Unchanged));
    let error = refused(harness.event(changed).await);
    assert!(matches!(error, RegistrationError::NeedsToken { .. }), "{error}");
    assert!(error.told().contains("scope"), "{error}");
    assert!(harness.idp.calls().is_empty());
}

#[tokio::test]
async fn patch_is_used_where_there_is_no_put() {
    let harness = Harness::registered(Habits {
        puts: false,
        ..Habits::default()
    })
    .await;
    assert!(matches!(harness.event(changed).await, Event::Updated(_)));
    let seen = harness.idp.seen();
    assert_eq!(
        seen.iter().map(|seen| seen.call.as_str()).collect::<Vec<_>>(),
        [READ, PUT, PATCH]
    );
    assert_eq!(
        seen[2].body,
        json!({"scope": "openid profile offline_access email"})
    );
    assert!(matches!(harness.event(changed).await, Event::Unchanged));
}

#[tokio::test]
async fn an_idp_that_updates_nothing_is_told_as_such() {
    let harness = Harness::registered(Habits {
        puts: false,
        patches: false,
        ..Habits::default()
    })
    .await;
    let error = refused(harness.event(changed).await);
    assert!(matches!(error, RegistrationError::CannotUpdate { .. }), "{error}");
    assert!(error.told().contains("neither by PUT nor by PATCH"), "{error}");
}

#[tokio::test]
async fn the_configured_method_alone_is_used() {
    for (method, call, other) in [(UpdateMethod::Put, PUT, PATCH), (UpdateMethod::Patch, PATCH, PUT)] {
        let harness = Harness::registered(Habits::default()).await;
        let with = |options: &mut Options| {
            changed(options);
            options.update_method = method;
        };
        assert!(matches!(harness.event(with).await, Event::Updated(_)));
        assert_eq!(harness.idp.calls(), [READ, call]);

        // If the IdP supports only the other method, the server says so and makes no call.
        let harness = Harness::registered(Habits {
            puts: other == PUT,
            patches: other == PATCH,
            ..Habits::default()
        })
        .await;
        let error = refused(harness.event(with).await);
        assert!(matches!(error, RegistrationError::CannotUpdate { .. }), "{error}");
        assert!(error.told().contains("[UpdateMethod]"), "{error}");
        assert_eq!(harness.idp.calls(), [READ, call]);
    }
}

/// RFC 7592 section 2.2, and section 2 of RFC 7591 on `jwks` and `jwks_uri`.
/// RFC 7592 section 2.2.
#[tokio::test]
async fn an_update_has_exactly_the_required_members() {
    let harness = Harness::registered(Habits::default()).await;
    let unknown = [
        ("logo_uri", json!("https://a.example/logo")),
        ("tos_uri#de", json!("https://a.example/agb")),
        ("x_of_this_idp", json!({"deep": [1, {"er": true}]})),
    ];
    for (name, value) in &unknown {
        harness.idp.edit("bff-server", name, value.clone());
    }
    // A member that this IdP keeps beside the metadata and returns in readings.
    harness
        .idp
        .edit("bff-server", "client_id_issued_at", json!(1_700_000_000));
    harness.idp.edit("bff-server", "policy_uri", Value::Null);
    harness.idp.edit("bff-server", "jwks", json!({"keys": []}));
    let Event::Updated(changes) = harness.event(changed).await else {
        panic!("no update");
    };
    assert_eq!(changes.len(), 2, "{changes:?}");
    let sent = harness.idp.seen().remove(1).body;
    assert_eq!(sent["client_id"], "bff-server");
    for (name, value) in &unknown {
        assert_eq!(&sent[*name], value, "{name}");
    }
    for name in [
        "registration_access_token",
        "registration_client_uri",
        "client_secret_expires_at",
        "client_id_issued_at",
        "client_secret",
        "policy_uri",
        "jwks",
    ] {
        assert!(sent.get(name).is_none(), "{name} in {sent}");
    }
    assert!(sent["jwks_uri"].is_string());

    // The other way round, and with a secret.
    let inline = |options: &mut Options| {
        options.jwks = Jwks::Inline;
        options.auth_method = AuthMethod::ClientSecretBasic;
    };
    let harness = Harness::new(Habits::default()).await;
    harness
        .ensure(|options| {
            with_iat(options);
            options.auth_method = AuthMethod::ClientSecretBasic;
        })
        .await
        .unwrap();
    harness.idp.seen();
    assert!(matches!(harness.event(inline).await, Event::Updated(_)));
    let sent = harness.idp.seen().remove(1).body;
    assert_eq!(sent["client_secret"], "client-secret");
    assert!(
        sent["jwks"].is_object() && sent.get("jwks_uri").is_none(),
        "{sent}"
    );
}

#[tokio::test]
async fn an_update_without_an_answer_counts_as_done() {
    let harness = Harness::registered(Habits {
        reads: false,
        ..Habits::default()
    })
    .await;
    harness.idp.odd(PUT, Odd::Text(204, "text/plain", String::new()));
    assert!(matches!(harness.event(changed).await, Event::Updated(_)));
    assert!(matches!(harness.event(changed).await, Event::Unchanged));
}

#[tokio::test]
async fn the_token_is_never_sent_to_another_origin() {
    let harness = Harness::registered(Habits::default()).await;
    let thief = FakeIdp::start(Habits::default()).await;
    harness.edit_file(|file| {
        file["registration_client_uri"] = json!(format!("{}register/bff-server", thief.url));
    });
    let logs = Logs::capture();
    assert!(matches!(harness.event(as_is).await, Event::Unchanged));
    let error = refused(harness.event(changed).await);
    assert!(matches!(error, RegistrationError::NeedsToken { .. }), "{error}");
    logs.has("the registration access token is not sent there");
    logs.has("[ProviderBase]");
    assert!(thief.seen().is_empty());
    assert!(harness.idp.calls().is_empty());

    // The IdP itself names another one in a later answer: it is not stored, so that the client stays in reach.
    let harness = Harness::registered(Habits::default()).await;
    harness
        .idp
        .habits(|habits| habits.public_origin = Some(thief.url.as_str().trim_end_matches('/').to_owned()));
    let before = harness.file()["registration_client_uri"].clone();
    assert!(matches!(harness.event(changed).await, Event::Updated(_)));
    assert_eq!(harness.idp.calls(), [READ, PUT]);
    assert_eq!(harness.file()["registration_client_uri"], before);
    assert!(thief.seen().is_empty());
}

#[tokio::test]
async fn the_registration_uri_moves_with_the_base_url() {
    let harness = Harness::registered(Habits {
        issuer: Some("https://idp.example".to_owned()),
        public_origin: Some("https://idp.example".to_owned()),
        ..Habits::default()
    })
    .await;
    assert_eq!(
        harness.file()["registration_client_uri"],
        "https://idp.example/register/bff-server",
        "kept as the IdP said it"
    );
    assert!(matches!(harness.event(changed).await, Event::Updated(_)));
    assert_eq!(harness.idp.calls(), [READ, PUT]);
}

#[tokio::test]
async fn the_admin_api_is_at_the_origin_that_we_reach() {
    let harness = Harness::new(Habits {
        issuer: Some("https://idp.example/realm".to_owned()),
        ..Habits::default()
    })
    .await;
    let event = harness
        .event(|options| options.admin_token = Some("admin-token".into()))
        .await;
    assert!(matches!(event, Event::Registered { .. }), "{event:?}");
    assert_eq!(harness.idp.calls()[0], format!("POST {}", fake::MINT));
}

#[tokio::test]
async fn a_matching_change_by_others_is_accepted() {
    let harness = Harness::registered(Habits::default()).await;
    harness.idp.edit(
        "bff-server",
        "scope",
        json!("email offline_access openid profile"),
    );
    assert!(matches!(harness.event(changed).await, Event::Unchanged));
    assert_eq!(harness.idp.calls(), [READ]);
    harness.idp.habits(|habits| habits.reads = false);
    assert!(
        matches!(harness.event(changed).await, Event::Unchanged),
        "also without a reading"
    );
}

#[tokio::test]
async fn a_folder_in_which_nothing_can_be_locked_serves_what_is_there() {
    let harness = Harness::registered(Habits::default()).await;
    let lock = harness.dir.path().join("bff_client.json.lock");
    fs::remove_file(&lock).unwrap();
    fs::create_dir(&lock).unwrap();
    let outcome = harness.ensure(as_is).await.unwrap();
    assert_eq!(outcome.client.id, "bff-server");
    let error = refused(outcome.event);
    assert!(matches!(error, RegistrationError::Credentials(_)), "{error}");
    assert!(harness.idp.calls().is_empty());
}
