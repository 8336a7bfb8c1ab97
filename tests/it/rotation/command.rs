//! `bff keys`: the real binary, on files alone.

use std::{fs, path::Path};

use crate::support::{Ended, Process};

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

#[track_caller]
fn says(ended: &Ended, code: i32, parts: &[&str]) {
    assert_eq!(ended.code, code, "{}", ended.output);
    for part in parts {
        assert!(ended.output.contains(part), "no {part:?} in:\n{}", ended.output);
    }
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
    says(
        &keys(folder, &["generate", "--dry-run"]).await,
        0,
        &["would be made", "bff-signing.pem"],
    );
    says(
        &keys(folder, &["list"]).await,
        64,
        &["bff-signing.pem", "there is no such file"],
    );
    assert_eq!(files(folder), Vec::<String>::new());
    says(
        &keys(folder, &["generate"]).await,
        0,
        &["made a p-256 key", "thumbprint"],
    );
    says(&keys(folder, &["generate"]).await, 64, &["exists already"]);
    let list = keys(folder, &["list"]).await;
    says(
        &list,
        0,
        &["KID", "STATE", "SINCE", "FILE", "NEXT", "bff-signing.pem"],
    );
    let old = shown(&list, "active");
    assert_eq!(
        (old.len(), files(folder)),
        (1, vec!["bff-signing.pem".to_owned()]),
        "list writes nothing"
    );

    says(
        &keys(folder, &["rotate", "--dry-run"]).await,
        0,
        &["would be made", "sign from"],
    );
    assert_eq!(files(folder).len(), 1, "nor does a dry run");
    says(&keys(folder, &["rotate"]).await, 0, &["was made", "signs from"]);
    let list = keys(folder, &["list"]).await;
    says(&list, 0, &["signs from"]);
    let new = shown(&list, "next");
    assert_eq!((shown(&list, "active"), new.len()), (old.clone(), 1));

    says(
        &keys(folder, &["rotate"]).await,
        64,
        &[&new[0], "next already", "--now"],
    );
    says(
        &keys(folder, &["rotate", "--now", "--dry-run"]).await,
        0,
        &[&new[0], "would sign at once"],
    );
    says(
        &keys(folder, &["rotate", "--now"]).await,
        0,
        &[&new[0], "signs now"],
    );
    says(
        &keys(folder, &["retire", &new[0]]).await,
        64,
        &["signs", "bff keys rotate"],
    );
    says(
        &keys(folder, &["retire", "nobody"]).await,
        64,
        &["knows no key nobody"],
    );
    says(
        &keys(folder, &["retire", &old[0], "--dry-run"]).await,
        0,
        &["would be retired"],
    );
    assert_eq!(shown(&keys(folder, &["list"]).await, "previous"), old);
    says(
        &keys(folder, &["retire", &old[0]]).await,
        0,
        &["is retired", "left where it is"],
    );
    says(&keys(folder, &["retire", &old[0]]).await, 0, &["retired already"]);
    assert_eq!(shown(&keys(folder, &["list"]).await, "retired"), old);
}

#[tokio::test]
async fn what_stands_in_the_way_is_said_with_exit_code_64() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    says(
        &with(folder, &["list"], &[("OIDC_ISSUER", "")]).await,
        64,
        &["OIDC_ISSUER"],
    );
    says(&keys(folder, &["turn"]).await, 64, &["turn"]);
    keys(folder, &["rotate"]).await;
    let wrong = with(folder, &["rotate", "--now"], &[("BFF_JWT_SIGNING_ALG", "PS256")]).await;
    says(&wrong, 64, &["BFF_JWT_SIGNING_ALG"]);
    // The key is gone, and whoever calls must not make another identity of it.
    let before = fs::read(folder.join("keys/keyring.json")).unwrap();
    for name in files(folder).iter().filter(|name| !name.starts_with("keyring")) {
        fs::remove_file(folder.join("keys").join(name)).unwrap();
    }
    for arguments in [&["list"][..], &["rotate"], &["generate"]] {
        says(&keys(folder, arguments).await, 64, &["Restore"]);
    }
    assert_eq!(fs::read(folder.join("keys/keyring.json")).unwrap(), before);
    fs::write(folder.join("keys/keyring.json"), "{\"version\": 7}").unwrap();
    says(&keys(folder, &["list"]).await, 64, &["newer version", "format 7"]);
    fs::remove_file(folder.join("keys/keyring.json")).unwrap();
    fs::write(folder.join("file"), "").unwrap();
    let state = folder.join("file/state");
    keys(folder, &["generate"]).await;
    let nowhere = with(folder, &["rotate"], &[("BFF_STATE_DIR", state.to_str().unwrap())]).await;
    says(&nowhere, 64, &["keyring.json"]);
}
