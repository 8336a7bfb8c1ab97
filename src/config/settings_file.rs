//! `settings.yaml`: a map of lower-case names; below some of them the original system had others.
//!
//! The parser's error texts are replaced: they may quote parts of the file, which may contain a misplaced secret. The
//! message names the line, the column and the expected syntax.

use std::{
    collections::BTreeMap,
    fmt,
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::{DuplicateKeyPolicy, Error as YamlError, MergeKeyPolicy, Spanned};

use super::problem::{Complaint, plain_name};

/// A larger file is refused, in bytes.
const MAX_LENGTH: u64 = 1024 * 1024;

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
        Err(error) => return Err(unreadable(&error)),
    }
    let file = File::open(path).map_err(|error| unreadable(&error))?;
    let mut text = Vec::new();
    file.take(MAX_LENGTH + 1)
        .read_to_end(&mut text)
        .map_err(|error| unreadable(&error))?;
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

fn unreadable(error: &io::Error) -> Complaint {
    Complaint::new(
        format!("cannot be read: {error}"),
        "give the user that runs bff read permission, or remove the file",
    )
}

/// Parses the text of the file.
pub(super) fn parse(text: &str) -> Result<Settings, Complaint> {
    // Comments, a document mark or nothing at all say nothing.
    let meaningful = |line: &str| {
        let line = line.trim();
        !line.is_empty() && !line.starts_with('#') && line != "---"
    };
    if !text.lines().any(meaningful) {
        return Ok(Settings::new());
    }
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 20_000,
            max_aliases: 0,
            max_anchors: 0,
            max_depth: 8,
            flow_nesting_limit: 8,
            // The second one gets its own error.
            max_documents: 2,
            max_nodes: 20_000,
            max_merge_keys: 0,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::Error,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        strict_booleans: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options::<Document>(text, options)
        .map(|document| document.0)
        .map_err(|error| complaint(&error))
}

fn complaint(error: &YamlError) -> Complaint {
    let place = error
        .location()
        .filter(|location| location.line() > 0)
        .map_or_else(String::new, |location| {
            format!("line {}, column {}: ", location.line(), location.column())
        });
    match error {
        YamlError::DuplicateMappingKey { key, .. } => Complaint::new(
            format!(
                "{place}{} stands there twice",
                key.as_deref()
                    .and_then(plain_name)
                    .map_or_else(|| "a name".to_owned(), |name| format!("{name:?}"))
            ),
            "leave one of them",
        ),
        YamlError::MultipleDocuments { .. } => Complaint::new(
            format!("{place}there is more than one document"),
            "leave one document, without a second `---`",
        ),
        _ => Complaint::new(
            format!("{place}this is not a map of `name: value`, or uses anchors, aliases or tags"),
            "write one `name: value` a line, lists as YAML lists, and quote values with special characters",
        ),
    }
}

struct Document(Settings);

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Flat;
        impl<'de> Visitor<'de> for Flat {
            type Value = Document;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a flat map of settings")
            }

            fn visit_unit<E>(self) -> Result<Document, E> {
                Ok(Document(Settings::new()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Document, A::Error> {
                entries(map).map(Document)
            }
        }
        deserializer.deserialize_map(Flat)
    }
}

/// The entries of a map, each with its line.
fn entries<'de, A: MapAccess<'de>>(mut map: A) -> Result<Settings, A::Error> {
    let mut settings = Settings::new();
    while let Some(key) = map.next_key::<Spanned<String>>()? {
        let setting = Setting {
            line: key.referenced.line(),
            value: map.next_value()?,
        };
        settings.insert(key.value, setting);
    }
    Ok(settings)
}

// === impl Node ===

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Node;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value or a list of values")
            }

            fn visit_unit<E>(self) -> Result<Node, E> {
                Ok(Node::Null)
            }

            fn visit_none<E>(self) -> Result<Node, E> {
                Ok(Node::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
                Ok(Node::Scalar(value.to_string()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
                Ok(Node::Scalar(value.to_string()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
                Ok(Node::Scalar(value.to_string()))
            }

            fn visit_i128<E>(self, value: i128) -> Result<Node, E> {
                Ok(Node::Scalar(value.to_string()))
            }

            fn visit_u128<E>(self, value: u128) -> Result<Node, E> {
                Ok(Node::Scalar(value.to_string()))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
                Ok(Node::Unquoted)
            }

            fn visit_str<E>(self, value: &str) -> Result<Node, E> {
                Ok(Node::Scalar(value.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
                let mut list = Some(Vec::new());
                while let Some(entry) = entries.next_element::<Node>()? {
                    match (entry, &mut list) {
                        (Node::Scalar(entry), Some(list)) => list.push(entry),
                        _ => list = None,
                    }
                }
                Ok(list.map_or(Node::Nested, Node::List))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Node, A::Error> {
                entries(map).map(Node::Map)
            }
        }
        deserializer.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests;
