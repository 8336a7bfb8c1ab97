//! Reads members of an answer tolerantly if that is safe: a provider's mistake in an optional member does not fail a
//! login.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::outbound::Unread;

/// Why an answer cannot be used. Holds names and sizes, never a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemberError {
    /// The whole is not a JSON object.
    #[error("it is not a JSON object, but {0}")]
    NotAnObject(Unread),
    /// A member that has to be there is not.
    #[error("`{0}` is missing or empty")]
    Missing(&'static str),
    /// It is of another JSON type.
    #[error("`{0}` is not text")]
    NotText(&'static str),
    /// It has characters that this member never has (RFC 6749 appendix A).
    #[error("`{0}` holds characters that are not allowed in it")]
    Characters(&'static str),
    /// It is longer than any honest one.
    #[error("`{name}` has {size} bytes; at most {longest} are accepted")]
    TooLong {
        /// Its name.
        name: &'static str,
        /// Its length, in bytes.
        size: usize,
        /// The limit, in bytes.
        longest: usize,
    },
    /// It has a value with which we can do nothing.
    #[error("`{name}` is not {expected}")]
    Value {
        /// Its name.
        name: &'static str,
        /// The expected type.
        expected: &'static str,
    },
}

/// A member that is text of printable ASCII (RFC 6749 appendix A); absent, null and empty are the same.
///
/// # Errors
///
/// [`MemberError`], of this member.
pub(super) fn text<'a>(
    object: &'a Map<String, Value>,
    name: &'static str,
    longest: usize,
) -> Result<Option<&'a str>, MemberError> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.len() > longest => Err(MemberError::TooLong {
            name,
            size: text.len(),
            longest,
        }),
        Some(Value::String(text)) if !text.bytes().all(|byte| matches!(byte, b' '..=b'~')) => {
            Err(MemberError::Characters(name))
        }
        Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
        Some(_) => Err(MemberError::NotText(name)),
    }
}

/// Like [`text`], for a member that has to be there.
///
/// # Errors
///
/// [`MemberError`], of this member.
pub(super) fn required<'a>(
    object: &'a Map<String, Value>,
    name: &'static str,
    longest: usize,
) -> Result<&'a str, MemberError> {
    text(object, name, longest)?.ok_or(MemberError::Missing(name))
}

/// An optional member: an unusable value counts as absent, and `ignored` receives it.
pub(super) fn optional<T>(
    read: Result<Option<T>, MemberError>,
    ignored: impl FnOnce(MemberError),
) -> Option<T> {
    read.unwrap_or_else(|error| {
        ignored(error);
        None
    })
}

/// Scopes: text with spaces in between (RFC 6749 section 3.3), or the list that some providers make of it.
///
/// # Errors
///
/// [`MemberError`], of this member.
pub(super) fn scopes(
    object: &Map<String, Value>,
    name: &'static str,
    longest: usize,
) -> Result<Option<String>, MemberError> {
    let Some(Value::Array(entries)) = object.get(name) else {
        return Ok(text(object, name, longest)?.map(str::to_owned));
    };
    let entries: Option<Vec<&str>> = entries.iter().map(Value::as_str).collect();
    let joined = entries.ok_or(MemberError::NotText(name))?.join(" ");
    let list = Map::from_iter([(name.to_owned(), Value::from(joined))]);
    Ok(text(&list, name, longest)?.map(str::to_owned))
}

/// Seconds, as a number or as text with a number; fractions are dropped. `None` if it is absent or makes no sense.
/// Seconds that do not fit are a very long time.
pub(super) fn seconds(value: Option<&Value>) -> Option<Duration> {
    let seconds = match value? {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    seconds
        .filter(|seconds: &f64| *seconds >= 1.0)
        .map(|seconds| Duration::try_from_secs_f64(seconds.floor()).unwrap_or(Duration::MAX))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        Map::from_iter([("x".to_owned(), value)])
    }

    #[test]
    fn an_error_names_the_member_and_shows_no_value() {
        let long = "secret".repeat(10);
        for (value, said) in [
            (json!(7), "`x` is not text"),
            (json!({"secret": 1}), "`x` is not text"),
            (
                json!("secret\n"),
                "`x` holds characters that are not allowed in it",
            ),
            (json!(long), "`x` has 60 bytes; at most 10 are accepted"),
        ] {
            let error = text(&object(value), "x", 10).unwrap_err();
            assert_eq!(error.to_string(), said);
        }
        for absent in [object(json!(null)), object(json!("")), Map::new()] {
            assert_eq!(text(&absent, "x", 10), Ok(None));
            assert_eq!(required(&absent, "x", 10), Err(MemberError::Missing("x")));
        }
    }

    #[test]
    fn scopes_may_be_a_list() {
        let read = |value| scopes(&object(value), "x", 20);
        assert_eq!(read(json!("a b")), Ok(Some("a b".to_owned())));
        assert_eq!(read(json!(["a", "b"])), Ok(Some("a b".to_owned())));
        assert_eq!(read(json!([])), Ok(None));
        assert_eq!(read(json!(["a", 7])), Err(MemberError::NotText("x")));
        assert_eq!(read(json!(["a\u{0}"])), Err(MemberError::Characters("x")));
        assert!(read(json!(["a".repeat(21)])).is_err());
    }

    #[test]
    fn seconds_may_be_text() {
        for (value, expected) in [
            (json!(60), Some(60)),
            (json!(59.9), Some(59)),
            (json!(" 60 "), Some(60)),
            (json!("6e1"), Some(60)),
            (json!(0), None),
            (json!(-1), None),
            (json!("soon"), None),
            (json!("NaN"), None),
            (json!([60]), None),
        ] {
            assert_eq!(
                seconds(Some(&value)),
                expected.map(Duration::from_secs),
                "{value}"
            );
        }
        assert_eq!(seconds(Some(&json!(1e300))), Some(Duration::MAX));
        assert_eq!(seconds(None), None);
    }
}
