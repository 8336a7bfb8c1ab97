//! Outcomes of checks, bounded in number and in time.

use std::{fmt, time::Duration};

use aws_lc_rs::digest::{SHA256, digest};
use moka::sync::Cache as Moka;

use super::{BadToken, Good};
use crate::{clock::Timestamp, secret::Secret};

/// At most this many good tokens are kept.
const MOST: u64 = 10_000;

/// At most this many bad ones: a flood of them must not drive the good ones out.
const MOST_BAD: u64 = 1_000;

/// A bad token is not looked at again for this long.
const BAD_FOR: Duration = Duration::from_secs(5);

/// A token's place: nobody can find the token by it.
type Key = [u8; 32];

/// Outcomes of checks.
pub(super) struct Cache {
    good: Moka<Key, Kept<Good>>,
    bad: Moka<Key, Kept<BadToken>>,
}

#[derive(Clone)]
struct Kept<T> {
    outcome: T,
    until: Timestamp,
}

// === impl Cache ===

impl Cache {
    /// The outcome of an earlier check, if it still counts.
    pub(super) fn get(&self, token: &Secret, now: Timestamp) -> Option<Result<Good, BadToken>> {
        let key = key(token);
        if let Some(good) = self.good.get(&key) {
            if now < good.until {
                return Some(Ok(good.outcome));
            }
            self.good.invalidate(&key);
        }
        let bad = self.bad.get(&key)?;
        (now < bad.until).then_some(Err(bad.outcome))
    }

    pub(super) fn keep(&self, token: &Secret, outcome: Good, until: Timestamp) {
        self.good.insert(key(token), Kept { outcome, until });
    }

    pub(super) fn keep_bad(&self, token: &Secret, bad: BadToken, now: Timestamp) {
        let until = now.saturating_add(BAD_FOR);
        self.bad.insert(key(token), Kept { outcome: bad, until });
    }
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            good: Moka::new(MOST),
            bad: Moka::new(MOST_BAD),
        }
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").finish_non_exhaustive()
    }
}

fn key(token: &Secret) -> Key {
    let digest = digest(&SHA256, token.expose().as_bytes());
    let mut key = Key::default();
    // Of the same length.
    for (byte, from) in key.iter_mut().zip(digest.as_ref()) {
        *byte = *from;
    }
    key
}
