//! The shared state, in the memory of a test.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use parking_lot::Mutex;

use super::*;
use crate::clock::{SharedClock, Timestamp};

/// Clones share the content.
#[derive(Clone)]
pub(crate) struct MemoryShared {
    inner: Arc<Mutex<Inner>>,
    clock: SharedClock,
}

#[derive(Default)]
struct Inner {
    records: HashMap<Record, Vec<u8>>,
    locks: HashMap<Record, (String, Timestamp)>,
    notes: HashMap<String, (Vec<u8>, Timestamp)>,
    passing: HashMap<String, (Vec<u8>, Timestamp)>,
    /// When allowances are whole again.
    limits: HashMap<String, u64>,
    lists: HashMap<String, (BTreeSet<Vec<u8>>, Timestamp)>,
    is_down: bool,
}

// === impl MemoryShared ===

impl MemoryShared {
    pub(crate) fn new(clock: SharedClock) -> Self {
        Self {
            inner: Arc::default(),
            clock,
        }
    }

    /// Loses all content.
    pub(crate) fn empty(&self) {
        *self.inner.lock() = Inner::default();
    }

    /// Whether it answers nothing.
    pub(crate) fn set_down(&self, is_down: bool) {
        self.inner.lock().is_down = is_down;
    }

    /// A dump of a record.
    pub(crate) fn dump(&self, record: Record) -> Option<Vec<u8>> {
        self.inner.lock().records.get(&record).cloned()
    }

    /// Data that an attacker with write access puts there.
    pub(crate) fn put(&self, record: Record, bytes: Vec<u8>) {
        self.inner.lock().records.insert(record, bytes);
    }

    /// A dump of all short-lived data.
    pub(crate) fn dump_of_passing(&self) -> Vec<u8> {
        let inner = self.inner.lock();
        let values = inner
            .passing
            .iter()
            .flat_map(|(name, (value, _))| [name.as_bytes(), value]);
        let notes = inner.lists.iter().flat_map(|(name, (notes, _))| {
            std::iter::once(name.as_bytes()).chain(notes.iter().map(Vec::as_slice))
        });
        let limits = inner.limits.keys().map(String::as_bytes);
        values.chain(notes).chain(limits).collect::<Vec<_>>().concat()
    }

    fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Inner, Timestamp) -> T,
    ) -> BoxFuture<'static, Result<T, SharedError>> {
        let mut inner = self.inner.lock();
        let outcome = if inner.is_down {
            Err(SharedError("it is down".to_owned()))
        } else {
            Ok(work(&mut inner, self.clock.now()))
        };
        Box::pin(std::future::ready(outcome))
    }
}

impl fmt::Debug for MemoryShared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryShared").finish_non_exhaustive()
    }
}

impl Inner {
    fn has_lock(&self, record: Record, holder: &str, now: Timestamp) -> bool {
        self.locks
            .get(&record)
            .is_some_and(|(other, until)| other == holder && *until > now)
    }
}

impl Shared for MemoryShared {
    fn read(&self, record: Record) -> BoxFuture<'_, Result<Option<Vec<u8>>, SharedError>> {
        self.with(|inner, _| inner.records.get(&record).cloned())
    }

    fn swap<'a>(
        &'a self,
        record: Record,
        expected: Option<&'a [u8]>,
        new: &'a [u8],
        holder: Option<&'a str>,
    ) -> BoxFuture<'a, Result<bool, SharedError>> {
        self.with(|inner, now| {
            let present = inner.records.get(&record).map(Vec::as_slice);
            if holder.is_some_and(|holder| !inner.has_lock(record, holder, now)) || present != expected {
                return false;
            }
            inner.records.insert(record, new.to_vec());
            true
        })
    }

    fn hold<'a>(
        &'a self,
        record: Record,
        holder: &'a str,
        lease: Duration,
    ) -> BoxFuture<'a, Result<bool, SharedError>> {
        self.with(|inner, now| {
            let other = inner.locks.get(&record);
            if other.is_some_and(|(other, until)| other != holder && *until > now) {
                return false;
            }
            let until = now.saturating_add(lease);
            inner.locks.insert(record, (holder.to_owned(), until));
            true
        })
    }

    fn prolong<'a>(
        &'a self,
        record: Record,
        holder: &'a str,
        lease: Duration,
    ) -> BoxFuture<'a, Result<bool, SharedError>> {
        self.with(|inner, now| {
            let has_it = inner.has_lock(record, holder, now);
            if has_it {
                let until = now.saturating_add(lease);
                inner.locks.insert(record, (holder.to_owned(), until));
            }
            has_it
        })
    }

    fn let_go<'a>(&'a self, record: Record, holder: &'a str) -> BoxFuture<'a, Result<(), SharedError>> {
        self.with(|inner, now| {
            if inner.has_lock(record, holder, now) {
                inner.locks.remove(&record);
            }
        })
    }

    fn prove_room(&self, _record: Record, _length: usize) -> BoxFuture<'_, Result<(), SharedError>> {
        self.with(|_, _| ())
    }

    fn post<'a>(
        &'a self,
        replica: &'a str,
        note: &'a [u8],
        keep: Duration,
    ) -> BoxFuture<'a, Result<(), SharedError>> {
        self.with(|inner, now| {
            let until = now.saturating_add(keep);
            inner.notes.insert(replica.to_owned(), (note.to_vec(), until));
        })
    }

    fn withdraw<'a>(&'a self, replica: &'a str) -> BoxFuture<'a, Result<(), SharedError>> {
        self.with(|inner, _| {
            inner.notes.remove(replica);
        })
    }

    fn board(&self) -> BoxFuture<'_, Result<Notes, SharedError>> {
        self.with(|inner, now| {
            inner.notes.retain(|_, (_, until)| *until > now);
            let notes = inner.notes.iter();
            notes
                .map(|(replica, (note, _))| (replica.clone(), note.clone()))
                .collect()
        })
    }

    fn time(&self) -> BoxFuture<'_, Result<Duration, SharedError>> {
        self.with(|_, now| now.duration_since(Timestamp::EPOCH))
    }
}

impl Passing for MemoryShared {
    fn put_first<'a>(
        &'a self,
        name: &'a str,
        value: &'a [u8],
        keep: Duration,
    ) -> BoxFuture<'a, Result<bool, SharedError>> {
        self.with(|inner, now| {
            let other = inner.passing.get(name);
            if other.is_some_and(|(other, until)| other != value && *until > now) {
                return false;
            }
            let until = now.saturating_add(keep);
            inner.passing.insert(name.to_owned(), (value.to_vec(), until));
            true
        })
    }

    fn put<'a>(
        &'a self,
        name: &'a str,
        value: &'a [u8],
        keep: Duration,
    ) -> BoxFuture<'a, Result<(), SharedError>> {
        self.with(|inner, now| {
            let until = now.saturating_add(keep);
            inner.passing.insert(name.to_owned(), (value.to_vec(), until));
        })
    }

    fn fetch<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, SharedError>> {
        self.with(|inner, now| {
            let found = inner.passing.get(name).filter(|(_, until)| *until > now);
            found.map(|(value, _)| value.clone())
        })
    }

    fn forget<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), SharedError>> {
        self.with(|inner, _| {
            inner.passing.remove(name);
        })
    }

    fn add<'a>(
        &'a self,
        name: &'a str,
        note: &'a [u8],
        keep: Duration,
    ) -> BoxFuture<'a, Result<(), SharedError>> {
        self.with(|inner, now| {
            let (notes, until) = inner
                .lists
                .entry(name.to_owned())
                .or_insert_with(|| (BTreeSet::new(), now));
            notes.insert(note.to_vec());
            *until = now.saturating_add(keep);
        })
    }

    fn all<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<Vec<u8>>, SharedError>> {
        self.with(|inner, now| {
            let found = inner.lists.get(name).filter(|(_, until)| *until > now);
            found
                .map(|(notes, _)| notes.iter().cloned().collect())
                .unwrap_or_default()
        })
    }
}

impl Meter for MemoryShared {
    fn take<'a>(
        &'a self,
        name: &'a str,
        interval: u64,
        tolerance: u64,
    ) -> BoxFuture<'a, Result<Taken, SharedError>> {
        self.with(|inner, now| {
            let whole_at = inner.limits.get(name).copied();
            let (taken, whole_at) = cell_rate(whole_at, now.unix_millis() * 1_000, interval, tolerance);
            inner.limits.insert(name.to_owned(), whole_at);
            taken
        })
    }
}
