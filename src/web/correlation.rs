//! The correlation id of a request: accepted, made where absent, returned, passed upstream.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::atomic::{AtomicU64, Ordering},
};

use http::{HeaderMap, HeaderName, HeaderValue};

/// The header that carries it.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-correlation-id");

const MAX_LENGTH: usize = 128;

/// A new id is this many characters of [`ALPHABET`], so 80 bits.
const NEW_LENGTH: usize = 16;

/// Letters and digits that are not confused when a person reads an id aloud. No character that begins a command
/// option, ends a word for a double click, or breaks a line.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// An id of `[A-Za-z0-9._-]{1,128}` that does not begin with `-`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CorrelationId(HeaderValue);

/// Gives every request its id.
///
/// A new id is not secret, only distinct: a counter under a keyed hash with random keys. The generator for secrets
/// would cost more than the rest of the middleware, and its first use, which gathers entropy, some 30 milliseconds.
#[derive(Debug, Default)]
pub(crate) struct CorrelationIds {
    keys: [RandomState; 2],
    count: AtomicU64,
}

// === impl CorrelationIds ===

impl CorrelationIds {
    /// The id of the request, or a new one if it has none, several, or a malformed one.
    pub(crate) fn of(&self, headers: &HeaderMap) -> CorrelationId {
        let mut given = headers.get_all(HEADER).iter();
        match (given.next(), given.next()) {
            (Some(id), None) if is_well_formed(id.as_bytes()) => CorrelationId(id.clone()),
            _ => self.next(),
        }
    }

    fn next(&self) -> CorrelationId {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let [one, two] = &self.keys;
        let mut bits = u128::from(one.hash_one(count)) << 64 | u128::from(two.hash_one(count));
        let mut id = [0; NEW_LENGTH];
        for character in &mut id {
            *character = ALPHABET[(bits & 31) as usize];
            bits >>= 5;
        }
        CorrelationId(HeaderValue::from_bytes(&id).unwrap_or(HeaderValue::from_static("unknown")))
    }
}

// === impl CorrelationId ===

impl CorrelationId {
    /// The id as text.
    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// The id as the value of its header.
    pub(crate) const fn header(&self) -> &HeaderValue {
        &self.0
    }
}

fn is_well_formed(id: &[u8]) -> bool {
    (1..=MAX_LENGTH).contains(&id.len())
        // On a command line it would begin an option.
        && id.first() != Some(&b'-')
        && id
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn of(values: &[&'static str]) -> CorrelationId {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(HEADER, HeaderValue::from_static(value));
        }
        CorrelationIds::default().of(&headers)
    }

    #[test]
    fn no_two_requests_get_the_same_id() {
        let ids = CorrelationIds::default();
        let drawn: HashSet<String> = (0..200)
            .map(|_| ids.of(&HeaderMap::new()).as_str().to_owned())
            .collect();
        assert_eq!(drawn.len(), 200);
        assert!(drawn.iter().all(|id| id.len() == 16));
        // Nothing that begins like an option or breaks a line.
        assert!(
            drawn
                .iter()
                .all(|id| id.bytes().all(|byte| byte.is_ascii_alphanumeric()))
        );
    }

    #[test]
    fn a_well_formed_id_is_kept() {
        assert_eq!(of(&["order-7.retry_2"]).as_str(), "order-7.retry_2");
    }

    #[test]
    fn attack_30_any_other_correlation_id_is_replaced() {
        let long = "a".repeat(129).leak();
        for given in [
            &[][..],
            &[""],
            &["a b"],
            &["a;b"],
            &["-abc"],
            &["--"],
            &["<x>"],
            &[long],
            &["one", "two"],
        ] {
            let id = of(given);
            assert_eq!(id.as_str().len(), 16, "{given:?}");
            assert!(!given.contains(&id.as_str()));
        }
    }
}
