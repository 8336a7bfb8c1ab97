//! Other processes' knowledge of logouts.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::future;

use super::{Digest, KEEP, Logout};
use crate::{
    seal::{Purpose, Sealer},
    shared::{Passing, SharedError},
};

/// The notes of all processes. Their names are keyed hashes, and their content is sealed.
#[derive(Debug)]
pub(super) struct Others {
    passing: Arc<dyn Passing>,
    sealer: Sealer,
}

// === impl Others ===

impl Others {
    pub(super) fn new(passing: Arc<dyn Passing>, sealer: Sealer) -> Self {
        Self { passing, sealer }
    }

    /// Announces a logout of `whom`.
    pub(super) async fn tell(&self, whom: &Digest, logout: &Logout) -> Result<(), SharedError> {
        let name = named(&self.sealer.mac(Purpose::LoggedOut, whom));
        let text = serde_json::to_vec(logout).map_err(|error| SharedError(error.to_string()))?;
        let sealed = self.sealer.seal(Purpose::LoggedOut, whom, &text);
        self.passing.add(&name, &sealed, KEEP).await
    }

    /// The logouts of `whom`, under any of the secrets.
    pub(super) async fn of(&self, whom: &Digest) -> Result<Vec<Logout>, SharedError> {
        let names: Vec<String> = self
            .sealer
            .macs(Purpose::LoggedOut, whom)
            .map(|mac| named(&mac))
            .collect();
        let notes = future::try_join_all(names.iter().map(|name| self.passing.all(name))).await?;
        let open = |sealed: &Vec<u8>| {
            let text = self.sealer.open(Purpose::LoggedOut, whom, sealed)?;
            serde_json::from_slice(&text).ok()
        };
        Ok(notes.concat().iter().filter_map(open).collect())
    }
}

fn named(mac: &[u8; 32]) -> String {
    URL_SAFE_NO_PAD.encode(mac)
}
