//! Tests: parts of documents that the code makes.

use std::{fs, path::Path};

/// The end of a part that the code makes.
const END: &str = "<!-- to here -->";

/// Checks that the part of `document` that is made by the code at `source` equals `text`; `assert_made("docs/x.md",
/// "src/y", text)`. Otherwise writes the correct document to a temporary file and says so.
pub(crate) fn assert_made(document: &str, source: &str, text: &str) {
    let begin = format!("<!-- made by the code from here: {source} -->\n");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(document);
    let written = fs::read_to_string(path).unwrap();
    let (before, rest) = written.split_once(&begin).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let made = format!("{before}{begin}\n{text}\n{END}{after}");
    if made != written {
        let current = std::env::temp_dir().join(format!("bff-{}", document.replace('/', "-")));
        fs::write(&current, made).unwrap();
        panic!("{document} is out of date: copy {} over it", current.display());
    }
}
