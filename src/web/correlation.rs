//! The correlation id of a request: accepted, made where absent, returned, passed upstream.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::random::{Random, RandomExt as _};

/// The header that carries it.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-correlation-id");

const MAX_LENGTH: usize = 128;

/// An id of `[A-Za-z0-9._-]{1,128}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CorrelationId(HeaderValue);

// === impl CorrelationId ===

impl CorrelationId {
    /// The id that the request brings, or a new one where it brings none, several, or one that is not well-formed.
    pub(crate) fn of(headers: &HeaderMap, random: &dyn Random) -> Self {
        let mut given = headers.get_all(HEADER).iter();
        match (given.next(), given.next()) {
            (Some(id), None) if is_well_formed(id.as_bytes()) => Self(id.clone()),
            _ => Self::new(random),
        }
    }

    fn new(random: &dyn Random) -> Self {
        let id = random.base64url::<12>();
        Self(HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("unknown")))
    }

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
    use super::*;
    use crate::random::SystemRandom;

    fn of(values: &[&'static str]) -> CorrelationId {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(HEADER, HeaderValue::from_static(value));
        }
        CorrelationId::of(&headers, &SystemRandom)
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
