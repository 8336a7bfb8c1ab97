//! A registration over the years: hosts that come and go, a client that is changed at the IdP, another process that
//! replaces it, a registration access token that is lost.

use std::time::Duration;

use bff::clock::Clock as _;
use devstack_idp::{Endpoint, Fault};
use serde_json::json;

use super::{calls, file, fresh_iat, management, registered};
use crate::support::{Logs, Port, Process, Stack};

#[tokio::test]
async fn safe_rotation_merges_hosts_and_removes_none() {
    let mut stack = Stack::start().await;
    let all = stack.variable("DCR_REDIRECT_URIS");
    let before = registered(&stack);
    let kept = all
        .split(',')
        .find(|uri| uri.contains("automate.localhost"))
        .unwrap();
    let port = stack.address.port();
    let new = format!("http://new.localhost:{port}/auth/callback");
    let changed = format!("{kept},{new}");
    stack
        .restart_with(&[
            ("DCR_IAT", ""),
            ("DCR_ROTATION_SAFE", "true"),
            ("DCR_REDIRECT_URIS", &changed),
        ])
        .await;
    let uris: Vec<&str> = all.split(',').chain([new.as_str()]).collect();
    assert_eq!(registered(&stack)["redirect_uris"], json!(uris));
    assert_eq!(
        registered(&stack)["post_logout_redirect_uris"]
            .as_array()
            .unwrap()
            .len(),
        before["post_logout_redirect_uris"].as_array().unwrap().len() + 1
    );

    // Fields outside the configuration are not compared.
    stack.idp.clear_requests();
    stack
        .restart_with(&[
            ("DCR_ROTATION_SAFE", ""),
            ("DCR_REDIRECT_UPDATE_MODE", "none"),
            ("OIDC_SCOPES", "openid profile"),
        ])
        .await;
    assert_eq!(registered(&stack)["redirect_uris"], json!(uris));
    assert_eq!(
        management(&stack, "PUT").json().unwrap()["redirect_uris"],
        json!(uris)
    );
    stack.browser().log_in().await;
}

#[tokio::test]
async fn the_update_method_is_the_one_that_is_set() {
    let mut stack = Stack::builder()
        .prepare(|idp| idp.update_method(devstack_idp::UpdateMethod::Patch))
        .start()
        .await;
    stack.idp.clear_requests();
    stack
        .restart_with(&[
            ("DCR_IAT", ""),
            ("DCR_UPDATE_METHOD", "patch"),
            ("OIDC_SCOPES", "openid profile"),
        ])
        .await;
    assert_eq!(
        calls(&stack),
        ["GET /register/bff-server", "PATCH /register/bff-server"]
    );
    assert_eq!(registered(&stack)["scope"], "openid profile");
}

#[tokio::test]
async fn a_running_server_repairs_changes_at_the_idp() {
    let logs = Logs::capture();
    let stack = Stack::builder().set("DCR_CHECK_INTERVAL", "10m").start().await;
    let before = registered(&stack);
    stack
        .idp
        .mutate_client("bff-server", |client| {
            client["redirect_uris"] = json!(["https://elsewhere.example/auth/callback"]);
        })
        .unwrap();
    stack
        .advance_until("it is repaired", Duration::from_mins(11), |stack| {
            registered(stack) == before && logs.text().contains("registration updated: redirect_uris: ")
        })
        .await;
    let warned = logs.lines_with("was changed at the IdP: redirect_uris is ");
    assert_eq!(warned.len(), 1, "{warned:?}");
    stack.browser().log_in().await;
}

#[tokio::test]
async fn a_server_goes_on_with_the_client_that_another_process_made() {
    let logs = Logs::capture();
    let stack = Stack::builder().set("DCR_CLIENT_ID", "").start().await;
    let old = file(&stack)["client_id"].as_str().unwrap().to_owned();
    let port = Port::reserve();
    let mut variables: Vec<(String, String)> = [
        "OIDC_ISSUER",
        "BFF_BASE_URL",
        "BFF_CONFIG_DIR",
        "BFF_JWT_SIGNING_KEY",
        "DCR_CLIENT_PROFILE",
        "DCR_REDIRECT_URIS",
    ]
    .map(|name| (name.to_owned(), stack.variable(name)))
    .to_vec();
    variables.extend(
        [
            ("PORT", port.address().port().to_string()),
            ("DCR_IAT", fresh_iat(&stack)),
            ("DCR_FORCE_REPLACE", "true".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    drop(port);
    let mut other = Process::start(&stack.folder(), &[], &variables);
    other.says("Client registered: ").await;
    let plain: Vec<String> = other
        .output()
        .lines()
        .filter(|line| line.contains("plain http"))
        .map(str::to_owned)
        .collect();
    assert_eq!(plain.len(), 1, "one warning about plain http: {plain:?}");
    drop(other);

    let mut left = file(&stack);
    let new = left["client_id"].as_str().unwrap().to_owned();
    assert_ne!(new, old);
    // The process used the machine's time; the server uses its own.
    left["superseded"][0]["since"] = stack.clock.now().unix_millis().into();
    bff::private_file::replace(&stack.credentials(), left.to_string().as_bytes()).unwrap();
    stack
        .advance_until("it is noticed", Duration::from_secs(30), |_| {
            !logs
                .lines_with(&format!(
                    "the client was replaced by another process: it is {new}"
                ))
                .is_empty()
        })
        .await;
    let mut both = [old.clone(), new.clone()];
    both.sort();
    let mut there = stack.idp.client_ids();
    there.sort();
    assert_eq!(there, both, "other processes have the time to follow");
    stack
        .advance_until("the old one is deleted", Duration::from_mins(2), |_| {
            logs.lines_with(&format!("the replaced client {old} was deleted"))
                .len()
                == 1
        })
        .await;
    assert_eq!(stack.idp.client_ids(), [new]);
    stack.browser().log_in().await;
}

#[tokio::test]
async fn the_next_start_replaces_a_lost_registration_token() {
    let logs = Logs::capture();
    let mut stack = Stack::builder().set("DCR_CLIENT_ID", "").start().await;
    let mut record = file(&stack);
    let old = record["client_id"].as_str().unwrap().to_owned();
    record["registration_access_token"] = json!("lost");
    std::fs::write(stack.credentials(), record.to_string()).unwrap();
    stack.idp.clear_requests();
    // An IdP that mints initial access tokens and nothing else.
    stack.idp.fail_always(Endpoint::AdminToken, Fault::status(404));
    stack
        .restart_with(&[("DCR_IAT", ""), ("BOOTSTRAP_ADMIN_TOKEN", "admin-token")])
        .await;
    assert_eq!(stack.idp.count(Endpoint::Register), 1);
    let new = file(&stack)["client_id"].as_str().unwrap().to_owned();
    assert_ne!(new, old);
    let told = logs.lines_with(&format!("the registration access token of {old} is lost"));
    assert_eq!(told.len(), 1, "{told:?}");
    stack.browser().log_in().await;

    stack.idp.clear_requests();
    stack.restart_with(&[]).await;
    assert_eq!(calls(&stack), [format!("GET /register/{new}")]);
}

/// A refused registration token alone may be lost. The client's own refusal tells the difference.
#[tokio::test]
async fn a_client_that_was_deleted_at_the_idp_is_named() {
    let logs = Logs::capture();
    let mut stack = Stack::start().await;
    assert!(stack.idp.remove_client("bff-server").unwrap());
    logs.clear();
    stack.restart_with(&[("DCR_IAT", "")]).await;
    let told = logs.lines_with("the client bff-server was deleted at the IdP");
    assert_eq!(told.len(), 1, "{told:?}");
    for part in ["ERROR", "401", "invalid_client", "DCR_IAT", "bff_client.json"] {
        assert!(told[0].contains(part), "no {part} in {}", told[0]);
    }

    // Mended as it says.
    logs.clear();
    let fresh = fresh_iat(&stack);
    stack.restart_with(&[("DCR_IAT", &fresh)]).await;
    assert_eq!(stack.idp.client_ids(), ["bff-server"]);
    let told = logs.lines_with("bff-server was deleted at the IdP: ");
    assert_eq!(told.len(), 1, "{told:?}");
    stack.browser().log_in().await;
}

/// The client stays, and with it the refresh tokens of all sessions.
#[tokio::test]
async fn an_admin_token_renews_a_lost_registration_token() {
    let logs = Logs::capture();
    let mut stack = Stack::start().await;
    let mut record = file(&stack);
    record["registration_access_token"] = json!("lost");
    std::fs::write(stack.credentials(), record.to_string()).unwrap();
    stack.idp.clear_requests();
    stack
        .restart_with(&[
            ("DCR_IAT", ""),
            ("BOOTSTRAP_ADMIN_TOKEN", "admin-token"),
            ("OIDC_SCOPES", "openid offline_access"),
        ])
        .await;
    assert_eq!(stack.idp.count(Endpoint::Register), 0);
    assert_eq!(stack.idp.count(Endpoint::AdminToken), 1);
    assert_eq!(stack.idp.client_ids(), ["bff-server"]);
    let client = stack.idp.registered_client("bff-server").unwrap();
    assert_eq!(
        client["scope"], "openid offline_access",
        "the update was repeated"
    );
    assert_eq!(
        logs.lines_with("the registration access token of bff-server was renewed")
            .len(),
        1
    );
    assert!(logs.lines("ERROR").is_empty(), "{:?}", logs.lines("ERROR"));
    stack.browser().log_in().await;

    stack.idp.clear_requests();
    stack.restart_with(&[("BOOTSTRAP_ADMIN_TOKEN", "")]).await;
    assert_eq!(calls(&stack), ["GET /register/bff-server"]);
}

/// A disk with room only for small files, on which a separate process is to register.
#[tokio::test]
async fn a_full_disk_is_told_before_an_initial_access_token_is_spent() {
    let stack = Stack::builder().without_server().start_without_waiting().await;
    let ended = Process::start_on_a_full_disk(&stack.folder(), &[], &stack.variables, 8)
        .ended()
        .await;
    ended.says(
        64,
        &[
            "bff_client.json cannot be written: ",
            "BFF_CLIENT_CRED_PATH",
            "have space left",
        ],
    );
    let output = ended.output;
    assert!(!output.contains(&stack.variable("DCR_IAT")), "{output}");
    assert_eq!(stack.idp.count(Endpoint::Register), 0, "nothing is sent");
    assert!(!stack.credentials().exists());
}
