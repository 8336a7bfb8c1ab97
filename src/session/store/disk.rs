//! Sessions in one file of this machine: one process, and no restart ends them.
//!
//! Everything in the file is sealed or a keyed hash, except times. Data that a caller relies on is on the disk before
//! the call returns. The time of last use and the due time of tokens follow within seconds: losing them in a crash
//! does no harm. Leases are kept in memory, because they end with the process that held them; the file says on which sessions
//! there was one.

mod change;
mod claims;
mod fault;
mod file;
mod leases;
mod overdue;
mod overlay;
mod row;
mod tables;
mod writer;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures_util::{
    FutureExt as _, StreamExt as _,
    future::{self, BoxFuture},
    stream::{self, BoxStream},
};
use parking_lot::{Mutex, RwLock};
use redb::{Database, ReadableDatabase as _};

use self::{
    change::{Change as RowChange, Outcome, View as _, What},
    file::Place,
    leases::Leases,
    overdue::Look,
    overlay::{Overlay, Seen},
    row::Row,
    tables::Snapshot,
    writer::Writer,
};
pub use self::{fault::Fault, file::DiskError};
use super::{
    ANSWER_WITHIN, Change, Claim, Claimed, Due, EndReason, InsertError, Lease, Listed, NewSession, Part,
    ReplaceError, SessionStore, StoreError, Stored, Usage, Version, Whose, sealed::Seal,
};
use crate::{
    clock::{SharedClock, Timestamp, timeout},
    private_file::Guard,
    seal::Sealer,
    session::{Lifespan, Session, SessionKey},
};

/// Keeps sessions in a file.
pub struct DiskStore {
    core: Arc<Core>,
    writer: Writer,
    leases: Arc<Mutex<Leases>>,
    seal: Arc<Seal>,
    clock: SharedClock,
}

/// The file and the overlay in front of it. If both locks are taken, that of the overlay comes first.
#[derive(Debug)]
struct Core {
    place: Place,
    /// Which file it was at the start.
    identity: Option<(u64, u64)>,
    lifespan: Lifespan,
    overlay: RwLock<Overlay>,
    /// `None` while it cannot be opened again after a failed write.
    database: RwLock<Option<Database>>,
}

// === impl DiskStore ===

impl DiskStore {
    /// The store in the file `sessions.redb` of `folder`; makes the file if it is missing. If another process has it
    /// open, waits for up to 30 seconds.
    ///
    /// # Errors
    ///
    /// [`DiskError`], with what to do.
    pub async fn open(
        folder: &Path,
        guard: Guard,
        lifespan: Lifespan,
        sealer: Sealer,
        clock: SharedClock,
    ) -> Result<Self, DiskError> {
        Self::open_in(Place::new(folder, guard), lifespan, sealer, clock).await
    }

    /// The file in `folder`.
    #[must_use]
    pub fn file_in(folder: &Path) -> PathBuf {
        folder.join(file::NAME)
    }

    /// Looks whether the file in `folder` can be used, without opening it: another process may have it open.
    ///
    /// # Errors
    ///
    /// [`DiskError`] as [`open`](Self::open) would say it.
    pub fn look(folder: &Path, guard: Guard) -> Result<(), DiskError> {
        Place::new(folder, guard).look()
    }

    async fn open_in(
        place: Place,
        lifespan: Lifespan,
        sealer: Sealer,
        clock: SharedClock,
    ) -> Result<Self, DiskError> {
        let database = place.open_when_free(&*clock).await?;
        let core = Arc::new(Core {
            identity: place.identity(),
            place,
            lifespan,
            overlay: RwLock::default(),
            database: RwLock::new(Some(database)),
        });
        let left_behind = core
            .read(|seen| seen.file.held())
            .map_err(|fault| core.place.damaged(fault))?;
        let writer = Writer::start(Arc::clone(&core)).map_err(|error| DiskError::File {
            path: core.place.path().to_owned(),
            error,
        })?;
        Ok(Self {
            core,
            writer,
            leases: Arc::new(Mutex::new(Leases::left_behind(left_behind))),
            seal: Arc::new(Seal::new(sealer)),
            clock,
        })
    }

    /// Reads on a thread that may wait for the disk.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Seen<'_>, &Seal) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (core, seal) = (Arc::clone(&self.core), Arc::clone(&self.seal));
        let reading = tokio::task::spawn_blocking(move || core.read(|seen| read(seen, &seal)));
        // The library panics on some damage.
        let read = async { reading.await.unwrap_or(Err(Fault::Panicked)) };
        self.in_time(read).await
    }

    /// The outcome of a call, unless the disk hangs. Then the outcome is unknown.
    async fn in_time<T>(&self, call: impl Future<Output = Result<T, Fault>>) -> Result<T, StoreError> {
        let outcome = timeout(&*self.clock, ANSWER_WITHIN, call).await;
        outcome
            .unwrap_or(Err(Fault::Slow))
            .map_err(StoreError::unavailable)
    }

    async fn change(&self, key: &SessionKey, what: What) -> Result<Outcome, StoreError> {
        self.in_time(self.make(key, what)).await
    }

    /// Makes a change that the cache in front may show, however long it takes: the cache has to learn the outcome,
    /// and limits the waiting of its own callers.
    async fn change_for_certain(&self, key: &SessionKey, what: What) -> Result<Outcome, StoreError> {
        self.make(key, what).await.map_err(StoreError::unavailable)
    }

    async fn make(&self, key: &SessionKey, what: What) -> Result<Outcome, Fault> {
        self.writer.make(RowChange { key: *key, what }).await
    }

    fn row(&self, session: &Session, due: Due, last_seen: Timestamp) -> Row {
        Row::new(session, &self.seal, &self.core.lifespan, due, last_seen)
    }

    /// Makes a change of no consequence for many sessions at a time.
    async fn change_all(
        &self,
        keys: Vec<SessionKey>,
        what: impl Fn() -> What + Send + Sync,
    ) -> Result<(), StoreError> {
        let changes = keys.iter().map(|key| self.change(key, what()).boxed());
        future::try_join_all(changes).await.map(drop)
    }

    async fn overdue_now(&self, limit: usize) -> Result<Vec<SessionKey>, StoreError> {
        loop {
            let now = self.clock.now();
            let lifespan = self.core.lifespan;
            let look = self
                .read(move |seen, seal| Look::at(seen, seal, &lifespan, now, limit))
                .await?;
            self.change_all(look.used, || What::LookAgain).await?;
            self.change_all(look.unreadable, || What::Remove).await?;
            if !look.more {
                return Ok(look.overdue);
            }
        }
    }

    async fn replace_now(
        &self,
        key: &SessionKey,
        expected: Version,
        session: &Session,
        due: Due,
        lease: Option<&Lease>,
    ) -> Result<Version, ReplaceError> {
        let what = What::Replace {
            expected,
            row: self.row(session, Due::Never, Timestamp::EPOCH),
            due,
            record: self.seal.seal(key, session)?,
            completes: lease.is_some_and(|lease| self.leases.lock().is_held(lease)),
        };
        match self.change_for_certain(key, what).await? {
            Outcome::Written(version) => {
                if let Some(lease) = lease {
                    self.leases.lock().release(lease);
                }
                Ok(version)
            }
            Outcome::Conflict => Err(ReplaceError::Conflict),
            _ => Err(ReplaceError::Gone),
        }
    }
}

impl fmt::Debug for DiskStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskStore")
            .field("place", &self.core.place)
            .finish_non_exhaustive()
    }
}

impl SessionStore for DiskStore {
    fn insert(&self, new: NewSession) -> BoxFuture<'_, Result<Version, InsertError>> {
        async move {
            let row = self.row(&new.session, new.due, new.last_seen);
            let record = self.seal.seal(&new.key, &new.session)?;
            match self.change(&new.key, What::Insert { row, record }).await? {
                Outcome::Written(version) => Ok(version),
                _ => Err(InsertError::Taken),
            }
        }
        .boxed()
    }

    fn get<'a>(&'a self, key: &'a SessionKey) -> BoxFuture<'a, Result<Option<Stored>, StoreError>> {
        let key = *key;
        self.read(move |seen, seal| match seen.row(&key)? {
            Some(row) => seen.stored(seal, &key, &row),
            None => Ok(None),
        })
        .boxed()
    }

    fn replace<'a>(
        &'a self,
        key: &'a SessionKey,
        expected: Version,
        session: Arc<Session>,
        due: Due,
    ) -> BoxFuture<'a, Result<Version, ReplaceError>> {
        async move { self.replace_now(key, expected, &session, due, None).await }.boxed()
    }

    fn complete<'a>(
        &'a self,
        lease: &'a Lease,
        expected: Version,
        session: Arc<Session>,
        due: Due,
    ) -> BoxFuture<'a, Result<Version, ReplaceError>> {
        async move {
            self.replace_now(lease.key(), expected, &session, due, Some(lease))
                .await
        }
        .boxed()
    }

    fn touch<'a>(&'a self, key: &'a SessionKey, at: Timestamp) -> BoxFuture<'a, Result<(), StoreError>> {
        self.change(key, What::Touch(at))
            .map(|done| done.map(drop))
            .boxed()
    }

    fn remove<'a>(
        &'a self,
        key: &'a SessionKey,
        _why: EndReason,
    ) -> BoxFuture<'a, Result<Option<Arc<Session>>, StoreError>> {
        async move {
            let removed = self.change_for_certain(key, What::Remove).await?;
            self.leases.lock().forget(key);
            Ok(match removed {
                Outcome::Removed(record) => self.seal.open(key, &record),
                _ => None,
            })
        }
        .boxed()
    }

    fn find<'a>(&'a self, whose: Whose<'a>) -> BoxFuture<'a, Result<Vec<Listed>, StoreError>> {
        let owners: Vec<_> = self.seal.owners(whose).collect();
        self.read(move |seen, _| {
            let listed: Result<Vec<_>, _> = owners.iter().map(|owner| seen.file.owned_by(owner)).collect();
            Ok(listed?.concat())
        })
        .boxed()
    }

    fn part(&self, part: Part) -> BoxFuture<'_, Result<Vec<SessionKey>, StoreError>> {
        self.read(move |seen, _| seen.file.part(part)).boxed()
    }

    fn claim_due(&self, limit: usize, lease: Duration) -> BoxFuture<'_, Result<Vec<Claimed>, StoreError>> {
        self.claim_due_now(limit, lease).boxed()
    }

    fn claim<'a>(&'a self, key: &'a SessionKey, lease: Duration) -> BoxFuture<'a, Result<Claim, StoreError>> {
        self.claim_now(*key, lease).boxed()
    }

    fn extend<'a>(&'a self, lease: &'a Lease, duration: Duration) -> BoxFuture<'a, Result<bool, StoreError>> {
        let until = self.clock.now().saturating_add(duration);
        future::ready(Ok(self.leases.lock().extend(lease, until))).boxed()
    }

    fn release(&self, lease: Lease, due: Due) -> BoxFuture<'_, Result<(), StoreError>> {
        async move {
            let held = self.leases.lock().is_held(&lease);
            // First the time, then the lease: otherwise the session could be claimed by the time of before.
            if held {
                self.change(&lease.key, What::LetGo(due)).await?;
            }
            self.leases.lock().release(&lease);
            Ok(())
        }
        .boxed()
    }

    fn overdue(&self, limit: usize) -> BoxFuture<'_, Result<Vec<SessionKey>, StoreError>> {
        self.overdue_now(limit).boxed()
    }

    /// Sessions are kept in the file.
    fn cost(&self, _session: &Session) -> usize {
        0
    }

    fn usage(&self) -> BoxFuture<'_, Result<Usage, StoreError>> {
        self.read(|seen, _| {
            let sessions = usize::try_from(seen.file.len()?).unwrap_or(usize::MAX);
            Ok(Usage {
                sessions: sessions.saturating_sub(seen.overlay.ended()),
                memory: 0,
            })
        })
        .boxed()
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.in_time(self.writer.flush()).boxed()
    }

    fn changes(&self) -> BoxStream<'static, Change> {
        stream::iter([Change::Heard]).chain(stream::pending()).boxed()
    }
}

// === impl Core ===

impl Core {
    fn read<T>(&self, read: impl FnOnce(&Seen<'_>) -> Result<T, Fault>) -> Result<T, Fault> {
        let overlay = self.overlay.read();
        let database = self.database.read();
        let database = database.as_ref().ok_or(Fault::Closed)?;
        let file = Snapshot::new(database.begin_read()?);
        read(&Seen {
            overlay: &overlay,
            file: &file,
        })
    }
}

#[cfg(test)]
impl Core {
    fn assert_consistent(&self) {
        self.read(|seen| {
            seen.file.assert_consistent();
            Ok(())
        })
        .unwrap();
    }
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
