//! A restart sends nothing unnecessary, and changes what has to change.

use std::time::Duration;

use devstack_idp::Endpoint;
use serde_json::json;

use super::{calls, file, fresh_iat, management, registered};
use crate::support::{Logs, Stack};

#[tokio::test]
async fn without_an_initial_access_token_nothing_happens() {
    let logs = Logs::capture();
    let mut stack = Stack::start().await;
    let before = std::fs::read(stack.credentials()).unwrap();
    logs.clear();
    stack.idp.clear_requests();
    stack.restart_with(&[("DCR_IAT", "")]).await;
    assert_eq!(calls(&stack), ["GET /register/bff-server"]);
    logs.has_line("INFO", "registration unchanged");
    assert!(std::fs::read(stack.credentials()).unwrap() == before);
    stack.browser().log_in().await;
}

#[tokio::test]
async fn the_seeds_environment_left_in_place_does_not_break_a_restart() {
    let logs = Logs::capture();
    let mut stack = Stack::builder().set("DCR_FORCE_REPLACE", "true").start().await;
    let before = registered(&stack);
    // With the used token still there, and once it is gone.
    for changes in [&[][..], &[("DCR_IAT", "")]] {
        logs.clear();
        stack.idp.clear_requests();
        stack.restart_with(changes).await;
        assert_eq!(calls(&stack), ["GET /register/bff-server"]);
        logs.has_line("INFO", "registration unchanged");
        assert_eq!(registered(&stack), before);
    }
}

#[tokio::test]
async fn changed_metadata_needs_only_the_registration_token() {
    let logs = Logs::capture();
    let mut stack = Stack::start().await;
    let uris = stack.variable("DCR_REDIRECT_URIS");
    let fewer = uris.rsplit_once(',').unwrap().0.to_owned();
    for (name, value, field, registered_as) in [
        (
            "OIDC_SCOPES",
            "openid profile offline_access",
            "scope",
            json!("openid profile offline_access"),
        ),
        (
            "DCR_REDIRECT_URIS",
            fewer.as_str(),
            "redirect_uris",
            json!(fewer.split(',').collect::<Vec<_>>()),
        ),
    ] {
        logs.clear();
        stack.idp.clear_requests();
        stack.restart_with(&[("DCR_IAT", ""), (name, value)]).await;
        assert_eq!(
            calls(&stack),
            ["GET /register/bff-server", "PUT /register/bff-server"]
        );
        let token = file(&stack)["registration_access_token"]
            .as_str()
            .unwrap()
            .to_owned();
        let authorization = format!("Bearer {token}");
        assert!(management(&stack, "PUT").header("authorization") == Some(authorization.as_str()));
        assert_eq!(registered(&stack)[field], registered_as);
        let updated: Vec<String> = logs
            .lines("INFO")
            .into_iter()
            .filter(|line| line.contains("registration updated: "))
            .collect();
        assert_eq!(updated.len(), 1);
        assert!(updated[0].contains(&format!("{field}: ")), "{}", updated[0]);

        // It is as it should be: the next start changes nothing.
        logs.clear();
        stack.restart_with(&[]).await;
        logs.has_line("INFO", "registration unchanged");
    }
    let logged_out = registered(&stack)["post_logout_redirect_uris"]
        .as_array()
        .unwrap()
        .len();
    assert_eq!(logged_out, 3, "they follow the redirect URIs");
    stack.browser().log_in().await;
}

/// Each value as a list of one, and each list of one as its entry.
#[tokio::test]
async fn values_in_another_form_are_not_written_again() {
    let logs = Logs::capture();
    let mut stack = Stack::start().await;
    stack.idp.on_registration_response(|answer| {
        let Some(members) = answer.body.as_object_mut() else {
            return;
        };
        for value in members.values_mut() {
            *value = match value.as_array() {
                Some(entries) if entries.len() == 1 => entries[0].clone(),
                Some(_) => continue,
                None => json!([value]),
            };
        }
    });
    let before = std::fs::read(stack.credentials()).unwrap();
    for _ in 0..2 {
        logs.clear();
        stack.idp.clear_requests();
        stack.restart_with(&[("DCR_IAT", "")]).await;
        assert_eq!(calls(&stack), ["GET /register/bff-server"]);
        logs.has_line("INFO", "registration unchanged");
        assert!(std::fs::read(stack.credentials()).unwrap() == before);
    }
    stack.browser().log_in().await;
}

#[tokio::test]
async fn the_updated_fields_are_told_with_both_values() {
    let logs = Logs::capture();
    let mut stack = Stack::start().await;
    stack
        .restart_with(&[("DCR_IAT", ""), ("OIDC_SCOPES", "openid profile")])
        .await;
    logs.has_line(
        "INFO",
        r#"registration updated: scope: "openid profile email offline_access" -> "openid profile""#,
    );
}

#[tokio::test]
async fn a_rotated_registration_access_token_is_stored_and_used_next() {
    let mut stack = Stack::builder()
        .prepare(|idp| idp.rotate_rat_on_update(true))
        .start()
        .await;
    let token = |stack: &Stack| {
        file(stack)["registration_access_token"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let mut seen = vec![token(&stack)];
    for scopes in ["openid", "openid profile", "openid profile email"] {
        stack
            .restart_with(&[("DCR_IAT", ""), ("OIDC_SCOPES", scopes)])
            .await;
        assert_eq!(registered(&stack)["scope"], scopes);
        assert!(!seen.contains(&token(&stack)), "the token was not stored");
        seen.push(token(&stack));
    }
}

#[tokio::test]
async fn what_somebody_changed_at_the_idp_is_repaired() {
    let logs = Logs::capture();
    let mut stack = Stack::start().await;
    let before = registered(&stack);
    stack
        .idp
        .mutate_client("bff-server", |client| {
            client["redirect_uris"] = json!(["https://elsewhere.example/auth/callback"]);
            client["scope"] = json!("openid");
        })
        .unwrap();
    logs.clear();
    stack.restart_with(&[("DCR_IAT", "")]).await;
    assert_eq!(registered(&stack), before);
    let updated: Vec<String> = logs
        .lines("INFO")
        .into_iter()
        .filter(|line| line.contains("registration updated: "))
        .collect();
    assert_eq!(updated.len(), 1);
    for part in [
        "redirect_uris: ",
        "https://elsewhere.example/auth/callback",
        "; scope: ",
    ] {
        assert!(updated[0].contains(part), "no {part} in {}", updated[0]);
    }
    stack.browser().log_in().await;
}

/// The log says so; it needs a fresh initial access token.
#[tokio::test]
async fn a_removed_client_is_registered_anew() {
    let logs = Logs::capture();
    let mut stack = Stack::start().await;
    assert!(stack.idp.remove_client("bff-server").unwrap());
    logs.clear();
    stack.restart_with(&[("DCR_IAT", "")]).await;
    let errors = logs.lines("ERROR");
    assert_eq!(errors.len(), 1, "{errors:?}");
    for part in [
        "bff-server",
        "401",
        "invalid_client",
        "was deleted at the IdP",
        "start once with DCR_IAT",
        "the stored registration stays in use",
    ] {
        assert!(errors[0].contains(part), "no {part} in {}", errors[0]);
    }

    logs.clear();
    stack.idp.clear_requests();
    let iat = fresh_iat(&stack);
    stack
        .restart_with(&[("DCR_IAT", &iat), ("DCR_FORCE_REPLACE", "true")])
        .await;
    assert_eq!(stack.idp.count(Endpoint::Register), 1);
    logs.has_line("INFO", "201 Created");
    logs.has_line("INFO", "Client registered: bff-server");
    stack.browser().log_in().await;
}

/// With its algorithm.
#[tokio::test]
async fn another_type_of_signing_key_is_registered_and_used() {
    let mut stack = Stack::start().await;
    let ended = crate::rotation::by_hand(&stack, &["rotate", "--now"], &[("BFF_KEY_TYPE", "ed25519")]).await;
    assert_eq!(ended.code, 0, "{}", ended.output);
    stack.advance(Duration::from_secs(2)).await;
    stack.restart_with(&[("DCR_IAT", "")]).await;
    assert_eq!(registered(&stack)["token_endpoint_auth_signing_alg"], "EdDSA");
    stack.browser().log_in().await;
}
