//! Initial access tokens (RFC 7591, section 1.2).

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::secret::Digest;

/// More are never needed at once; the bound keeps an admin's runaway script from filling the memory.
const MAX_TOKENS: usize = 10_000;

/// The tokens that have been minted, by digest.
#[derive(Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct InitialAccessTokens {
    tokens: HashMap<Digest, InitialAccessToken>,
}

#[derive(Serialize, Deserialize)]
struct InitialAccessToken {
    label: String,
    expires_at: u64,
    uses_left: u32,
}

/// Why a token does not open registration. The label is for the log.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum IatError {
    #[error("the initial access token is not known")]
    Unknown,
    #[error("the initial access token `{0}` has expired")]
    Expired(String),
    #[error("the initial access token `{0}` is used up")]
    UsedUp(String),
}

// === impl InitialAccessTokens ===

impl InitialAccessTokens {
    /// Remembers a token; `false` if there are too many already.
    pub(crate) fn add(&mut self, token: &str, label: String, expires_at: u64, uses: u32, now: u64) -> bool {
        if self.tokens.len() >= MAX_TOKENS {
            self.tokens.retain(|_, token| token.expires_at > now);
        }
        let room = self.tokens.len() < MAX_TOKENS;
        if room {
            self.tokens.insert(
                Digest::of(token),
                InitialAccessToken {
                    label,
                    expires_at,
                    uses_left: uses,
                },
            );
        }
        room
    }

    pub(crate) fn check(&self, token: &str, now: u64) -> Result<(), IatError> {
        let found = self.tokens.get(&Digest::of(token)).ok_or(IatError::Unknown)?;
        if found.expires_at <= now {
            Err(IatError::Expired(found.label.clone()))
        } else if found.uses_left == 0 {
            Err(IatError::UsedUp(found.label.clone()))
        } else {
            Ok(())
        }
    }

    /// One use less: only a registration that succeeded costs one.
    pub(crate) fn spend(&mut self, token: &str) {
        if let Some(found) = self.tokens.get_mut(&Digest::of(token)) {
            found.uses_left = found.uses_left.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_ends_by_time_and_by_use() {
        let mut iats = InitialAccessTokens::default();
        assert!(iats.add("t", "ci".to_owned(), 100, 2, 0));
        assert_eq!(iats.check("x", 0), Err(IatError::Unknown));
        assert_eq!(iats.check("t", 100), Err(IatError::Expired("ci".to_owned())));
        iats.spend("t");
        assert_eq!(iats.check("t", 99), Ok(()));
        iats.spend("t");
        assert_eq!(iats.check("t", 99), Err(IatError::UsedUp("ci".to_owned())));
    }
}
