//! Challenges of an API in `WWW-Authenticate` (RFC 9110 section 11.6.1).

use http::{HeaderMap, HeaderValue, header::WWW_AUTHENTICATE};

/// More challenges in one answer are not read, nor more parameters in one of them.
const MOST: usize = 16;

/// One challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Challenge {
    scheme: String,
    parameters: Vec<(String, String)>,
}

// === impl Challenge ===

impl Challenge {
    /// The challenges of an answer. Malformed ones are ignored: reporting an API's mistake is not our task.
    pub(super) fn all(headers: &HeaderMap) -> Vec<Self> {
        let lines = headers.get_all(WWW_AUTHENTICATE).iter();
        let mut all = Vec::new();
        for line in lines.filter_map(|line: &HeaderValue| line.to_str().ok()) {
            read(line, &mut all);
        }
        all
    }

    /// Whether the scheme is `scheme`, which is compared without case.
    pub(super) fn is(&self, scheme: &str) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme)
    }

    /// The first parameter of this name, which is compared without case.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let mut found = self.parameters.iter();
        found
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// Reads a line. A word is a parameter if `=` follows, and the scheme of a new challenge otherwise.
fn read(line: &str, all: &mut Vec<Challenge>) {
    let mut rest = line;
    // A parameter belongs to the challenge before it on the same line.
    let mut is_open = false;
    while all.len() <= MOST {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let end = rest.find([' ', '\t', ',', '=', '"']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if word.is_empty() {
            return;
        }
        let after_blanks = after.trim_start_matches([' ', '\t']);
        let Some(value) = after_blanks.strip_prefix('=') else {
            all.push(Challenge {
                scheme: word.to_owned(),
                parameters: Vec::new(),
            });
            is_open = true;
            rest = after;
            continue;
        };
        let (value, after) = value_of(value.trim_start_matches([' ', '\t']));
        if let Some(challenge) = all.last_mut().filter(|_| is_open)
            && challenge.parameters.len() < MOST
        {
            challenge.parameters.push((word.to_owned(), value));
        }
        rest = after;
    }
}

/// A token or a quoted string (RFC 9110 section 5.6.4), and the rest.
fn value_of(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([' ', '\t', ',']).unwrap_or(text.len());
        let (value, rest) = text.split_at(end);
        return (value.to_owned(), rest);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            _ => value.push(character),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(lines: &[&str]) -> Vec<Challenge> {
        let headers = lines
            .iter()
            .map(|line| (WWW_AUTHENTICATE, HeaderValue::from_str(line).unwrap()))
            .collect();
        Challenge::all(&headers)
    }

    #[test]
    fn several_challenges_stand_on_one_line_or_on_several() {
        let on_one = all(&["Basic realm=\"a, b\", Bearer error=x , Scope = \"p q\""]);
        let on_two = all(&["Basic realm=\"a, b\"", "Bearer error=x,Scope=\"p q\""]);
        assert_eq!(on_one, on_two);
        assert_eq!(on_one.len(), 2);
        assert!(on_one[1].is("bearer") && !on_one[1].is("Basic"));
        assert_eq!(on_one[1].parameter("scope"), Some("p q"));
        assert_eq!(on_one[0].parameter("error"), None);
    }

    #[test]
    fn quoted_values_keep_what_is_escaped() {
        let challenge = &all(&["Bearer a=\"x \\\"y\\\" \\\\\", b=z"])[0];
        assert_eq!(challenge.parameter("a"), Some("x \"y\" \\"));
        assert_eq!(challenge.parameter("b"), Some("z"));
        assert_eq!(all(&["Bearer a=\"open"])[0].parameter("a"), Some("open"));
    }

    #[test]
    fn a_parameter_without_a_scheme_belongs_to_no_other_line() {
        let found = all(&["Bearer", "error=\"invalid_token\""]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].parameter("error"), None);
    }

    #[test]
    fn the_number_of_challenges_and_parameters_is_bounded() {
        let many = "a=b, ".repeat(1_000);
        assert_eq!(all(&[&format!("Bearer {many}")])[0].parameters.len(), MOST);
        assert!(all(&[&"Bearer ".repeat(1_000)]).len() <= MOST + 1);
    }

    proptest! {
        #[test]
        fn nothing_panics(line in "[ -~\t]{0,64}") {
            let _ = all(&[&line]);
        }
    }
}
