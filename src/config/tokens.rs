//! Refreshing tokens.

use std::time::Duration;

use super::reader::Reader;

/// When and how many tokens are refreshed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenSettings {
    /// This long before expiry, at most half the token's life.
    pub refresh_threshold: Duration,
    /// In parallel at most.
    pub refresh_concurrency: usize,
}

pub(super) fn read(reader: &mut Reader) -> TokenSettings {
    let concurrency = reader.number("TOKEN_REFRESH_CONCURRENCY", 32, 1, 10_000);
    TokenSettings {
        refresh_threshold: reader.duration("TOKEN_REFRESH_THRESHOLD", Duration::from_mins(5)),
        refresh_concurrency: usize::try_from(concurrency).unwrap_or(32),
    }
}
