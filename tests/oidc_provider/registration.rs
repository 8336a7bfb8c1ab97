//! How the server registers and keeps the wanted client (RFC 7591, RFC 7592).

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Stack, told, until};

/// The management of a registration over several starts; `rotates` is whether the provider gives out a new registration
/// access token with every update.
async fn lives_on(rotates: bool) {
    let settings = json!({"honourClientId": true, "rotateRegistrationAccessToken": rotates});
    let mut stack = Stack::start(&settings, &[]).await;
    let first = stack.credentials();

    // Reading rotates nothing.
    stack.restart(&[]).await;
    stack.logs.has_line("INFO", "registration unchanged");
    assert_eq!(
        stack.credentials()["registration_access_token"],
        first["registration_access_token"]
    );

    let mut last = first;
    let port = stack.origin(0).rsplit_once(':').unwrap().1.to_owned();
    let uris =
        format!("http://automate.localhost:{port}/auth/callback,http://new.localhost:{port}/auth/callback");
    for (variable, value, field) in [
        ("OIDC_SCOPES", "openid email offline_access", "scope"),
        ("DCR_REDIRECT_URIS", uris.as_str(), "redirect_uris"),
    ] {
        stack.restart(&[(variable, value)]).await;
        let line = stack.logs.has_part("INFO", "registration updated:");
        assert!(line.contains(&format!("{field}: ")), "{line}");
        let now = stack.credentials();
        assert_eq!(
            now["registration_access_token"] != last["registration_access_token"],
            rotates,
            "after {variable}"
        );
        // The next start needs the stored file.
        stack.restart(&[]).await;
        stack.logs.has_line("INFO", "registration unchanged");
        assert_eq!(stack.client_id(), "bff-server");
        last = now;
    }
    let client = stack.client().await;
    assert_eq!(client["scope"], "openid email offline_access");
    assert_eq!(
        client["redirect_uris"],
        json!(uris.split(',').collect::<Vec<_>>())
    );
    assert_eq!(
        client["post_logout_redirect_uris"][1],
        format!("http://new.localhost:{port}/auth/logged-out")
    );
    let ada = stack.ada().at(&format!("http://new.localhost:{port}"));
    ada.log_in().await;
    ada.log_out(true).await;
    assert_eq!(stack.provider.errors().await, [] as [Value; 0]);
}

#[tokio::test]
async fn a_registration_lives_on_where_updates_rotate_its_token() {
    lives_on(true).await;
}

#[tokio::test]
async fn a_registration_lives_on_where_its_token_stays() {
    lives_on(false).await;
}

#[tokio::test]
async fn a_provider_that_draws_ids_itself_is_told_of_once() {
    let mut stack = Stack::start(&json!({}), &[]).await;
    let id = stack.client_id();
    assert_ne!(id, "bff-server");
    stack.logs.has_line("INFO", "201 Created");
    stack
        .logs
        .has_line("INFO", &format!("Client registered: {id} (asked for bff-server)"));
    stack.logs.has_part(
        "WARN",
        &format!("assigned the client id {id}, instead of the requested bff-server"),
    );
    assert_eq!(stack.credentials()["requested_client_id"], "bff-server");
    stack.ada().log_in().await;

    stack.restart(&[]).await;
    stack.logs.has_line("INFO", "registration unchanged");
    assert!(
        !stack.logs.text().contains("instead of the requested"),
        "{}",
        stack.logs.text()
    );
    assert_eq!(stack.provider.clients().await, [id]);
}

#[tokio::test]
async fn metadata_that_the_provider_keeps_is_compared_too() {
    let settings = json!({"extraClientMetadata": ["client_profile"]});
    let mut stack = Stack::start(&settings, &[]).await;
    assert_eq!(stack.client().await["client_profile"], "code-flow-pkjwt");
    stack.restart(&[]).await;
    stack.logs.has_line("INFO", "registration unchanged");
    stack.restart(&[("DCR_CLIENT_PROFILE", "another")]).await;
    stack
        .logs
        .has_part("INFO", "registration updated: client_profile:");
    assert_eq!(stack.client().await["client_profile"], "another");
}

#[tokio::test]
async fn dropped_metadata_is_sent_again_only_after_a_change() {
    let mut stack = Stack::start(&json!({}), &[]).await;
    assert_eq!(stack.client().await["client_profile"], Value::Null);
    stack.restart(&[("DCR_CLIENT_PROFILE", "another")]).await;
    stack
        .logs
        .has_part("INFO", "registration updated: client_profile:");
    stack.restart(&[]).await;
    stack.logs.has_line("INFO", "registration unchanged");
}

#[tokio::test]
async fn a_scope_that_the_provider_does_not_know_is_named() {
    let mut stack = Stack::prepare(&json!({})).await;
    let token = stack.provider.mint().await;
    let scopes = "openid offline_access billing";
    let error = stack
        .fail_to_start(&[("DCR_IAT", &token), ("OIDC_SCOPES", scopes)])
        .await;
    assert!(!error.is_configuration());
    let message = told(&error);
    for part in [
        "refused the scopes",
        "invalid_client_metadata",
        "billing",
        "OIDC_SCOPES",
    ] {
        assert!(message.contains(part), "{part} in {message}");
    }
    assert!(!stack.credentials_path().exists());
    // Nothing was registered, so the token is valid for the next start.
    stack
        .restart(&[("DCR_IAT", &token), ("OIDC_SCOPES", "openid offline_access")])
        .await;
    stack.logs.has_line("INFO", "201 Created");
}

#[tokio::test]
async fn a_provider_without_rs256_signs_id_tokens_with_what_it_has() {
    let mut stack = Stack::start(&json!({"keyType": "EC"}), &[]).await;
    assert_eq!(stack.client().await["id_token_signed_response_alg"], "ES256");
    let ada = stack.ada();
    ada.log_in().await;
    let before = ada.renewed_at().await;
    stack.renewed(&ada, &before).await;
    stack.restart(&[]).await;
    stack.logs.has_line("INFO", "registration unchanged");
}

#[tokio::test]
async fn a_used_initial_access_token_is_explained() {
    let mut stack = Stack::prepare(&json!({})).await;
    let token = stack.provider.mint().await;
    stack.restart(&[("DCR_IAT", &token)]).await;
    std::fs::remove_file(stack.credentials_path()).unwrap();
    let error = stack.fail_to_start(&[("DCR_IAT", &token)]).await;
    let message = told(&error);
    for part in ["401", "invalid_token", "mint a new one", "DCR_IAT"] {
        assert!(message.contains(part), "{part} in {message}");
    }
    assert!(!message.contains(&token));
    assert_eq!(stack.provider.clients().await.len(), 1);
}

#[tokio::test]
async fn a_replacement_has_another_id_and_the_old_client_is_deleted() {
    let stack = Stack::prepare_in_stopped_time(&json!({})).await;
    let mut stack = stack.register(&[]).await;
    let old = stack.client_id();
    let token = stack.provider.mint().await;
    stack
        .restart(&[("DCR_IAT", &token), ("DCR_FORCE_REPLACE", "true")])
        .await;
    let new = stack.client_id();
    assert_ne!(new, old);
    stack.logs.has_line(
        "INFO",
        &format!("Client registered: {new} (asked for bff-server)"),
    );
    // Other processes on the file have the time to follow.
    let mut both = [old.clone(), new.clone()];
    both.sort();
    let mut there = stack.provider.clients().await;
    there.sort();
    assert_eq!(there, both);
    until("the old client is deleted", async || {
        stack.advance(Duration::from_secs(5)).await;
        stack.provider.clients().await == [new.as_str()]
    })
    .await;
    let deleted = format!("the replaced client {old} was deleted");
    until("it is told", async || stack.logs.text().contains(&deleted)).await;
    stack.ada().log_in().await;
    // The switch stays, the token goes, and comes back used.
    stack.restart(&[]).await;
    stack.logs.has_line("INFO", "registration unchanged");
    stack.restart(&[("DCR_IAT", &token)]).await;
    stack.logs.has_line("INFO", "registration unchanged");
}

#[tokio::test]
async fn a_replacement_with_the_same_id_is_the_same_client_anew() {
    let mut stack = Stack::start(&json!({"honourClientId": true}), &[]).await;
    let old = stack.credentials();
    let token = stack.provider.mint().await;
    stack
        .restart(&[("DCR_IAT", &token), ("DCR_FORCE_REPLACE", "true")])
        .await;
    stack.logs.has_line("INFO", "Client registered: bff-server");
    assert_eq!(stack.provider.clients().await, ["bff-server"]);
    assert_ne!(
        stack.credentials()["registration_access_token"],
        old["registration_access_token"]
    );
    stack.ada().log_in().await;
    stack.restart(&[]).await;
    stack.logs.has_line("INFO", "registration unchanged");
}
