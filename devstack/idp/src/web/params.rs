//! Form and query parameters (RFC 6749, section 3.1 and appendix B).

use axum::http::{HeaderMap, header};
use url::form_urlencoded;

const MAX_PARAMS: usize = 64;

/// Decoded parameters. One without a value counts as absent, as in RFC 6749, section 3.1.
#[derive(Default)]
pub(crate) struct Params {
    pairs: Vec<(String, String)>,
    duplicate: Option<String>,
}

/// The parameters cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ParamsError {
    #[error("the content type must be application/x-www-form-urlencoded")]
    ContentType,
    #[error("there are too many parameters")]
    TooMany,
    #[error("{0} is there more than once")]
    Duplicate(String),
}

// === impl Params ===

impl Params {
    /// Reads parameters; notes duplicates, for endpoints with their own answer to them.
    pub(crate) fn parse(encoded: &[u8]) -> Result<Self, ParamsError> {
        let mut params = Self::default();
        for (name, value) in form_urlencoded::parse(encoded) {
            if params.pairs.len() == MAX_PARAMS {
                return Err(ParamsError::TooMany);
            }
            // RFC 8707, section 2: the one parameter that may repeat.
            let is_known = name != "resource" && params.pairs.iter().any(|(known, _)| *known == name);
            if is_known && params.duplicate.is_none() {
                params.duplicate = Some(name.to_string());
            }
            params.pairs.push((name.into_owned(), value.into_owned()));
        }
        Ok(params)
    }

    /// Reads the body of a form.
    pub(crate) fn form(headers: &HeaderMap, body: &[u8]) -> Result<Self, ParamsError> {
        let content_type = headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        let media_type = content_type
            .unwrap_or_default()
            .split(';')
            .next()
            .unwrap_or_default();
        if media_type
            .trim()
            .eq_ignore_ascii_case("application/x-www-form-urlencoded")
        {
            Self::parse(body)
        } else {
            Err(ParamsError::ContentType)
        }
    }

    /// Reads the body of a form without duplicates.
    pub(crate) fn unique_form(headers: &HeaderMap, body: &[u8]) -> Result<Self, ParamsError> {
        let params = Self::form(headers, body)?;
        match params.duplicate {
            Some(name) => Err(ParamsError::Duplicate(printable(&name))),
            None => Ok(params),
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.pairs.iter().find(|(known, _)| known == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// All values of a parameter that may repeat.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let found = self.pairs.iter().filter(move |(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The first duplicate parameter.
    pub(crate) fn duplicate(&self) -> Option<String> {
        self.duplicate.as_deref().map(printable)
    }
}

fn printable(name: &str) -> String {
    name.chars().filter(char::is_ascii_graphic).take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_value_is_absent_and_a_duplicate_is_noted() {
        let params = Params::parse(b"a=1&b=&c=x%20y&a=2").unwrap();
        assert_eq!(
            (params.get("a"), params.get("b"), params.get("c")),
            (Some("1"), None, Some("x y"))
        );
        assert_eq!(params.duplicate().as_deref(), Some("a"));
        assert!(Params::parse("a=1&".repeat(65).as_bytes()).is_err());
    }

    #[test]
    fn a_form_needs_its_content_type() {
        let mut headers = HeaderMap::new();
        assert!(matches!(
            Params::form(&headers, b"a=1"),
            Err(ParamsError::ContentType)
        ));
        let value = "application/x-www-form-urlencoded; charset=UTF-8"
            .parse()
            .unwrap();
        headers.insert(header::CONTENT_TYPE, value);
        assert!(Params::form(&headers, b"a=1").is_ok());
        assert!(matches!(
            Params::unique_form(&headers, b"a=1&a=1"),
            Err(ParamsError::Duplicate(_))
        ));
    }
}
