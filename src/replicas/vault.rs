//! The credentials of a client that replicas share.

use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use futures_util::future::BoxFuture;

use super::document::{Document, DocumentError};
use crate::{
    clock::Clock,
    registration::{Credentials, CredentialsError, CredentialsFile, Fingerprint, Lock, Place, Vault},
};

/// So long the first registration of all waits: two looks of a replica that has a copy of what Redis has lost.
const GRACE: Duration = Duration::from_secs(5);

/// As large as a record gets, in bytes: a Redis that is full shows only where bytes are written.
const PROOF: usize = 16 * 1024;

/// Keeps credentials in what replicas share.
#[derive(Debug)]
pub(super) struct SharedVault {
    document: Document,
    /// What a process without replicas has left; it is taken up where nothing is shared yet.
    file: CredentialsFile,
    /// Whether others have had the time to put back what they know.
    has_waited: AtomicBool,
}

// === impl SharedVault ===

impl SharedVault {
    pub(super) const fn new(document: Document, file: CredentialsFile) -> Self {
        Self {
            document,
            file,
            has_waited: AtomicBool::new(false),
        }
    }

    /// Under the lock: makes sure that there is no registration before one is made.
    async fn settle(&self, clock: &dyn Clock) -> Result<(), CredentialsError> {
        if self.has_waited.load(Ordering::Relaxed) || self.document.read().await?.revision > 0 {
            return Ok(());
        }
        if let Some(record) = self.file.load().await? {
            self.store(&record).await?;
            tracing::info!("{} was taken up into Redis", self.file.path().display());
            return Ok(());
        }
        clock.sleep(GRACE).await;
        self.has_waited.store(true, Ordering::Relaxed);
        Ok(())
    }
}

impl Vault for SharedVault {
    fn place(&self) -> Place {
        Place::Shared
    }

    fn lock<'a>(&'a self, clock: &'a dyn Clock) -> BoxFuture<'a, Result<Lock, CredentialsError>> {
        Box::pin(async move {
            let held = self.document.lock().await?;
            self.settle(clock).await?;
            Ok(Lock::new(held))
        })
    }

    fn load(&self) -> BoxFuture<'_, Result<Option<Credentials>, CredentialsError>> {
        Box::pin(async move {
            let found = self.document.read().await?;
            let body = found.body;
            body.map(|text| Credentials::parse(&text, &Place::Shared))
                .transpose()
        })
    }

    fn store<'a>(&'a self, record: &'a Credentials) -> BoxFuture<'a, Result<(), CredentialsError>> {
        Box::pin(async move {
            let text = record.to_text().map_err(|error| unavailable(&error))?;
            // A client that the IdP has made, and its tokens, it gives no second time.
            if record.registered.is_some() {
                return Ok(self.document.write_for_certain(&text).await?);
            }
            Ok(self.document.write(Some(&text)).await?)
        })
    }

    fn remove(&self) -> BoxFuture<'_, Result<(), CredentialsError>> {
        Box::pin(async move { Ok(self.document.write(None).await?) })
    }

    fn prove_writable(&self) -> BoxFuture<'_, Result<(), CredentialsError>> {
        Box::pin(async move { Ok(self.document.prove_room(PROOF).await?) })
    }

    /// Goes by what the replica has heard, which it does all the time.
    fn fingerprint(&self) -> BoxFuture<'_, Fingerprint> {
        let revision = self.document.known_revision();
        Box::pin(std::future::ready(Fingerprint::Revision(revision)))
    }
}

impl From<DocumentError> for CredentialsError {
    fn from(error: DocumentError) -> Self {
        match error {
            DocumentError::Shared(error) => unavailable(&error),
            DocumentError::Foreign => Self::Foreign,
            DocumentError::LockLost => Self::LockLost,
        }
    }
}

fn unavailable(cause: &dyn fmt::Display) -> CredentialsError {
    CredentialsError::Unavailable {
        cause: cause.to_string(),
    }
}

#[cfg(test)]
mod tests;
