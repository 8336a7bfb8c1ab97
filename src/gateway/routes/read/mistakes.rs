//! What is wrong with a file, and the helpers that find it out: every one notes a mistake and lets the reader go on.

use std::{collections::HashMap, fmt};

use super::super::tree::{Key, Node, Value};
use crate::gateway::path::is_unreserved;

const MAX_ID_LENGTH: usize = 64;

/// Everything that is wrong with a `routes.yaml`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub struct RoutesError {
    mistakes: Vec<Mistake>,
}

/// One mistake, for a person.
#[derive(Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The line, from 1.
    pub line: u64,
    /// What is wrong, without a password that a URL may hold.
    pub problem: String,
    /// What to write instead.
    pub fix: String,
}

/// Collects mistakes while it reads.
#[derive(Default)]
pub(super) struct Reader {
    pub(super) mistakes: Vec<Mistake>,
}

/// The values of one map, by key.
pub(super) struct Fields<'a> {
    pub(super) line: u64,
    /// What the map is, for messages.
    pub(super) what: String,
    values: HashMap<&'a str, &'a Node>,
}

// === impl RoutesError ===

impl RoutesError {
    pub(super) fn single(line: u64, problem: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            mistakes: vec![Mistake {
                line,
                problem: problem.into(),
                fix: fix.into(),
            }],
        }
    }

    /// Every mistake, in the order of the file.
    #[must_use]
    pub fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }
}

impl fmt::Display for RoutesError {
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
        write!(f, "line {}: {}; {}", self.line, self.problem, self.fix)
    }
}

// === impl Reader ===

impl Reader {
    /// `value`, or every mistake that was noted, in the order of the file.
    pub(super) fn finish<T>(mut self, value: T) -> Result<T, RoutesError> {
        if self.mistakes.is_empty() {
            return Ok(value);
        }
        self.mistakes.sort_by_key(|mistake| mistake.line);
        Err(RoutesError {
            mistakes: self.mistakes,
        })
    }

    pub(super) fn mistake(&mut self, line: u64, problem: impl Into<String>, fix: impl Into<String>) {
        self.mistakes.push(Mistake {
            line,
            problem: problem.into(),
            fix: fix.into(),
        });
    }

    /// The fields of a map; a key that is not among `known` is a mistake.
    pub(super) fn fields<'a>(&mut self, node: &'a Node, what: String, known: &[&str]) -> Option<Fields<'a>> {
        let Value::Map(entries) = &node.value else {
            self.mistake(
                node.line,
                format!("{what} is {}", node.value.kind()),
                format!("write a map with {}", known.join(", ")),
            );
            return None;
        };
        let mut values = HashMap::new();
        for (key, node) in entries {
            if known.contains(&key.name.as_str()) {
                values.insert(key.name.as_str(), node);
            } else {
                self.mistake(
                    key.line,
                    format!("{what} has the unknown key {}", shown(&key.name)),
                    format!("the keys are {}", known.join(", ")),
                );
            }
        }
        Some(Fields {
            line: node.line,
            what,
            values,
        })
    }

    pub(super) fn required<'a>(&mut self, fields: &Fields<'a>, key: &str, fix: &str) -> Option<&'a Node> {
        let node = fields.get(key);
        if node.is_none() {
            self.mistake(
                fields.line,
                format!("{} has no {key}", fields.what),
                format!("add {fix}"),
            );
        }
        node
    }

    pub(super) fn map<'a>(&mut self, node: &'a Node, what: &str) -> &'a [(Key, Node)] {
        match &node.value {
            Value::Map(entries) => entries,
            Value::Null => &[],
            other => {
                self.mistake(node.line, format!("{what} is {}", other.kind()), "write a map");
                &[]
            }
        }
    }

    pub(super) fn list<'a>(&mut self, node: &'a Node, what: &str) -> &'a [Node] {
        match &node.value {
            Value::List(nodes) => nodes,
            Value::Null => &[],
            other => {
                self.mistake(
                    node.line,
                    format!("{what} is {}", other.kind()),
                    "write a list, each entry beginning with `- id:`",
                );
                &[]
            }
        }
    }

    pub(super) fn text<'a>(&mut self, node: &'a Node, what: &str) -> Option<&'a str> {
        match &node.value {
            Value::Text(text) => Some(text),
            other => {
                self.mistake(
                    node.line,
                    format!("{what} is {}", other.kind()),
                    "write a single value",
                );
                None
            }
        }
    }

    pub(super) fn boolean(&mut self, node: &Node, what: &str) -> Option<bool> {
        match &node.value {
            Value::Bool(value) => Some(*value),
            other => {
                self.mistake(
                    node.line,
                    format!("{what} is {}", other.kind()),
                    "write true or false",
                );
                None
            }
        }
    }

    /// The single values of a list.
    pub(super) fn texts<'a>(&mut self, node: &'a Node, what: &str, fix: &str) -> Vec<(u64, &'a str)> {
        let Value::List(list) = &node.value else {
            self.mistake(node.line, format!("{what} is {}", node.value.kind()), fix);
            return Vec::new();
        };
        list.iter()
            .filter_map(|node| Some((node.line, self.text(node, &format!("an entry of {what}"))?)))
            .collect()
    }

    /// Ids stand in log lines and in `/auth/verify?service=`.
    pub(super) fn id(&mut self, id: &str, line: u64, what: &str) {
        let plain = id.bytes().all(is_unreserved);
        if id.is_empty() || id.len() > MAX_ID_LENGTH || !plain {
            self.mistake(
                line,
                format!("{} is no id for {what}", shown(id)),
                "use 1 to 64 letters, digits, `-`, `.`, `_`, `~`",
            );
        }
    }
}

// === impl Fields ===

impl<'a> Fields<'a> {
    pub(super) fn get(&self, key: &str) -> Option<&'a Node> {
        self.values.get(key).copied()
    }
}

/// A value of the file in a message: escaped and bounded.
pub(super) fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(80).flat_map(char::escape_debug).collect();
    if text.chars().nth(80).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}
