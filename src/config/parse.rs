//! Parsers of single values. Each names the mistake and the fix.

use std::time::Duration;

use super::problem::Complaint;
use crate::{duration, quote::nearest, size};

/// The maximum number of entries of a list that a person writes.
const MAX_ENTRIES: usize = 1_000;

/// `true` or `false`, also as a digit, as compose files write it.
pub(super) fn switch(text: &str) -> Result<bool, Complaint> {
    Ok(choice(text, &["true", "false"])? == 0)
}

/// A duration in the [one grammar](crate::duration).
pub(super) fn duration(text: &str) -> Result<Duration, Complaint> {
    duration::parse(text).map_err(|error| Complaint::new(error.to_string(), duration::HOW))
}

/// A duration that is longer than nothing.
pub(super) fn positive_duration(text: &str) -> Result<Duration, Complaint> {
    duration(text).and_then(|duration| {
        if duration.is_zero() {
            Err(Complaint::new("is zero", "write a duration of at least `1s`"))
        } else {
            Ok(duration)
        }
    })
}

/// A size in the [one grammar](crate::size).
pub(super) fn bytes(text: &str) -> Result<u64, Complaint> {
    size::parse(text).map_err(|error| Complaint::new(error.to_string(), size::HOW))
}

/// A whole number within `least..=most`.
pub(super) fn number(text: &str, least: u64, most: u64) -> Result<u64, Complaint> {
    whole(text)
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| {
            Complaint::new(
                format!("is not a whole number from {least} to {most}"),
                format!("write a number from {least} to {most}"),
            )
        })
}

/// Digits only: no sign, no spaces, no separators.
fn whole(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// Entries separated by commas or white space, without empty ones; or a JSON array of strings.
pub(super) fn list(text: &str) -> Result<Vec<String>, Complaint> {
    let entries: Vec<String> = if text.starts_with('[') {
        serde_json::from_str(text).map_err(|_| {
            Complaint::new(
                "is not a JSON array of strings",
                r#"write `["one", "two"]`, or the entries separated by commas"#,
            )
        })?
    } else {
        text.split(|character: char| character == ',' || character.is_whitespace())
            .filter(|entry| !entry.is_empty())
            .map(ToOwned::to_owned)
            .collect()
    };
    if entries.first().is_some_and(|entry| entry == "-") {
        return Err(Complaint::new(
            "has `-` before its entries, as a list in YAML",
            "separate them with commas alone: a block (`|` or `>`) of a compose file is text, and no list",
        ));
    }
    if entries.len() > MAX_ENTRIES {
        return Err(Complaint::new(
            format!("has {} entries", entries.len()),
            format!("list {MAX_ENTRIES} at most"),
        ));
    }
    Ok(entries)
}

/// One of `words`, exactly. Where `true` and `false` are among them, `1` and `0` mean the same.
pub(super) fn choice(text: &str, words: &[&str]) -> Result<usize, Complaint> {
    let text = match text {
        "1" if words.contains(&"true") => "true",
        "0" if words.contains(&"false") => "false",
        _ => text,
    };
    words.iter().position(|word| *word == text).ok_or_else(|| {
        let allowed = words
            .iter()
            .map(|word| format!("`{word}`"))
            .collect::<Vec<_>>()
            .join(", ");
        let same_but_case = words.iter().find(|word| word.eq_ignore_ascii_case(text));
        let fix = match (same_but_case, nearest(text, words.iter().copied())) {
            (Some(word), _) => format!("write `{word}`: upper and lower case matter"),
            (None, Some(word)) => format!("did you mean `{word}`?"),
            (None, None) => "write one of them".to_owned(),
        };
        Complaint::new(format!("is not one of {allowed}"), fix)
    })
}

/// Text of visible ASCII characters, up to `most` of them.
pub(super) fn visible(text: &str, most: usize) -> Result<String, Complaint> {
    if text.len() <= most && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err(Complaint::new(
            format!("holds spaces or characters outside ASCII, or is longer than {most} characters"),
            "use letters, digits and punctuation only",
        ))
    }
}

/// One line of text of at most `most` characters, as people read it.
pub(super) fn line(text: &str, most: usize) -> Result<String, Complaint> {
    if text.chars().count() <= most && !text.chars().any(char::is_control) {
        Ok(text.to_owned())
    } else {
        Err(Complaint::new(
            format!("has several lines or control characters, or is longer than {most} characters"),
            "write one short line",
        ))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_that_have_to_be_longer_than_nothing() {
        assert!(positive_duration("0").is_err());
        assert!(positive_duration("0ms").is_err());
        assert_eq!(positive_duration("1"), Ok(Duration::from_secs(1)));
        assert_eq!(positive_duration("1500ms"), Ok(Duration::from_millis(1_500)));
        let complaint = duration("1w").unwrap_err();
        assert_eq!(complaint.message, "is not a duration");
        assert!(complaint.fix.contains("`500ms`"));
    }

    #[test]
    fn lists_are_split_by_commas_and_spaces() {
        assert_eq!(list("a,b c ,, d\n\te ").unwrap(), ["a", "b", "c", "d", "e"]);
        assert_eq!(list(" , ").unwrap(), Vec::<String>::new());
        assert_eq!(list(r#"["a b", "c"]"#).unwrap(), ["a b", "c"]);
        for text in ["[", "[1]", "[a]", r#"["a"] b"#] {
            assert!(list(text).is_err(), "{text}");
        }
        assert!(list(&"a ".repeat(1_001)).is_err());
        assert!(list("- a\n- b").is_err());
        assert_eq!(list("a - b").unwrap(), ["a", "-", "b"]);
    }

    #[test]
    fn switches_and_choices_are_exact() {
        for (text, value) in [("true", true), ("1", true), ("false", false), ("0", false)] {
            assert_eq!(switch(text), Ok(value), "{text}");
            let at = choice(text, &["auto", "true", "false"]).unwrap();
            assert_eq!(at, if value { 1 } else { 2 }, "{text}");
        }
        for (text, fix) in [
            ("True", "write `true`: upper and lower case matter"),
            ("FALSE", "write `false`: upper and lower case matter"),
            ("ture", "did you mean `true`?"),
            ("yes", "write one of them"),
            ("on", "write one of them"),
            ("01", "write one of them"),
            ("2", "write one of them"),
            ("", "write one of them"),
        ] {
            let complaint = switch(text).unwrap_err();
            assert_eq!(complaint.message, "is not one of `true`, `false`");
            assert_eq!(complaint.fix, fix, "{text}");
        }
        assert!(choice("1", &["ua", "ip"]).is_err());
        let complaint = choice("lax", &["Lax", "Strict"]).unwrap_err();
        assert_eq!(complaint.message, "is not one of `Lax`, `Strict`");
        assert_eq!(complaint.fix, "write `Lax`: upper and lower case matter");
        assert_eq!(
            choice("None", &["Lax", "Strict"]).unwrap_err().fix,
            "write one of them"
        );
        for (text, words, fix) in [
            ("replase", &["auto", "replace"][..], "did you mean `replace`?"),
            ("jsn", &["pretty", "json"], "did you mean `json`?"),
            // Two are as near.
            ("HS256", &["PS256", "RS256", "ES256"], "write one of them"),
            ("x", &["ua", "ip"], "write one of them"),
        ] {
            assert_eq!(choice(text, words).unwrap_err().fix, fix);
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = (switch(&text), duration(&text), bytes(&text), list(&text), number(&text, 1, 9), visible(&text, 9));
        }

        #[test]
        fn near_misses_never_panic(text in "[0-9٣]{0,25} ?[smhdKMGTiBé]{0,4}") {
            let _ = (duration(&text), bytes(&text));
        }

        #[test]
        fn a_list_is_its_entries(entries in proptest::collection::vec("[a-z:/.]{1,9}", 0..20), separator in "[, ]{1,3}") {
            prop_assert_eq!(list(&entries.join(&separator)).unwrap(), entries);
        }
    }
}
