//! Client secrets that belong to another client, and secrets without a use.

use serde_json::json;

use super::{
    fake::{Odd, oauth_error},
    *,
};
use crate::diagnostic::Explain as _;

const FRESH: &str = "fresh-token";
const PUT: &str = "PUT /register/bff-server";

fn basic(options: &mut Options) {
    options.auth_method = AuthMethod::ClientSecretBasic;
}

fn changed(options: &mut Options) {
    basic(options);
    options.scopes.push("email".to_owned());
}

fn forced(options: &mut Options) {
    basic(options);
    options.force_replace = true;
    options.initial_access_token = Some(FRESH.into());
}

/// A harness with a client that has a secret, and another one in the file. The IdP names the right one in answers to
/// `names`.
async fn harness(names: &[&'static str]) -> Harness {
    let harness = Harness::new(Habits {
        checks_secrets: true,
        ..Habits::default()
    })
    .await;
    harness
        .ensure(|options| {
            with_iat(options);
            basic(options);
        })
        .await
        .unwrap();
    harness
        .idp
        .habits(|habits| habits.names_secret_to = names.to_vec());
    harness.edit_file(|file| file["client_secret"] = json!("not the one"));
    harness.idp.allow(FRESH);
    harness.idp.seen();
    harness
}

fn updates(harness: &Harness) -> Vec<Option<Value>> {
    let seen = harness.idp.seen().into_iter();
    seen.filter(|seen| seen.call == PUT)
        .map(|seen| seen.body.get("client_secret").cloned())
        .collect()
}

#[tokio::test]
async fn a_secret_that_a_reading_names_is_taken_over() {
    let harness = harness(&["GET"]).await;
    let outcome = harness.ensure(basic).await.unwrap();
    assert!(matches!(outcome.event, Event::Unchanged), "{:?}", outcome.event);
    assert_eq!(
        outcome.client.auth,
        ClientAuthentication::ClientSecretBasic("client-secret".into())
    );
    assert_eq!(harness.file()["client_secret"], "client-secret");
}

/// The configured one is stored.
#[tokio::test]
async fn a_refused_secret_is_omitted_from_the_update() {
    for with in [changed as fn(&mut Options), forced] {
        let harness = harness(&["PUT"]).await;
        let logs = Logs::capture();
        let outcome = harness.ensure(with).await.unwrap();
        assert!(
            matches!(outcome.event, Event::Updated(_) | Event::Unchanged),
            "{:?}",
            outcome.event
        );
        assert_eq!(
            outcome.client.auth,
            ClientAuthentication::ClientSecretBasic("client-secret".into())
        );
        assert_eq!(harness.file()["client_secret"], "client-secret");
        assert_eq!(updates(&harness), [Some(json!("not the one")), None]);
        assert_eq!(logs.count("ERROR"), 0, "{}", logs.text());
        check_no_secret(&logs.text());
        assert!(!logs.text().contains("not the one"), "{}", logs.text());
    }
}

#[tokio::test]
async fn where_no_answer_names_the_secret_it_is_said_what_to_do() {
    let harness = harness(&[]).await;
    let logs = Logs::capture();
    assert!(matches!(harness.event(forced).await, Event::Unchanged));
    logs.has("WARN");
    logs.has("took the update of bff-server only without the client secret");
    logs.has("fix: ");
    assert_eq!(harness.file()["client_secret"], "not the one");
    assert!(!logs.text().contains("not the one"), "{}", logs.text());
}

#[tokio::test]
async fn a_refusal_that_is_not_about_the_secret_is_told_as_it_was() {
    let harness = harness(&[]).await;
    for (first, second, told) in [
        (
            "client_profile is not known",
            "another text",
            "client_profile is not known",
        ),
        (
            "client_secret is wrong",
            "client_profile is not known",
            "client_profile is not known",
        ),
    ] {
        for text in [first, second] {
            harness
                .idp
                .odd(PUT, Odd::Json(400, oauth_error("invalid_client_metadata", text)));
        }
        let Event::UpdateRefused(error) = harness.event(changed).await else {
            panic!("not refused");
        };
        check_text(&error);
        assert!(error.told().contains(told), "{error}");
        assert_eq!(updates(&harness).len(), 2);
    }
    // Other refusals, and updates that had no secret, are not sent twice.
    harness
        .idp
        .odd(PUT, Odd::Json(400, oauth_error("invalid_redirect_uri", "no")));
    assert!(matches!(harness.event(changed).await, Event::UpdateRefused(_)));
    assert_eq!(updates(&harness).len(), 1);
    let harness = Harness::registered(Habits::default()).await;
    harness
        .idp
        .odd(PUT, Odd::Json(400, oauth_error("invalid_client_metadata", "no")));
    let event = harness
        .event(|options| options.scopes.push("email".to_owned()))
        .await;
    assert!(matches!(event, Event::UpdateRefused(_)), "{event:?}");
    assert_eq!(updates(&harness).len(), 1);
}

#[tokio::test]
async fn a_configured_secret_that_is_not_used_is_told_once() {
    let harness = harness(&["GET"]).await;
    for (configured, warnings) in [(Some("of my own"), 1), (Some("client-secret"), 0), (None, 0)] {
        let logs = Logs::capture();
        harness
            .ensure(|options| {
                basic(options);
                options.client_secret = configured.map(Secret::from);
            })
            .await
            .unwrap();
        assert_eq!(
            logs.count("the configured client secret is not used"),
            warnings,
            "{}",
            logs.text()
        );
        check_no_secret(&logs.text());
        assert!(!logs.text().contains("of my own"), "{}", logs.text());
    }
}
