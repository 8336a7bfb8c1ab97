//! The authoritative index of the memory store: every session by key, by person and login, by end and by due time.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use super::Entry;
use crate::{
    clock::Timestamp,
    session::{
        Lifespan, Session, SessionKey,
        store::{
            Claim, Claimed, Due, InsertError, Lease, Listed, ReplaceError, Stored, Usage, Version, Whose,
        },
    },
};

/// The size of a session in the map and in the indexes beside its own weight, in bytes: 1,435 measured with 300,000
/// sessions, and a reserve for growing tables.
const OVERHEAD: usize = 1_536;

/// Orders sessions by time; the key distinguishes equal times.
type Timeline = BTreeSet<(Timestamp, SessionKey)>;

/// All sessions. Knows nothing of locks.
pub(super) struct Index {
    lifespan: Lifespan,
    slots: HashMap<SessionKey, Slot>,
    /// By person and by login at the IdP: no allocation for a look-up, also with long names.
    owners: HashMap<Owner, BTreeSet<Listed>>,
    /// When to check whether a session has ended. Never later than its end, and often earlier: using a session moves
    /// its end without a lock, and the check finds that out.
    ends: Timeline,
    /// When a session can be claimed: when it is due, or when the lease on it is over.
    due: Timeline,
    weight: usize,
    leases: u64,
}

/// The digest of a [`Whose`].
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Owner([u8; 32]);

struct Slot {
    entry: Entry,
    person: Owner,
    login: Option<Owner>,
    weight: usize,
    look_at: Timestamp,
    due: Option<Timestamp>,
    held: Option<Held>,
}

#[derive(Clone, Copy)]
struct Held {
    number: u64,
    until: Timestamp,
}

/// The size of a session with all its parts, in bytes.
pub(super) fn cost(session: &Session) -> usize {
    session.weight() + OVERHEAD
}

// === impl Index ===

impl Index {
    pub(super) fn new(lifespan: Lifespan) -> Self {
        Self {
            lifespan,
            slots: HashMap::new(),
            owners: HashMap::new(),
            ends: Timeline::new(),
            due: Timeline::new(),
            weight: 0,
            leases: 0,
        }
    }

    pub(super) fn usage(&self) -> Usage {
        Usage {
            sessions: self.slots.len(),
            memory: self.weight,
        }
    }

    pub(super) fn insert(&mut self, key: SessionKey, entry: Entry, due: Due) -> Result<(), InsertError> {
        if self.slots.contains_key(&key) {
            return Err(InsertError::Taken);
        }
        let slot = self.slot(entry, due.after(None));
        self.link(key, slot);
        Ok(())
    }

    pub(super) fn replace(
        &mut self,
        key: &SessionKey,
        expected: Version,
        session: Arc<Session>,
        due: Due,
    ) -> Result<Entry, ReplaceError> {
        let current = self.slots.get(key).ok_or(ReplaceError::Gone)?;
        if current.entry.version != expected {
            return Err(ReplaceError::Conflict);
        }
        let held = current.held;
        let due = due.after(current.due);
        let entry = current.entry.next(session);
        let slot = Slot {
            held,
            ..self.slot(entry.clone(), due)
        };
        self.unlink(key);
        self.link(*key, slot);
        Ok(entry)
    }

    pub(super) fn remove(&mut self, key: &SessionKey) -> Option<Arc<Session>> {
        self.unlink(key).map(|slot| slot.entry.session)
    }

    pub(super) fn find(&self, whose: Whose<'_>) -> Vec<Listed> {
        let theirs = self.owners.get(&Owner::of(whose));
        theirs.into_iter().flatten().copied().collect()
    }

    /// Checks up to `stride` sessions that may have ended by `now`, and adds the ended ones to `overdue` until that
    /// has `limit`. Returns whether more remain.
    pub(super) fn overdue(
        &mut self,
        now: Timestamp,
        stride: usize,
        limit: usize,
        overdue: &mut Vec<SessionKey>,
    ) -> bool {
        // Those that have been named stay in the timeline until they are removed.
        let candidates: Vec<_> = self
            .ends
            .iter()
            .take_while(|(look_at, _)| *look_at <= now)
            .skip(overdue.len())
            .take(stride)
            .copied()
            .collect();
        let more = candidates.len() == stride;
        for (look_at, key) in candidates {
            if overdue.len() >= limit {
                return false;
            }
            let Some(slot) = self.slots.get_mut(&key) else {
                // Not reached: a session that leaves takes its place in the timeline along.
                self.ends.remove(&(look_at, key));
                continue;
            };
            let end = self.lifespan.end_of(&slot.entry.session, slot.entry.last_seen());
            if end <= now {
                overdue.push(key);
            } else {
                slot.look_at = end;
                self.ends.remove(&(look_at, key));
                self.ends.insert((end, key));
            }
        }
        more
    }

    pub(super) fn claim_due(&mut self, limit: usize, now: Timestamp, lease: Duration) -> Vec<Claimed> {
        let mut claimed = Vec::new();
        while claimed.len() < limit {
            let Some(&(at, key)) = self.due.first().filter(|(at, _)| *at <= now) else {
                break;
            };
            match self.claim(&key, now, lease) {
                Claim::Claimed(session) => claimed.push(session),
                // Not reached: the timeline has only claimable sessions.
                Claim::Held(..) | Claim::Gone => {
                    self.due.remove(&(at, key));
                }
            }
        }
        claimed
    }

    pub(super) fn claim(&mut self, key: &SessionKey, now: Timestamp, lease: Duration) -> Claim {
        let Some(slot) = self.slots.get(key) else {
            return Claim::Gone;
        };
        let stored = Stored::from(slot.entry.clone());
        if let Some(held) = slot.held.filter(|held| now < held.until) {
            return Claim::Held(stored, held.until.duration_since(now));
        }
        let taken_over = slot.held.is_some();
        self.leases += 1;
        let number = self.leases;
        // A lease that is over at once would be handed out again by the same call.
        let until = now.saturating_add(lease.max(Duration::from_millis(1)));
        self.schedule(key, |slot| slot.held = Some(Held { number, until }));
        let lease = Lease {
            key: *key,
            number,
            since: now,
        };
        Claim::Claimed(Claimed {
            lease,
            stored,
            taken_over,
        })
    }

    pub(super) fn extend(&mut self, lease: &Lease, now: Timestamp, duration: Duration) -> bool {
        // An expired lease that no other process has taken can still be extended.
        let held = self.is_held(lease);
        if held {
            let until = now.saturating_add(duration);
            let number = lease.number;
            self.schedule(&lease.key, |slot| slot.held = Some(Held { number, until }));
        }
        held
    }

    pub(super) fn release(&mut self, lease: &Lease, due: Due) {
        if self.is_held(lease) {
            self.schedule(&lease.key, |slot| {
                slot.held = None;
                slot.due = due.after(slot.due);
            });
        }
    }

    fn is_held(&self, lease: &Lease) -> bool {
        let slot = self.slots.get(&lease.key);
        slot.and_then(|slot| slot.held)
            .is_some_and(|held| held.number == lease.number)
    }

    fn slot(&self, entry: Entry, due: Option<Timestamp>) -> Slot {
        let session = &entry.session;
        Slot {
            person: Owner::of(Whose::person(session)),
            login: Whose::login(session).map(Owner::of),
            weight: cost(session),
            look_at: self.lifespan.end_of(session, entry.last_seen()),
            due,
            held: None,
            entry,
        }
    }

    fn link(&mut self, key: SessionKey, slot: Slot) {
        self.weight += slot.weight;
        self.ends.insert((slot.look_at, key));
        self.due.extend(slot.claimable_at().map(|at| (at, key)));
        for owner in slot.owners() {
            self.owners.entry(owner).or_default().insert(slot.listed(key));
        }
        self.slots.insert(key, slot);
    }

    fn unlink(&mut self, key: &SessionKey) -> Option<Slot> {
        let slot = self.slots.remove(key)?;
        self.weight -= slot.weight;
        self.ends.remove(&(slot.look_at, *key));
        if let Some(at) = slot.claimable_at() {
            self.due.remove(&(at, *key));
        }
        for owner in slot.owners() {
            if let Some(theirs) = self.owners.get_mut(&owner) {
                theirs.remove(&slot.listed(*key));
                if theirs.is_empty() {
                    self.owners.remove(&owner);
                }
            }
        }
        Some(slot)
    }

    /// Changes a slot's due time or lease and moves it in the timeline accordingly.
    fn schedule(&mut self, key: &SessionKey, change: impl FnOnce(&mut Slot)) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        if let Some(at) = slot.claimable_at() {
            self.due.remove(&(at, *key));
        }
        change(slot);
        self.due.extend(slot.claimable_at().map(|at| (at, *key)));
    }
}

// === impl Slot ===

impl Slot {
    fn claimable_at(&self) -> Option<Timestamp> {
        let due = self.due?;
        Some(self.held.map_or(due, |held| due.max(held.until)))
    }

    fn owners(&self) -> impl Iterator<Item = Owner> + use<> {
        [Some(self.person), self.login].into_iter().flatten()
    }

    fn listed(&self, key: SessionKey) -> Listed {
        Listed {
            created_at: self.entry.session.created_at,
            key,
        }
    }
}

// === impl Owner ===

impl Owner {
    fn of(whose: Whose<'_>) -> Self {
        Self(whose.digest())
    }
}

#[cfg(test)]
impl Index {
    /// All indexes are consistent.
    pub(super) fn assert_consistent(&self) {
        let mut weight = 0;
        for (key, slot) in &self.slots {
            weight += slot.weight;
            assert!(self.ends.contains(&(slot.look_at, *key)));
            assert!(slot.look_at <= self.lifespan.end_of(&slot.entry.session, slot.entry.last_seen()));
            if let Some(at) = slot.claimable_at() {
                assert!(self.due.contains(&(at, *key)));
            }
            for owner in slot.owners() {
                assert!(self.owners[&owner].contains(&slot.listed(*key)));
            }
        }
        assert_eq!(self.weight, weight);
        assert_eq!(self.ends.len(), self.slots.len());
        let claimable = self.slots.values().filter(|slot| slot.claimable_at().is_some());
        assert_eq!(self.due.len(), claimable.count());
        let owned = self.slots.values().map(|slot| slot.owners().count());
        assert_eq!(
            self.owners.values().map(BTreeSet::len).sum::<usize>(),
            owned.sum::<usize>()
        );
        assert!(self.owners.values().all(|theirs| !theirs.is_empty()));
    }

    /// Every session with its version.
    pub(super) fn entries(&self) -> Vec<(SessionKey, Version)> {
        self.slots
            .iter()
            .map(|(key, slot)| (*key, slot.entry.version))
            .collect()
    }
}
