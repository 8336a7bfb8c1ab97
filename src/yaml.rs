//! YAML as a tree that knows its lines and columns, so that all mistakes of a file can be reported at once. Deserialising
//! into the final types would stop at the first one.
//!
//! The texts of the parser's errors are not passed on: they may hold pieces of the file, and a file may hold a secret that
//! does not belong there. Neither does a tree print what it holds.

mod reader;

use std::fmt;

pub(crate) use self::reader::{Fields, Reader, shown};
pub use self::reader::{Mistake, Mistakes};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::{DuplicateKeyPolicy, MergeKeyPolicy, Spanned};

/// A place in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct At {
    /// The line, from 1.
    pub line: u64,
    /// The column, from 1.
    pub column: u64,
}

/// A value and where it begins.
pub struct Node {
    /// Its line, from 1.
    pub line: u64,
    /// Its column, from 1.
    pub column: u64,
    /// The value at this place.
    pub value: Value,
}

/// A value.
pub enum Value {
    /// Nothing, or `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// Text, or a whole number as text.
    Text(String),
    /// A number with a fraction or an exponent, whose spelling YAML does not keep.
    Unquoted,
    /// A list.
    List(Vec<Node>),
    /// In the order of the file. No key stands there twice.
    Map(Vec<(Key, Node)>),
}

/// A key of a map and where it begins.
pub struct Key {
    /// Its line, from 1.
    pub line: u64,
    /// Its column, from 1.
    pub column: u64,
    /// The key.
    pub name: String,
}

/// Whether a file may say something once and refer to it (`&name`, `*name`, `<<`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aliases {
    /// It may.
    Followed,
    /// It may not: nothing in the file is meant to be that long.
    Refused,
}

/// Why a file is not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct YamlError {
    /// Where, from 1; 0 where that is not known.
    pub line: u64,
    /// The column there.
    pub column: u64,
    /// The mistake.
    pub kind: Fault,
}

/// A mistake in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A key stands in a map twice; the key, where it is known.
    Duplicate(Option<String>),
    /// There is more than one document.
    SecondDocument,
    /// It is no YAML, or uses something that is refused.
    Syntax,
}

struct ValueVisitor;

/// Reads a file; `None` where it says nothing.
///
/// # Errors
///
/// [`YamlError`].
pub fn read(text: &str, aliases: Aliases) -> Result<Option<Node>, YamlError> {
    // Comments, a document mark or nothing at all.
    let says_something = |line: &str| {
        let line = line.trim();
        !line.is_empty() && !line.starts_with('#') && line != "---"
    };
    if !text.lines().any(says_something) {
        return Ok(None);
    }
    let options = match aliases {
        Aliases::Followed => serde_saphyr::options! {
            duplicate_keys: DuplicateKeyPolicy::Error,
            leading_zero_numbers_as_strings: true,
            underscored_numbers_as_strings: true,
            strict_booleans: true,
            reject_unsupported_tags: true,
            with_snippet: false,
        },
        Aliases::Refused => serde_saphyr::options! {
            budget: serde_saphyr::budget! {
                max_events: 20_000,
                max_aliases: 0,
                max_anchors: 0,
                max_depth: 8,
                flow_nesting_limit: 8,
                // The second one is refused with an error of its own.
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
        },
    };
    match serde_saphyr::from_str_with_options::<Node>(text, options) {
        Ok(node) => Ok(Some(node)),
        Err(serde_saphyr::Error::Eof { .. }) => Ok(None),
        Err(error) => Err(YamlError::of(&error)),
    }
}

// === impl Key ===

impl Key {
    /// Where it begins.
    #[must_use]
    pub const fn at(&self) -> At {
        At {
            line: self.line,
            column: self.column,
        }
    }
}

// === impl Node ===

impl Node {
    /// Where it begins.
    #[must_use]
    pub const fn at(&self) -> At {
        At {
            line: self.line,
            column: self.column,
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self {
            line: spanned.referenced.line(),
            column: spanned.referenced.column(),
            value: spanned.value,
        })
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}:{}", self.value.kind(), self.line, self.column)
    }
}

// === impl Value ===

impl Value {
    /// The kind of value, for a message.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "true or false",
            Self::Text(_) | Self::Unquoted => "a single value",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

// === impl YamlError ===

impl YamlError {
    fn of(error: &serde_saphyr::Error) -> Self {
        let (line, column) = error
            .location()
            .map_or((0, 0), |location| (location.line(), location.column()));
        let kind = match error {
            serde_saphyr::Error::DuplicateMappingKey { key, .. } => Fault::Duplicate(key.clone()),
            serde_saphyr::Error::MultipleDocuments { .. } => Fault::SecondDocument,
            _ => Fault::Syntax,
        };
        Self { line, column, kind }
    }
}

// === impl ValueVisitor ===

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Text(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Text(value.to_string()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Value, E> {
        Ok(Value::Text(value.to_string()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Value, E> {
        Ok(Value::Text(value.to_string()))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Unquoted)
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = list.next_element()? {
            nodes.push(node);
        }
        Ok(Value::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let key = Key {
                line: key.referenced.line(),
                column: key.referenced.column(),
                name: key.value,
            };
            entries.push((key, map.next_value()?));
        }
        Ok(Value::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(text: &str) -> Vec<(Key, Node)> {
        match read(text, Aliases::Refused).unwrap().unwrap().value {
            Value::Map(entries) => entries,
            other => panic!("{}", other.kind()),
        }
    }

    fn fault(text: &str, aliases: Aliases) -> (u64, Fault) {
        let error = read(text, aliases).unwrap_err();
        (error.line, error.kind)
    }

    #[test]
    fn a_tree_knows_places_and_prints_nothing_of_the_file() {
        let entries = map("a: hunter2\n\nb:\n  - 007\n  - 1.5\n  - true\n");
        let (key, node) = &entries[0];
        assert_eq!((key.line, &*key.name, node.line, node.column), (1, "a", 1, 4));
        let (_, list) = &entries[1];
        let Value::List(list) = &list.value else {
            panic!("{list:?}");
        };
        assert_eq!(list[0].line, 4);
        assert!(matches!(&list[0].value, Value::Text(text) if text == "007"));
        assert!(matches!(list[1].value, Value::Unquoted));
        assert!(matches!(list[2].value, Value::Bool(true)));
        assert!(!format!("{:?}", entries[0].1).contains("hunter2"));
    }

    #[test]
    fn a_file_that_says_nothing_is_no_mistake() {
        for text in ["", "\n\n", "# comment\n", "---\n", "---\n# x\n"] {
            assert!(read(text, Aliases::Refused).unwrap().is_none(), "{text:?}");
            assert!(read(text, Aliases::Followed).unwrap().is_none(), "{text:?}");
        }
    }

    #[test]
    fn what_is_wrong_has_a_line_and_a_kind() {
        for aliases in [Aliases::Refused, Aliases::Followed] {
            let twice = Fault::Duplicate(Some("a".to_owned()));
            assert_eq!(fault("a: 1\nb: 2\na: 3\n", aliases), (3, twice));
            assert_eq!(fault("a: 1\n---\nb: 2\n", aliases).1, Fault::SecondDocument);
            assert_eq!(fault("a: [1\n", aliases).1, Fault::Syntax);
            assert_eq!(fault("a: !secret x\n", aliases).1, Fault::Syntax);
        }
        let anchored = "a: &x {c: 1}\nb: *x\n";
        assert_eq!(fault(anchored, Aliases::Refused).1, Fault::Syntax);
        assert!(read(anchored, Aliases::Followed).is_ok());
    }
}
