//! Text for a terminal: wrapped, bounded, without foreign control characters.

use std::fmt::Write as _;

use serde_json::Value;

/// The length in characters at which a longer foreign text is cut.
const MAX_SHOWN: usize = 600;

/// `text` in lines of at most `width` characters: the first after `first`, the others as far in. A word that is too
/// long (a URL, to be copied) stays whole.
pub(in crate::commands) fn wrapped(width: usize, first: &str, text: &str) -> String {
    let indent = first.chars().count();
    let mut out = first.to_owned();
    let mut column = indent;
    for (at, word) in text.split_whitespace().enumerate() {
        let length = word.chars().count();
        if at > 0 && column + 1 + length > width {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            column = indent;
        } else if at > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out.truncate(out.trim_end().len());
    out
}

/// Text of the IdP or of a file as it may be printed.
pub(in crate::commands) fn clean(text: &str) -> String {
    let mut characters = text.chars();
    let mut clean = String::new();
    for character in characters.by_ref().take(MAX_SHOWN) {
        if character.is_control() {
            clean.extend(character.escape_unicode());
        } else {
            clean.push(character);
        }
    }
    if characters.next().is_some() {
        clean.push('…');
    }
    clean
}

/// A value of the metadata in words: a list by its entries, a JWK Set by its kids.
pub(in crate::commands) fn items(value: &Value) -> Vec<String> {
    match value {
        Value::Null => Vec::new(),
        Value::String(text) => vec![clean(text)],
        Value::Array(entries) => entries.iter().flat_map(items).collect(),
        Value::Object(members) => match members.get("keys").and_then(Value::as_array) {
            Some(keys) => keys.iter().map(key).collect(),
            None => vec![clean(&value.to_string())],
        },
        other => vec![clean(&other.to_string())],
    }
}

fn key(key: &Value) -> String {
    match key.get("kid").and_then(Value::as_str) {
        Some(kid) => format!("key {}", clean(kid)),
        None => "a key without kid".to_owned(),
    }
}

/// A list in words; a long one is cut.
pub(super) fn list(entries: &[String]) -> String {
    const MOST: usize = 8;
    let mut text = entries.iter().take(MOST).cloned().collect::<Vec<_>>().join(", ");
    match entries.len() {
        0 => text.push_str("none"),
        count if count > MOST => {
            // Writing to a string cannot fail.
            let _ = write!(text, " and {} more", count - MOST);
        }
        _ => {}
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lines_are_wrapped_with_a_hanging_indent_and_urls_stay_whole() {
        let url = format!("https://{}.example", "x".repeat(100));
        let text = format!("{} {url} end", "word ".repeat(30));
        for width in [60, 100] {
            let wrapped = wrapped(width, "  ✓ name  ", &text);
            let lines: Vec<&str> = wrapped.lines().collect();
            assert!(lines.len() > 2, "{wrapped}");
            for line in &lines {
                assert!(
                    line.chars().count() <= width || line.trim() == url,
                    "{line:?} is too long"
                );
            }
            assert!(lines.iter().skip(1).all(|line| line.starts_with("          ")));
        }
    }

    #[test]
    fn what_others_write_is_bounded_and_moves_no_cursor() {
        assert_eq!(clean("a\u{1b}[2Jb\r\n"), "a\\u{1b}[2Jb\\u{d}\\u{a}");
        assert_eq!(clean(&"x".repeat(1000)).chars().count(), MAX_SHOWN + 1);
    }

    #[test]
    fn a_key_set_is_shown_by_its_kids() {
        let set = json!({"keys": [{"kid": "one", "n": "long"}, {"n": "long"}]});
        assert_eq!(items(&set), ["key one", "a key without kid"]);
        assert_eq!(items(&json!(["a", "b"])), ["a", "b"]);
        assert_eq!(items(&json!(true)), ["true"]);
        assert!(items(&Value::Null).is_empty());
    }
}
