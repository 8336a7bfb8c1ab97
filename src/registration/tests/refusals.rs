//! The refusals of a registration, each with the resulting error: one test for each row of the contract's table of
//! errors.

use proptest::prelude::*;
use serde_json::json;
use tokio::sync::Notify;

use super::{
    fake::{MINT, Odd, oauth_error},
    *,
};
use crate::{diagnostic::Explain as _, outbound::Response, registration::answer::Answer};

const CREATE: &str = "POST /register";

/// The outcome of a first registration that is answered by `odd`.
async fn refused_by(odd: Odd) -> (Harness, RegistrationError) {
    let harness = Harness::new(Habits::default()).await;
    harness.idp.odd(CREATE, odd);
    let error = harness.refusal(with_iat).await;
    assert_eq!(harness.idp.calls(), [CREATE], "never repeated by itself");
    (harness, error)
}

fn says(error: &RegistrationError, parts: &[&str]) {
    let text = error.told();
    for part in parts {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
}

#[tokio::test]
async fn refused_scopes_are_named_with_where_to_allow_them() {
    for code in ["invalid_scope", "invalid_client_metadata"] {
        let description = "scope not allowed: 'profile', offline_access.";
        let (_, error) = refused_by(Odd::Json(400, oauth_error(code, description))).await;
        let RegistrationError::InvalidScope { asked, refused, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!(asked, "openid profile offline_access");
        assert_eq!(refused, &["profile", "offline_access"]);
        says(
            &error,
            &[
                "openid profile offline_access",
                "[ProviderScopes]",
                "restart it",
                "start again",
            ],
        );
        assert_eq!(error.kind(), ErrorKind::Refused);
    }
    let (_, error) = refused_by(Odd::Json(400, json!({"error": "invalid_scope"}))).await;
    says(&error, &["the request has", "[ProviderScopes]"]);
}

#[tokio::test]
async fn refused_redirect_uris_are_listed_with_what_to_correct() {
    let (_, error) = refused_by(Odd::Json(400, oauth_error("invalid_redirect_uri", "no"))).await;
    assert!(matches!(error, RegistrationError::InvalidRedirectUri { .. }));
    says(
        &error,
        &[
            "https://a.example/auth/callback",
            "https://b.example:8443/auth/callback",
            "trailing slash",
            "[RedirectUris]",
            "[ForceReplace]=true",
            "fresh [InitialAccessToken]",
        ],
    );
    assert_eq!(error.kind(), ErrorKind::Refused);
}

#[tokio::test]
async fn a_bad_initial_access_token_is_told_as_such() {
    for odd in [
        Odd::Json(401, oauth_error("invalid_token", "expired")),
        Odd::Json(400, oauth_error("invalid_token", "expired")),
        Odd::Json(
            403,
            oauth_error("invalid_token", "client_id x has registered already"),
        ),
        Odd::Text(401, "text/plain", String::new()),
    ] {
        let (harness, error) = refused_by(odd).await;
        assert!(
            matches!(error, RegistrationError::InitialTokenRefused { .. }),
            "{error}"
        );
        says(
            &error,
            &[
                "expired, used up or wrong",
                "mint a new one",
                "[InitialAccessToken]",
            ],
        );
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert!(
            !harness.path().exists(),
            "nothing is left that looks like an identity"
        );
    }
}

/// Minting one token after the other does not fix a setting that an administrator has to change at the IdP.
#[tokio::test]
async fn another_error_does_not_blame_the_initial_access_token() {
    for (odd, parts) in [
        (
            Odd::Json(403, oauth_error("access_denied", "host\u{7} not trusted")),
            ["403", "access_denied (host not trusted)", "policy"],
        ),
        (
            Odd::Json(403, oauth_error("insufficient_scope", "needs dcr.write")),
            ["403", "insufficient_scope (needs dcr.write)", "rights"],
        ),
        (
            Odd::Text(403, "text/html", "<h1>no</h1>".to_owned()),
            ["403", "(a firewall, a gateway)", "[RegistrationEndpoint]"],
        ),
        (
            Odd::Json(400, oauth_error("invalid_request", "too many clients")),
            [
                "400",
                "invalid_request (too many clients)",
                "[RegistrationEndpoint]",
            ],
        ),
    ] {
        let (harness, error) = refused_by(odd).await;
        assert!(matches!(error, RegistrationError::Refused { .. }), "{error}");
        says(&error, &parts);
        assert!(!error.told().contains("mint"), "{error}");
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert!(!harness.path().exists());
    }
}

/// The message also names the variable.
#[tokio::test]
async fn missing_credentials_say_what_to_mint() {
    let harness = Harness::new(Habits::default()).await;
    let error = harness.refusal(as_is).await;
    assert!(matches!(error, RegistrationError::NoToken { .. }), "{error}");
    says(
        &error,
        &[
            "bff_client.json",
            "mint",
            "[InitialAccessToken]",
            "[AdminToken]",
            "[InitialAccessToken]=none",
        ],
    );
    assert_eq!(error.kind().exit_code(), 77);
    assert!(harness.idp.calls().is_empty());
    assert!(!harness.path().exists());
}

#[tokio::test]
async fn a_taken_client_id_says_to_restore_the_credentials() {
    for odd in [
        Odd::Json(400, oauth_error("invalid_client_metadata", "client_id is taken")),
        Odd::Json(
            400,
            oauth_error("invalid_request", "A client with this Client ID already exists"),
        ),
        Odd::Text(409, "text/plain", "conflict".to_owned()),
    ] {
        let (_, error) = refused_by(odd).await;
        assert!(
            matches!(error, RegistrationError::ClientIdTaken { .. }),
            "{error}"
        );
        says(
            &error,
            &["bff-server", "restore [CredentialsFile]", "removed at the IdP"],
        );
        assert_eq!(error.kind(), ErrorKind::Refused);
    }
}

#[tokio::test]
async fn other_refusals_are_passed_on_with_a_hint() {
    for (odd, part) in [
        (
            Odd::Json(
                400,
                oauth_error("invalid_client_metadata", "client_profile x is not known"),
            ),
            "client_profile x is not known",
        ),
        (
            Odd::Json(
                400,
                oauth_error(
                    "invalid_client_metadata",
                    "the profile of client_id x does not exist",
                ),
            ),
            "[ClientProfile]",
        ),
        (
            Odd::Json(400, oauth_error("unapproved_software_statement", "no")),
            "approved software",
        ),
        (
            Odd::Text(404, "text/html", "<h1>no</h1>".to_owned()),
            "[RegistrationEndpoint]",
        ),
        (
            Odd::Text(405, "text/html", "<h1>no</h1>".to_owned()),
            "[RegistrationEndpoint]",
        ),
        (Odd::Text(413, "text/html", String::new()), "413"),
    ] {
        let (_, error) = refused_by(odd).await;
        assert!(matches!(error, RegistrationError::Refused { .. }), "{error}");
        says(&error, &[part]);
        assert_eq!(error.kind(), ErrorKind::Refused);
    }
}

/// It counts as unreachable.
#[tokio::test]
async fn a_passing_failure_leaves_the_token_unspent() {
    for odd in [
        Odd::Json(500, oauth_error("server_error", "oops")),
        Odd::Text(502, "text/html", "<h1>bad gateway</h1>".to_owned()),
        Odd::Text(503, "text/html", "<h1>down</h1>".to_owned()),
        Odd::RetryAfter(429, "7"),
        Odd::Text(200, "text/html", "<h1>log in</h1>".to_owned()),
    ] {
        let (harness, error) = refused_by(odd).await;
        assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
        assert_eq!(error.kind().exit_code(), 69);
        says(&error, &["/register", "[RegistrationEndpoint]"]);
        assert!(!harness.path().exists());
        assert!(matches!(harness.event(with_iat).await, Event::Registered { .. }));
    }
}

#[tokio::test]
async fn the_wait_that_the_idp_asks_for_is_heard_in_bounds() {
    for (asked, seconds) in [
        ("7", Some(7)),
        ("99999999", Some(300)),
        ("soon", None),
        ("-1", None),
    ] {
        let (_, error) = refused_by(Odd::RetryAfter(429, asked)).await;
        assert_eq!(error.retry_after(), seconds.map(Duration::from_secs));
    }
}

#[tokio::test]
async fn an_idp_that_is_not_there_is_named_with_the_cause() {
    let harness = Harness::new(Habits::default()).await;
    let metadata = harness.party.provider().discover().await.unwrap();
    let mut metadata = (*metadata).clone();
    // A port without a listener.
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    metadata.registration_endpoint = Some(format!("http://{free}/register").parse().unwrap());
    let error = harness
        .registration(with_iat)
        .ensure(&metadata)
        .await
        .unwrap_err();
    check_text(&error);
    assert!(matches!(error, RegistrationError::Unreachable { .. }), "{error}");
    says(&error, &[&free.to_string(), "refused", "[RegistrationEndpoint]"]);
    assert!(
        !harness.path().exists(),
        "no byte was sent, so the token can be used again"
    );
}

#[tokio::test]
async fn attack_36_a_redirect_is_not_followed_with_the_token() {
    let harness = Harness::new(Habits::default()).await;
    let thief = FakeIdp::start(Habits::default()).await;
    harness
        .idp
        .odd(CREATE, Odd::Redirect(format!("{}register", thief.url)));
    let error = harness.refusal(with_iat).await;
    assert!(matches!(error, RegistrationError::Redirected { .. }), "{error}");

    let harness = Harness::registered(Habits::default()).await;
    harness.idp.odd(
        "GET /register",
        Odd::Redirect(format!("{}register/bff-server", thief.url)),
    );
    let event = harness.event(as_is).await;
    assert!(
        matches!(event, Event::Postponed(RegistrationError::Redirected { .. })),
        "{event:?}"
    );
    assert!(thief.seen().is_empty());
}

#[tokio::test]
async fn a_lost_answer_stops_until_there_is_a_new_token() {
    for odd in [
        Odd::Hang,
        Odd::Cut(201),
        Odd::Cut(200),
        Odd::Json(201, json!({"redirect_uris": []})),
        Odd::Json(201, json!({"client_id": 7})),
        Odd::Json(201, json!({"client_id": "a\u{7}b"})),
        Odd::Json(201, json!([])),
        Odd::Json(200, json!({"ok": true})),
        Odd::Text(201, "text/html", "<h1>created</h1>".to_owned()),
        Odd::Text(202, "text/plain", String::new()),
        Odd::Text(504, "text/html", "<h1>timeout</h1>".to_owned()),
        Odd::Text(201, "application/json", "x".repeat(10_000_000)),
    ] {
        let (harness, error) = refused_by(odd).await;
        assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{error}");
        says(&error, &["bff-server", "remove it", "fresh [InitialAccessToken]"]);
        let file = harness.file();
        assert_eq!(file["state"], "requesting");
        assert!(!file.to_string().contains(IAT));

        // Also after a restart.
        let error = harness.refusal(with_iat).await;
        assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{error}");
        let error = harness.refusal(as_is).await;
        assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{error}");
        assert!(harness.idp.calls().is_empty(), "nothing is sent");

        harness.idp.allow("another-token");
        let event = harness
            .event(|options| options.initial_access_token = Some("another-token".into()))
            .await;
        assert!(matches!(event, Event::Registered { .. }), "{event:?}");
        assert_eq!(harness.file()["state"], "registered");
    }
}

#[tokio::test]
async fn a_minted_token_clears_up_a_lost_answer() {
    let admin = |options: &mut Options| options.admin_token = Some(Secret::from("admin-token"));
    let harness = Harness::new(Habits::default()).await;
    harness.idp.odd(CREATE, Odd::Hang);
    let error = harness.refusal(admin).await;
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);
    assert!(matches!(harness.event(admin).await, Event::Registered { .. }));

    // Without its own id, the server would make a second client, and the first would be forgotten.
    let harness = Harness::new(Habits::default()).await;
    harness.idp.odd(CREATE, Odd::Hang);
    let nameless = |options: &mut Options| {
        admin(options);
        options.client_id = None;
    };
    for _ in 0..2 {
        let error = harness.refusal(nameless).await;
        assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);
    }
}

#[tokio::test]
async fn the_next_start_knows_of_a_crash_during_a_call() {
    let harness = Harness::new(Habits::default()).await;
    harness.idp.odd(CREATE, Odd::Hang);
    {
        let attempt = harness.ensure(with_iat);
        tokio::pin!(attempt);
        tokio::select! {
            outcome = &mut attempt => panic!("{outcome:?}"),
            () = harness.idp.called(CREATE) => {}
        }
    }
    let error = harness.refusal(with_iat).await;
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{error}");
}

#[tokio::test]
async fn minting_that_fails_says_why() {
    let admin = |token: &'static str| move |options: &mut Options| options.admin_token = Some(token.into());
    let mint = format!("POST {MINT}");
    let refused = async |odd: Option<Odd>, token| {
        let harness = Harness::new(Habits::default()).await;
        if let Some(odd) = odd {
            harness.idp.odd(&mint, odd);
        }
        let error = harness.refusal(admin(token)).await;
        assert_eq!(harness.idp.calls(), [mint.as_str()], "no registration is tried");
        assert!(!harness.path().exists());
        says(&error, &[MINT, "[ProviderBase]", "[InitialAccessToken]"]);
        error
    };
    for (odd, token) in [
        (None, "not-an-admin"),
        (Some(Odd::Text(404, "text/html", "no".to_owned())), "admin-token"),
        (Some(Odd::Text(201, "text/html", "no".to_owned())), "admin-token"),
        (Some(Odd::Json(201, json!({"token": 1}))), "admin-token"),
        (Some(Odd::Json(201, json!({"token": "a b"}))), "admin-token"),
    ] {
        let error = refused(odd, token).await;
        assert!(matches!(error, RegistrationError::MintRefused { .. }), "{error}");
        assert_eq!(error.kind(), ErrorKind::Refused);
    }
    for odd in [
        Odd::Hang,
        Odd::Cut(201),
        Odd::Text(503, "text/html", "no".to_owned()),
        Odd::RetryAfter(429, "1"),
        Odd::Redirect("http://127.0.0.1:1/".to_owned()),
    ] {
        let error = refused(Some(odd), "admin-token").await;
        assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
    }
}

#[tokio::test]
async fn an_idp_without_registration_is_told_as_such() {
    let harness = Harness::new(Habits {
        registers: false,
        ..Habits::default()
    })
    .await;
    let error = harness.refusal(with_iat).await;
    assert!(matches!(error, RegistrationError::NoEndpoint { .. }), "{error}");
    says(&error, &["[RegistrationEndpoint]", "[Registration]=false"]);
    assert_eq!(error.kind().exit_code(), 64);
}

#[tokio::test]
async fn a_token_that_no_header_can_carry_is_a_mistake_here() {
    let harness = Harness::new(Habits::default()).await;
    for broken in ["", "a b", "a\nb", "ä"] {
        let error = harness
            .refusal(|options| options.initial_access_token = Some(broken.into()))
            .await;
        says(&error, &["[InitialAccessToken]"]);
        assert_eq!(error.kind(), ErrorKind::Configuration);
        let error = harness
            .refusal(|options| options.admin_token = Some(broken.into()))
            .await;
        says(&error, &["[AdminToken]"]);
    }
    assert!(harness.idp.calls().is_empty());
}

#[tokio::test]
async fn no_token_is_spent_where_the_answer_could_not_be_kept() {
    let harness = Harness::new(Habits::default()).await;
    // A folder in the place of a file that is written: fails for every user, also for root.
    for in_the_way in ["bff_client.json.lock", "bff_client.json.probe"] {
        let in_the_way = harness.dir.path().join(in_the_way);
        let _ = fs::remove_file(&in_the_way);
        fs::create_dir(&in_the_way).unwrap();
        let error = harness.refusal(with_iat).await;
        assert!(matches!(error, RegistrationError::Credentials(_)), "{error}");
        says(&error, &["[CredentialsPath]", "writable"]);
        assert_eq!(error.kind().exit_code(), 64);
        fs::remove_dir(&in_the_way).unwrap();
    }
    assert!(harness.idp.calls().is_empty());
}

#[tokio::test]
async fn a_client_whose_credentials_cannot_be_stored_is_named() {
    let harness = Harness::new(Habits::default()).await;
    let gate = Arc::new(Notify::new());
    harness.idp.odd(CREATE, Odd::Later(Arc::clone(&gate)));
    let disk_fails = async {
        harness.idp.called(CREATE).await;
        fs::remove_file(harness.path()).unwrap();
        fs::create_dir(harness.path()).unwrap();
        gate.notify_one();
    };
    let (error, ()) = tokio::join!(harness.refusal(with_iat), disk_fails);
    assert!(matches!(error, RegistrationError::NotStored { .. }), "{error}");
    says(
        &error,
        &[
            "bff-server",
            "have the client removed at the IdP",
            "[CredentialsPath]",
        ],
    );
    assert_eq!(error.kind().exit_code(), 64);
}

/// It is broken, or of another issuer or client; the error says which.
#[tokio::test]
async fn an_unfitting_credentials_file_is_refused() {
    let harness = Harness::registered(Habits::default()).await;
    let good = harness.file();
    let error = harness
        .refusal(|options| options.client_id = Some("other".to_owned()))
        .await;
    says(
        &error,
        &[
            "bff-server",
            "other",
            "[RequestedClientId]",
            "[ForceReplace]=true",
        ],
    );
    assert_eq!(error.kind().exit_code(), 64);

    harness.edit_file(|file| file["issuer"] = json!("https://other.example"));
    let error = harness.refusal(with_iat).await;
    says(
        &error,
        &["https://other.example", &harness.idp.issuer(), "[Issuer]"],
    );
    assert_eq!(error.kind().exit_code(), 64);

    harness.edit_file(|file| {
        *file = good.clone();
        file.as_object_mut().unwrap().remove("client_id");
    });
    let error = harness.refusal(with_iat).await;
    says(&error, &["restore it from a backup"]);

    fs::write(harness.path(), "{\"client_secret\": \"rat-").unwrap();
    let error = harness.refusal(with_iat).await;
    says(&error, &["no JSON at line 1", "restore it from a backup"]);
    assert!(harness.idp.calls().is_empty());
}

fn response(body: &[u8]) -> Response {
    Response {
        status: http::StatusCode::OK,
        headers: http::HeaderMap::new(),
        body: bytes::Bytes::copy_from_slice(body),
        withheld: crate::secret::Withheld::default(),
        unproven_proxy: None,
    }
}

#[test]
fn debug_of_an_answer_shows_no_secret() {
    let body = br#"{"client_id":"x","client_secret":"client-secret","registration_access_token":"rat-1"}"#;
    let answer = Answer::of(&response(body)).unwrap();
    check_no_secret(&format!("{answer:?}"));
    assert!(answer.metadata.is_empty());
}

#[test]
fn a_management_that_cannot_be_one_is_left_out() {
    let body = json!({
        "client_id": "x",
        "registration_access_token": "a\r\nb",
        "registration_client_uri": "javascript:alert(1)",
        "client_secret_expires_at": "never",
    });
    let answer = Answer::of(&response(body.to_string().as_bytes())).unwrap();
    assert!(answer.registration_access_token.is_none());
    assert!(answer.registration_client_uri.is_none());
    assert!(answer.client_secret_expires_at.is_none());
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<u64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        ".{0,40}".prop_map(Value::from),
        Just(json!(["x", {"y": null}])),
        Just(json!("https://idp.example/register/1")),
    ]
}

proptest! {
    #[test]
    fn no_body_panics(body in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Answer::of(&response(&body));
    }

    #[test]
    fn whatever_an_answer_holds_only_what_can_be_used_comes_out(values in prop::collection::vec(any_value(), 6)) {
        let names = [
            "client_id", "client_secret", "client_secret_expires_at", "registration_access_token",
            "registration_client_uri", "scope",
        ];
        let body: serde_json::Map<String, Value> =
            names.iter().map(|name| (*name).to_owned()).zip(values).collect();
        if let Ok(answer) = Answer::of(&response(Value::Object(body).to_string().as_bytes())) {
            prop_assert!(answer.client_id.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            if let Some(token) = answer.registration_access_token {
                prop_assert!(http::HeaderValue::from_str(token.expose()).is_ok());
            }
            if let Some(uri) = answer.registration_client_uri {
                prop_assert!(url::Url::parse(&uri).is_ok());
            }
        }
    }
}
