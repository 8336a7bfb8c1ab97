use std::{collections::BTreeSet, fmt::Write as _, fs, path::Path};

use super::Code;
use crate::{floors, generated::assert_made};

fn named(name: &str) -> Option<Code> {
    Code::ALL.iter().copied().find(|code| code.name() == name)
}

fn table() -> String {
    let mut table = String::from("| status | `code` | means | a client |\n| --- | --- | --- | --- |\n");
    for code in Code::ALL {
        let (status, name) = (code.status().as_u16(), code.name());
        writeln!(
            table,
            "| {status} | `{name}` | {} | {} |",
            code.means(),
            code.client()
        )
        .unwrap();
    }
    table
}

/// The files below `folder` whose names end with one of `endings`.
fn files(folder: &str, endings: &[&str]) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap() {
        let path = entry.unwrap().path();
        let name = path.display().to_string();
        if endings.iter().any(|ending| name.ends_with(ending)) {
            files.push((name, fs::read_to_string(path).unwrap()));
        }
    }
    files
}

/// The words that stand between `before` and `after`.
fn between<'a>(text: &'a str, before: &str, after: char) -> Vec<&'a str> {
    let begins = text.match_indices(before).map(|(at, _)| at + before.len());
    begins
        .filter_map(|at| text[at..].split(after).next())
        .filter(|word| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'))
        .collect()
}

#[test]
fn the_document_is_made_from_the_list() {
    assert_made("docs/errors.md", "src/web/problem/code", &table());
}

#[test]
fn codes_have_their_own_names_and_are_ordered_by_status() {
    let names: BTreeSet<_> = Code::ALL.iter().map(|code| code.name()).collect();
    assert_eq!(names.len(), Code::ALL.len());
    assert!(Code::ALL.is_sorted_by_key(|code| code.status()));
    for code in Code::ALL {
        let status = code.status();
        assert!(status.is_client_error() || status.is_server_error(), "{code:?}");
    }
}

#[test]
fn every_code_is_answered_somewhere() {
    let sources: Vec<_> = floors::sources()
        .into_iter()
        .filter(|source| source.module == "web" && !source.path.ends_with("problem/code.rs"))
        .collect();
    for code in Code::ALL {
        let variant = format!("Code::{code:?}");
        let is_used = sources.iter().any(|source| {
            source
                .text
                .split(&variant)
                .skip(1)
                .any(|after| !after.starts_with(|next: char| next.is_alphanumeric()))
        });
        assert!(is_used, "{variant} is used nowhere");
    }
}

/// States of `/health`, and an error of OAuth: behind a status in documents, and no codes of problems.
const OTHER_WORDS: [&str; 4] = ["starting", "stopping", "unavailable", "temporarily_unavailable"];

/// A document has a status and a code in backticks behind it; a script compares with `code === "…"`.
#[test]
fn documents_and_scripts_know_no_other_code() {
    let mut seen = 0;
    let mut read = files("docs", &[".md"]);
    read.extend(files(".", &["README.md"]));
    read.extend(files("devstack/src/page", &[".js", ".html"]));
    for (path, text) in read {
        for status in 400..600 {
            for word in between(&text, &format!("{status} `"), '`') {
                if OTHER_WORDS.contains(&word) {
                    continue;
                }
                let known = named(word).map(|code| code.status().as_u16());
                assert_eq!(known, Some(status), "{path} says {status} `{word}`");
                seen += 1;
            }
        }
        for word in between(&text, "code === \"", '"') {
            assert!(named(word).is_some(), "{path} compares with {word}");
            seen += 1;
        }
    }
    assert!(seen > 30, "{seen}");
}

#[test]
fn page_texts_know_no_other_code() {
    let sources = floors::sources();
    let is_page = |key: &str| {
        let quoted = format!("\"{key}\"");
        let mut sources = sources.iter().filter(|source| source.module == "web");
        sources.any(|source| !source.path.ends_with("problem/code.rs") && source.text.contains(&quoted))
    };
    let texts = include_str!("../../page/messages/en.yaml");
    for line in texts.lines() {
        let Some((key, _)) = line.split_once(".title:") else {
            continue;
        };
        let code = key.strip_suffix("_because").unwrap_or(key);
        assert!(
            named(code).is_some() || is_page(key),
            "nothing has the text {key}"
        );
    }
}
