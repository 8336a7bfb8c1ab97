//! What the provider says is wrong, as data.

use std::fmt;

use serde_json::{Map, Value};

/// Longer codes are cut, in characters.
const MAX_ERROR: usize = 100;

/// Longer descriptions are cut, in characters.
const MAX_DESCRIPTION: usize = 500;

/// What a provider quotes back may be a token, a code or an assertion: words longer than this are left out, in bytes.
const MAX_WORD: usize = 40;

/// An OAuth error (RFC 6749 sections 4.1.2.1 and 5.2), bounded and fit for a log line. Still text of somebody else:
/// escape it in a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OAuthError {
    /// The code: printable ASCII.
    pub error: String,
    /// What the provider adds for people: no control characters.
    pub description: Option<String>,
}

// === impl OAuthError ===

impl OAuthError {
    /// From the parameters of a redirect.
    #[must_use]
    pub fn new(error: &str, description: Option<&str>) -> Self {
        let error: String = error
            .chars()
            .filter(|character| matches!(character, ' '..='~'))
            .take(MAX_ERROR)
            .collect();
        let description: Option<String> = description.map(|description| {
            description
                .chars()
                .map(
                    |character| {
                        if character.is_whitespace() { ' ' } else { character }
                    },
                )
                .filter(|character| !character.is_control() && !is_formatting(*character))
                .take(MAX_DESCRIPTION)
                .collect()
        });
        let description = description.map(|description: String| without_values(&description));
        Self {
            error,
            description: description.filter(|description| !description.is_empty()),
        }
    }

    /// From a JSON answer, if that has an `error` that is text.
    #[must_use]
    pub fn from_object(object: &Map<String, Value>) -> Option<Self> {
        let error = object.get("error")?.as_str()?;
        Some(Self::new(
            error,
            object.get("error_description").and_then(Value::as_str),
        ))
    }

    /// Whether the code is `code`.
    #[must_use]
    pub fn is(&self, code: &str) -> bool {
        self.error == code
    }
}

/// The text without words that may be secrets. Of a URL the part before its query stays, since that is what tells which
/// redirect URI was wrong.
fn without_values(text: &str) -> String {
    let words = text.split(' ').map(|word| {
        let shown = word.split(['?', '#']).next().unwrap_or_default();
        if word.len() <= MAX_WORD {
            word
        } else if shown.contains("://") {
            shown
        } else {
            "[…]"
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

impl fmt::Display for OAuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.error)?;
        match &self.description {
            Some(description) => write!(f, " ({description})"),
            None => Ok(()),
        }
    }
}

/// Characters that change how the text around them is shown (Unicode bidirectional controls and the like).
const fn is_formatting(character: char) -> bool {
    matches!(
        character,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn attack_23_a_description_quotes_no_token() {
        let token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJlLXNpZ25hdHVyZQ";
        let uri = format!("https://automate.ocg.labs.example/auth/callback?code={token}");
        let error = OAuthError::new(
            "invalid_grant",
            Some(&format!("token {token} at {uri} is not known")),
        );
        assert_eq!(
            error.to_string(),
            "invalid_grant (token […] at https://automate.ocg.labs.example/auth/callback is not known)"
        );
    }

    #[test]
    fn a_code_that_is_not_text_is_no_error() {
        for value in [json!({}), json!({"error": 1}), json!({"error": {"code": "x"}})] {
            assert_eq!(OAuthError::from_object(value.as_object().unwrap()), None);
        }
    }

    #[test]
    fn descriptions_lose_what_could_forge_a_log_line_or_turn_text_around() {
        let error = OAuthError::new("invalid_grant\r\n", Some("one\ntwo\u{1b}[31m\u{202e}three\u{85}"));
        assert_eq!(error.to_string(), "invalid_grant (one two[31mthree )");
        assert!(error.is("invalid_grant"));
    }

    proptest! {
        #[test]
        fn everything_is_bounded_and_printable(code in "\\PC{0,300}|.{0,300}", description in proptest::option::of(".{0,2000}")) {
            let error = OAuthError::new(&code, description.as_deref());
            prop_assert!(error.error.len() <= MAX_ERROR);
            prop_assert!(error.error.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            if let Some(description) = error.description {
                prop_assert!(description.chars().count() <= MAX_DESCRIPTION);
                prop_assert!(!description.chars().any(char::is_control));
            }
        }
    }
}
