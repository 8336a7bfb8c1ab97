//! `${NAME}` and `${NAME:-default}` in the values of configuration files.
//!
//! Only single values are expanded, after the file was parsed: the value of a variable is never parsed as YAML.

/// Why a value cannot be expanded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpandError {
    /// The variable has no value, and there is no default.
    #[error("names the variable {0}, which is not set")]
    Unset(String),
    /// `${` is not followed by a name and a `}`.
    #[error("holds a `${{` that does not begin `${{NAME}}` or `${{NAME:-default}}`")]
    Malformed,
}

/// `text` with the values of `lookup`; `None` if it contains nothing to expand. An empty variable counts as unset,
/// and `$${` stands for `${`.
///
/// # Errors
///
/// [`ExpandError`].
pub fn expand(text: &str, lookup: impl Fn(&str) -> Option<String>) -> Result<Option<String>, ExpandError> {
    if !text.contains("${") {
        return Ok(None);
    }
    let mut expanded = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        if let Some(before) = before.strip_suffix('$') {
            expanded.push_str(before);
            expanded.push_str("${");
            rest = from.get(2..).unwrap_or_default();
            continue;
        }
        expanded.push_str(before);
        let inner = from.get(2..).unwrap_or_default();
        let (inside, after) = inner.split_once('}').ok_or(ExpandError::Malformed)?;
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        if !is_name(name) {
            return Err(ExpandError::Malformed);
        }
        match (lookup(name).filter(|value| !value.is_empty()), default) {
            (Some(value), _) => expanded.push_str(&value),
            (None, Some(default)) => expanded.push_str(default),
            (None, None) => return Err(ExpandError::Unset(name.to_owned())),
        }
        rest = after;
    }
    expanded.push_str(rest);
    Ok(Some(expanded))
}

fn is_name(text: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    let mut bytes = text.bytes();
    bytes.next().is_some_and(letter) && bytes.all(|byte| letter(byte) || byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn expanded(text: &str) -> Result<Option<String>, ExpandError> {
        expand(text, |name| match name {
            "HOST" => Some("crud".to_owned()),
            "EMPTY" => Some(String::new()),
            "HOSTILE" => Some("${HOST}".to_owned()),
            _ => None,
        })
    }

    #[test]
    fn names_become_values() {
        for (text, value) in [
            ("${HOST}", "crud"),
            ("http://${HOST}:${PORT:-8080}/x", "http://crud:8080/x"),
            ("${EMPTY:-other}", "other"),
            ("${HOST:-other}", "crud"),
            ("${NOTHING:-}", ""),
            ("$${HOST} ${HOST}", "${HOST} crud"),
            // Only once.
            ("${HOSTILE}", "${HOST}"),
        ] {
            assert_eq!(expanded(text), Ok(Some(value.to_owned())), "{text}");
        }
        for text in ["", "plain", "$HOST", "{HOST}", "a$"] {
            assert_eq!(expanded(text), Ok(None), "{text}");
        }
    }

    #[test]
    fn what_has_no_value_is_a_mistake() {
        for name in ["NOTHING", "EMPTY"] {
            assert_eq!(
                expanded(&format!("x${{{name}}}")),
                Err(ExpandError::Unset(name.to_owned()))
            );
        }
        for text in ["${HOST", "${}", "${1A}", "${A B}", "${a-b}", "${:-x}"] {
            assert_eq!(expanded(text), Err(ExpandError::Malformed), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[${}:\\-A-Z a]{0,30}") {
            let _ = expanded(&text);
        }
    }
}
