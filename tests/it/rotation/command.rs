//! `bff keys`: the real binary, only on files.

use std::{fs, path::Path};

use crate::support::{Ended, Process, Stack};

const SETTINGS: [(&str, &str); 4] = [
    ("OIDC_ISSUER", "https://idp.example"),
    ("BFF_BASE_URL", "https://app.example"),
    ("AUTH_CLIENT_ID", "bff-server"),
    ("BFF_KEY_TYPE", "p-256"),
];

async fn keys(folder: &Path, arguments: &[&str]) -> Ended {
    with(folder, arguments, &[]).await
}

async fn with(folder: &Path, arguments: &[&str], more: &[(&str, &str)]) -> Ended {
    let arguments: Vec<&str> = std::iter::once("keys").chain(arguments.iter().copied()).collect();
    let mut variables = SETTINGS.to_vec();
    variables.extend(more);
    let ended = Process::start(folder, &arguments, &variables).ended().await;
    assert!(!ended.output.contains("PRIVATE KEY"), "a secret in the output");
    ended
}

/// Key ids by state, as the table shows them.
fn shown(list: &Ended, state: &str) -> Vec<String> {
    let rows = list.output.lines().skip(1).map(|line| line.split_whitespace());
    rows.filter_map(|mut cells| {
        let kid = cells.next()?;
        (cells.next()? == state).then(|| kid.to_owned())
    })
    .collect()
}

fn files(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder.join("keys")) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn from_the_first_key_to_the_retirement_of_an_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    keys(folder, &["generate", "--dry-run"])
        .await
        .says(0, &["would be made", "bff-signing.pem"]);
    keys(folder, &["list"])
        .await
        .says(64, &["bff-signing.pem", "there is no such file"]);
    assert_eq!(files(folder), Vec::<String>::new());
    keys(folder, &["generate"])
        .await
        .says(0, &["made a p-256 key", "thumbprint"]);
    keys(folder, &["generate"]).await.says(64, &["exists already"]);
    let list = keys(folder, &["list"]).await;
    list.says(0, &["KID", "STATE", "SINCE", "FILE", "NEXT", "bff-signing.pem"]);
    let old = shown(&list, "active");
    assert_eq!(
        (old.len(), files(folder)),
        (1, vec!["bff-signing.pem".to_owned()]),
        "list writes nothing"
    );

    keys(folder, &["rotate", "--dry-run"])
        .await
        .says(0, &["would be made", "sign from"]);
    assert_eq!(files(folder).len(), 1, "nor does a dry run");
    keys(folder, &["rotate"])
        .await
        .says(0, &["was made", "signs from"]);
    let list = keys(folder, &["list"]).await;
    list.says(0, &["signs from"]);
    let new = shown(&list, "next");
    assert_eq!((shown(&list, "active"), new.len()), (old.clone(), 1));

    keys(folder, &["rotate"])
        .await
        .says(64, &[&new[0], "next already", "--now"]);
    keys(folder, &["rotate", "--now", "--dry-run"])
        .await
        .says(0, &[&new[0], "would sign at once"]);
    keys(folder, &["rotate", "--now"])
        .await
        .says(0, &[&new[0], "signs now"]);
    keys(folder, &["retire", &new[0]])
        .await
        .says(64, &["signs", "bff keys rotate"]);
    keys(folder, &["retire", "nobody"])
        .await
        .says(64, &["has no key nobody"]);
    keys(folder, &["retire", &old[0], "--dry-run"])
        .await
        .says(0, &["would be retired"]);
    assert_eq!(shown(&keys(folder, &["list"]).await, "previous"), old);
    keys(folder, &["retire", &old[0]])
        .await
        .says(0, &["is retired", "left where it is"]);
    keys(folder, &["retire", &old[0]])
        .await
        .says(0, &["retired already"]);
    assert_eq!(shown(&keys(folder, &["list"]).await, "retired"), old);
}

#[tokio::test]
async fn what_stands_in_the_way_is_said_with_exit_code_64() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    with(folder, &["list"], &[("OIDC_ISSUER", "")])
        .await
        .says(64, &["OIDC_ISSUER"]);
    keys(folder, &["turn"]).await.says(64, &["turn"]);
    keys(folder, &["rotate"]).await;
    let wrong = with(folder, &["rotate", "--now"], &[("BFF_JWT_SIGNING_ALG", "PS256")]).await;
    wrong.says(64, &["BFF_JWT_SIGNING_ALG"]);
    // The key is gone, and no command must make another identity of it.
    let before = fs::read(folder.join("keys/keyring.json")).unwrap();
    for name in files(folder).iter().filter(|name| !name.starts_with("keyring")) {
        fs::remove_file(folder.join("keys").join(name)).unwrap();
    }
    for arguments in [&["list"][..], &["rotate"], &["generate"]] {
        keys(folder, arguments).await.says(64, &["restore"]);
    }
    assert_eq!(fs::read(folder.join("keys/keyring.json")).unwrap(), before);
    fs::write(folder.join("keys/keyring.json"), "{\"version\": 7}").unwrap();
    keys(folder, &["list"])
        .await
        .says(64, &["newer version", "format 7"]);
    fs::remove_file(folder.join("keys/keyring.json")).unwrap();
    fs::write(folder.join("file"), "").unwrap();
    let state = folder.join("file/state");
    keys(folder, &["generate"]).await;
    let nowhere = with(folder, &["rotate"], &[("BFF_STATE_DIR", state.to_str().unwrap())]).await;
    nowhere.says(64, &["keyring.json"]);
}

/// The same on a disk on which a file cannot grow beyond so many blocks.
async fn on_a_full_disk(folder: &Path, arguments: &[&str], blocks: u32) -> Ended {
    let arguments = [&["keys"], arguments].concat();
    let ended = Process::start_on_a_full_disk(folder, &arguments, &SETTINGS, blocks)
        .ended()
        .await;
    assert!(!ended.output.contains("PRIVATE KEY"), "a secret in the output");
    ended
}

#[tokio::test]
async fn a_full_disk_loses_nothing_and_leaves_nothing_half_made() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // There is no room for a first key,
    for arguments in [&["generate"][..], &["rotate"]] {
        let full = on_a_full_disk(folder, arguments, 0).await;
        full.says(64, &["bff-signing.pem", "must be writable", "have space left"]);
        assert!(
            files(folder).iter().all(|name| name == "keyring.json.lock"),
            "{:?}",
            files(folder)
        );
    }
    // nor for a new one,
    for _ in 0..8 {
        keys(folder, &["rotate", "--now"]).await.says(0, &["signs now"]);
    }
    let before = (files(folder), fs::read(folder.join("keys/keyring.json")).unwrap());
    for arguments in [&["rotate"][..], &["rotate", "--now"]] {
        on_a_full_disk(folder, arguments, 0)
            .await
            .says(64, &["cannot make the"]);
        // nor, once it is made, for the keyring, which is larger.
        let full = on_a_full_disk(folder, arguments, 1).await;
        full.says(64, &["keyring.json", "cannot be written", "have space left"]);
        let after = (files(folder), fs::read(folder.join("keys/keyring.json")).unwrap());
        assert_eq!(after, before);
    }
    keys(folder, &["rotate"]).await.says(0, &["was made"]);
}

#[tokio::test]
async fn what_is_wrong_with_the_folder_is_said_with_what_to_mend() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    keys(folder, &["rotate"]).await.says(0, &["was made"]);
    let ring = folder.join("keys/keyring.json");
    let whole = fs::read_to_string(&ring).unwrap();
    let mut parsed: serde_json::Value = serde_json::from_str(&whole).unwrap();
    let kid = parsed["keys"][0]["kid"].as_str().unwrap().to_owned();
    let next = parsed["keys"][1]["kid"].as_str().unwrap().to_owned();

    // Two keys of one name.
    parsed["keys"][1]["kid"] = kid.clone().into();
    fs::write(&ring, parsed.to_string()).unwrap();
    for arguments in [&["list"][..], &["rotate", "--now"], &["retire", &kid]] {
        let ended = keys(folder, arguments).await;
        ended.says(64, &["keyring.json", "the same `kid`", "restore it"]);
    }
    assert_eq!(fs::read_to_string(&ring).unwrap(), parsed.to_string());

    // A file outside of the folder that is something else, and much of it.
    let huge = folder.join("huge");
    fs::File::create(&huge).unwrap().set_len(1 << 40).unwrap();
    for file in [
        huge.to_str().unwrap(),
        "/dev/zero",
        "../../../../../../etc/passwd",
    ] {
        parsed["keys"][1]["kid"] = next.clone().into();
        parsed["keys"][1]["file"] = file.into();
        fs::write(&ring, parsed.to_string()).unwrap();
        let ended = keys(folder, &["rotate", "--now"]).await;
        ended.says(
            64,
            &["cannot be used as a key", "cannot be read, so it cannot sign"],
        );
        assert!(!ended.output.contains("root:"), "{}", ended.output);
        assert_eq!(fs::read_to_string(&ring).unwrap(), parsed.to_string());
    }

    // Also the file of the signing key.
    parsed["keys"][0]["file"] = huge.to_str().unwrap().into();
    parsed["keys"][1]["state"] = "retired".into();
    fs::write(&ring, parsed.to_string()).unwrap();
    for arguments in [&["list"][..], &["rotate", "--now"]] {
        keys(folder, arguments).await.says(64, &["larger than 64 KiB"]);
    }

    // With the keyring as it was, all is as it was.
    fs::write(&ring, whole).unwrap();
    keys(folder, &["retire", &next]).await.says(0, &["is retired"]);
}

#[tokio::test]
async fn a_lost_key_is_shown_as_lost() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    keys(folder, &["rotate", "--now"]).await.says(0, &["signs now"]);
    let previous = folder.join("keys/bff-signing.pem");
    std::fs::remove_file(previous).unwrap();
    keys(folder, &["list"])
        .await
        .says(0, &["lost: its file is missing"]);
}

#[tokio::test]
async fn a_next_key_unfit_for_the_registration_is_logged_at_once() {
    let stack = Stack::builder()
        .set("BFF_KEY_TYPE", "p-256")
        .without_server()
        .start_without_waiting()
        .await;
    let run = async |line: &str| {
        let script = format!("exec bff {line}");
        Process::shell(&stack.folder(), &script, &stack.variables)
            .ended()
            .await
    };
    run("register").await.says(0, &["is registered"]);
    let of_type = async |kind: &str, line: &str| {
        let script = format!("export BFF_KEY_TYPE={kind}\nexec bff {line}");
        Process::shell(&stack.folder(), &script, &stack.variables)
            .ended()
            .await
    };
    let dry = of_type("p-256", "keys rotate --dry-run").await;
    assert!(!dry.output.contains("warning: "), "{}", dry.output);
    of_type("rsa-2048", "keys rotate --dry-run")
        .await
        .says(0, &["warning: a rsa-2048 key would not sign then", "ES256"]);
    of_type("rsa-2048", "keys rotate")
        .await
        .says(0, &["warning: the next key does not sign: ", "ES256", "--now"]);
    let list = run("keys list").await;
    list.says(0, &["does not sign: the client is registered with ES256"]);
    assert!(!list.output.contains("signs from"), "{}", list.output);
    let checked = run("check --json").await;
    assert!(
        checked
            .output
            .contains("the next key is published, and does not sign: "),
        "{}",
        checked.output
    );
}
