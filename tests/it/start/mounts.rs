//! Secret files as container managers mount them: on separate mounts. Only root can make those; without such rights,
//! the tests do nothing.

use std::{fs, os::unix::fs::chown, path::Path, process::Command};

use super::folder;
use crate::support::{Ended, Process};

const VARIABLES: [(&str, &str); 4] = [
    ("OIDC_ISSUER", "https://idp.example"),
    ("BFF_BASE_URL", "https://app.example"),
    ("DCR_REDIRECT_URIS", "https://app.example/auth/callback"),
    ("DCR_IAT_FILE", "secrets/iat"),
];

/// Checks the configuration after `mounts`, which no other process sees.
async fn checked(folder: &Path, mounts: &str) -> Ended {
    let script = format!("exec unshare -m sh -euc '{mounts} exec bff check --config-only'");
    Process::shell(folder, &script, &VARIABLES).ended().await
}

#[tokio::test]
async fn attack_50_the_mount_decides_what_a_mode_means() {
    let may_mount = Command::new("unshare")
        .args(["-m", "sh", "-c", "mount -t tmpfs none /mnt"])
        .output();
    if !may_mount.is_ok_and(|tried| tried.status.success()) {
        return;
    }
    let folder = folder();
    let folder = folder.path();
    fs::create_dir(folder.join("secrets")).unwrap();
    fs::create_dir(folder.join("outside")).unwrap();
    // As on the host of a compose file: a file of another user.
    fs::write(folder.join("outside/iat"), "planted").unwrap();
    chown(folder.join("outside/iat"), Some(1_234), None).unwrap();

    let in_memory = |mode: &str| {
        format!("mount -t tmpfs none secrets; cp outside/iat secrets; chmod {mode} secrets/iat;")
    };
    let readable = ["warning: DCR_IAT_FILE: ", "others can read it (mode 0444)"];
    checked(folder, &in_memory("0444")).await.says(0, &readable);
    let writable = ["DCR_IAT_FILE", "others can write it (mode 0666)"];
    checked(folder, &in_memory("0666")).await.says(64, &writable);

    let bound = "mount --bind outside secrets;";
    let foreign = ["DCR_IAT_FILE", "it belongs to user 1234"];
    checked(folder, bound).await.says(64, &foreign);
    let read_only = format!("{bound} mount -o remount,bind,ro secrets;");
    let foreign = ["warning: DCR_IAT_FILE: ", "it belongs to user 1234"];
    checked(folder, &read_only).await.says(0, &foreign);
}
