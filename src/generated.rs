//! Tests: documents that the code makes, in parts or whole, and a check against those that are schemas.

use std::{fs, path::Path};

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::Value;

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
    assert_whole(document, &made);
}

/// Checks that `document` holds `text` and nothing else. Where it does not, writes what it should be to a temporary file and
/// says so.
pub(crate) fn assert_whole(document: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(document);
    if fs::read_to_string(path).unwrap_or_default() != text {
        let current = std::env::temp_dir().join(format!("bff-{}", document.replace('/', "-")));
        fs::write(&current, text).unwrap();
        panic!("{document} is out of date: copy {} over it", current.display());
    }
}

/// A JSON document as a file.
pub(crate) fn pretty(document: &Value) -> String {
    serde_json::to_string_pretty(document).unwrap() + "\n"
}

/// A schema that YAML files are checked against.
pub(crate) struct Checker {
    schemas: Schemas,
    schema: SchemaIndex,
}

// === impl Checker ===

impl Checker {
    /// Compiles a schema, which is checked against its own, too.
    pub(crate) fn new(schema: &Value) -> Self {
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.add_resource("schema.json", schema.clone()).unwrap();
        let schema = compiler.compile("schema.json", &mut schemas).unwrap();
        Self { schemas, schema }
    }

    /// Whether a file matches; an empty one says nothing, like `null`.
    pub(crate) fn accepts(&self, yaml: &str) -> Result<(), String> {
        let is_empty = yaml.lines().all(|line| line.is_empty() || line.starts_with('#'));
        let document: Value = if is_empty {
            Value::Null
        } else {
            serde_saphyr::from_str(yaml).map_err(|error| error.to_string())?
        };
        let checked = self.schemas.validate(&document, self.schema);
        checked.map_err(|error| format!("{yaml}\n{error:#}"))
    }
}
