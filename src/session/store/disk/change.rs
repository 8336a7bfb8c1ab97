//! The possible changes of a stored session and their outcomes: the rules of the disk store, independent of the file.

use super::{Fault, row::Row};
use crate::{
    clock::Timestamp,
    session::{
        Lifespan, SessionKey,
        store::{Due, Version},
    },
};

/// A change of one session.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) key: SessionKey,
    pub(super) what: What,
}

/// A change of a session.
#[derive(Debug)]
pub(super) enum What {
    /// It begins.
    Insert { row: Row, record: Vec<u8> },
    /// Replaces its record if it has this version; `row` is the row of a new session.
    Replace {
        expected: Version,
        row: Row,
        due: Due,
        record: Vec<u8>,
        /// Whether the lease on it ends with that.
        completes: bool,
    },
    /// It was used.
    Touch(Timestamp),
    /// Its tokens are due at another time.
    Due(Due),
    /// The lease on it has ended, and its tokens are due then.
    LetGo(Due),
    /// A check found that it has not ended: check its end again later.
    LookAgain,
    /// It ends.
    Remove,
}

/// The outcome of a change.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It was written, as this version.
    Written(Version),
    /// It was done, or there was nothing to do.
    Done,
    /// There is a session of this key.
    Taken,
    /// The session does not exist.
    Gone,
    /// The session has another version.
    Conflict,
    /// It was removed; its record.
    Removed(Vec<u8>),
}

/// A view for looking sessions up.
pub(super) trait View {
    fn row(&self, key: &SessionKey) -> Result<Option<Row>, Fault>;
    /// The sealed record of a session that has a row.
    fn record(&self, key: &SessionKey) -> Result<Vec<u8>, Fault>;
}

/// A view for looking sessions up and storing them.
pub(super) trait State: View {
    /// Replaces `old` with `row`, and the old record with `record` if there is one.
    fn put(
        &mut self,
        key: &SessionKey,
        old: Option<&Row>,
        row: Row,
        record: Option<Vec<u8>>,
    ) -> Result<(), Fault>;
    fn delete(&mut self, key: &SessionKey, old: &Row) -> Result<(), Fault>;
    /// Notes that there is a lease on the session.
    fn hold(&mut self, key: &SessionKey) -> Result<(), Fault>;
    /// Notes that there is none.
    fn let_go(&mut self, key: &SessionKey) -> Result<(), Fault>;
}

// === impl Change ===

impl Change {
    /// Whether its caller relies on it. Then it has to be on the disk before it is acknowledged. Losing another
    /// change only repeats work.
    pub(super) const fn must_last(&self) -> bool {
        match self.what {
            What::Insert { .. } | What::Replace { .. } | What::Remove => true,
            What::Touch(_) | What::Due(_) | What::LetGo(_) | What::LookAgain => false,
        }
    }

    /// Whether it begins a session.
    pub(super) const fn is_new(&self) -> bool {
        matches!(self.what, What::Insert { .. })
    }

    /// Makes the change in `state`.
    pub(super) fn make(&self, state: &mut impl State, lifespan: &Lifespan) -> Result<Outcome, Fault> {
        let key = &self.key;
        let old = state.row(key)?;
        match (&self.what, old) {
            (What::Insert { row, record }, None) => {
                state.put(key, None, *row, Some(record.clone()))?;
                Ok(Outcome::Written(row.version))
            }
            (What::Insert { .. }, Some(_)) => Ok(Outcome::Taken),
            (What::Replace { .. } | What::Remove, None) => Ok(Outcome::Gone),
            (What::Touch(_) | What::Due(_) | What::LetGo(_) | What::LookAgain, None) => Ok(Outcome::Done),
            (What::Replace { expected, .. }, Some(old)) if old.version != *expected => Ok(Outcome::Conflict),
            (
                What::Replace {
                    row,
                    due,
                    record,
                    completes,
                    ..
                },
                Some(old),
            ) => {
                let mut row = Row {
                    version: old.version.next(),
                    last_seen: old.last_seen,
                    due: due.after(old.due),
                    ..*row
                };
                row.look_at = row.end(lifespan);
                state.put(key, Some(&old), row, Some(record.clone()))?;
                if *completes {
                    state.let_go(key)?;
                }
                Ok(Outcome::Written(row.version))
            }
            (What::Remove, Some(old)) => {
                let record = state.record(key)?;
                state.delete(key, &old)?;
                Ok(Outcome::Removed(record))
            }
            (What::Touch(at), Some(old)) => {
                let last_seen = old.last_seen.max(*at);
                Self::put_row(state, key, old, Row { last_seen, ..old })
            }
            (What::Due(due), Some(old)) => {
                let due = due.after(old.due);
                Self::put_row(state, key, old, Row { due, ..old })
            }
            (What::LetGo(due), Some(old)) => {
                state.let_go(key)?;
                let due = due.after(old.due);
                Self::put_row(state, key, old, Row { due, ..old })
            }
            (What::LookAgain, Some(old)) => {
                let look_at = old.end(lifespan);
                Self::put_row(state, key, old, Row { look_at, ..old })
            }
        }
    }

    fn put_row(state: &mut impl State, key: &SessionKey, old: Row, row: Row) -> Result<Outcome, Fault> {
        if row != old {
            state.put(key, Some(&old), row, None)?;
        }
        Ok(Outcome::Done)
    }
}
