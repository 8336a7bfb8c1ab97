//! The correlation id of a request: accepted, made where absent, returned, passed upstream.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::atomic::{AtomicU64, Ordering},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderName, HeaderValue};

/// The header that carries it.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-correlation-id");

const MAX_LENGTH: usize = 128;

/// A new id has this many bytes: 16 characters of base64url.
const NEW_LENGTH: usize = 12;

/// An id of `[A-Za-z0-9._-]{1,128}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CorrelationId(HeaderValue);

/// Gives every request its id.
///
/// A new id is no secret, only distinct: a counter under a keyed hash whose keys are random. The generator for secrets
/// would cost more than the rest of the frame, and its first use, where it gathers entropy, some 30 milliseconds.
#[derive(Debug, Default)]
pub(crate) struct CorrelationIds {
    keys: [RandomState; 2],
    count: AtomicU64,
}

// === impl CorrelationIds ===

impl CorrelationIds {
    /// The id that the request brings, or a new one where it brings none, several, or one that is not well-formed.
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
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&one.hash_one(count).to_be_bytes());
        bytes[8..].copy_from_slice(&two.hash_one(count).to_be_bytes());
        let id = URL_SAFE_NO_PAD.encode(&bytes[..NEW_LENGTH]);
        CorrelationId(HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("unknown")))
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
