//! The process dies before each file operation of every course of registration. The next start continues or reports
//! the loss. It never makes an unknown client silently.

use futures_util::future::BoxFuture;

use super::*;
use crate::private_file::testing::{Killed, doom, spare};

const FRESH: &str = "fresh-token";
/// The time in which every process on the file notices a new client.
const FOLLOWED: Duration = Duration::from_secs(30);

type Change = fn(&mut Options);

/// One way that registration can go.
struct Way {
    habits: fn() -> Habits,
    /// Whether there is a client already.
    registered: bool,
    /// The change at the IdP in the meantime.
    before: fn(&Harness) -> BoxFuture<'_, ()>,
    with: Change,
    /// The steps that it has at least: fewer would mean that the test no longer sees them.
    steps: usize,
}

/// One start that dies after `steps` steps; `None` if it died.
async fn killed_after(
    harness: &Harness,
    steps: usize,
    with: Change,
) -> Option<Result<Outcome, RegistrationError>> {
    let metadata = harness.party.provider().discover().await.unwrap();
    let registration = harness.registration(with);
    doom(harness.dir.path(), steps);
    let end = tokio::spawn(async move { registration.ensure(&metadata).await }).await;
    spare(harness.dir.path());
    match end {
        Ok(outcome) => Some(outcome),
        Err(error) => {
            assert!(error.into_panic().is::<Killed>(), "it died of something else");
            None
        }
    }
}

fn own_ids() -> Habits {
    Habits {
        own_ids: true,
        ..Habits::default()
    }
}

fn rotating() -> Habits {
    Habits {
        rotates: true,
        ..own_ids()
    }
}

fn without_updates() -> Habits {
    Habits {
        puts: false,
        patches: false,
        ..Habits::default()
    }
}

fn admin(options: &mut Options) {
    options.admin_token = Some(Secret::from("admin-token"));
}

fn changed(options: &mut Options) {
    options.scopes.push("email".to_owned());
}

fn forced(options: &mut Options) {
    changed(options);
    options.force_replace = true;
    options.initial_access_token = Some(Secret::from(FRESH));
}

fn nothing(_: &Harness) -> BoxFuture<'_, ()> {
    Box::pin(async {})
}

#[tokio::test]
async fn killed_at_any_step_of_a_first_registration() {
    at_every_step(&Way {
        habits: Habits::default,
        registered: false,
        before: nothing,
        with: with_iat,
        steps: 17,
    })
    .await;
}

#[tokio::test]
async fn killed_at_any_step_of_a_first_registration_by_a_minted_token() {
    at_every_step(&Way {
        habits: Habits::default,
        registered: false,
        before: nothing,
        with: admin,
        steps: 17,
    })
    .await;
}

#[tokio::test]
async fn killed_at_any_step_of_a_first_registration_that_is_refused() {
    at_every_step(&Way {
        habits: Habits::default,
        registered: false,
        before: |harness| {
            let refusal = fake::oauth_error("invalid_scope", "no");
            harness.idp.odd("POST /register", fake::Odd::Json(400, refusal));
            nothing(harness)
        },
        with: with_iat,
        steps: 13,
    })
    .await;
}

#[tokio::test]
async fn killed_at_any_step_of_an_update_by_a_token_that_rotates() {
    at_every_step(&Way {
        habits: rotating,
        registered: true,
        before: nothing,
        with: changed,
        steps: 15,
    })
    .await;
}

#[tokio::test]
async fn killed_at_any_step_of_a_replacement_by_another_client() {
    at_every_step(&Way {
        habits: own_ids,
        registered: true,
        before: nothing,
        with: forced,
        steps: 16,
    })
    .await;
}

#[tokio::test]
async fn killed_at_any_step_of_the_deletion_of_a_replaced_client() {
    at_every_step(&Way {
        habits: own_ids,
        registered: true,
        before: |harness| {
            Box::pin(async {
                harness.ensure(forced).await.unwrap();
                harness.clock.advance(FOLLOWED);
            })
        },
        with: as_is,
        steps: 6,
    })
    .await;
}

#[tokio::test]
async fn killed_at_any_step_of_a_replacement_in_place() {
    at_every_step(&Way {
        habits: Habits::default,
        registered: true,
        before: nothing,
        with: forced,
        steps: 26,
    })
    .await;
}

#[tokio::test]
async fn killed_at_any_step_of_a_replacement_by_deleting_first() {
    at_every_step(&Way {
        habits: without_updates,
        registered: true,
        before: nothing,
        with: forced,
        steps: 26,
    })
    .await;
}

#[tokio::test]
async fn killed_at_any_step_of_a_lost_registration_access_token() {
    at_every_step(&Way {
        habits: own_ids,
        registered: true,
        before: |harness| {
            harness.idp.forget_tokens();
            nothing(harness)
        },
        with: admin,
        steps: 17,
    })
    .await;
}

/// Dies before each step in turn, until no step is left.
async fn at_every_step(way: &Way) {
    let mut steps = 0;
    loop {
        let harness = if way.registered {
            Harness::registered((way.habits)()).await
        } else {
            Harness::new((way.habits)()).await
        };
        harness.idp.allow(FRESH);
        (way.before)(&harness).await;
        let logs = Logs::capture();
        if killed_after(&harness, steps, way.with).await.is_some() {
            break;
        }
        if way.registered && (way.habits)().puts {
            // Only the way that deletes first has a moment without a client.
            let id = harness.file()["client_id"].as_str().unwrap().to_owned();
            let clients = harness.idp.clients();
            assert!(
                clients.contains(&id),
                "no client works after {steps} steps: {id} of {clients:?}"
            );
        }
        recovers(&harness, way, steps, &logs).await;
        steps += 1;
    }
    assert!(steps >= way.steps, "only {steps} steps");
}

async fn recovers(harness: &Harness, way: &Way, steps: usize, logs: &Logs) {
    let place = format!("killed after {steps} steps");
    harness.clock.advance(FOLLOWED);
    let first = harness.ensure(way.with).await;
    let left: Vec<_> = fs::read_dir(harness.dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("tmp") || name.contains("probe"))
        .collect();
    assert!(left.is_empty(), "{place}: {left:?}");
    check_no_secret(&logs.text());
    let told = |client: &str| logs.text().contains(client) || logs.text().contains("bff-server exists");
    match first {
        Ok(outcome) => {
            let id = &outcome.client.id;
            assert!(harness.idp.clients().contains(id), "{place}: {id} does not exist");
            for client in harness.idp.clients() {
                assert!(client == *id || told(&client), "{place}: {client} is not told");
            }
            if let Event::UpdateRefused(error) | Event::Postponed(error) = &outcome.event {
                check_text(error);
            }
            // The file contains the management data, or the server reported their loss.
            let token = harness.file()["registration_access_token"]
                .as_str()
                .unwrap()
                .to_owned();
            if !harness.idp.knows_token(id, &token) {
                assert!(
                    matches!(
                        outcome.event,
                        Event::UpdateRefused(
                            RegistrationError::RegistrationTokenRefused { .. }
                                | RegistrationError::OutcomeUnknown { .. }
                        )
                    ),
                    "{place}: {:?}",
                    outcome.event
                );
            }
        }
        Err(error) => {
            check_text(&error);
            let lost = matches!(
                error,
                RegistrationError::OutcomeUnknown { .. } | RegistrationError::ClientIdTaken { .. }
            );
            // A refusal of the first attempt may come once more if the first request was not sent.
            assert!(
                lost || matches!(error, RegistrationError::InvalidScope { .. }),
                "{place}: {error}"
            );
            let before = harness.idp.clients();
            assert!(before.len() <= 1, "{place}: {before:?}");

            // An operator who follows the advice has a client again.
            for client in before {
                harness.idp.remove(&client);
            }
            harness.idp.allow("another-token");
            let with_another = |options: &mut Options| {
                (way.with)(options);
                options.initial_access_token = Some("another-token".into());
            };
            let mut again = harness.ensure(with_another).await;
            if matches!(again, Err(RegistrationError::InvalidScope { .. })) {
                again = harness.ensure(with_another).await;
            }
            let again = again.unwrap();
            assert!(
                matches!(again.event, Event::Registered { .. }),
                "{place}: {:?}",
                again.event
            );
        }
    }
    // From here on it is as if nothing had happened.
    let last = harness.ensure(as_is).await;
    let way_on = last.unwrap_or_else(|error| panic!("{place}: {error}"));
    assert!(
        !matches!(way_on.event, Event::Registered { .. } | Event::Postponed(_)),
        "{place}: {:?}",
        way_on.event
    );
}
