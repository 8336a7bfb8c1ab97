//! The data that the server keeps of a replaced client.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use super::{Registered, is_token};
use crate::{clock::Timestamp, secret::Secret};

/// A replaced client that is still to be deleted (RFC 7592 section 2.3).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Superseded {
    /// Its id.
    pub client_id: String,
    /// Its registration access token.
    pub registration_access_token: Secret,
    /// Its registration URI, as the IdP gave it.
    pub registration_client_uri: String,
    /// When it was replaced; the epoch where an earlier version has not noted it.
    #[serde(default = "long_ago")]
    pub since: Timestamp,
}

// === impl Superseded ===

impl Superseded {
    /// The data needed to delete `old`, which has just been replaced. `None` if the IdP gave no means to delete it.
    pub(in crate::registration) fn new(old: Registered, now: Timestamp) -> Option<Self> {
        Some(Self {
            client_id: old.client_id,
            registration_access_token: old.registration_access_token?,
            registration_client_uri: old.registration_client_uri?,
            since: now,
        })
    }

    pub(super) fn check(&self) -> Result<(), &'static str> {
        if is_token(self.registration_access_token.expose()) {
            Ok(())
        } else {
            Err("the registration access token of a superseded client is not valid")
        }
    }
}

impl fmt::Debug for Superseded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Superseded")
            .field("client_id", &self.client_id)
            .field("since", &self.since)
            .finish_non_exhaustive()
    }
}

/// A list, or the single value of earlier versions.
pub(super) fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Superseded>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Kept {
        One(Superseded),
        More(Vec<Superseded>),
    }
    Ok(match Kept::deserialize(deserializer)? {
        Kept::One(one) => vec![one],
        Kept::More(more) => more,
    })
}

const fn long_ago() -> Timestamp {
    Timestamp::EPOCH
}
