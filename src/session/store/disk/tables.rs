//! The tables of the file.
//!
//! A session is a row and a sealed record. Three indexes are derived from the row: by owner, by the time of the next
//! check, and by the due time of tokens. All of them change in one transaction. A table of their own has the sessions on
//! which there is a lease.

use std::ops::Bound;

use redb::{
    ReadOnlyTable, ReadTransaction, ReadableTable, ReadableTableMetadata as _, Table, TableDefinition,
    TableError, WriteTransaction,
};

use super::{
    Fault,
    change::{State, View},
    row::{self, Row, moment, owned, read_moment},
};
use crate::{
    clock::Timestamp,
    session::{
        SessionKey,
        store::{Listed, Part, sealed::Owner},
    },
};

type Key = &'static [u8; 32];
type Moment = &'static [u8; 40];
type Owned = &'static [u8; 72];

const ROWS: TableDefinition<'_, Key, &row::Bytes> = TableDefinition::new("rows");
const RECORDS: TableDefinition<'_, Key, &[u8]> = TableDefinition::new("records");
const OWNERS: TableDefinition<'_, Owned, ()> = TableDefinition::new("owners");
const ENDS: TableDefinition<'_, Moment, ()> = TableDefinition::new("ends");
const DUE: TableDefinition<'_, Moment, ()> = TableDefinition::new("due");
const HELD: TableDefinition<'_, Key, ()> = TableDefinition::new("held");

/// The tables while they are written.
pub(super) struct Tables<'txn> {
    rows: Table<'txn, Key, &'static row::Bytes>,
    records: Table<'txn, Key, &'static [u8]>,
    owners: Table<'txn, Owned, ()>,
    ends: Table<'txn, Moment, ()>,
    due: Table<'txn, Moment, ()>,
    held: Table<'txn, Key, ()>,
}

/// The tables as they were at one moment.
pub(super) struct Snapshot(ReadTransaction);

/// An index by time.
#[derive(Clone, Copy, Debug)]
pub(super) enum Timeline {
    /// When to look whether a session has ended.
    Ends,
    /// When the tokens of a session are due.
    Due,
}

// === impl Tables ===

impl<'txn> Tables<'txn> {
    /// Opens all tables, and makes missing ones.
    pub(super) fn open(transaction: &'txn WriteTransaction) -> Result<Self, Fault> {
        Ok(Self {
            rows: transaction.open_table(ROWS)?,
            records: transaction.open_table(RECORDS)?,
            owners: transaction.open_table(OWNERS)?,
            ends: transaction.open_table(ENDS)?,
            due: transaction.open_table(DUE)?,
            held: transaction.open_table(HELD)?,
        })
    }

    fn link(&mut self, key: &SessionKey, row: &Row) -> Result<(), Fault> {
        self.ends.insert(&moment(row.look_at, key), ())?;
        if let Some(due) = row.due {
            self.due.insert(&moment(due, key), ())?;
        }
        for owner in row.owners() {
            self.owners.insert(&owned(owner, row.created_at, key), ())?;
        }
        Ok(())
    }

    fn unlink(&mut self, key: &SessionKey, row: &Row) -> Result<(), Fault> {
        self.ends.remove(&moment(row.look_at, key))?;
        if let Some(due) = row.due {
            self.due.remove(&moment(due, key))?;
        }
        for owner in row.owners() {
            self.owners.remove(&owned(owner, row.created_at, key))?;
        }
        Ok(())
    }

    /// Moves the differing entries.
    fn relink(&mut self, key: &SessionKey, old: &Row, row: &Row) -> Result<(), Fault> {
        let owners = |row: &Row| (row.person, row.login, row.created_at);
        if owners(old) != owners(row) {
            // The names of owners change with the secret.
            self.unlink(key, old)?;
            return self.link(key, row);
        }
        if old.look_at != row.look_at {
            self.ends.remove(&moment(old.look_at, key))?;
            self.ends.insert(&moment(row.look_at, key), ())?;
        }
        if old.due != row.due {
            if let Some(due) = old.due {
                self.due.remove(&moment(due, key))?;
            }
            if let Some(due) = row.due {
                self.due.insert(&moment(due, key), ())?;
            }
        }
        Ok(())
    }
}

impl View for Tables<'_> {
    fn row(&self, key: &SessionKey) -> Result<Option<Row>, Fault> {
        let row = self.rows.get(key.as_bytes())?;
        Ok(row.map(|row| Row::decode(row.value())))
    }

    fn record(&self, key: &SessionKey) -> Result<Vec<u8>, Fault> {
        let record = self.records.get(key.as_bytes())?;
        Ok(record.map(|record| record.value().to_vec()).unwrap_or_default())
    }
}

impl State for Tables<'_> {
    fn put(
        &mut self,
        key: &SessionKey,
        old: Option<&Row>,
        row: Row,
        record: Option<Vec<u8>>,
    ) -> Result<(), Fault> {
        match old {
            Some(old) => self.relink(key, old, &row)?,
            None => self.link(key, &row)?,
        }
        self.rows.insert(key.as_bytes(), &row.encode())?;
        if let Some(record) = record {
            self.records.insert(key.as_bytes(), &*record)?;
        }
        Ok(())
    }

    fn delete(&mut self, key: &SessionKey, old: &Row) -> Result<(), Fault> {
        self.unlink(key, old)?;
        self.rows.remove(key.as_bytes())?;
        self.records.remove(key.as_bytes())?;
        self.let_go(key)
    }

    fn hold(&mut self, key: &SessionKey) -> Result<(), Fault> {
        // It may have been removed since it was claimed. Then nothing would ever take it out.
        if self.row(key)?.is_some() {
            self.held.insert(key.as_bytes(), ())?;
        }
        Ok(())
    }

    fn let_go(&mut self, key: &SessionKey) -> Result<(), Fault> {
        self.held.remove(key.as_bytes())?;
        Ok(())
    }
}

// === impl Timeline ===

impl Timeline {
    /// The position of a session in it.
    pub(super) const fn time(self, row: &Row) -> Option<Timestamp> {
        match self {
            Self::Ends => Some(row.look_at),
            Self::Due => row.due,
        }
    }
}

// === impl Snapshot ===

impl Snapshot {
    pub(super) const fn new(transaction: ReadTransaction) -> Self {
        Self(transaction)
    }

    pub(super) fn len(&self) -> Result<u64, Fault> {
        Ok(self.0.open_table(ROWS)?.len()?)
    }

    /// The sessions on which there is a lease, or was one when the process ended that wrote the file.
    pub(super) fn held(&self) -> Result<Vec<SessionKey>, Fault> {
        let table = match self.0.open_table(HELD) {
            // A server of before has written the file.
            Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            table => table?,
        };
        let keys = table
            .iter()?
            .map(|entry| Ok(SessionKey::from_bytes(*entry?.0.value())));
        keys.collect()
    }

    /// The sessions of `owner`.
    pub(super) fn owned_by(&self, owner: &Owner) -> Result<Vec<Listed>, Fault> {
        let (mut first, mut last) = ([0; 72], [u8::MAX; 72]);
        first[..32].copy_from_slice(owner);
        last[..32].copy_from_slice(owner);
        let mut listed = Vec::new();
        for entry in self.0.open_table(OWNERS)?.range::<&[u8; 72]>(&first..=&last)? {
            let mut moment = [0; 40];
            moment.copy_from_slice(&entry?.0.value()[32..]);
            let (created_at, key) = read_moment(&moment);
            listed.push(Listed { created_at, key });
        }
        Ok(listed)
    }

    /// The sessions of a part, which lie together by the first byte of their keys.
    pub(super) fn part(&self, part: Part) -> Result<Vec<SessionKey>, Fault> {
        let table = self.0.open_table(ROWS)?;
        let mut keys = Vec::new();
        for byte in u8::MIN..=u8::MAX {
            let (mut first, mut last) = ([0; 32], [u8::MAX; 32]);
            (first[0], last[0]) = (byte, byte);
            if Part::of(&SessionKey::from_bytes(first)) != part {
                continue;
            }
            for entry in table.range::<&[u8; 32]>(&first..=&last)? {
                keys.push(SessionKey::from_bytes(*entry?.0.value()));
            }
        }
        Ok(keys)
    }

    /// Walks the entries up to `now`, the earliest first, while `each` returns true.
    pub(super) fn up_to(
        &self,
        timeline: Timeline,
        now: Timestamp,
        mut each: impl FnMut(SessionKey) -> Result<bool, Fault>,
    ) -> Result<(), Fault> {
        let table: ReadOnlyTable<Moment, ()> = self.0.open_table(match timeline {
            Timeline::Ends => ENDS,
            Timeline::Due => DUE,
        })?;
        let last = moment(now, &SessionKey::from_bytes([u8::MAX; 32]));
        let range = (Bound::Unbounded, Bound::Included(&last));
        for entry in table.range::<&[u8; 40]>(range)? {
            if !each(read_moment(entry?.0.value()).1)? {
                break;
            }
        }
        Ok(())
    }
}

impl View for Snapshot {
    fn row(&self, key: &SessionKey) -> Result<Option<Row>, Fault> {
        let row = self.0.open_table(ROWS)?.get(key.as_bytes())?;
        Ok(row.map(|row| Row::decode(row.value())))
    }

    fn record(&self, key: &SessionKey) -> Result<Vec<u8>, Fault> {
        let record = self.0.open_table(RECORDS)?.get(key.as_bytes())?;
        Ok(record.map(|record| record.value().to_vec()).unwrap_or_default())
    }
}

#[cfg(test)]
impl Snapshot {
    /// Rows, records and indexes are consistent.
    pub(super) fn assert_consistent(&self) {
        let open = |table| self.0.open_table(table).unwrap();
        let (rows, records) = (
            self.0.open_table(ROWS).unwrap(),
            self.0.open_table(RECORDS).unwrap(),
        );
        let (ends, due, owners) = (open(ENDS), open(DUE), self.0.open_table(OWNERS).unwrap());
        let (mut timed, mut owned_by) = (0, 0);
        for entry in rows.iter().unwrap() {
            let (key, row) = entry.unwrap();
            let key = SessionKey::from_bytes(*key.value());
            let row = Row::decode(row.value());
            assert!(records.get(key.as_bytes()).unwrap().is_some());
            assert!(ends.get(&moment(row.look_at, &key)).unwrap().is_some());
            if let Some(at) = row.due {
                assert!(due.get(&moment(at, &key)).unwrap().is_some());
                timed += 1;
            }
            for owner in row.owners() {
                assert!(owners.get(&owned(owner, row.created_at, &key)).unwrap().is_some());
                owned_by += 1;
            }
        }
        for key in self.held().unwrap() {
            assert!(rows.get(key.as_bytes()).unwrap().is_some());
        }
        let rows = rows.len().unwrap();
        assert_eq!(records.len().unwrap(), rows);
        assert_eq!(ends.len().unwrap(), rows);
        assert_eq!(due.len().unwrap(), timed);
        assert_eq!(owners.len().unwrap(), owned_by);
    }
}
