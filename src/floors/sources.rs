//! The sources of this crate, as the tests of the floors read them.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// A file of the crate, without its tests.
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    /// The first part of its path: `session` for `session.rs` and `session/store.rs`.
    pub(crate) module: String,
    pub(crate) text: String,
}

pub(crate) fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let inside = path.strip_prefix(&root).unwrap();
            let is_test = inside.iter().any(|part| {
                let part = part.to_str().unwrap().trim_end_matches(".rs");
                matches!(
                    part,
                    "tests"
                        | "testing"
                        | "contract"
                        | "loopback"
                        | "fuzzing"
                        | "generated"
                        | "floors"
                        | "snapshots"
                        | "wording"
                )
            });
            if is_test {
                continue;
            }
            let module = inside.iter().next().unwrap().to_str().unwrap();
            let text = fs::read_to_string(&path).unwrap();
            let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            let code = text
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .collect::<Vec<_>>()
                .join("\n");
            sources.push(Source {
                module: module.trim_end_matches(".rs").to_owned(),
                text: code,
                path,
            });
        }
    }
    sources
}

/// Floor by module, from the table in `lib.rs`.
pub(super) fn floors() -> BTreeMap<String, u32> {
    let mut floors = BTreeMap::new();
    for line in include_str!("../lib.rs").lines() {
        let mut cells = line.trim_start_matches("//! ").split('|').skip(1);
        let Some(floor) = cells.next().and_then(|cell| cell.trim().parse().ok()) else {
            continue;
        };
        for name in cells.next().unwrap().split(',') {
            let name = name.trim().trim_matches(['[', ']', '`']);
            assert!(floors.insert(name.to_owned(), floor).is_none(), "{name}");
        }
    }
    floors
}

// === impl Source ===

impl Source {
    /// The string literals of its code.
    pub(super) fn literals(&self) -> Vec<&str> {
        literals(&self.text)
    }
}

/// The string literals of `code`, except those of one character.
fn literals(code: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = code;
    while let Some(at) = rest.find(['"', '\'', '/', 'r']) {
        let (before, from) = rest.split_at(at);
        let skipped = if from.starts_with("//") {
            from.find('\n').unwrap_or(from.len())
        } else if let Some(hashes) = raw(from).filter(|_| !before.ends_with(is_part)) {
            let end = format!("\"{}", "#".repeat(hashes));
            let text = &from[hashes + 2..];
            let length = text.find(&end).unwrap();
            found.push(&text[..length]);
            hashes + 2 + length + end.len()
        } else if let Some(text) = from.strip_prefix('"') {
            let length = end_of_literal(text);
            found.push(&text[..length]);
            length + 2
        } else if from.starts_with('\'') {
            end_of_character(from)
        } else {
            1
        };
        rest = &from[skipped..];
    }
    found
}

/// The number of hashes that begin a raw literal.
fn raw(text: &str) -> Option<usize> {
    let text = text.strip_prefix('r')?;
    let hashes = text.len() - text.trim_start_matches('#').len();
    text[hashes..].starts_with('"').then_some(hashes)
}

fn end_of_literal(text: &str) -> usize {
    let mut is_escaped = false;
    text.find(|character| {
        let ends = character == '"' && !is_escaped;
        is_escaped = character == '\\' && !is_escaped;
        ends
    })
    .unwrap()
}

/// The length of a character literal, or that of the mark of a lifetime.
fn end_of_character(text: &str) -> usize {
    let inner: Vec<(usize, char)> = text.char_indices().skip(1).take(10).collect();
    match inner.as_slice() {
        [(_, '\\'), _, rest @ ..] => rest
            .iter()
            .find(|(_, character)| *character == '\'')
            .map_or(1, |(at, _)| at + 1),
        [_, (at, '\''), ..] => at + 1,
        _ => 1,
    }
}

fn is_part(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

#[test]
fn literals_are_found_among_characters_lifetimes_and_comments() {
    let code = r##"f::<'a>('"', "one \" two", r#"three " four"#, '\'', "five") // "six""##;
    assert_eq!(literals(code), ["one \\\" two", "three \" four", "five"]);
}
