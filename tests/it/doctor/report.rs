//! The report itself, and what looking leaves behind.

use bff::keys::KeyKind;
use devstack_idp::Endpoint;
use serde_json::Value;

use super::{Harness, check, run};
use crate::{start::make_key, support::Stack};

#[tokio::test]
async fn the_table_fits_a_terminal_and_ends_with_what_to_do() {
    let harness = Harness::start().await;
    let good = run(&harness.stack, &["check"], &[]).await;
    assert_eq!(good.code, 0, "{}", good.output);
    assert!(
        good.output.trim_end().ends_with("All is as it should be."),
        "{}",
        good.output
    );
    let bad = run(&harness.stack, &["check"], &[("OIDC_SCOPES", "openid billing")]).await;
    assert_eq!(bad.code, 1, "{}", bad.output);
    let parts = [
        "  ✓ keys ",
        "  ✗ scopes ",
        "cause: ",
        "fix:   ",
        "1 of 14 checks failed: scopes.",
    ];
    for part in parts {
        assert!(bad.output.contains(part), "no {part:?} in:\n{}", bad.output);
    }
    for line in good.output.lines().chain(bad.output.lines()) {
        // A word that is longer than the line is an address, to be copied.
        let one_word = line.trim().split(' ').count() == 1;
        assert!(line.chars().count() <= 100 || one_word, "{line}");
    }
}

#[tokio::test]
async fn mistakes_of_the_configuration_are_rows_and_nobody_is_asked() {
    let stack = Stack::builder().without_server().start_without_waiting().await;
    let found = check(&stack, &[("PORT", "many"), ("SESSION_LIFETIME", "soon")]).await;
    assert_eq!(
        (found.code, found.failed()),
        (64, vec!["configuration", "configuration"])
    );
    found.says("configuration", "failed", &["PORT"]);
    found.says(
        "authentication",
        "skipped",
        &["fix the failed checks above first"],
    );
    assert_eq!(stack.idp.count(Endpoint::Discovery), 0);

    std::fs::write(stack.folder().join("config/routes.yaml"), "routes: 1\n").unwrap();
    let found = check(&stack, &[]).await;
    assert_eq!(found.code, 64);
    found.blames("configuration", &["routes.yaml"]);
}

/// The start warns of it, and no call would reach an API.
#[tokio::test]
async fn a_missing_table_of_routes_is_noted() {
    let stack = Stack::builder().without_server().start_without_waiting().await;
    std::fs::remove_file(stack.folder().join("config/routes.yaml")).unwrap();
    let said = "routes.yaml does not exist: the server forwards no calls to APIs";
    let found = check(&stack, &[]).await;
    found.says("configuration", "ok", &["there is no routes.yaml"]);
    let notes = found.report["notes"].to_string();
    assert!(notes.contains(said), "{notes}");
    let ended = run(&stack, &["check", "--config-only"], &[]).await;
    ended.says(0, &["warning: ", said, "the configuration is consistent"]);
}

#[tokio::test]
async fn looking_changes_nothing_here_or_there() {
    let harness = Harness::start().await;
    let files = || {
        let folder = std::fs::read_dir(harness.stack.folder().join("keys")).unwrap();
        let mut files: Vec<_> = folder
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.clone(), std::fs::read(path).unwrap()))
            .collect();
        files.sort();
        files
    };
    let (files_before, client_before) = (files(), harness.stack.idp.registered_client("bff-server"));
    // Even where much would have to be updated.
    harness
        .check(&[("OIDC_SCOPES", "openid"), ("DCR_CLIENT_PROFILE", "")])
        .await;
    assert_eq!(files(), files_before);
    assert_eq!(harness.stack.idp.registered_client("bff-server"), client_before);
    let requests = harness.stack.idp.requests(Endpoint::RegistrationManagement);
    assert!(requests.iter().all(|request| request.method == "GET"));
    assert_eq!(harness.stack.idp.count(Endpoint::Register), 0);
}

/// It is a registration access token.
#[tokio::test]
async fn a_token_rotated_by_a_read_is_stored_first() {
    let harness = Harness::start().await;
    harness.stack.idp.on_registration_response(|answer| {
        answer.body["registration_access_token"] = "the-next-token".into();
    });
    let found = harness.check(&[]).await;
    assert_eq!(found.code, 0, "{:#}", found.report);
    let file: Value = serde_json::from_slice(&std::fs::read(harness.stack.credentials()).unwrap()).unwrap();
    assert_eq!(file["registration_access_token"], "the-next-token");
    assert_eq!(file["state"], "registered");
}

#[tokio::test]
async fn before_the_server_runs_only_what_needs_it_is_left_out() {
    let stack = Stack::builder().without_server().start_without_waiting().await;
    assert_eq!(run(&stack, &["register"], &[]).await.code, 0);
    let found = check(&stack, &[]).await;
    assert_eq!(found.code, 0, "{:#}", found.report);
    found.says("jwks", "skipped", &["nobody answers", "not running"]);
    found.says("authentication", "skipped", &["Start it"]);
    found.says("registration", "ok", &[]);
}

#[tokio::test]
async fn an_address_that_leads_elsewhere_is_told() {
    let harness = Harness::start().await;
    let page = format!("{}/nowhere.json", harness.stack.issuer);
    let found = harness.check(&[("DCR_JWKS_URI", &page)]).await;
    found.blames(
        "jwks",
        &[&page, "is an address of the IdP", "set DCR_JWKS_URI to"],
    );
    let silent = crate::support::Port::reserve();
    let silent = format!("http://{}/jwks.json", silent.address());
    let found = harness.check(&[("DCR_JWKS_URI", &silent)]).await;
    found.blames("jwks", &["although the server is running here", "BFF_BASE_URL"]);
}

/// The server has never seen it.
#[tokio::test]
async fn the_doctor_leaves_an_unknown_key_unchanged() {
    let stack = Stack::builder().without_server().start_without_waiting().await;
    make_key(&stack.folder().join("keys/bff-signing.pem"), KeyKind::P256);
    let found = check(&stack, &[]).await;
    found.says("keys", "ok", &["bff-signing.pem, ES256, kid "]);
    assert_eq!(run(&stack, &["register", "--dry-run"], &[]).await.code, 0);
    let left = std::fs::read_dir(stack.folder().join("keys")).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["bff-signing.pem"]);
}

#[tokio::test]
async fn what_logins_have_taught_about_refresh_tokens_is_a_row() {
    let harness = Harness::start().await;
    let file = harness.stack.credentials().with_file_name("offline_access.json");
    let told = |found: &super::Found| {
        let rows = found.rows().iter().filter(|row| row["check"] == "scopes");
        rows.map(|row| (row["status"].clone(), row["what"].to_string()))
            .find(|(_, what)| what.contains("refresh token"))
    };
    assert_eq!(told(&harness.check(&[]).await), None);
    for (consent, status, part) in [
        ("needed", "ok", "prompt=consent"),
        ("tried", "ok", "prompt=consent"),
        ("useless", "failed", "no refresh token"),
    ] {
        let lesson = serde_json::json!({
            "issuer": harness.stack.issuer, "client_id": "bff-server", "consent": consent,
        });
        std::fs::write(&file, lesson.to_string()).unwrap();
        let (found, what) = told(&harness.check(&[]).await).unwrap();
        assert_eq!(found, status, "{what}");
        assert!(what.contains(part), "{what}");
    }
    // Of another IdP, or where the operator decides, nothing of it counts.
    assert_eq!(told(&harness.check(&[("OIDC_PROMPT", "consent")]).await), None);
    let other = serde_json::json!({
        "issuer": "https://other.example", "client_id": "bff-server", "consent": "useless",
    });
    std::fs::write(&file, other.to_string()).unwrap();
    assert_eq!(told(&harness.check(&[]).await), None);
}

/// A program gets the faulty setting, and where it was set, without its value.
#[tokio::test]
async fn a_value_that_does_not_parse_is_a_setting_of_its_row() {
    let stack = Stack::builder().without_server().start_without_waiting().await;
    let changes = [
        ("PORT", "many"),
        ("SESSION_LIFETIME", "soon"),
        ("DCR_IAT", "planted secret-of-the-day"),
        ("AUTH_ISSUER", "no url"),
    ];
    std::fs::write(
        stack.folder().join("config/settings.yaml"),
        "oidc_scopes: openid\nsession_max: lots\n",
    )
    .unwrap();
    let changes = [&changes[..], &[("OIDC_ISSUER", ""), ("OIDC_SCOPES", "")]].concat();
    let found = check(&stack, &changes).await;
    let rows = found.rows().iter().filter(|row| row["check"] == "configuration");
    let faulty: Vec<&Value> = rows.filter_map(|row| row["settings"].get(0)).collect();
    for (name, set) in [
        ("PORT", "environment"),
        ("SESSION_LIFETIME", "environment"),
        ("DCR_IAT", "environment"),
        ("OIDC_ISSUER", "environment"),
        ("SESSION_MAX", "settings.yaml line 2"),
    ] {
        let expected = serde_json::json!({"name": name, "set": set, "faulty": true});
        assert!(faulty.contains(&&expected), "no {name}: {:#}", found.report);
    }
    assert!(
        !found.report.to_string().contains("secret-of-the-day"),
        "{:#}",
        found.report
    );
}
