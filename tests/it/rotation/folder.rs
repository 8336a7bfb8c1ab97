//! Events in the keys folder while the server runs.

use std::{fs, os::unix::fs::symlink, time::Duration};

use bff::keys::KeyKind;

use super::{AHEAD, builder, in_state, published, settled, signers};

#[tokio::test]
async fn a_swapped_mount_of_secrets_is_noticed_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mount = folder.path().join("mount");
    for data in ["..1", "..2"] {
        fs::create_dir_all(mount.join(data)).unwrap();
        crate::start::make_key(&mount.join(data).join("key.pem"), KeyKind::P256);
    }
    symlink("..1", mount.join("..data")).unwrap();
    symlink("..data/key.pem", mount.join("key.pem")).unwrap();
    let state = folder.path().join("state");
    let stack = builder()
        .set("BFF_JWT_SIGNING_KEY", mount.join("key.pem").to_str().unwrap())
        .set("BFF_STATE_DIR", state.to_str().unwrap())
        .start()
        .await;
    let old = published(&stack).await;
    assert_eq!(old.len(), 1);
    symlink("..2", mount.join("..swap")).unwrap();
    fs::rename(mount.join("..swap"), mount.join("..data")).unwrap();
    let ring = state.join("keyring.json");
    let has = |part: &'static str| {
        let ring = ring.clone();
        move |_: &crate::support::Stack| fs::read_to_string(&ring).unwrap().contains(part)
    };
    stack
        .advance_until("it is seen", Duration::from_mins(1), has("\"next\""))
        .await;
    settled().await;
    let both = published(&stack).await;
    assert_eq!((both.len(), &both[0]), (2, &old[0]));
    stack
        .advance_until("it signs", AHEAD + Duration::from_mins(5), has("\"previous\""))
        .await;
    settled().await;
    stack.idp.clear_requests();
    stack.browser().log_in().await;
    assert_eq!(signers(&stack), [both[1].clone()]);
}

#[tokio::test]
async fn a_file_that_breaks_takes_no_key_away() {
    let stack = builder().start().await;
    let before = published(&stack).await;
    for text in [
        "",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    ] {
        fs::write(stack.folder().join("keys/bff-signing.pem"), text).unwrap();
        stack.advance(Duration::from_secs(30)).await;
        assert_eq!(published(&stack).await, before);
        stack.browser().log_in().await;
    }
    fs::remove_file(stack.folder().join("keys/bff-signing.pem")).unwrap();
    fs::write(stack.folder().join("keys/keyring.json"), "{").unwrap();
    stack.advance(Duration::from_secs(30)).await;
    assert_eq!(published(&stack).await, before);
    stack.browser().log_in().await;
    // The next start names the broken file.
    let error = crate::support::told(&stack.app().await.unwrap_err());
    assert!(
        error.contains("keyring.json") && error.contains("restore"),
        "{error}"
    );
}

#[tokio::test]
async fn without_the_old_key_the_new_one_signs_at_once() {
    let mut stack = builder().start().await;
    let old = in_state(&stack, "active").unwrap();
    let second = stack.folder().join("keys/second.pem");
    crate::start::make_key(&second, KeyKind::P256);
    fs::remove_file(stack.folder().join("keys/bff-signing.pem")).unwrap();
    let logs = crate::support::Logs::capture();
    stack.idp.forget_client_keys();
    stack.idp.clear_requests();
    stack
        .restart_with(&[("DCR_IAT", ""), ("BFF_JWT_SIGNING_KEY", second.to_str().unwrap())])
        .await;
    let new = in_state(&stack, "active").unwrap();
    let told = logs.lines_with("that signed is lost");
    assert!(
        told.len() == 1 && told[0].contains(&old) && told[0].contains(&new),
        "{told:?}"
    );
    stack.browser().log_in().await;
    assert_eq!(signers(&stack), [new]);
}
