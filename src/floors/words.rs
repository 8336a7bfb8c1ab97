//! Tests: no module but the configuration knows the name of a setting, and no module parses a message.

use super::sources::{Source, sources};
use crate::config::catalogue;

/// The module that parses answers of Redis, because they have no codes. A test beside it pins them.
const REDIS: &str = "session/store/redis/texts.rs";

/// A module whose texts appear only in documents, which name settings.
const DOCUMENTED: &str = "web/problem/code.rs";

/// Calls that parse a text.
const READS: [&str; 10] = [
    ".eq_ignore_ascii_case(",
    ".contains(",
    ".starts_with(",
    ".ends_with(",
    ".strip_prefix(",
    ".strip_suffix(",
    ".split(",
    ".split_once(",
    ".rsplit_once(",
    ".find(",
];

/// The names of messages in the code.
const MESSAGES: [&str; 6] = ["error", "cause", "problem", "failure", "warning", "refusal"];

fn is_part(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// Whether `word` stands in `text` by itself, or as the name of a file of its value.
pub(super) fn names(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + word.len()..]);
        !before.ends_with(is_part) && !after.trim_start_matches("_FILE").starts_with(is_part)
    })
}

/// Every name of a setting. Words of one piece mean other things too.
fn settings() -> impl Iterator<Item = &'static str> {
    let variables = catalogue::VARIABLES.iter();
    variables
        .flat_map(|variable| std::iter::once(&variable.name).chain(variable.aliases))
        .copied()
        .filter(|name| name.contains('_'))
}

#[test]
fn only_the_configuration_knows_the_name_of_a_setting() {
    let mut wrong = Vec::new();
    for source in sources() {
        if source.module == "config" || source.path.ends_with(DOCUMENTED) {
            continue;
        }
        for literal in source.literals() {
            let named = settings().filter(|name| names(literal, name));
            wrong.extend(named.map(|name| format!("{}: {name} in {literal:?}", source.path.display())));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The places in `source` that parse an error's message.
fn readings(source: &Source) -> Vec<String> {
    let code: String = source.text.split_whitespace().collect::<Vec<_>>().join(" ");
    let code = code.replace(" .", ".");
    let mut found = Vec::new();
    for message in MESSAGES {
        let made = format!("{message}.to_string()");
        for (at, _) in code.match_indices(&made) {
            if code[..at].ends_with(is_part) {
                continue;
            }
            let (before, after) = (&code[..at], &code[at + made.len()..]);
            if READS.iter().any(|read| after.starts_with(read)) {
                found.push(format!("{made}{}", &after[..after.len().min(20)]));
            }
            // A name for it that is read later.
            let Some(name) = before
                .strip_suffix("= ")
                .and_then(|before| before.split("let ").last())
            else {
                continue;
            };
            let name = name.trim();
            let reads = |read: &&str| after.contains(&format!(" {name}{read}"));
            if !name.is_empty() && name.chars().all(is_part) && READS.iter().any(reads) {
                found.push(format!("let {name} = {made}"));
            }
        }
    }
    found
}

#[test]
fn nobody_reads_a_message_to_know_what_happened() {
    let mut wrong = Vec::new();
    for source in sources() {
        if source.path.ends_with(REDIS) {
            continue;
        }
        let readings = readings(&source).into_iter();
        wrong.extend(readings.map(|reading| format!("{}: {reading}", source.path.display())));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_message_that_is_read_is_found() {
    let source = |text: &str| Source {
        path: "x.rs".into(),
        module: "x".to_owned(),
        text: text.to_owned(),
    };
    for text in [
        "if error\n    .to_string()\n    .contains(\"x\") {}",
        "let text = error.to_string(); if text.starts_with(\"x\") {}",
    ] {
        assert_eq!(readings(&source(text)).len(), 1, "{text}");
    }
    for text in [
        "let text = error.to_string(); say(&text)",
        "terror.to_string().contains(\"x\")",
        "url.to_string().contains(\"x\")",
    ] {
        assert!(readings(&source(text)).is_empty(), "{text}");
    }
}
