//! One table of every wrong answer at every call. Each row checks the resulting error, that no data is lost, and that
//! the next attempt works.

use serde_json::json;

use super::{
    fake::{MINT, Odd, oauth_error},
    *,
};

const FRESH: &str = "fresh-token";

/// The error that results from a wrong answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Is {
    /// As if it were right, or as if the IdP did not do this.
    Fine,
    /// A refusal: exit code 77 if no client exists.
    Refusal,
    /// A temporary failure: a command that cannot wait exits with code 69.
    Trouble,
    /// The outcome of the call is unknown.
    Unknown,
    /// Tried somewhere else.
    Skip,
}

use Is::{Fine, Refusal, Skip, Trouble, Unknown};

/// The calls in the order of the columns.
const CALLS: [&str; 6] = ["create", "mint", "read", "put", "patch", "delete"];

fn page(status: u16) -> Odd {
    Odd::Text(status, "text/html", "<h1>no</h1>".to_owned())
}

fn table() -> Vec<(&'static str, Odd, [Is; 6])> {
    let other = json!({"client_id": "other", "registration_access_token": "planted"});
    let huge = "x".repeat(10_000_000);
    let moved = Odd::Redirect("http://127.0.0.1:1/".to_owned());
    let bad = oauth_error("invalid_client_metadata", "no");
    vec![
        (
            "200 with a page",
            page(200),
            [Trouble, Refusal, Trouble, Trouble, Trouble, Fine],
        ),
        (
            "201 with a page",
            page(201),
            [Unknown, Refusal, Trouble, Trouble, Trouble, Fine],
        ),
        (
            "200 without fields",
            Odd::Json(200, json!({})),
            [Unknown, Refusal, Trouble, Trouble, Trouble, Fine],
        ),
        (
            "200 of another client",
            Odd::Json(200, other),
            [Fine, Refusal, Refusal, Refusal, Refusal, Fine],
        ),
        (
            "200 cut",
            Odd::Cut(200),
            [Unknown, Trouble, Trouble, Trouble, Trouble, Trouble],
        ),
        (
            "204",
            Odd::Text(204, "text/plain", String::new()),
            [Unknown, Refusal, Fine, Fine, Fine, Fine],
        ),
        (
            "307",
            moved,
            [Trouble, Trouble, Trouble, Trouble, Trouble, Trouble],
        ),
        (
            "400",
            Odd::Json(400, bad),
            [Refusal, Refusal, Refusal, Refusal, Refusal, Fine],
        ),
        (
            "401",
            page(401),
            [Refusal, Refusal, Refusal, Refusal, Refusal, Fine],
        ),
        (
            "403",
            page(403),
            [Refusal, Refusal, Refusal, Refusal, Refusal, Fine],
        ),
        (
            "404",
            page(404),
            [Refusal, Refusal, Refusal, Refusal, Refusal, Fine],
        ),
        ("405", page(405), [Refusal, Refusal, Fine, Fine, Refusal, Fine]),
        (
            "409",
            page(409),
            [Refusal, Refusal, Refusal, Refusal, Refusal, Fine],
        ),
        (
            "429",
            Odd::RetryAfter(429, "5"),
            [Trouble, Trouble, Trouble, Trouble, Trouble, Trouble],
        ),
        (
            "500",
            page(500),
            [Trouble, Trouble, Trouble, Trouble, Trouble, Trouble],
        ),
        ("501", page(501), [Trouble, Trouble, Fine, Fine, Refusal, Fine]),
        (
            "503",
            page(503),
            [Trouble, Trouble, Trouble, Trouble, Trouble, Trouble],
        ),
        (
            "504",
            page(504),
            [Unknown, Trouble, Trouble, Trouble, Trouble, Trouble],
        ),
        (
            "10 MB",
            Odd::Text(200, "application/json", huge),
            [Unknown, Trouble, Trouble, Trouble, Trouble, Trouble],
        ),
        // The other errors wait while only the hanging one is tested.
        ("nothing", Odd::Hang, [Skip, Skip, Skip, Skip, Trouble, Trouble]),
    ]
}

fn admin(options: &mut Options) {
    options.admin_token = Some(Secret::from("admin-token"));
}

fn changed(options: &mut Options) {
    options.scopes.push("email".to_owned());
}

fn forced(options: &mut Options) {
    options.force_replace = true;
    options.initial_access_token = Some(Secret::from(FRESH));
}

fn kind(error: &RegistrationError) -> Is {
    check_text(error);
    match error.kind() {
        ErrorKind::Refused => Refusal,
        ErrorKind::Unreachable => Trouble,
        ErrorKind::OutcomeUnknown => Unknown,
        ErrorKind::Configuration => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_first_registration_takes_wrong_answers_for_what_they_are() {
    for (row, odd, columns) in table() {
        for (call, with, expected) in [
            ("POST /register", with_iat as fn(&mut Options), columns[0]),
            (MINT, admin, columns[1]),
        ] {
            if expected == Skip {
                continue;
            }
            let call = call.replace("/api", "POST /api");
            let harness = Harness::new(Habits::default()).await;
            harness.idp.odd(&call, odd.clone());
            let found = match harness.ensure(with).await {
                Ok(_) => Fine,
                Err(error) => kind(&error),
            };
            assert_eq!(found, expected, "{row} at {call}");
            match found {
                // The lost call is noted, and the server sends nothing until a person has looked.
                Unknown => assert_eq!(harness.file()["state"], "requesting", "{row} at {call}"),
                Fine => {}
                _ => {
                    assert!(!harness.path().exists(), "{row} at {call}");
                    let event = harness.event(with).await;
                    assert!(
                        matches!(event, Event::Registered { .. }),
                        "{row} at {call}: {event:?}"
                    );
                }
            }
        }
    }
}

/// The answers are those of its management endpoint.
#[tokio::test]
async fn a_registered_client_serves_in_spite_of_any_answer() {
    for (row, odd, columns) in table() {
        for (column, method) in [(2, "GET"), (3, "PUT"), (4, "PATCH")] {
            let (call, expected) = (CALLS[column], columns[column]);
            if expected == Skip {
                continue;
            }
            let harness = Harness::registered(Habits {
                puts: call != "patch",
                ..Habits::default()
            })
            .await;
            harness.idp.odd(&format!("{method} /register"), odd.clone());
            let outcome = harness.ensure(changed).await.unwrap();
            assert_eq!(outcome.client.id, "bff-server", "{row} at {call}");
            let found = match &outcome.event {
                Event::Updated(_) | Event::Unchanged => Fine,
                Event::UpdateRefused(error) | Event::Postponed(error) => kind(error),
                event => panic!("{row} at {call}: {event:?}"),
            };
            assert_eq!(found, expected, "{row} at {call}");
            let postponed = matches!(outcome.event, Event::Postponed(_));
            assert_eq!(postponed, expected == Trouble, "{row} at {call}");
            assert_eq!(
                harness.file()["registration_access_token"],
                "rat-1",
                "{row} at {call}"
            );
            if found != Fine {
                let event = harness.event(changed).await;
                assert!(matches!(event, Event::Updated(_)), "{row} at {call}: {event:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_replacement_survives_a_failed_deletion() {
    for (row, odd, columns) in table() {
        let harness = Harness::registered(Habits {
            own_ids: true,
            ..Habits::default()
        })
        .await;
        harness.idp.allow(FRESH);
        harness.idp.odd("DELETE", odd);
        let logs = Logs::capture();
        let outcome = harness.ensure(forced).await.unwrap();
        assert!(
            matches!(outcome.event, Event::Registered { .. }),
            "{row}: {:?}",
            outcome.event
        );
        assert_eq!(outcome.client.id, "client-2", "{row}");
        harness.clock.advance(Duration::from_secs(30));
        assert_eq!(
            harness.ensure(as_is).await.unwrap().client.id,
            "client-2",
            "{row}"
        );
        assert!(
            logs.text().contains("the replaced client client-1"),
            "{row}: {}",
            logs.text()
        );
        let later = harness.file().get("superseded").is_some();
        assert_eq!(later, columns[5] == Trouble, "{row}");
        if later {
            harness.ensure(as_is).await.unwrap();
            assert_eq!(harness.idp.clients(), ["client-2"], "{row}");
        }
    }
}

/// A folder that refuses writes from the second call on: the server reports the IdP's action, and the client stays in
/// use.
/// The client serves.
#[tokio::test]
async fn a_failed_write_after_an_update_is_logged() {
    for (call, rotates) in [("GET", true), ("PUT", true), ("PUT", false)] {
        let harness = Harness::registered(Habits {
            rotates,
            ..Habits::default()
        })
        .await;
        let gate = Arc::new(tokio::sync::Notify::new());
        let call = format!("{call} /register/bff-server");
        harness.idp.odd(&call, Odd::Later(Arc::clone(&gate)));
        let disk_fails = async {
            harness.idp.called(&call).await;
            fs::rename(harness.path(), harness.dir.path().join("kept")).unwrap();
            fs::create_dir(harness.path()).unwrap();
            gate.notify_one();
        };
        let (outcome, ()) = tokio::join!(harness.ensure(changed), disk_fails);
        let outcome = outcome.unwrap();
        assert_eq!(outcome.client.id, "bff-server");
        let Event::UpdateRefused(error) = outcome.event else {
            panic!("{:?}", outcome.event);
        };
        check_text(&error);
        assert!(
            matches!(
                error,
                RegistrationError::Credentials(CredentialsError::NotWritable { .. })
            ),
            "{error}"
        );
        assert_eq!(error.kind().exit_code(), 64);
        let last = harness.idp.calls().pop().unwrap();
        assert_eq!(last, call, "a token that is not stored is not used");
    }
}
