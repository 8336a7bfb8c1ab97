//! The credentials of a client that replicas share.

use std::{
    fmt,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use futures_util::future::BoxFuture;

use super::document::{Document, DocumentError};
use crate::{
    clock::Clock,
    registration::{Credentials, CredentialsError, CredentialsFile, Fingerprint, Lock, Place, Vault},
};

/// The very first registration waits this long: two looks of a replica that has a copy of data that Redis has lost.
const GRACE: Duration = Duration::from_secs(5);

/// As large as a record gets, in bytes: a Redis that is full shows only where bytes are written.
const PROOF: usize = 16 * 1024;

/// Stores credentials in the shared state of replicas.
#[derive(Debug)]
pub(super) struct SharedVault {
    document: Document,
    /// The credentials of a process without replicas; they are imported if nothing is shared yet.
    file: CredentialsFile,
    /// Whether others have had time to restore their copies.
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

    /// Under the lock: makes sure that no registration exists before one is made.
    async fn settle(&self, clock: &dyn Clock) -> Result<(), CredentialsError> {
        if self.has_waited.load(Ordering::Relaxed) || self.document.read().await?.revision > 0 {
            return Ok(());
        }
        if let Some((path, record)) = self.to_import().await? {
            self.store(&record).await?;
            tracing::info!("{} was imported into Redis", path.display());
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

    fn to_import(&self) -> BoxFuture<'_, Result<Option<(PathBuf, Credentials)>, CredentialsError>> {
        Box::pin(async move {
            if self.document.read().await?.revision > 0 {
                return Ok(None);
            }
            let record = self.file.load().await?;
            Ok(record.map(|record| (self.file.path().to_owned(), record)))
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

    /// Uses the replica's own knowledge, which it updates continuously.
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
