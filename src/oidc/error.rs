//! The provider's errors, as data.

use std::fmt;

use serde_json::{Map, Value};

use crate::{outbound::Response, secret::Withheld};

/// Longer codes are cut, in characters.
const MAX_ERROR: usize = 100;

/// Longer descriptions are cut, in characters.
const MAX_DESCRIPTION: usize = 500;

/// Only this much of a longer description is read, in characters.
const MAX_READ: usize = 16 * 1024;

/// Longer words are omitted, in bytes: the values that we sent are known and removed, but a provider may also quote
/// foreign ones.
const MAX_WORD: usize = 40;

/// The registered codes (RFC 6749 sections 4.1.2.1 and 5.2, RFC 6750 section 3.1, RFC 7009 section 2.2.1, RFC 7591
/// section 3.2.2, RFC 8707 section 2, OpenID Connect Core 1.0 section 3.1.2.6). Decisions depend on them, and they
/// reveal nothing of what was sent, even if a secret is part of such a word.
const CODES: [&str; 27] = [
    "access_denied",
    "account_selection_required",
    "consent_required",
    "insufficient_scope",
    "interaction_required",
    "invalid_client",
    "invalid_client_metadata",
    "invalid_grant",
    "invalid_redirect_uri",
    "invalid_request",
    "invalid_request_object",
    "invalid_request_uri",
    "invalid_scope",
    "invalid_software_statement",
    "invalid_target",
    "invalid_token",
    "login_required",
    "registration_not_supported",
    "request_not_supported",
    "request_uri_not_supported",
    "server_error",
    "slow_down",
    "temporarily_unavailable",
    "unapproved_software_statement",
    "unauthorized_client",
    "unsupported_grant_type",
    "unsupported_response_type",
];

/// An OAuth error (RFC 6749 sections 4.1.2.1 and 5.2), bounded and fit for a log line. It is still foreign text:
/// escape it in a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OAuthError {
    /// The code: printable ASCII, except for the mark that replaces a removed value.
    pub error: String,
    /// The provider's text for people: no control characters.
    pub description: Option<String>,
}

/// The refused part of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blames {
    /// The scopes that are asked for.
    Scope,
    /// The redirect URI.
    RedirectUri,
    /// A code or a token that is over.
    Grant,
    /// A client secret that is missing, in another than this code: the client may be registered for a method with one.
    Secret,
    /// Something else.
    Other,
}

// === impl OAuthError ===

impl OAuthError {
    /// From the parameters of a redirect. What was sent before has to be [withheld](Self::withholding) yet.
    #[must_use]
    pub fn new(error: &str, description: Option<&str>) -> Self {
        Self::read(error, description, &Withheld::default())
    }

    /// From a JSON answer with a textual `error`; without the values of the request.
    #[must_use]
    pub fn of(response: &Response) -> Option<Self> {
        let object = response.json_object()?;
        Self::from_object(&object, &response.withheld)
    }

    /// Without these values.
    #[must_use]
    pub fn withholding(self, withheld: &Withheld) -> Self {
        Self::read(&self.error, self.description.as_deref(), withheld)
    }

    fn read(error: &str, description: Option<&str>, withheld: &Withheld) -> Self {
        let error: String = error
            .chars()
            .filter(|character| matches!(character, ' '..='~'))
            .take(MAX_READ)
            .collect();
        let error = if CODES.contains(&error.as_str()) {
            error
        } else {
            withheld.strike(&error)
        };
        let description: Option<String> = description.map(|description| {
            description
                .chars()
                .map(
                    |character| {
                        if character.is_whitespace() { ' ' } else { character }
                    },
                )
                .filter(|character| !character.is_control() && !is_formatting(*character))
                .take(MAX_READ)
                .collect()
        });
        let description = description.map(|description: String| {
            // Before it is cut, or a part of a value would stay at the end.
            let description = without_long_words(&withheld.strike(&description));
            description.chars().take(MAX_DESCRIPTION).collect::<String>()
        });
        Self {
            error: without_long_words(&error).chars().take(MAX_ERROR).collect(),
            description: description.filter(|description| !description.is_empty()),
        }
    }

    /// From a JSON object with a textual `error`; without the withheld values.
    #[must_use]
    pub fn from_object(object: &Map<String, Value>, withheld: &Withheld) -> Option<Self> {
        let error = object.get("error")?.as_str()?;
        let description = object.get("error_description").and_then(Value::as_str);
        Some(Self::read(error, description, withheld))
    }

    /// The refused part of the request.
    #[must_use]
    pub fn blames(&self) -> Blames {
        match &*self.error {
            "invalid_scope" => Blames::Scope,
            "invalid_grant" => Blames::Grant,
            "invalid_redirect_uri" => Blames::RedirectUri,
            _ if self.wants_secret() => Blames::Secret,
            // No code of RFC 9126 or RFC 6749 names the redirect URI.
            _ if self.speaks_of(&["redirect"]) => Blames::RedirectUri,
            _ => Blames::Other,
        }
    }

    /// Whether the provider speaks of a client secret.
    #[must_use]
    pub fn wants_secret(&self) -> bool {
        self.speaks_of(&["client_secret", "client secret", "clientsecret"])
    }

    /// Whether the provider speaks of a time, as it does where it takes an assertion for expired or not yet valid.
    #[must_use]
    pub fn names_a_time(&self) -> bool {
        self.description.is_some()
            && self.speaks_of(&[
                "expire",
                "exp ",
                "`exp`",
                "iat",
                "nbf",
                "not yet valid",
                "too old",
                "lifetime",
                "clock",
            ])
    }

    fn speaks_of(&self, words: &[&str]) -> bool {
        let description = self
            .description
            .as_deref()
            .unwrap_or_default()
            .to_ascii_lowercase();
        words
            .iter()
            .any(|word| self.error.contains(word) || description.contains(word))
    }

    /// Whether the code is `code`.
    #[must_use]
    pub fn is(&self, code: &str) -> bool {
        self.error == code
    }
}

/// The text without words that may be secrets. The part of a URL before its query stays, because it shows which
/// redirect URI was wrong.
fn without_long_words(text: &str) -> String {
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
    fn attack_39_what_was_sent_is_not_shown_however_short() {
        let withheld: Withheld = ["c0de", "rt-7"].into_iter().collect();
        let shown = |error: &str, description: &str| {
            let object = json!({"error": error, "error_description": description});
            OAuthError::from_object(object.as_object().unwrap(), &withheld)
                .unwrap()
                .to_string()
        };
        assert_eq!(
            shown("invalid_grant", "rt-7 and code \"c0de\" are not known"),
            "invalid_grant ([…] and code \"[…]\" are not known)"
        );
        assert_eq!(shown("c0de", "rt-\u{200b}7"), "[…] ([…])");
        // Cut in the middle of a value.
        let text = format!("{} c0de", "x ".repeat(MAX_DESCRIPTION / 2 - 2));
        assert!(!shown("invalid_grant", &text).contains("c0"));
        // A secret that is a word of the protocol hides nothing of the protocol.
        let error = OAuthError::new("invalid_client", Some("client of that name"));
        let error = error.withholding(&["client"].into_iter().collect());
        assert_eq!(error.to_string(), "invalid_client ([…] of that name)");
    }

    #[test]
    fn a_code_that_is_not_text_is_no_error() {
        for value in [json!({}), json!({"error": 1}), json!({"error": {"code": "x"}})] {
            assert_eq!(
                OAuthError::from_object(value.as_object().unwrap(), &Withheld::default()),
                None
            );
        }
    }

    /// Control characters and characters that reverse text are removed.
    #[test]
    fn descriptions_cannot_forge_a_log_line() {
        let error = OAuthError::new("invalid_grant\r\n", Some("one\ntwo\u{1b}[31m\u{202e}three\u{85}"));
        assert_eq!(error.to_string(), "invalid_grant (one two[31mthree )");
        assert!(error.is("invalid_grant"));
    }

    proptest! {
        #[test]
        fn everything_is_bounded_and_printable(code in "\\PC{0,300}|.{0,300}", description in proptest::option::of(".{0,2000}")) {
            let error = OAuthError::new(&code, description.as_deref());
            prop_assert!(error.error.chars().count() <= MAX_ERROR);
            prop_assert!(!error.error.chars().any(char::is_control));
            if let Some(description) = error.description {
                prop_assert!(description.chars().count() <= MAX_DESCRIPTION);
                prop_assert!(!description.chars().any(char::is_control));
            }
        }
    }
}
