//! People and clients notice nothing of a restart.

use devstack_idp::{Options, Person};
use jsonwebtoken::Algorithm;
use tempfile::TempDir;

use crate::{
    support::{Harness, param, text},
    tokens::verified,
};

/// Options as in `cargo run -p devstack`: all persistent state is in `folder`.
fn kept_in(folder: &TempDir) -> impl FnOnce(&mut Options) {
    let folder = folder.path().to_owned();
    move |options| {
        options.clients_file = Some(folder.join("clients.yaml"));
        options.state_file = Some(folder.join("state.json"));
    }
}

#[tokio::test]
async fn tokens_are_good_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let harness = Harness::start_with(kept_in(&folder)).await;
    let client = harness.client().await;
    let tokens = harness.tokens(&client).await;
    let harness = harness.restart();
    verified(&harness, text(&tokens, "id_token"), Algorithm::RS256, &client.id).await;
    assert_eq!(harness.userinfo(text(&tokens, "access_token")).await.status, 200);
    let first = text(&tokens, "refresh_token");
    let answer = harness.refresh(&client, first).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let second = answer.json();
    let harness = harness.restart();
    harness
        .refresh(&client, first)
        .await
        .assert_error(400, "invalid_grant");
    let harness = harness.restart();
    let second = text(&second, "refresh_token");
    harness
        .refresh(&client, second)
        .await
        .assert_error(400, "invalid_grant");
}

#[tokio::test]
async fn nobody_logs_in_or_consents_again_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let harness = Harness::start_with(kept_in(&folder)).await;
    let client = harness.client().await;
    let ada = Person::new("ada", "ada").unwrap();
    ada.authorize(&harness.authorize_url(&client, &[])).await.unwrap();
    let harness = harness.restart();
    // By now Ada's browser has noticed that its connection is gone.
    assert_eq!(harness.get("/jwks").await.status, 200);
    let silent = harness.authorize_url(&client, &[("prompt", "none")]);
    let back = ada.authorize(&silent).await.unwrap();
    assert!(param(&back, "code").is_some(), "{back}");
}

#[tokio::test]
async fn without_a_file_a_restart_ends_everything() {
    let folder = tempfile::tempdir().unwrap();
    let keep = kept_in(&folder);
    let harness = Harness::start_with(|options| {
        keep(options);
        options.state_file = None;
    })
    .await;
    let client = harness.client().await;
    let tokens = harness.tokens(&client).await;
    let kid = harness.control.signing_kid();
    let harness = harness.restart();
    let refresh = text(&tokens, "refresh_token");
    harness
        .refresh(&client, refresh)
        .await
        .assert_error(400, "invalid_grant");
    assert_ne!(harness.control.signing_kid(), kid);
}
