//! Looking for sessions that are beyond a limit.

use super::{Fault, overlay::Seen, tables::Timeline};
use crate::{
    clock::Timestamp,
    session::{Lifespan, SessionKey, store::sealed::Seal},
};

/// The number of sessions that one pass checks before it writes its result.
const STRIDE: usize = 1_024;

/// The result of one stride of a search for sessions beyond a limit.
#[derive(Default)]
pub(super) struct Look {
    pub(super) overdue: Vec<SessionKey>,
    /// They were used since the last check.
    pub(super) used: Vec<SessionKey>,
    /// They are beyond a limit, and unreadable.
    pub(super) unreadable: Vec<SessionKey>,
    /// More sessions remain, after this is written.
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
