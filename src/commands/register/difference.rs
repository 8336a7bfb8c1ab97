//! A difference as a table: removed (`-`) and added (`+`) values, field by field.

use std::fmt::Write as _;

use serde_json::Value;

use super::super::check::text::{clean, items};
use crate::registration::Change;

/// One field.
pub(super) struct Row {
    field: String,
    lines: Vec<String>,
}

// === impl Row ===

impl Row {
    /// The field `name`, which is `from` and becomes `to`.
    pub(super) fn new(name: &str, from: Option<&Value>, to: Option<&Value>) -> Self {
        let (before, after) = (entries(name, from), entries(name, to));
        let gone = before.iter().filter(|entry| !after.contains(entry));
        let new = after.iter().filter(|entry| !before.contains(entry));
        let mut lines: Vec<String> = gone.map(|entry| format!("- {entry}")).collect();
        lines.extend(new.map(|entry| format!("+ {entry}")));
        if lines.is_empty() {
            // The same entries in words, and yet not the same: a key under the same kid, for example.
            lines.push("another value".to_owned());
        }
        Self {
            field: clean(name),
            lines,
        }
    }

    pub(super) fn of_change(change: &Change) -> Self {
        Self::new(&change.field, change.from.as_ref(), change.to.as_ref())
    }
}

/// The rows below each other, the names in a column.
pub(super) fn table(rows: impl Iterator<Item = Row>) -> String {
    let rows: Vec<Row> = rows.collect();
    let width = rows
        .iter()
        .map(|row| row.field.chars().count())
        .max()
        .unwrap_or(0);
    let mut out = String::new();
    for row in rows {
        for (at, line) in row.lines.iter().enumerate() {
            let name = if at == 0 { row.field.as_str() } else { "" };
            // Writing to a string cannot fail.
            let _ = writeln!(out, "  {name:<width$}  {line}");
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// A scope is a list too.
fn entries(name: &str, value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(words)) if name == "scope" => words.split_ascii_whitespace().map(clean).collect(),
        Some(value) => items(value),
        None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_differs_is_listed() {
        let rows = [
            Row::new(
                "scope",
                Some(&json!("openid email")),
                Some(&json!("openid profile")),
            ),
            Row::new(
                "redirect_uris",
                Some(&json!(["https://a/auth/callback"])),
                Some(&json!(["https://a/auth/callback", "https://b/auth/callback"])),
            ),
            Row::new(
                "jwks",
                None,
                Some(&json!({"keys": [{"kid": "one", "n": "long"}]})),
            ),
            Row::new("client_profile", Some(&json!("x\u{1b}[2J")), None),
        ];
        insta::assert_snapshot!("register_difference", table(rows.into_iter()));
    }
}
