//! Looking for sessions that are beyond a limit.

use super::{Fault, overlay::Seen, tables::Timeline};
use crate::{
    clock::Timestamp,
    session::{Lifespan, SessionKey, store::sealed::Seal},
};

/// How many sessions a look goes through before what it found out is written.
const STRIDE: usize = 1_024;

/// What one stride of a look for sessions beyond a limit found.
#[derive(Default)]
pub(super) struct Look {
    pub(super) overdue: Vec<SessionKey>,
    /// They were used since they were looked at.
    pub(super) used: Vec<SessionKey>,
    /// They are beyond a limit, and nobody can read them.
    pub(super) unreadable: Vec<SessionKey>,
    /// There is more to look at, once this is written.
    pub(super) more: bool,
}

// === impl Look ===

impl Look {
    /// Looks at the sessions that may have ended by `now`, until `limit` have.
    pub(super) fn at(
        seen: &Seen<'_>,
        seal: &Seal,
        lifespan: &Lifespan,
        now: Timestamp,
        limit: usize,
    ) -> Result<Self, Fault> {
        let mut look = Self::default();
        seen.up_to(Timeline::Ends, now, |key, row| {
            if look.overdue.len() >= limit {
                return Ok(false);
            }
            if look.used.len() + look.unreadable.len() == STRIDE {
                look.more = true;
                return Ok(false);
            }
            if now < row.end(lifespan) {
                look.used.push(key);
            } else if seen.stored(seal, &key, &row)?.is_some() {
                look.overdue.push(key);
            } else {
                look.unreadable.push(key);
            }
            Ok(true)
        })?;
        Ok(look)
    }
}
