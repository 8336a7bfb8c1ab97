//! Tests: the rules of plain English in `CONTRIBUTING.md` that a machine can check.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Phrases that make a sentence a riddle, in lower case.
const RIDDLES: [&str; 7] = [
    "whoever",
    "nobody who",
    "whom nobody",
    "want to be",
    "wants to be",
    "cannot be one",
    "for want of",
];

/// The maximum length of a test's name.
const MAX_TEST_NAME: usize = 60;

/// The folders with code and documents.
const FOLDERS: [&str; 10] = [
    "src", "tests", "devstack", "bench", "fuzz", "docs", "docker", "config", "packages", "examples",
];

/// Files that have to quote the riddles.
const QUOTING: [&str; 2] = ["src/wording.rs", "CONTRIBUTING.md"];

/// A text file, from the top folder.
struct Text {
    path: PathBuf,
    content: String,
}

// === impl Text ===

impl Text {
    fn all() -> Vec<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut texts = Vec::new();
        let mut paths: Vec<PathBuf> = FOLDERS.iter().map(|folder| root.join(folder)).collect();
        paths.push(root.join("README.md"));
        while let Some(path) = paths.pop() {
            if path.is_dir() {
                if !["target", "node_modules", "corpus", "dist"]
                    .iter()
                    .any(|skip| path.ends_with(skip))
                {
                    paths.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
                }
                continue;
            }
            let is_text = path.extension().is_some_and(|extension| {
                ["rs", "md", "yaml", "html", "lua", "ts", "tsx"]
                    .iter()
                    .any(|text| extension == *text)
            });
            let inside = path.strip_prefix(root).unwrap().to_owned();
            if is_text && !QUOTING.iter().any(|quoting| inside == Path::new(quoting)) {
                let content = fs::read_to_string(&path).unwrap();
                texts.push(Self {
                    path: inside,
                    content,
                });
            }
        }
        texts
    }

    fn is_code(&self) -> bool {
        self.path.extension().is_some_and(|extension| extension == "rs")
    }

    /// The lines that `is_wrong`, as messages.
    fn lines<'a>(&'a self, is_wrong: impl Fn(&str) -> bool + 'a) -> impl Iterator<Item = String> + 'a {
        let lines = self.content.lines().enumerate();
        let wrong = lines.filter(move |(_, line)| is_wrong(line));
        wrong.map(|(index, line)| format!("{}:{}: {}", self.path.display(), index + 1, line.trim()))
    }
}

/// The name of a function that a line of code declares.
fn declared(line: &str) -> Option<&str> {
    let (before, after) = line.split_once("fn ")?;
    let is_declaration = before
        .split_whitespace()
        .all(|word| word == "async" || word == "const" || word.starts_with("pub"));
    is_declaration.then(|| after.split(['(', '<']).next().unwrap_or_default())
}

/// The text of a comment, if the line is one.
fn comment(line: &str) -> Option<&str> {
    let text = line.trim_start().strip_prefix("//")?;
    Some(text.trim_start_matches(['/', '!']).trim_start())
}

#[track_caller]
fn assert_none(wrong: &[String], rule: &str) {
    assert!(
        wrong.is_empty(),
        "{rule}; see CONTRIBUTING.md, plain English:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn names_of_tests_are_short() {
    let texts = Text::all();
    let code = texts.iter().filter(|text| text.is_code());
    let wrong: Vec<String> = code
        .flat_map(|text| text.lines(|line| declared(line).is_some_and(|name| name.len() > MAX_TEST_NAME)))
        .collect();
    assert_none(&wrong, "a name has more than 60 characters");
}

#[test]
fn no_text_is_a_riddle() {
    let texts = Text::all();
    let is_riddle = |line: &str| {
        let line = line.to_lowercase();
        RIDDLES.iter().any(|riddle| {
            line.match_indices(riddle).any(|(at, _)| {
                let is_letter = |letter: Option<char>| letter.is_some_and(char::is_alphanumeric);
                !is_letter(line[..at].chars().next_back())
                    && !is_letter(line[at + riddle.len()..].chars().next())
            })
        })
    };
    let wrong: Vec<String> = texts.iter().flat_map(|text| text.lines(is_riddle)).collect();
    assert_none(&wrong, "a sentence is a riddle");
}

#[test]
fn comments_begin_with_their_subject() {
    let texts = Text::all();
    let mut wrong = Vec::new();
    for text in texts.iter().filter(|text| text.is_code()) {
        let mut before = None;
        for (index, line) in text.content.lines().enumerate() {
            let comment = comment(line);
            // A line of its own begins a paragraph; others may be anywhere in a sentence.
            let begins = before.is_none_or(str::is_empty);
            if begins && comment.is_some_and(|comment| comment.starts_with("What ")) {
                wrong.push(format!("{}:{}: {}", text.path.display(), index + 1, line.trim()));
            }
            before = comment;
        }
    }
    assert_none(&wrong, "a comment begins with \"What\" instead of its subject");
}

#[test]
fn declarations_and_comments_are_recognised() {
    assert_eq!(declared("    pub(crate) async fn name<T>("), Some("name"));
    assert_eq!(declared("// a fn of"), None);
    assert_eq!(comment("    /// What it is."), Some("What it is."));
    assert_eq!(comment("//! What it is."), Some("What it is."));
    assert_eq!(comment("let text = \"// What\";"), None);
}
