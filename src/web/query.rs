//! Query strings: bounded, each parameter at most once.

use std::borrow::Cow;

use super::problem::Problem;

/// Longer query strings are refused, in bytes.
const MAX_LENGTH: usize = 8 * 1024;

/// The parameters of a query string or form that nobody has taken yet.
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
            return Err(Problem::bad_request(
                "query_too_long",
                "The query string is too long.",
            ));
        }
        Ok(Self {
            pairs: url::form_urlencoded::parse(query.as_bytes()).collect(),
        })
    }

    /// The parameter `name`, if it is there and not empty. A parameter that comes twice is refused (RFC 6749
    /// section 3.1): two readers could take different ones.
    pub(crate) fn take(&mut self, name: &str) -> Result<Option<String>, Problem> {
        let mut value = None;
        for (key, found) in &self.pairs {
            if key == name {
                if value.is_some() {
                    return Err(Problem::bad_request(
                        "duplicate_parameter",
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

    proptest! {
        #[test]
        fn no_query_panics(query in ".{0,256}") {
            let mut parameters = Parameters::parse(Some(&query)).unwrap();
            let _ = parameters.take("state");
        }
    }
}
