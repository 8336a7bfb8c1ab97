//! The fenced blocks of the documents.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

/// A fenced block.
#[derive(Debug)]
pub struct Block {
    /// Its document, from the top folder.
    pub file: String,
    /// Its first line.
    pub line: usize,
    /// Its name in the line before the fence (`<!-- recipe: NAME -->`).
    pub name: Option<String>,
    /// The text after the fence.
    pub language: String,
    /// Without the indentation of the fence.
    pub text: String,
}

// === impl Block ===

impl Block {
    pub fn first_line(&self) -> &str {
        self.text.lines().next().unwrap_or_default()
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}: {:?} {}",
            self.file,
            self.line,
            self.language,
            self.first_line()
        )
    }
}

/// The top folder.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All documents.
pub fn files() -> Vec<PathBuf> {
    let mut files = vec![
        root().join("README.md"),
        root().join("CONTRIBUTING.md"),
        root().join("docker/README.md"),
        root().join("packages/bff-client/README.md"),
        root().join("packages/bff-client-react/README.md"),
        root().join("examples/README.md"),
        root().join("examples/react-vite/README.md"),
    ];
    files.extend(documents(&root().join("docs")));
    files
}

/// All fenced blocks of all documents.
pub fn blocks() -> Vec<Block> {
    files().iter().flat_map(|file| blocks_of(file)).collect()
}

/// The one block of a document that begins so.
#[track_caller]
pub fn recipe(file: &str, start: &str) -> String {
    let found = blocks_of(&root().join(file));
    let mut found = found.into_iter().filter(|block| block.text.starts_with(start));
    let block = found
        .next()
        .unwrap_or_else(|| panic!("no block of {file} begins with {start:?}"));
    assert!(
        found.next().is_none(),
        "two blocks of {file} begin with {start:?}"
    );
    block.text
}

/// The calls of [`recipe`] in a source.
pub fn calls(source: &str) -> impl Iterator<Item = (String, String)> {
    let calls = source.split("recipe(").skip(1);
    calls.filter_map(|rest| {
        let (file, rest) = literal(rest)?;
        let (start, _) = literal(rest.trim_start().strip_prefix(',')?)?;
        Some((file, start))
    })
}

/// The names that a source reads recipes by.
pub fn names(source: &str) -> impl Iterator<Item = String> {
    let calls = source.split("recipe(").skip(1);
    calls.filter_map(|rest| Some(literal(rest)?.0))
}

/// The string literal at the beginning of `text`, with only line ends as escapes, and the rest.
fn literal(text: &str) -> Option<(String, &str)> {
    let (literal, rest) = text.trim_start().strip_prefix('"')?.split_once('"')?;
    Some((literal.replace("\\n", "\n"), rest))
}

fn documents(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(documents(&path));
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn blocks_of(path: &Path) -> Vec<Block> {
    let file = path.strip_prefix(root()).unwrap().display().to_string();
    let text = fs::read_to_string(path).unwrap();
    let mut found: Vec<Block> = Vec::new();
    let mut open: Option<usize> = None;
    let mut before = "";
    for (number, line) in text.lines().enumerate() {
        let trimmed = line.trim_start();
        let indentation = line.len() - trimmed.len();
        match (trimmed.strip_prefix("```"), open) {
            (Some(language), None) => {
                open = Some(indentation);
                found.push(Block {
                    file: file.clone(),
                    line: number + 1,
                    name: name(before),
                    language: language.trim().to_owned(),
                    text: String::new(),
                });
            }
            (Some(_), Some(_)) => open = None,
            (None, Some(indentation)) => {
                let block = &mut found.last_mut().unwrap().text;
                block.push_str(line.get(indentation..).unwrap_or_default());
                block.push('\n');
            }
            (None, None) => {}
        }
        before = line;
    }
    assert!(open.is_none(), "{file} ends in a block");
    found
}

fn name(line: &str) -> Option<String> {
    let name = line.strip_prefix("<!-- recipe: ")?.strip_suffix(" -->")?;
    Some(name.to_owned())
}
