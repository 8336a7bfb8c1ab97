//! The keyring that replicas share which have no folder in common.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::runtime::Handle;

use super::{
    document::{Document, DocumentError},
    peers::Peers,
};
use crate::{
    clock::{SharedClock, timeout},
    keys::{Keyring, KeyringError, KeyringLock, KeyringStore, Stamp},
};

/// The replica that has the lock reads and writes a record; after this time it hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// The name of the record in messages.
const PLACE: &str = "the keyring in Redis";

/// Stores the keyring in the shared state of replicas. Blocks: its calls wait on the runtime that it was made on.
#[derive(Debug)]
pub(super) struct SharedKeyring {
    document: Document,
    peers: Peers,
    clock: SharedClock,
    runtime: Handle,
    place: PathBuf,
}

// === impl SharedKeyring ===

impl SharedKeyring {
    pub(super) fn new(document: Document, peers: Peers, clock: SharedClock, runtime: Handle) -> Self {
        Self {
            document,
            peers,
            clock,
            runtime,
            place: PathBuf::from(PLACE),
        }
    }
}

impl KeyringStore for SharedKeyring {
    fn place(&self) -> &Path {
        &self.place
    }

    fn read(&self) -> Result<Option<Keyring>, KeyringError> {
        let found = self.runtime.block_on(self.document.read())?;
        let body = found.body;
        body.map(|text| Keyring::parse(&text, &self.place)).transpose()
    }

    fn write(&self, keyring: &Keyring) -> Result<(), KeyringError> {
        let text = keyring.to_text().map_err(|error| KeyringError::Unavailable {
            cause: error.to_string(),
        })?;
        Ok(self.runtime.block_on(self.document.write(Some(&text)))?)
    }

    fn lock(&self, waits: bool) -> Result<Option<KeyringLock>, KeyringError> {
        let held = self.runtime.block_on(async {
            if !waits {
                return Ok(self.document.try_lock().await?);
            }
            let held = timeout(&*self.clock, PATIENCE, self.document.lock()).await;
            let held = held.map_err(|_| KeyringError::Held {
                path: self.place.clone(),
                seconds: PATIENCE.as_secs(),
            })?;
            Ok::<_, KeyringError>(Some(held?))
        })?;
        Ok(held.map(KeyringLock::new))
    }

    fn stamp(&self) -> Option<Stamp> {
        let found = self.runtime.block_on(self.document.read()).ok()?;
        Some(Stamp::of_revision(found.revision))
    }

    fn has_common_folder(&self) -> bool {
        false
    }

    fn is_held_elsewhere(&self, thumbprint: &str) -> bool {
        let peers = self.runtime.block_on(self.peers.living());
        peers.map_or(true, |peers| peers.iter().any(|peer| peer.publishes(thumbprint)))
    }
}

impl From<DocumentError> for KeyringError {
    fn from(error: DocumentError) -> Self {
        match error {
            DocumentError::Foreign => Self::Foreign,
            error => Self::Unavailable {
                cause: error.to_string(),
            },
        }
    }
}
