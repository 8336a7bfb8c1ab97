//! The time at the provider: assertions and tokens fail if the clocks differ too much.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{AGE, CACHE_CONTROL, DATE},
};

use super::{JwksError, NotDiscovered, Provider};
use crate::{
    clock::{Timestamp, http_date},
    outbound::{Lane, Request},
};

/// Two readings of one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProviderTime {
    /// By the provider's clock, to the second.
    pub theirs: Timestamp,
    /// By ours.
    pub ours: Timestamp,
}

// === impl ProviderTime ===

impl ProviderTime {
    /// How far our clock is ahead of the provider's, in seconds; negative if it is behind.
    #[must_use]
    pub fn ahead(self) -> i64 {
        let signed = |time: Timestamp| i64::try_from(time.unix_seconds()).unwrap_or(i64::MAX);
        signed(self.ours).saturating_sub(signed(self.theirs))
    }
}

// === impl Provider ===

impl Provider {
    /// The provider's time, from the `Date` of an answer (RFC 9110 section 6.6.1). `None` if it sends none.
    ///
    /// # Errors
    ///
    /// [`JwksError`]: this fetches the JWK Set, because every provider has one without credentials.
    pub async fn time(&self) -> Result<Option<ProviderTime>, JwksError> {
        let metadata = self.metadata().ok_or(NotDiscovered)?;
        let url = metadata.jwks_uri.clone();
        let shown = url.to_string();
        let fresh = HeaderValue::from_static("no-cache");
        let request = Request::get(url).header(CACHE_CONTROL, fresh);
        let before = self.shared.clock.wall();
        let answer = self.shared.outbound.send(Lane::Metadata, request).await;
        let took = self.shared.clock.wall().duration_since(before);
        let response = answer.map_err(|source| JwksError::Unreachable { url: shown, source })?;
        Ok(provider_date(&response.headers).map(|theirs| ProviderTime {
            theirs,
            ours: before.saturating_add(took / 2),
        }))
    }
}

/// The time of an answer, and as much more as a cache says that it has kept it (RFC 9110 section 5.1, RFC 9111 section
/// 5.1).
pub(in crate::oidc) fn provider_date(headers: &HeaderMap) -> Option<Timestamp> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let date = http_date(text(DATE)?)?;
    let age = text(AGE).and_then(|age| age.trim().parse().ok()).unwrap_or(0);
    Some(date.saturating_add(std::time::Duration::from_secs(age)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(HeaderName, &'static str)]) -> HeaderMap {
        let fields = fields.iter().cloned();
        fields
            .map(|(name, value)| (name, HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn what_a_cache_has_kept_has_grown_older() {
        // The example of RFC 9110 section 5.6.7.
        let moment = "Sun, 06 Nov 1994 08:49:37 GMT";
        let seconds = |fields: &[_]| provider_date(&headers(fields)).map(Timestamp::unix_seconds);
        assert_eq!(seconds(&[(DATE, moment)]), Some(784_111_777));
        assert_eq!(seconds(&[(DATE, moment), (AGE, "23")]), Some(784_111_800));
        assert_eq!(seconds(&[(DATE, moment), (AGE, "old")]), Some(784_111_777));
        assert_eq!(seconds(&[(DATE, "yesterday")]), None);
        assert_eq!(seconds(&[]), None);
    }

    #[test]
    fn the_difference_has_a_sign() {
        let time = |theirs, ours| ProviderTime {
            theirs: Timestamp::from_unix_seconds(theirs),
            ours: Timestamp::from_unix_seconds(ours),
        };
        assert_eq!(time(100, 130).ahead(), 30);
        assert_eq!(time(130, 100).ahead(), -30);
    }
}
