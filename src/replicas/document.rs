//! A record that replicas share: sealed, with a number that grows, and with a copy in each replica.
//!
//! The copy provides the durability that Redis does not promise. If the record is missing or older than the copy, as
//! after Redis was emptied or restored, the replica that notices restores its copy. Therefore a record is lost only
//! together with all replicas and their folders.

mod held;

use std::{
    fs::{DirBuilder, File},
    io::{self, Read as _},
    os::unix::fs::DirBuilderExt as _,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio_util::task::TaskTracker;
use zeroize::Zeroizing;

use crate::{
    clock::SharedClock,
    private_file,
    random::SharedRandom,
    seal::{Purpose, Sealer},
    shared::{Record, Shared, SharedError},
};

/// How long a dead replica keeps a lock.
const LEASE: Duration = Duration::from_secs(15);

/// The maximum size of a record, in bytes; it usually has a few kilobytes.
const MAX_SIZE: u64 = 1024 * 1024;

/// A record changes between a read and a write only while others write it. More conflicts than this do not happen.
const MAX_TRIES: u32 = 16;

/// A record as this process sees it. Cheap to clone.
#[derive(Clone)]
pub(super) struct Document {
    inner: Arc<Inner>,
}

struct Inner {
    record: Record,
    shared: Arc<dyn Shared>,
    sealer: Sealer,
    clock: SharedClock,
    random: SharedRandom,
    /// The file of the copy; none if it is not writable, and then the copy is only in memory.
    path: PathBuf,
    copy: Mutex<Option<Version>>,
    /// Who has the lock in this process.
    holder: Mutex<Option<String>>,
    /// The record when this process last held the lock: as found, or as written since.
    seen_under_lock: Mutex<Option<u64>>,
    /// Locks that are being given back.
    releases: TaskTracker,
}

/// The content of the record at one moment.
#[derive(Clone, PartialEq, Eq)]
struct Version {
    /// How often it had been written.
    revision: u64,
    /// `None` if it was removed.
    body: Option<Zeroizing<Vec<u8>>>,
}

/// The content that was read.
#[derive(Default)]
pub(super) struct Found {
    /// The number of writes so far; 0 if it was never written.
    pub(super) revision: u64,
    pub(super) body: Option<Zeroizing<Vec<u8>>>,
}

/// Why a record cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum DocumentError {
    #[error(transparent)]
    Shared(#[from] SharedError),
    #[error("it is sealed with a secret that this process does not have")]
    Foreign,
    #[error("this process does not have the lock any more")]
    LockLost,
}

// === impl Document ===

impl Document {
    /// Blocks on a small file.
    pub(super) fn new(
        record: Record,
        shared: Arc<dyn Shared>,
        sealer: Sealer,
        clock: SharedClock,
        random: SharedRandom,
        path: PathBuf,
    ) -> Self {
        let inner = Inner {
            record,
            shared,
            sealer,
            clock,
            random,
            path,
            copy: Mutex::default(),
            holder: Mutex::default(),
            seen_under_lock: Mutex::default(),
            releases: TaskTracker::new(),
        };
        let kept = inner.kept();
        *inner.copy.lock() = kept;
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The content of the record. A newer copy is restored first.
    pub(super) async fn read(&self) -> Result<Found, DocumentError> {
        Ok(self.fetch().await?.0.map_or_else(Found::default, Found::from))
    }

    /// The same, with the bytes that Redis holds.
    async fn fetch(&self) -> Result<(Option<Version>, Option<Vec<u8>>), DocumentError> {
        let inner = &*self.inner;
        for _ in 0..MAX_TRIES {
            let sealed = inner.shared.read(inner.record).await?;
            let present = match &sealed {
                Some(sealed) => Some(inner.open(sealed).ok_or(DocumentError::Foreign)?),
                None => None,
            };
            let known = inner.copy.lock().clone();
            let newer = known.filter(|copy| {
                present
                    .as_ref()
                    .is_none_or(|present| present.revision < copy.revision)
            });
            let Some(copy) = newer else {
                if let Some(present) = &present {
                    inner.keep(present).await;
                }
                return Ok((present, sealed));
            };
            if inner.put(sealed.as_deref(), &copy, None).await? {
                tracing::warn!(
                    record = inner.record.name(),
                    "a record was missing or outdated in Redis and was restored from the copy of this replica"
                );
            }
        }
        Err(changes_all_the_time())
    }

    /// Seals the record under the first secret, so that a former one can be removed.
    pub(super) async fn renew_seal(&self) -> Result<(), DocumentError> {
        let (present, sealed) = self.fetch().await?;
        if let (Some(present), Some(sealed)) = (present, sealed)
            && !self.inner.sealer.is_current(&sealed)
        {
            // If another process writes meanwhile, the work is done.
            self.inner.put(Some(&sealed), &present, None).await?;
        }
        Ok(())
    }

    /// Replaces the content of the record; `None` removes it. Only while this process holds the [lock](Self::lock).
    pub(super) async fn write(&self, body: Option<&[u8]>) -> Result<(), DocumentError> {
        self.replace(body).await
    }

    /// The same for irreplaceable content. If Redis does not answer, the copy of this replica holds it, and it is
    /// written to Redis as soon as that answers.
    pub(super) async fn write_for_certain(&self, body: &[u8]) -> Result<(), DocumentError> {
        let error = match self.replace(Some(body)).await {
            Err(DocumentError::LockLost) => return self.write_late(body).await,
            Err(DocumentError::Shared(error)) => error,
            outcome => return outcome,
        };
        let inner = &*self.inner;
        tracing::warn!(
            record = inner.record.name(),
            "{error}: a record is kept by this replica alone until Redis answers"
        );
        let version = Version {
            revision: self.known_revision().saturating_add(1),
            body: Some(Zeroizing::new(body.to_vec())),
        };
        inner.keep(&version).await;
        Ok(())
    }

    /// The lock is lost, as after Redis has lost everything. If no other replica has written since, the write is
    /// allowed all the same.
    async fn write_late(&self, body: &[u8]) -> Result<(), DocumentError> {
        let seen = *self.inner.seen_under_lock.lock();
        let _held = self.lock().await?;
        if seen.is_none() || *self.inner.seen_under_lock.lock() != seen {
            return Err(DocumentError::LockLost);
        }
        self.replace(Some(body)).await
    }

    async fn replace(&self, body: Option<&[u8]>) -> Result<(), DocumentError> {
        let inner = &*self.inner;
        let holder = inner.holder.lock().clone().ok_or(DocumentError::LockLost)?;
        for _ in 0..MAX_TRIES {
            let (before, sealed) = self.fetch().await?;
            let version = Version {
                revision: before.map_or(0, |before| before.revision).saturating_add(1),
                body: body.map(|body| Zeroizing::new(body.to_vec())),
            };
            if inner.put(sealed.as_deref(), &version, Some(&holder)).await? {
                inner.keep(&version).await;
                *inner.seen_under_lock.lock() = Some(version.revision);
                return Ok(());
            }
            // Without the lock, only former content is restored.
            if !inner.shared.prolong(inner.record, &holder, LEASE).await? {
                return Err(DocumentError::LockLost);
            }
        }
        Err(changes_all_the_time())
    }

    /// Proves that a record of `length` bytes could be written now.
    pub(super) async fn prove_room(&self, length: usize) -> Result<(), DocumentError> {
        Ok(self.inner.shared.prove_room(self.inner.record, length).await?)
    }

    /// How often the record had been written when this process last heard of it.
    pub(super) fn known_revision(&self) -> u64 {
        self.inner.copy.lock().as_ref().map_or(0, |copy| copy.revision)
    }
}

// === impl Inner ===

impl Inner {
    const fn purpose(&self) -> Purpose {
        match self.record {
            Record::Client => Purpose::ClientRecord,
            Record::Keyring => Purpose::KeyringRecord,
        }
    }

    fn seal(&self, version: &Version) -> Vec<u8> {
        let mut plain = Zeroizing::new(version.revision.to_be_bytes().to_vec());
        plain.push(u8::from(version.body.is_some()));
        plain.extend_from_slice(version.body.as_ref().map_or(&[], |body| body.as_slice()));
        self.sealer.seal(self.purpose(), b"", &plain)
    }

    fn open(&self, sealed: &[u8]) -> Option<Version> {
        let plain = Zeroizing::new(self.sealer.open(self.purpose(), b"", sealed)?);
        let (revision, rest) = plain.split_first_chunk::<8>()?;
        let (is_there, body) = rest.split_first()?;
        Some(Version {
            revision: u64::from_be_bytes(*revision),
            body: (*is_there == 1).then(|| Zeroizing::new(body.to_vec())),
        })
    }

    async fn put(
        &self,
        expected: Option<&[u8]>,
        version: &Version,
        holder: Option<&str>,
    ) -> Result<bool, SharedError> {
        let sealed = self.seal(version);
        self.shared.swap(self.record, expected, &sealed, holder).await
    }

    /// Remembers content that was read or written, in memory and if possible in the file.
    async fn keep(&self, version: &Version) {
        {
            let mut copy = self.copy.lock();
            let is_known = copy
                .as_ref()
                .is_some_and(|copy| copy == version || copy.revision > version.revision);
            if is_known {
                return;
            }
            *copy = Some(version.clone());
        }
        let (path, sealed, name) = (self.path.clone(), self.seal(version), self.record.name());
        let write = move || {
            let mut folder = DirBuilder::new();
            let folder = folder.recursive(true).mode(0o700);
            folder.create(private_file::folder_of(&path))?;
            private_file::replace(&path, &sealed)
        };
        let written = tokio::task::spawn_blocking(write).await;
        if !matches!(written, Ok(Ok(()))) {
            tracing::debug!(record = name, "the copy of the record is kept only in memory");
        }
    }

    /// The copy in the file. An unusable one counts as absent.
    fn kept(&self) -> Option<Version> {
        let read = || -> io::Result<Vec<u8>> {
            let mut sealed = Vec::new();
            File::open(&self.path)?.take(MAX_SIZE).read_to_end(&mut sealed)?;
            Ok(sealed)
        };
        self.open(&read().ok()?)
    }
}

fn changes_all_the_time() -> DocumentError {
    SharedError("it changes all the time".to_owned()).into()
}

impl std::fmt::Debug for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Document")
            .field("record", &self.inner.record)
            .field("revision", &self.known_revision())
            .finish_non_exhaustive()
    }
}

// === impl Found ===

impl From<Version> for Found {
    fn from(version: Version) -> Self {
        Self {
            revision: version.revision,
            body: version.body,
        }
    }
}

#[cfg(test)]
mod tests;
