//! Keys and tokens instead of a path: no command prints them at any log level, and no file is made under such a name.

use std::{fs, path::Path};

use bff::{
    config::catalogue::{Kind, VARIABLES},
    keys::KeyKind,
};
use futures_util::{StreamExt as _, stream};

use super::{folder, make_key};
use crate::support::Process;

/// Every command that reads the settings.
const COMMANDS: [&[&str]; 15] = [
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
    &["keys", "retire", "some-key"],
    &["routes", "list"],
    &["sessions", "stats"],
];
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
/// The number of concurrent commands.
const AT_ONCE: usize = 8;

/// The names of all path variables.
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

/// At any log level.
#[tokio::test]
async fn attack_47_no_command_prints_content_instead_of_a_path() {
    let folder = folder();
    let (names, secrets) = (names(), secrets(folder.path()));
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    // All variables at once, with every command at every level; the secrets take turns.
    let mut runs: Vec<(&[&str], &str, &[&str])> = Vec::new();
    for arguments in COMMANDS {
        runs.extend(LEVELS.map(|level| (arguments, level, &all[..])));
    }
    // Each variable alone, because a mistake in one can keep another from being read: with every command, and a level
    // that changes from one command to the next and from one variable to the next.
    for (row, name) in all.iter().enumerate() {
        for (column, arguments) in COMMANDS.into_iter().enumerate() {
            let level = LEVELS[(row + column) % LEVELS.len()];
            runs.push((arguments, level, std::slice::from_ref(name)));
        }
    }
    stream::iter(runs.into_iter().zip(secrets.iter().cycle()))
        .for_each_concurrent(AT_ONCE, |((arguments, level, names), (secret, part))| {
            let mut variables: Vec<(&str, &str)> =
                names.iter().map(|name| (*name, secret.as_str())).collect();
            variables.push(("RUST_LOG", level));
            let folder = folder.path();
            async move {
                refuses(folder, arguments, &variables, part).await;
            }
        })
        .await;
}

#[test]
fn every_command_is_tried() {
    let known = [COMMANDS.concat(), vec!["help", "config-reference", "schema"]].concat();
    for command in [&[][..], &["keys"]] {
        let help = std::process::Command::new(env!("CARGO_BIN_EXE_bff"))
            .args(command)
            .arg("--help")
            .output()
            .unwrap();
        let help = String::from_utf8(help.stdout).unwrap();
        let (_, commands) = help.split_once("Commands:\n").unwrap();
        let mut count = 0;
        for line in commands.lines().take_while(|line| !line.is_empty()) {
            // A continued line is indented.
            let Some(line) = line.strip_prefix("  ").filter(|line| !line.starts_with(' ')) else {
                continue;
            };
            let name = line.split_whitespace().next().unwrap();
            assert!(known.contains(&name), "{name} of {command:?}");
            count += 1;
        }
        assert!(count >= 5, "{help}");
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
