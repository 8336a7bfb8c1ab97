//! Keys and tokens that stand where their path belongs: no command prints them, whatever is logged, and nothing is made
//! under such a name.

use std::{fs, path::Path};

use bff::{
    config::catalogue::{Kind, VARIABLES},
    keys::KeyKind,
};

use super::{folder, make_key};
use crate::support::Process;

/// Every command that reads the settings, and one that takes a path of its own.
const COMMANDS: [&[&str]; 12] = [
    &[],
    &["serve"],
    &["check"],
    &["check", "--json"],
    &["check", "--config-only"],
    &["register"],
    &["register", "--dry-run"],
    &["health"],
    &["health", "--ready"],
    &["keys", "list"],
    &["keys", "generate"],
    &["keys", "rotate", "--now"],
];
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// The names of all variables that hold a path.
fn names() -> Vec<String> {
    VARIABLES
        .iter()
        .filter_map(|variable| match variable.kind {
            Kind::Path | Kind::Folder | Kind::Files => Some(variable.name.to_owned()),
            Kind::Secret => Some(format!("{}_FILE", variable.name)),
            _ => None,
        })
        .collect()
}

/// Starts `bff`; it must refuse, print nothing of `part`, and leave the folder as it was.
async fn refuses(folder: &Path, arguments: &[&str], variables: &[(&str, &str)], part: &str) -> String {
    let mut all = vec![
        ("OIDC_ISSUER", "https://idp.example"),
        ("BFF_BASE_URL", "https://app.example"),
        ("DCR_REDIRECT_URIS", "https://app.example/auth/callback"),
    ];
    all.extend(variables);
    let before = entries(folder);
    let ended = Process::start(folder, arguments, &all).ended().await;
    assert_ne!(ended.code, 0, "{arguments:?} {}", ended.output);
    assert!(!ended.output.contains(part), "{arguments:?}:\n{}", ended.output);
    assert_eq!(entries(folder), before, "{arguments:?}");
    ended.output
}

fn entries(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// A private key, its base64, a JWT and an opaque token, each with a part that must not be printed.
fn secrets(folder: &Path) -> [(String, String); 4] {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let path = folder.join("planted.pem");
    make_key(&path, KeyKind::P256);
    let pem = fs::read_to_string(&path).unwrap();
    fs::remove_file(path).unwrap();
    let body: String = pem.lines().nth(1).unwrap().to_owned();
    let encoded = STANDARD.encode(&pem);
    [
        (pem, body),
        (encoded.clone(), encoded[..60].to_owned()),
        ("eyJhbGciOiJub25lIn0.planted.x".to_owned(), "planted".to_owned()),
        ("planted-opaque-token".to_owned(), "planted".to_owned()),
    ]
}

#[tokio::test]
async fn attack_47_no_command_prints_what_is_pasted_where_a_path_belongs_at_any_level() {
    let folder = folder();
    let names = names();
    for (secret, part) in secrets(folder.path()) {
        for (index, arguments) in COMMANDS.iter().enumerate() {
            // Every level with every command; the secrets take turns.
            for level in LEVELS.iter().skip(index % 2).step_by(2) {
                let mut variables: Vec<(&str, &str)> = names
                    .iter()
                    .map(|name| (name.as_str(), secret.as_str()))
                    .collect();
                variables.push(("RUST_LOG", level));
                refuses(folder.path(), arguments, &variables, &part).await;
            }
        }
    }
}

#[tokio::test]
async fn attack_47_each_variable_alone_says_that_it_wants_a_path() {
    let folder = folder();
    for (secret, part) in secrets(folder.path()) {
        for name in names() {
            let variables = [(name.as_str(), secret.as_str()), ("LOG_LEVEL", "trace")];
            let output = refuses(folder.path(), &["serve"], &variables, &part).await;
            assert!(output.contains(&name), "{name}: {output}");
            assert!(
                output.contains("the value must be the path of a f"),
                "{name}: {output}"
            );
        }
        let generate = ["keys", "generate", "--file", &secret];
        let output = refuses(folder.path(), &generate, &[], &part).await;
        assert!(
            output.contains("the value must be the path of a file"),
            "{output}"
        );
    }
}
