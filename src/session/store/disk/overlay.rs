//! Changes that could not be written: kept in memory, in front of the file, until there is room again.
//!
//! A refresh token that the IdP has replaced exists nowhere else. So a full disk loses none; it refuses new sessions only.

use std::collections::HashMap;

use super::{
    Fault,
    change::{State, View},
    row::Row,
    tables::{Snapshot, Timeline},
};
use crate::{
    clock::Timestamp,
    session::{
        SessionKey,
        store::{Stored, sealed::Seal},
    },
};

/// The changes that are waiting for room, one for each session.
#[derive(Debug, Default)]
pub(super) struct Overlay(HashMap<SessionKey, Parked>);

/// How a session is, otherwise than in the file.
#[derive(Clone, Debug)]
enum Parked {
    /// With this row, and this record if it has changed too.
    Changed(Row, Option<Vec<u8>>),
    /// Ended.
    Ended,
}

/// The present state of sessions: from the overlay, or otherwise from the file.
pub(super) struct Seen<'a> {
    pub(super) overlay: &'a Overlay,
    pub(super) file: &'a Snapshot,
}

/// The same, where changes are parked in the overlay.
pub(super) struct Parking<'a> {
    pub(super) overlay: &'a mut Overlay,
    pub(super) file: &'a Snapshot,
}

// === impl Overlay ===

impl Overlay {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn get(&self, key: &SessionKey) -> Option<&Parked> {
        self.0.get(key)
    }

    fn changed(&self) -> impl Iterator<Item = (&SessionKey, &Row)> {
        self.0.iter().filter_map(|(key, parked)| match parked {
            Parked::Changed(row, _) => Some((key, row)),
            Parked::Ended => None,
        })
    }

    /// How many sessions of the file have ended here.
    pub(super) fn ended(&self) -> usize {
        self.0
            .values()
            .filter(|parked| matches!(parked, Parked::Ended))
            .count()
    }

    pub(super) fn clear(&mut self) {
        self.0 = HashMap::new();
    }

    /// Writes everything to `state`.
    pub(super) fn write(&self, state: &mut impl State) -> Result<(), Fault> {
        for (key, parked) in &self.0 {
            let Some(old) = state.row(key)? else {
                continue;
            };
            match parked {
                Parked::Changed(row, record) => state.put(key, Some(&old), *row, record.clone())?,
                Parked::Ended => state.delete(key, &old)?,
            }
        }
        Ok(())
    }
}

// === impl Seen ===

impl Seen<'_> {
    /// The session of `row`, if it can be read.
    pub(super) fn stored(&self, seal: &Seal, key: &SessionKey, row: &Row) -> Result<Option<Stored>, Fault> {
        let session = seal.open(key, &self.record(key)?);
        Ok(session.map(|session| Stored {
            session,
            version: row.version,
            last_seen: row.last_seen,
        }))
    }

    /// Goes through the sessions that come up to `now` in `timeline`, the earliest first, while `each` says so; those in
    /// the overlay before the others.
    pub(super) fn up_to(
        &self,
        timeline: Timeline,
        now: Timestamp,
        mut each: impl FnMut(SessionKey, Row) -> Result<bool, Fault>,
    ) -> Result<(), Fault> {
        let mut parked: Vec<_> = self.overlay.changed().collect();
        parked.retain(|(_, row)| timeline.time(row).is_some_and(|at| at <= now));
        parked.sort_by_key(|(_, row)| timeline.time(row));
        for (key, row) in parked {
            if !each(*key, *row)? {
                return Ok(());
            }
        }
        self.file.up_to(timeline, now, |key| match self.file.row(&key)? {
            Some(row) if self.overlay.get(&key).is_none() => each(key, row),
            _ => Ok(true),
        })
    }
}

impl View for Seen<'_> {
    fn row(&self, key: &SessionKey) -> Result<Option<Row>, Fault> {
        match self.overlay.get(key) {
            Some(Parked::Changed(row, _)) => Ok(Some(*row)),
            Some(Parked::Ended) => Ok(None),
            None => self.file.row(key),
        }
    }

    fn record(&self, key: &SessionKey) -> Result<Vec<u8>, Fault> {
        match self.overlay.get(key) {
            Some(Parked::Changed(_, Some(record))) => Ok(record.clone()),
            _ => self.file.record(key),
        }
    }
}

// === impl Parking ===

impl Parking<'_> {
    fn seen(&self) -> Seen<'_> {
        Seen {
            overlay: self.overlay,
            file: self.file,
        }
    }
}

impl View for Parking<'_> {
    fn row(&self, key: &SessionKey) -> Result<Option<Row>, Fault> {
        self.seen().row(key)
    }

    fn record(&self, key: &SessionKey) -> Result<Vec<u8>, Fault> {
        self.seen().record(key)
    }
}

impl State for Parking<'_> {
    fn put(
        &mut self,
        key: &SessionKey,
        _old: Option<&Row>,
        row: Row,
        record: Option<Vec<u8>>,
    ) -> Result<(), Fault> {
        let record = record.or_else(|| match self.overlay.0.remove(key) {
            Some(Parked::Changed(_, record)) => record,
            Some(Parked::Ended) | None => None,
        });
        self.overlay.0.insert(*key, Parked::Changed(row, record));
        Ok(())
    }

    fn delete(&mut self, key: &SessionKey, _old: &Row) -> Result<(), Fault> {
        self.overlay.0.insert(*key, Parked::Ended);
        Ok(())
    }

    /// Nothing: only the next process would read it, and this one has what else it would need.
    fn hold(&mut self, _key: &SessionKey) -> Result<(), Fault> {
        Ok(())
    }

    /// Nothing, likewise. The next renewal of the session corrects the file.
    fn let_go(&mut self, _key: &SessionKey) -> Result<(), Fault> {
        Ok(())
    }
}
