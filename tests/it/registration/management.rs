//! There is a usable registration, and the IdP makes trouble at the client's own endpoint: the server is ready.

use std::time::Duration;

use devstack_idp::{Endpoint, Fault};

use super::{calls, file, registered};
use crate::support::{Api, Logs, Stack};

/// The client serves.
#[tokio::test]
async fn a_refused_update_is_one_error_with_a_hint() {
    let logs = Logs::capture();
    let mut stack = Stack::start().await;
    let before = registered(&stack);
    logs.clear();
    let uris = stack.variable("DCR_REDIRECT_URIS");
    stack
        .restart_with(&[("DCR_IAT", ""), ("OIDC_SCOPES", "openid calendar")])
        .await;
    let errors = logs.lines("ERROR");
    assert_eq!(errors.len(), 1, "{errors:?}");
    for part in [
        "invalid_scope",
        "calendar",
        "policy.allowed_scopes",
        "stays in use",
    ] {
        assert!(errors[0].contains(part), "no {part} in {}", errors[0]);
    }
    assert_eq!(registered(&stack), before);

    logs.clear();
    let remote = format!("{uris},http://app.example/auth/callback");
    stack
        .restart_with(&[
            ("OIDC_SCOPES", ""),
            ("BFF_DANGER_ALLOW_HTTP", "true"),
            ("DCR_REDIRECT_URIS", &remote),
        ])
        .await;
    let errors = logs.lines("ERROR");
    assert_eq!(errors.len(), 1, "{errors:?}");
    for part in [
        "invalid_redirect_uri",
        "http://app.example/auth/callback",
        "DCR_FORCE_REPLACE=true",
    ] {
        assert!(errors[0].contains(part), "no {part} in {}", errors[0]);
    }
    stack.browser().log_in().await;
}

/// The log shows the refusal.
#[tokio::test]
async fn a_refusing_management_endpoint_stops_no_client() {
    let logs = Logs::capture();
    let mut stack = Stack::start().await;
    for (fault, parts) in [
        (
            Fault::oauth_error(401, "invalid_token"),
            [
                "registration access token",
                "no longer valid",
                "DCR_FORCE_REPLACE=true",
            ],
        ),
        (
            Fault::status(403),
            ["registration access token", "403", "DCR_FORCE_REPLACE=true"],
        ),
        (
            Fault::html(403),
            [
                "answered 403 Forbidden with an HTML page",
                "(a firewall, a gateway)",
                "IDP_BASE_URL",
            ],
        ),
        (
            Fault::html(404),
            ["has no registration", "404", "DCR_FORCE_REPLACE=true"],
        ),
        (
            Fault::oauth_error(400, "invalid_request"),
            ["400", "invalid_request", "registration_client_uri"],
        ),
        (
            Fault::status(409),
            ["409", "/register/bff-server", "registration_client_uri"],
        ),
    ] {
        stack.idp.fail_next(Endpoint::RegistrationManagement, fault);
        logs.clear();
        stack.restart_with(&[("DCR_IAT", "")]).await;
        let errors = logs.lines("ERROR");
        assert_eq!(errors.len(), 1, "{errors:?}");
        for part in parts {
            assert!(errors[0].contains(part), "no {part} in {}", errors[0]);
        }
    }
    stack.browser().log_in().await;
}

#[tokio::test]
async fn what_passes_by_itself_is_made_up_for_while_the_client_serves() {
    let huge = "x".repeat(10_000_000);
    for fault in [
        Fault::status(500),
        Fault::html(503),
        Fault::status(429),
        Fault::html(200),
        Fault::text(200, "application/json", &huge),
        Fault::redirect(302, "http://127.0.0.1:1/"),
        Fault::CloseWithoutAnswer,
        Fault::CutBody,
    ] {
        let logs = Logs::capture();
        let mut stack = Stack::start().await;
        stack.idp.fail_next(Endpoint::RegistrationManagement, fault);
        logs.clear();
        stack
            .restart_with(&[("DCR_IAT", ""), ("OIDC_SCOPES", "openid")])
            .await;
        assert!(logs.lines("ERROR").is_empty(), "{}", logs.text());
        let warnings = logs.lines("WARN");
        assert!(
            warnings.iter().any(|line| line.contains("compared again later")),
            "{warnings:?}"
        );
        stack.advance(Duration::from_secs(2)).await;
        stack
            .until("it is made up for", |stack| {
                registered(stack)["scope"] == "openid"
            })
            .await;
        stack.browser().log_in().await;
    }
}

/// Nothing of it is stored.
#[tokio::test]
async fn an_answer_about_another_client_is_refused() {
    let logs = Logs::capture();
    let mut stack = Stack::start().await;
    let before = file(&stack);
    stack.idp.on_registration_response(|answer| {
        answer.body["client_id"] = "somebody-else".into();
        answer.body["registration_access_token"] = "planted".into();
    });
    logs.clear();
    stack
        .restart_with(&[("DCR_IAT", ""), ("OIDC_SCOPES", "openid")])
        .await;
    let errors = logs.lines("ERROR");
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].contains("somebody-else") && errors[0].contains("bff-server"));
    assert_eq!(file(&stack), before);
    assert_eq!(calls(&stack), ["POST /register", "GET /register/bff-server"]);
}

#[tokio::test]
async fn the_registration_access_token_never_goes_to_another_host() {
    let logs = Logs::capture();
    let thief = Api::start().await;
    let uri = format!("{}/register/bff-server", thief.url());
    let mut stack = Stack::builder()
        .prepare(move |idp| {
            idp.on_registration_response(move |answer| {
                answer.body["registration_client_uri"] = uri.as_str().into();
            });
        })
        .start()
        .await;
    logs.clear();
    stack.restart_with(&[("DCR_IAT", "")]).await;
    logs.has_line("INFO", "registration unchanged");
    let warnings = logs.lines("WARN");
    let about_it = |line: &&String| line.contains(&thief.url()) && line.contains("not sent there");
    assert_eq!(warnings.iter().filter(about_it).count(), 1, "{warnings:?}");

    // A change needs it, and says so.
    logs.clear();
    stack.restart_with(&[("OIDC_SCOPES", "openid")]).await;
    let errors = logs.lines("ERROR");
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].contains("scope: ") && errors[0].contains("DCR_FORCE_REPLACE=true"));
    assert!(thief.calls().is_empty(), "the token was sent");
    assert_eq!(calls(&stack), ["POST /register"]);
}

#[tokio::test]
async fn an_idp_that_updates_by_patch_alone_is_updated_by_patch() {
    let mut stack = Stack::builder()
        .prepare(|idp| idp.update_method(devstack_idp::UpdateMethod::Patch))
        .start()
        .await;
    stack
        .restart_with(&[("DCR_IAT", ""), ("OIDC_SCOPES", "openid")])
        .await;
    assert_eq!(registered(&stack)["scope"], "openid");
    let patch = super::management(&stack, "PATCH");
    let sent = patch.json().unwrap().as_object().unwrap();
    assert_eq!(sent.keys().collect::<Vec<_>>(), ["scope"], "the difference alone");
}

#[tokio::test]
async fn a_registered_server_waits_for_an_idp_at_a_restart() {
    let mut stack = Stack::start().await;
    stack
        .idp
        .fail_always(Endpoint::Discovery, Fault::CloseWithoutAnswer);
    stack.restart_without_waiting(&[("DCR_IAT", "")]).await;
    stack
        .until("it is known", |stack| {
            stack.problem("cannot read the IdP's metadata")
        })
        .await;
    assert_eq!(stack.is_live().await.status, 503);
    stack.idp.heal_all();
    stack.advance(Duration::from_secs(2)).await;
    stack.ready().await;
    stack.browser().log_in().await;
}
