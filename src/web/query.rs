//! Query strings: bounded, each parameter at most once.

use std::borrow::Cow;

use super::problem::{Code, Problem};

/// Longer query strings are refused, in bytes.
const MAX_LENGTH: usize = 8 * 1024;

/// The parameters of a query string or form that were not read yet.
#[derive(Debug)]
pub(crate) struct Parameters<'a> {
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

// === impl Parameters ===

impl<'a> Parameters<'a> {
    /// Reads a query string (or the body of a form, which has the same syntax).
    pub(crate) fn parse(query: Option<&'a str>) -> Result<Self, Problem> {
        let query = query.unwrap_or_default();
        if query.len() > MAX_LENGTH {
            return Err(Problem::new(Code::QueryTooLong, "The query string is too long."));
        }
        Ok(Self {
            pairs: url::form_urlencoded::parse(query.as_bytes()).collect(),
        })
    }

    /// Reads a query string in which one of `targets` names where to go afterwards.
    ///
    /// A proxy can paste an unencoded request target there: `?return_to=/a?b=c&d=e`. An unencoded `?` reveals this,
    /// because an encoder of values encodes it too. The target is then all that follows, so that nothing of it is
    /// lost. If one of `others` follows, it could be a parameter of either, and the request is refused: text that
    /// somebody appends to the address of a page must not control a login.
    pub(crate) fn parse_with_target(
        query: Option<&'a str>,
        targets: &[&str],
        others: &[&str],
    ) -> Result<Self, Problem> {
        let text = query.unwrap_or_default();
        let mut before = 0;
        for pair in text.split('&') {
            let pasted = pair
                .split_once('=')
                .filter(|(name, value)| targets.contains(name) && value.contains('?'));
            if let Some((name, _)) = pasted {
                let mut parameters = Self::parse(query)?;
                let is_known = |known: &str| targets.contains(&known) || others.contains(&known);
                let mut after = url::form_urlencoded::parse(&text.as_bytes()[before + pair.len()..]);
                if after.any(|(name, _)| is_known(&name)) {
                    return Err(Problem::new(
                        Code::AmbiguousTarget,
                        "The target address is not percent-encoded, so the server cannot tell its parameters from those of \
                         this page. The page or proxy that made this link must encode it.",
                    ));
                }
                parameters.pairs = url::form_urlencoded::parse(&text.as_bytes()[..before]).collect();
                let target = &text[before + name.len() + 1..];
                parameters
                    .pairs
                    .push((Cow::Borrowed(name), Cow::Borrowed(target)));
                return Ok(parameters);
            }
            before += pair.len() + 1;
        }
        Self::parse(query)
    }

    /// The parameter `name`, if it is there and not empty. A parameter that comes twice is refused (RFC 6749
    /// section 3.1): two readers could take different ones.
    pub(crate) fn take(&mut self, name: &str) -> Result<Option<String>, Problem> {
        let mut value = None;
        for (key, found) in &self.pairs {
            if key == name {
                if value.is_some() {
                    return Err(Problem::new(
                        Code::DuplicateParameter,
                        "A parameter comes more than once.",
                    ));
                }
                value = Some(found);
            }
        }
        Ok(value
            .filter(|value| !value.is_empty())
            .map(|value| value.clone().into_owned()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parameters_are_decoded_and_empty_ones_are_absent() {
        let mut query = Parameters::parse(Some("a=1%202+3&b=&c")).unwrap();
        assert_eq!(query.take("a").unwrap().as_deref(), Some("1 2 3"));
        assert_eq!(query.take("b").unwrap(), None);
        assert_eq!(query.take("c").unwrap(), None);
        assert_eq!(query.take("d").unwrap(), None);
    }

    #[test]
    fn doubled_parameters_and_long_queries_are_refused() {
        let mut query = Parameters::parse(Some("state=a&state=b&x=1")).unwrap();
        assert_eq!(query.take("state").unwrap_err().code(), "duplicate_parameter");
        assert!(query.take("x").unwrap().is_some());
        let long = format!("a={}", "x".repeat(MAX_LENGTH));
        assert_eq!(
            Parameters::parse(Some(&long)).unwrap_err().code(),
            "query_too_long"
        );
    }

    const TARGETS: [&str; 2] = ["return_to", "returnUrl"];

    fn target(query: &str) -> Result<Option<String>, &'static str> {
        let parameters = Parameters::parse_with_target(Some(query), &TARGETS, &["prompt", "max_age"]);
        parameters
            .and_then(|mut parameters| parameters.take("return_to"))
            .map_err(|problem| problem.code())
    }

    #[test]
    fn a_target_that_was_pasted_unencoded_is_taken_whole() {
        for (query, expected) in [
            // Encoded, as it should be.
            ("return_to=%2Fa%3Fb%3Dc%26d%3De", "/a?b=c&d=e"),
            ("return_to=/a&prompt=login", "/a"),
            // Pasted: encoded characters stay encoded.
            ("return_to=/a?b=c", "/a?b=c"),
            ("return_to=/a?b=c&d=e&&f", "/a?b=c&d=e&&f"),
            ("prompt=login&return_to=/a?b=%26&c=d+%20e", "/a?b=%26&c=d+%20e"),
            ("return_to=/a?b=/c?d=e", "/a?b=/c?d=e"),
            ("x=1&return_to=/a?", "/a?"),
        ] {
            assert_eq!(target(query), Ok(Some(expected.to_owned())), "{query}");
        }
        assert_eq!(target("x=/a?b"), Ok(None));
        assert_eq!(target(""), Ok(None));
        let mut query =
            Parameters::parse_with_target(Some("prompt=login&return_to=/a?b=c&d=e"), &TARGETS, &["prompt"])
                .unwrap();
        assert_eq!(query.take("prompt").unwrap().as_deref(), Some("login"));
        assert_eq!(query.take("d").unwrap(), None);
    }

    #[test]
    fn what_is_appended_to_a_pasted_target_sets_no_parameter() {
        for query in [
            "return_to=/a?b=c&prompt=none",
            "return_to=/a?b=c&d=e&max_age=0",
            "return_to=/a?b=c&pr%6Fmpt=none",
            "return_to=/a?b=c&return_to=/d",
            "return_to=/a?b=c&returnUrl=/d",
            "returnUrl=/a?b=c&return_to=/d",
            "return_to=/a?b=c&prompt",
        ] {
            assert_eq!(target(query), Err("ambiguous_target"), "{query}");
        }
        let long = format!("return_to=/a?{}", "x".repeat(MAX_LENGTH));
        assert_eq!(target(&long), Err("query_too_long"));
    }

    proptest! {
        #[test]
        fn a_pasted_target_never_panics(query in "[a&=?%/]{0,24}|(return_to=/[a&=?%é]{0,16})") {
            let _ = target(&query);
        }

        #[test]
        fn no_query_panics(query in ".{0,256}") {
            let mut parameters = Parameters::parse(Some(&query)).unwrap();
            let _ = parameters.take("state");
        }
    }
}
