//! Disks without space. Only root can mount one; without such rights, the test does nothing.

use std::{fs, process::Command};

use serde_json::Value;

use super::{Found, changed};
use crate::support::{Process, Stack};

/// Runs the server with a full disk at `small`.
const SCRIPT: &str = "exec unshare -m sh -euc 'mount -t tmpfs -o size=4k,mode=0700 none small; \
                      head -c 4096 /dev/zero > small/large; exec bff ARGUMENTS'";

#[tokio::test]
async fn folders_on_a_disk_without_space() {
    let may_mount = Command::new("unshare")
        .args(["-m", "sh", "-c", "mount -t tmpfs none /mnt"])
        .output();
    if !may_mount.is_ok_and(|tried| tried.status.success()) {
        return;
    }
    let stack = Stack::builder().without_server().start_without_waiting().await;
    let small = stack.folder().join("small");
    fs::create_dir(&small).unwrap();
    let said = format!("the disk of {} is full", small.display());
    for (variable, file) in [
        ("BFF_JWT_SIGNING_KEY", "bff-signing.pem"),
        ("BFF_STATE_DIR", ""),
        ("BFF_CLIENT_CRED_PATH", "bff_client.json"),
    ] {
        let place = if file.is_empty() {
            small.clone()
        } else {
            small.join(file)
        };
        let mut changes = vec![(variable, place.to_str().unwrap())];
        let credentials = stack.folder().join("client.json");
        if variable == "BFF_STATE_DIR" {
            changes.push(("BFF_CLIENT_CRED_PATH", credentials.to_str().unwrap()));
        }
        let variables = changed(&stack, &changes);
        let run = async |arguments: &str| {
            let script = SCRIPT.replace("ARGUMENTS", arguments);
            Process::shell(&stack.folder(), &script, &variables).ended().await
        };
        let ended = run("check --json").await;
        let report: Value = serde_json::from_str(&ended.output).unwrap();
        let found = Found {
            code: ended.code,
            report,
        };
        assert_eq!(found.code, 64);
        found.blames("configuration", &[&said, variable]);
        for arguments in ["check", ""] {
            let ended = run(arguments).await;
            let text = ended.output.split_whitespace().collect::<Vec<_>>().join(" ");
            assert_eq!(ended.code, 64, "{text}");
            assert!(text.contains(&said) && text.contains(variable), "{text}");
        }
    }
}
