//! How large the head of a message may be, in both directions.
//!
//! The HTTP libraries read slightly more than the server accepts, so that the log can name the largest field. Beyond
//! that, only the bound is known.

use http::HeaderMap;

/// The maximum number of header fields. Above the 200 that people have.
pub const MAX_FIELDS: usize = 256;

/// The maximum size of the header fields, in bytes. Enough for a `Cookie` of 64 KiB beside everything else.
pub const MAX_BYTES: usize = 96 * 1024;

/// The number of header fields that are read; with more, the library gives up.
pub const READ_FIELDS: usize = 400;

/// The size of a head that is read, in bytes; with more, the library gives up.
pub const READ_BYTES: usize = 128 * 1024;

/// Longer names of fields are cut, in bytes.
const MAX_NAME: usize = 64;

/// The overhead of a field on the wire of HTTP/1.1: `: ` and the line break.
const AROUND: usize = 4;

/// A head that is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{fields} header fields of {bytes} bytes, of which {name} takes {size}; {MAX_FIELDS} fields and {MAX_BYTES} bytes \
     are accepted"
)]
pub struct TooLarge {
    /// How many fields there are.
    pub fields: usize,
    /// Their size, in bytes.
    pub bytes: usize,
    /// The name whose fields take most.
    pub name: String,
    /// The size of the fields with that name, in bytes.
    pub size: usize,
}

/// Checks the number and the size of header fields.
///
/// # Errors
///
/// [`TooLarge`].
pub fn check(headers: &HeaderMap) -> Result<(), TooLarge> {
    let bytes = headers
        .iter()
        .map(|(name, value)| size(name.as_str(), value.len()))
        .sum();
    if headers.len() <= MAX_FIELDS && bytes <= MAX_BYTES {
        return Ok(());
    }
    let sizes = headers.keys().map(|name| {
        let values = headers.get_all(name).iter();
        let size = values.map(|value| size(name.as_str(), value.len())).sum();
        (name.as_str(), size)
    });
    let (name, size) = sizes.max_by_key(|(_, size)| *size).unwrap_or_default();
    Err(TooLarge {
        fields: headers.len(),
        bytes,
        name: name.chars().take(MAX_NAME).collect(),
        size,
    })
}

const fn size(name: &str, value: usize) -> usize {
    name.len() + value + AROUND
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn fields(number: usize) -> HeaderMap {
        let names = (0..number).map(|field| HeaderName::try_from(format!("x-field-{field}")).unwrap());
        names.map(|name| (name, HeaderValue::from_static("v"))).collect()
    }

    #[test]
    fn what_people_have_is_accepted() {
        check(&HeaderMap::new()).unwrap();
        let mut headers = fields(199);
        headers.insert("cookie", "c".repeat(64 * 1024).parse().unwrap());
        check(&headers).unwrap();
    }

    #[test]
    fn the_name_whose_fields_take_most_is_told() {
        let mut headers = fields(10);
        headers.insert("x-large", "l".repeat(40 * 1024).parse().unwrap());
        for _ in 0..2 {
            headers.append("cookie", "c".repeat(30 * 1024).parse().unwrap());
        }
        let error = check(&headers).unwrap_err();
        assert_eq!(
            (error.fields, error.name.as_str(), error.size),
            (13, "cookie", 2 * (30 * 1024 + 10))
        );
        assert!(error.bytes > MAX_BYTES);
        assert!(!error.to_string().contains("ccc"));
    }

    #[test]
    fn many_small_fields_are_refused_as_well() {
        check(&fields(MAX_FIELDS)).unwrap();
        let error = check(&fields(MAX_FIELDS + 1)).unwrap_err();
        assert_eq!(error.fields, MAX_FIELDS + 1);
    }

    #[test]
    fn a_long_name_is_cut() {
        let name = HeaderName::try_from("n".repeat(1000)).unwrap();
        let headers = HeaderMap::from_iter([(name, HeaderValue::try_from("v".repeat(MAX_BYTES)).unwrap())]);
        assert_eq!(check(&headers).unwrap_err().name.len(), MAX_NAME);
    }
}
