//! The mistakes of a file, and the helpers that find them. Every helper notes a mistake and lets the reader continue.

use std::{
    collections::HashMap,
    fmt,
    path::{Path, PathBuf},
};

use super::{At, Fault, Key, Node, Value, YamlError};
use crate::{
    expand::expand,
    quote::{nearest, quote},
};

const MAX_ID_LENGTH: usize = 64;
/// A shorter value of a variable, in bytes, is a word that can appear in messages by chance.
const LEAST_HIDDEN: usize = 8;
/// A longer value is cut off in messages, in characters.
const MAX_SHOWN: usize = 80;

/// Everything that is wrong with a file.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub struct Mistakes {
    mistakes: Vec<Mistake>,
    files: Vec<PathBuf>,
}

/// One mistake or suggestion, for a person.
#[derive(Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where it stands.
    pub at: At,
    /// The mistake, without a password that a URL may contain.
    pub problem: String,
    /// The fix.
    pub fix: String,
}

/// Collects mistakes while it reads.
pub(crate) struct Reader<'a, Given = ()> {
    pub(crate) mistakes: Vec<Mistake>,
    /// Suggestions about accepted values.
    notes: Vec<Mistake>,
    /// The part of the settings that the file is read beside.
    pub(crate) given: Given,
    /// The base of relative paths.
    folder: Option<&'a Path>,
    /// The other files that were read.
    pub(crate) files: Vec<PathBuf>,
    /// A replaced `${NAME}` and its replacement.
    expanded: Vec<(String, String)>,
}

/// The values of one map, by key.
pub(crate) struct Fields<'a> {
    pub(crate) at: At,
    /// The map's name in messages.
    pub(crate) what: String,
    values: HashMap<&'a str, &'a Node>,
}

// === impl Mistakes ===

impl Mistakes {
    pub(crate) fn single(at: At, problem: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            mistakes: vec![Mistake {
                at,
                problem: problem.into(),
                fix: fix.into(),
            }],
            files: Vec::new(),
        }
    }

    /// An error of the YAML reader: the position and the expected syntax.
    pub(crate) fn of_yaml(error: YamlError) -> Self {
        let at = At {
            line: error.line.max(1),
            column: error.column.max(1),
        };
        let (problem, fix) = match error.kind {
            Fault::Duplicate(key) => {
                let key = key.as_deref().map_or_else(|| "a key".to_owned(), shown);
                (format!("{key} stands there twice"), "leave one of them")
            }
            Fault::SecondDocument => (
                "a second document begins".to_owned(),
                "leave one document, without a second `---`",
            ),
            Fault::Syntax => (
                "not readable as YAML".to_owned(),
                "correct the syntax: look at the indentation, at quotes and brackets that are not closed, and at values with \
                 special characters, which need quotes",
            ),
        };
        Self::single(at, problem, fix)
    }

    /// The other files that were read, or could not be read.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Every mistake, in the order of the file.
    #[must_use]
    pub fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, mistake) in self.mistakes.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{mistake}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let At { line, column } = self.at;
        write!(f, "line {line}, column {column}: {}; {}", self.problem, self.fix)
    }
}

// === impl Reader ===

impl<'a, Given> Reader<'a, Given> {
    pub(crate) const fn new(folder: Option<&'a Path>, given: Given) -> Self {
        Self {
            mistakes: Vec::new(),
            notes: Vec::new(),
            given,
            folder,
            files: Vec::new(),
            expanded: Vec::new(),
        }
    }
}

impl<Given> Reader<'_, Given> {
    /// The path of another file, which the content depends on; `None` if no such file may be read.
    pub(crate) fn file(&mut self, name: &str) -> Option<PathBuf> {
        let path = self.folder?.join(name);
        self.files.push(path.clone());
        Some(path)
    }

    /// The suggestions about a file and the other files that were read, or every noted mistake in the order of the file.
    pub(crate) fn finish(mut self) -> Result<(Vec<Mistake>, Vec<PathBuf>), Mistakes> {
        for mistake in self.mistakes.iter_mut().chain(&mut self.notes) {
            for (value, written) in &self.expanded {
                for text in [&mut mistake.problem, &mut mistake.fix] {
                    *text = text.replace(&shown(value), &shown(written));
                    // A part of it, as in the normal form of a path.
                    if value.len() >= LEAST_HIDDEN {
                        *text = text.replace(value, written);
                    }
                }
            }
        }
        if self.mistakes.is_empty() {
            return Ok((self.notes, self.files));
        }
        self.mistakes.sort_by_key(|mistake| mistake.at);
        Err(Mistakes {
            mistakes: self.mistakes,
            files: self.files,
        })
    }

    /// Replaces `${NAME}` in every single value.
    pub(crate) fn expand(&mut self, node: &mut Node, variables: &dyn Fn(&str) -> Option<String>) {
        match &mut node.value {
            Value::Text(text) => match expand(text, variables) {
                Ok(None) => {}
                Ok(Some(value)) => self
                    .expanded
                    .push((value.clone(), std::mem::replace(text, value))),
                Err(error) => self.mistake(
                    node.at(),
                    format!("a value {error}"),
                    "set the variable, or write `${NAME:-default}`",
                ),
            },
            Value::List(nodes) => nodes.iter_mut().for_each(|node| self.expand(node, variables)),
            Value::Map(entries) => {
                for (_, node) in entries {
                    self.expand(node, variables);
                }
            }
            Value::Null | Value::Bool(_) | Value::Unquoted => {}
        }
    }

    pub(crate) fn mistake(&mut self, at: At, problem: impl Into<String>, fix: impl Into<String>) {
        self.mistakes.push(Mistake {
            at,
            problem: problem.into(),
            fix: fix.into(),
        });
    }

    /// Notes a suggestion about an accepted value.
    pub(crate) fn note(&mut self, at: At, problem: impl Into<String>, fix: impl Into<String>) {
        self.notes.push(Mistake {
            at,
            problem: problem.into(),
            fix: fix.into(),
        });
    }

    /// The fields of a map; a key that is not among `known` is a mistake.
    pub(crate) fn fields<'a>(&mut self, node: &'a Node, what: String, known: &[&str]) -> Option<Fields<'a>> {
        self.fields_but(node, what, known, |_, _, _, _| false)
    }

    /// The same, with keys that `is_settled` has dealt with although they are not among `known`.
    pub(crate) fn fields_but<'a>(
        &mut self,
        node: &'a Node,
        what: String,
        known: &[&str],
        is_settled: impl Fn(&mut Self, &Key, &Node, &str) -> bool,
    ) -> Option<Fields<'a>> {
        let Value::Map(entries) = &node.value else {
            self.mistake(
                node.at(),
                format!("{what} is {}", node.value.kind()),
                format!("write a map with {}", known.join(", ")),
            );
            return None;
        };
        let mut values = HashMap::new();
        for (key, node) in entries {
            if known.contains(&key.name.as_str()) {
                values.insert(key.name.as_str(), node);
            } else if !is_settled(self, key, node, &what) {
                let meant = nearest(&key.name, known.iter().copied())
                    .map_or_else(String::new, |word| format!("did you mean {word}? "));
                self.mistake(
                    key.at(),
                    format!("{what} has the unknown key {}", shown(&key.name)),
                    format!("{meant}the keys are {}", known.join(", ")),
                );
            }
        }
        Some(Fields {
            at: node.at(),
            what,
            values,
        })
    }

    pub(crate) fn required<'a>(&mut self, fields: &Fields<'a>, key: &str, fix: &str) -> Option<&'a Node> {
        let node = fields.get(key);
        if node.is_none() {
            self.mistake(
                fields.at,
                format!("{} has no {key}", fields.what),
                format!("add {fix}"),
            );
        }
        node
    }

    pub(crate) fn map<'a>(&mut self, node: &'a Node, what: &str) -> &'a [(Key, Node)] {
        match &node.value {
            Value::Map(entries) => entries,
            Value::Null => &[],
            other => {
                self.mistake(node.at(), format!("{what} is {}", other.kind()), "write a map");
                &[]
            }
        }
    }

    pub(crate) fn list<'a>(&mut self, node: &'a Node, what: &str) -> &'a [Node] {
        match &node.value {
            Value::List(nodes) => nodes,
            Value::Null => &[],
            other => {
                self.mistake(
                    node.at(),
                    format!("{what} is {}", other.kind()),
                    "write a list, each entry beginning with `- id:`",
                );
                &[]
            }
        }
    }

    pub(crate) fn text<'a>(&mut self, node: &'a Node, what: &str) -> Option<&'a str> {
        match &node.value {
            Value::Text(text) => Some(text),
            Value::Unquoted => {
                self.mistake(
                    node.at(),
                    format!("{what} is a number with a fraction, whose spelling YAML does not keep"),
                    "put it in quotes",
                );
                None
            }
            other => {
                self.mistake(
                    node.at(),
                    format!("{what} is {}", other.kind()),
                    "write a single value",
                );
                None
            }
        }
    }

    pub(crate) fn boolean(&mut self, node: &Node, what: &str) -> Option<bool> {
        match &node.value {
            Value::Bool(value) => Some(*value),
            // In quotes, as `"${NAME:-true}"` has to be.
            Value::Text(text) if matches!(text.as_str(), "true" | "1") => Some(true),
            Value::Text(text) if matches!(text.as_str(), "false" | "0") => Some(false),
            other => {
                self.mistake(
                    node.at(),
                    format!("{what} is {}", other.kind()),
                    "write true or false",
                );
                None
            }
        }
    }

    /// The single values of a list.
    pub(crate) fn texts<'a>(&mut self, node: &'a Node, what: &str, fix: &str) -> Vec<(At, &'a str)> {
        let Value::List(list) = &node.value else {
            self.mistake(node.at(), format!("{what} is {}", node.value.kind()), fix);
            return Vec::new();
        };
        list.iter()
            .filter_map(|node| Some((node.at(), self.text(node, &format!("an entry of {what}"))?)))
            .collect()
    }

    /// Ids appear in log lines and in `/auth/verify?service=`.
    pub(crate) fn id(&mut self, id: &str, at: At, what: &str) {
        let is_unreserved =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        let plain = id.bytes().all(is_unreserved);
        if id.is_empty() || id.len() > MAX_ID_LENGTH || !plain {
            self.mistake(
                at,
                format!("{} is no id for {what}", shown(id)),
                "use 1 to 64 letters, digits, `-`, `.`, `_`, `~`",
            );
        }
    }
}

// === impl Fields ===

impl<'a> Fields<'a> {
    pub(crate) fn get(&self, key: &str) -> Option<&'a Node> {
        self.values.get(key).copied()
    }
}

/// A value of the file in a message.
pub(crate) fn shown(text: &str) -> String {
    quote(text, '`', MAX_SHOWN)
}
