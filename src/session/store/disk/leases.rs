//! Who renews which session's tokens. One process has the file open. So the file has only what a process that starts has to
//! know: which sessions were held when the process before it ended.

use std::{collections::HashMap, time::Duration};

use super::{Fault, change::View as _, overlay::Seen, tables::Timeline};
use crate::{
    clock::Timestamp,
    session::{
        SessionKey,
        store::{Claim, Claimed, Lease, sealed::Seal},
    },
};

/// A lease that is over at once would be handed out again by the same call.
const SHORTEST: Duration = Duration::from_millis(1);

/// At most this many unreadable sessions are skipped in one pass, because the leases are locked meanwhile.
const MOST_UNREADABLE: usize = 256;

/// The leases that are held.
#[derive(Debug, Default)]
pub(super) struct Leases {
    held: HashMap<SessionKey, Held>,
    last: u64,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    number: u64,
    until: Timestamp,
}

// === impl Leases ===

impl Leases {
    /// Those of a process that has ended. They are over.
    pub(super) fn left_behind(keys: impl IntoIterator<Item = SessionKey>) -> Self {
        let over = Held {
            number: 0,
            until: Timestamp::EPOCH,
        };
        Self {
            held: keys.into_iter().map(|key| (key, over)).collect(),
            last: 0,
        }
    }

    /// Claims up to `limit` due sessions; also returns due ones that are unreadable.
    pub(super) fn claim_due(
        &mut self,
        seen: &Seen<'_>,
        seal: &Seal,
        now: Timestamp,
        limit: usize,
        duration: Duration,
    ) -> Result<(Vec<Claimed>, Vec<SessionKey>), Fault> {
        let (mut claimed, mut unreadable) = (Vec::new(), Vec::new());
        seen.up_to(Timeline::Due, now, |key, row| {
            if claimed.len() == limit || unreadable.len() == MOST_UNREADABLE {
                return Ok(false);
            }
            if self.held_for(&key, now).is_some() {
                return Ok(true);
            }
            match seen.stored(seal, &key, &row)? {
                Some(stored) => claimed.push(Claimed {
                    taken_over: self.held.contains_key(&key),
                    lease: self.take(&key, now, duration),
                    stored,
                }),
                None => unreadable.push(key),
            }
            Ok(true)
        })?;
        Ok((claimed, unreadable))
    }

    /// Claims a session, due or not.
    pub(super) fn claim(
        &mut self,
        seen: &Seen<'_>,
        seal: &Seal,
        key: &SessionKey,
        now: Timestamp,
        duration: Duration,
    ) -> Result<Claim, Fault> {
        let Some(row) = seen.row(key)? else {
            return Ok(Claim::Gone);
        };
        let Some(stored) = seen.stored(seal, key, &row)? else {
            return Ok(Claim::Gone);
        };
        Ok(match self.held_for(key, now) {
            Some(held_for) => Claim::Held(stored, held_for),
            None => Claim::Claimed(Claimed {
                taken_over: self.held.contains_key(key),
                lease: self.take(key, now, duration),
                stored,
            }),
        })
    }

    /// For how long the session is held yet.
    fn held_for(&self, key: &SessionKey, now: Timestamp) -> Option<Duration> {
        let held = self.held.get(key).filter(|held| now < held.until)?;
        Some(held.until.duration_since(now))
    }

    /// A lease on a session that is not held.
    fn take(&mut self, key: &SessionKey, now: Timestamp, duration: Duration) -> Lease {
        self.last += 1;
        let (key, number) = (*key, self.last);
        let until = now.saturating_add(duration.max(SHORTEST));
        self.held.insert(key, Held { number, until });
        Lease {
            key,
            number,
            since: now,
        }
    }

    /// Extends a lease that no other process has taken. Returns whether it is held.
    pub(super) fn extend(&mut self, lease: &Lease, until: Timestamp) -> bool {
        let held = self.is_held(lease);
        if held {
            let number = lease.number;
            self.held.insert(lease.key, Held { number, until });
        }
        held
    }

    pub(super) fn is_held(&self, lease: &Lease) -> bool {
        let held = self.held.get(&lease.key);
        held.is_some_and(|held| held.number == lease.number)
    }

    pub(super) fn release(&mut self, lease: &Lease) {
        if self.is_held(lease) {
            self.held.remove(&lease.key);
        }
    }

    /// Undoes a claim: the session is again as it was before.
    pub(super) fn undo(&mut self, claimed: &Claimed) {
        if claimed.taken_over {
            self.extend(&claimed.lease, Timestamp::EPOCH);
        } else {
            self.release(&claimed.lease);
        }
    }

    /// The session is gone.
    pub(super) fn forget(&mut self, key: &SessionKey) {
        self.held.remove(key);
    }
}
