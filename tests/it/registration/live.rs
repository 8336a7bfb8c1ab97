//! The IdP cannot be reached, is broken, or its answer is lost: the server lives, serves its keys, is not ready, and
//! continues by itself if that is right.

use std::{sync::Arc, time::Duration};

use bff::health::Component;
use devstack_idp::{Endpoint, Fault};
use serde_json::json;
use tokio::sync::Notify;

use super::{calls, file, fresh_iat};
use crate::support::{Api, Logs, Port, Stack};

/// A server whose first registration met `fault`, and its log lines.
async fn met(fault: Fault) -> (Stack, String) {
    let mut stack = Stack::builder()
        .prepare(move |idp| idp.fail_next(Endpoint::Register, fault))
        .start_without_waiting()
        .await;
    stack
        .until("the failure is known", |stack| {
            stack.credentials_problem().is_some()
        })
        .await;
    let readiness = stack.is_live().await;
    assert_eq!((readiness.status.as_u16(), stack.is_ready()), (503, false));
    assert_eq!(calls(&stack), ["POST /register"], "once");
    let text = stack.credentials_problem().unwrap();
    assert!(text.contains("fix: "), "{text}");
    (stack, text)
}

#[tokio::test]
async fn what_passes_by_itself_is_tried_again_with_the_same_token() {
    for (fault, part) in [
        (Fault::status(500), "500"),
        (Fault::html(502), "502"),
        (Fault::oauth_error(503, "temporarily_unavailable"), "503"),
        (Fault::status(429), "429"),
        (Fault::html(200), "is not a registration response"),
    ] {
        // Its words are those of readiness, too.
        let _logs = Logs::capture();
        let (mut stack, text) = met(fault).await;
        assert!(text.contains(part), "no {part} in {text}");
        assert!(
            text.contains("/register") && text.contains("DCR_REGISTRATION_URL"),
            "{text}"
        );
        assert!(!stack.credentials().exists(), "nothing is pending");
        stack.advance(Duration::from_secs(2)).await;
        stack.ready().await;
        assert_eq!(calls(&stack), ["POST /register"; 2]);
        stack.browser().log_in().await;
    }
}

/// And with the cause.
#[tokio::test]
async fn an_unreachable_address_is_named_with_its_variable() {
    let nobody = Port::reserve();
    let refusing = format!("http://{}/register", nobody.address());
    let logs = Logs::capture();
    let mut stack = Stack::builder()
        .set("DCR_REGISTRATION_URL", &refusing)
        .start_without_waiting()
        .await;
    // No TLS is spoken there.
    let plain = stack.issuer.replace("http://", "https://") + "/register";
    for (address, cause) in [(refusing, "refused"), (plain, "does not speak TLS")] {
        stack
            .restart_without_waiting(&[("DCR_REGISTRATION_URL", &address)])
            .await;
        stack
            .until("it is known", |stack| stack.credentials_problem().is_some())
            .await;
        assert_eq!(stack.is_live().await.status, 503);
        let text = stack.credentials_problem().unwrap();
        for part in [address.as_str(), cause, "DCR_REGISTRATION_URL"] {
            assert!(text.contains(part), "no {part} in {text}");
        }
        assert!(logs.text().contains(&text));
        assert!(!stack.credentials().exists(), "no byte of the token was sent");
    }
    stack.restart_with(&[("DCR_REGISTRATION_URL", "")]).await;
    assert_eq!(calls(&stack), ["POST /register"]);
}

#[tokio::test]
async fn the_idp_says_when_to_come_back() {
    let busy = Fault::Respond {
        status: 429,
        headers: vec![("retry-after".to_owned(), "100".to_owned())],
        body: Vec::new(),
    };
    let (mut stack, _) = met(busy).await;
    stack.advance(Duration::from_secs(98)).await;
    assert_eq!(calls(&stack).len(), 1);
    stack.advance(Duration::from_secs(4)).await;
    stack.ready().await;
}

#[tokio::test]
async fn a_lost_answer_is_not_repeated_until_a_person_has_looked() {
    let no_id = br#"{"redirect_uris":[]}"#.to_vec();
    let huge = format!(r#"{{"client_id":"bff-server","x":"{}"}}"#, "x".repeat(10_000_000)).into_bytes();
    let respond = |status, body| Fault::RespondAfterProcessing { status, body };
    for (fault, exists) in [
        (Fault::CloseWithoutAnswer, false),
        (Fault::CloseAfterProcessing, true),
        (Fault::CutBody, true),
        (respond(201, b"<h1>Created</h1>".to_vec()), true),
        (respond(201, no_id), true),
        (respond(201, br#"{"client_id":["bff-server",""]}"#.to_vec()), true),
        (respond(201, huge), true),
        (respond(504, Vec::new()), true),
        (Fault::status(202), false),
    ] {
        let logs = Logs::capture();
        let (mut stack, text) = met(fault.clone()).await;
        for part in [
            "is unknown",
            "the client bff-server",
            "remove it",
            "fresh DCR_IAT",
        ] {
            assert!(text.contains(part), "{fault:?}: no {part} in {text}");
        }
        assert_eq!(file(&stack)["state"], "requesting");
        assert!(
            !logs.text().contains(&stack.variable("DCR_IAT")),
            "the token was logged"
        );

        // Neither time nor a restart makes it ask again, with the token or without.
        stack.advance(Duration::from_mins(6)).await;
        for iat in [stack.variable("DCR_IAT"), String::new()] {
            stack.restart_without_waiting(&[("DCR_IAT", &iat)]).await;
            stack
                .until("it is told", |stack| stack.credentials_problem().is_some())
                .await;
            assert_eq!(stack.is_live().await.status, 503);
        }
        assert_eq!(calls(&stack), ["POST /register"]);

        // The person looks, removes the client if it is there, and mints a new token.
        assert_eq!(stack.idp.remove_client("bff-server").unwrap(), exists);
        let iat = fresh_iat(&stack);
        stack.restart_with(&[("DCR_IAT", &iat)]).await;
        assert!(file(&stack).get("pending").is_none());
        stack.browser().log_in().await;
    }
}

#[tokio::test]
async fn registering_beside_a_lost_client_reports_the_taken_id() {
    let (mut stack, _) = met(Fault::CloseAfterProcessing).await;
    let iat = fresh_iat(&stack);
    stack.restart_without_waiting(&[("DCR_IAT", &iat)]).await;
    let error = stack.ended().await;
    assert!(!error.is_configuration());
    assert!(
        error.to_string().contains("the client id bff-server is taken"),
        "{error}"
    );
}

/// The server lives meanwhile.
#[tokio::test]
async fn a_late_answer_of_the_idp_still_counts() {
    let answered = Arc::new(Notify::new());
    let held = Fault::HoldAnswerUntil(Arc::clone(&answered));
    let mut stack = Stack::builder()
        .prepare(move |idp| idp.fail_next(Endpoint::Register, held))
        .start_without_waiting()
        .await;
    stack
        .until("it was asked", |stack| stack.idp.count(Endpoint::Register) == 1)
        .await;
    assert_eq!(stack.is_live().await.status, 503);
    answered.notify_one();
    stack.ready().await;
    stack.browser().log_in().await;
}

#[tokio::test]
async fn a_registration_answered_by_200_is_taken_with_a_warning() {
    let logs = Logs::capture();
    let stack = Stack::builder()
        .prepare(|idp| idp.on_registration_response(|answer| answer.status = 200))
        .start()
        .await;
    let warnings = logs.lines("WARN");
    let about_it = warnings.iter().filter(|line| line.contains("200 OK"));
    assert_eq!(about_it.count(), 1, "{warnings:?}");
    logs.has_line("INFO", "Client registered: bff-server");
    stack.browser().log_in().await;
}

/// Neither of discovery nor of registration.
#[tokio::test]
async fn attack_36_redirects_of_the_idp_are_not_followed() {
    let thief = Api::start().await;
    for endpoint in [Endpoint::Discovery, Endpoint::Register, Endpoint::AdminIat] {
        for status in [301, 302, 307, 308] {
            let redirect = Fault::redirect(status, &thief.url());
            let mut stack = Stack::builder()
                .without_iat()
                .set("BOOTSTRAP_ADMIN_TOKEN", "admin-token")
                .prepare(move |idp| idp.fail_next(endpoint, redirect))
                .start_without_waiting()
                .await;
            let asked = move |stack: &Stack| stack.idp.count(endpoint) == 1;
            stack.until("it was asked", asked).await;
            stack
                .until("the redirect is told", |stack| stack.problem(&status.to_string()))
                .await;
            assert_eq!(stack.is_live().await.status, 503);
            // By itself once the IdP is itself again.
            stack.advance(Duration::from_secs(2)).await;
            stack.ready().await;
        }
    }
    // A client's own endpoint, with its token.
    let mut stack = Stack::start().await;
    stack.idp.fail_next(
        Endpoint::RegistrationManagement,
        Fault::redirect(307, &thief.url()),
    );
    stack.restart_with(&[("DCR_IAT", "")]).await;
    assert_eq!(calls(&stack).len(), 2);
    assert!(thief.calls().is_empty(), "a redirect was followed");
}

#[tokio::test]
async fn hostile_metadata_of_the_idp_keep_the_server_live_and_unready() {
    for change in [
        json!({"registration_endpoint": "http://remote.example/register"}),
        json!({"issuer": "https://evil.example"}),
        json!({"issuer": null}),
        json!({"token_endpoint": "ftp://127.0.0.1/token"}),
        json!({"jwks_uri": null}),
    ] {
        let members = change.clone();
        let mut stack = Stack::builder()
            .prepare(move |idp| {
                idp.on_discovery(move |document| {
                    for (name, value) in members.as_object().unwrap() {
                        document[name] = value.clone();
                    }
                });
            })
            .start_without_waiting()
            .await;
        stack
            .until("the document is judged", |stack| {
                // Only the registration needs this endpoint; logins do not.
                let components = [Component::Discovery, Component::Credentials];
                components
                    .iter()
                    .any(|component| stack.problem_with(*component).is_some())
            })
            .await;
        assert_eq!(stack.is_live().await.status, 503, "{change}");
        assert!(calls(&stack).is_empty(), "{change}");
        stack.idp.clear_hooks();
        // A document that could be used is read again after an hour.
        let until = if change.get("registration_endpoint").is_some() {
            62 * 60
        } else {
            2
        };
        stack.advance(Duration::from_secs(until)).await;
        // A registration that came a moment before the new document tries again after a pause.
        stack.ready_within(Duration::from_mins(15)).await;
    }
}
