//! `settings.yaml`: a map of lower-case names; below some of them the original system had others.
//!
//! A message names the line, the column and the expected syntax, and quotes nothing of the file.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use super::problem::{Complaint, plain_name};
use crate::{
    access::Need,
    yaml::{self, Aliases, Fault, Key, Value, YamlError},
};

/// A larger file is refused, in bytes.
const MAX_LENGTH: u64 = 1024 * 1024;
/// The advice for an error of the disk.
const FIX: &str = "put a file there that can be read, or remove it";

/// The content of the file, by key as written there.
pub(super) type Settings = BTreeMap<String, Setting>;

/// One entry.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) line: u64,
    pub(super) value: Node,
}

/// The value of an entry.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Node {
    Null,
    Scalar(String),
    List(Vec<String>),
    /// A number with a fraction or exponent, whose spelling YAML does not keep.
    Unquoted,
    /// Entries below this one.
    Map(Settings),
    /// A list with something else than plain values.
    Nested,
}

/// Reads the file `path`; a missing one says nothing.
pub(super) fn read(path: &Path) -> Result<Settings, Complaint> {
    // Looked at before it is opened: opening a FIFO would wait for a writer.
    match path.metadata() {
        Ok(metadata) if !metadata.is_file() => {
            return Err(Complaint::new("is not a file", "remove it, or put a file there"));
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Settings::new()),
        Err(error) => return Err(Complaint::unreadable(path, Need::Read, &error, FIX)),
    }
    let unreadable = |error: io::Error| Complaint::unreadable(path, Need::Read, &error, FIX);
    let file = File::open(path).map_err(unreadable)?;
    let mut text = Vec::new();
    file.take(MAX_LENGTH + 1)
        .read_to_end(&mut text)
        .map_err(unreadable)?;
    if u64::try_from(text.len()).map_or(true, |length| length > MAX_LENGTH) {
        return Err(Complaint::new(
            "is larger than 1 MiB",
            "leave only settings in it",
        ));
    }
    let text = String::from_utf8(text)
        .map_err(|_| Complaint::new("is not UTF-8", "save the file with the encoding UTF-8"))?;
    parse(&text)
}

/// Parses the text of the file.
pub(super) fn parse(text: &str) -> Result<Settings, Complaint> {
    match yaml::read(text, Aliases::Refused).map_err(complaint)? {
        None => Ok(Settings::new()),
        Some(root) => match root.value {
            Value::Null => Ok(Settings::new()),
            Value::Map(entries) => Ok(settings(entries)),
            _ => Err(complaint(YamlError {
                line: root.line,
                column: root.column,
                kind: Fault::Syntax,
            })),
        },
    }
}

fn complaint(error: YamlError) -> Complaint {
    let place = match error.line {
        0 => String::new(),
        line => format!("line {line}, column {}: ", error.column),
    };
    match error.kind {
        Fault::Duplicate(key) => Complaint::new(
            format!(
                "{place}{} stands there twice",
                key.as_deref()
                    .and_then(plain_name)
                    .map_or_else(|| "a name".to_owned(), |name| format!("{name:?}"))
            ),
            "leave one of them",
        ),
        Fault::SecondDocument => Complaint::new(
            format!("{place}there is more than one document"),
            "leave one document, without a second `---`",
        ),
        Fault::Syntax => Complaint::new(
            format!("{place}this is not a map of `name: value`, or uses anchors, aliases or tags"),
            "write one `name: value` a line, lists as YAML lists, and quote values with special characters",
        ),
    }
}

/// The entries of a map, each with the line of its key.
fn settings(entries: Vec<(Key, yaml::Node)>) -> Settings {
    let entries = entries.into_iter().map(|(key, node)| {
        let setting = Setting {
            line: key.line,
            value: Node::of(node.value),
        };
        (key.name, setting)
    });
    entries.collect()
}

// === impl Node ===

impl Node {
    fn of(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Scalar(value.to_string()),
            Value::Text(text) => Self::Scalar(text),
            Value::Unquoted => Self::Unquoted,
            Value::List(entries) => {
                let scalars = entries.into_iter().map(|entry| match Self::of(entry.value) {
                    Self::Scalar(text) => Some(text),
                    _ => None,
                });
                scalars.collect::<Option<_>>().map_or(Self::Nested, Self::List)
            }
            Value::Map(entries) => Self::Map(settings(entries)),
        }
    }
}

#[cfg(test)]
mod tests;
