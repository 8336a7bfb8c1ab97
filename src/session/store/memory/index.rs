//! What the memory store decides by: every session by key, by person, by end and by due time.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use aws_lc_rs::digest;

use super::Entry;
use crate::{
    clock::Timestamp,
    session::{
        Session, SessionKey,
        store::{CreateError, Ended, Lease, Limits, ReplaceError, Version},
    },
};

/// What a session costs in the map and in the indexes beside its own weight, in bytes: 1,435 measured with 300,000
/// sessions, and something for tables that are about to grow.
const OVERHEAD: usize = 1_536;

/// Orders sessions by a time; the key tells equal times apart.
type Timeline = BTreeSet<(Timestamp, SessionKey)>;

/// All sessions. Knows nothing of locks.
pub(super) struct Index {
    limits: Limits,
    slots: HashMap<SessionKey, Slot>,
    /// By creation, for each person.
    people: HashMap<Person, Timeline>,
    /// When to look whether a session has ended. Never later than its end, and often earlier: using a session moves
    /// its end without a lock, which is found out when it is looked at.
    ends: Timeline,
    /// When a session can be claimed: when it is due, or when the lease on it is over.
    due: Timeline,
    weight: usize,
    leases: u64,
}

/// The SHA-256 of issuer and subject: no allocation for a look-up, also with long subjects.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Person([u8; 32]);

struct Slot {
    entry: Entry,
    person: Person,
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

// === impl Index ===

impl Index {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            slots: HashMap::new(),
            people: HashMap::new(),
            ends: Timeline::new(),
            due: Timeline::new(),
            weight: 0,
            leases: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Adds a session and returns those that ended for it. Decides first and changes then, so a refusal changes
    /// nothing.
    pub(super) fn create(
        &mut self,
        key: SessionKey,
        entry: Entry,
        due: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Vec<Ended>, CreateError> {
        if self.slots.contains_key(&key) {
            return Err(CreateError::Taken);
        }
        let slot = self.slot(entry, due);
        let leaving = self.crowded_out(&slot.person, now);
        let freed: usize = leaving
            .iter()
            .filter_map(|key| self.slots.get(key))
            .map(|slot| slot.weight)
            .sum();
        if self.slots.len() - leaving.len() >= self.limits.max {
            return Err(CreateError::TooMany);
        }
        if (self.weight - freed).saturating_add(slot.weight) > self.limits.memory {
            return Err(CreateError::OutOfMemory);
        }
        let ended = leaving.into_iter().filter_map(|key| self.end(key)).collect();
        self.link(key, slot);
        Ok(ended)
    }

    /// Which sessions of `person` must go for one more: first what has ended without being swept, then the oldest.
    fn crowded_out(&self, person: &Person, now: Timestamp) -> Vec<SessionKey> {
        let Some(theirs) = self.people.get(person) else {
            return Vec::new();
        };
        let excess = (theirs.len() + 1).saturating_sub(self.limits.max_per_user.max(1));
        if excess == 0 {
            return Vec::new();
        }
        let (ended, alive): (Vec<_>, Vec<_>) = theirs
            .iter()
            .map(|(_, key)| *key)
            .partition(|key| self.slots.get(key).is_none_or(|slot| self.is_over(slot, now)));
        ended.into_iter().chain(alive).take(excess).collect()
    }

    pub(super) fn replace(
        &mut self,
        key: &SessionKey,
        expected: Version,
        session: Arc<Session>,
        due: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Entry, ReplaceError> {
        let current = self.alive(key, now).ok_or(ReplaceError::Gone)?;
        if current.entry.version != expected {
            return Err(ReplaceError::Conflict);
        }
        let held = current.held;
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

    pub(super) fn remove_by_subject(&mut self, issuer: &str, subject: &str) -> Vec<Ended> {
        let theirs: Vec<SessionKey> = self
            .people
            .get(&Person::new(issuer, subject))
            .map(|theirs| theirs.iter().map(|(_, key)| *key).collect())
            .unwrap_or_default();
        theirs.into_iter().filter_map(|key| self.end(key)).collect()
    }

    pub(super) fn has_session(&self, issuer: &str, subject: &str, now: Timestamp) -> bool {
        let theirs = self.people.get(&Person::new(issuer, subject));
        theirs
            .into_iter()
            .flatten()
            .filter_map(|(_, key)| self.slots.get(key))
            .any(|slot| !self.is_over(slot, now))
    }

    /// Looks at up to `stride` sessions that may have ended by `now`, and moves those that have to `ended` until that
    /// holds `limit`. Whether there is more to do.
    pub(super) fn sweep(
        &mut self,
        now: Timestamp,
        stride: usize,
        limit: usize,
        ended: &mut Vec<Ended>,
    ) -> bool {
        for _ in 0..stride {
            if ended.len() >= limit {
                return false;
            }
            let Some(&(look_at, key)) = self.ends.first().filter(|(look_at, _)| *look_at <= now) else {
                return false;
            };
            let Some(slot) = self.slots.get_mut(&key) else {
                // Not reached: a session that leaves takes its place in the timeline along.
                self.ends.remove(&(look_at, key));
                continue;
            };
            let end = self.limits.end_of(&slot.entry.session, slot.entry.last_seen());
            if end <= now {
                ended.extend(self.end(key));
            } else {
                slot.look_at = end;
                self.ends.remove(&(look_at, key));
                self.ends.insert((end, key));
            }
        }
        true
    }

    pub(super) fn claim_due(&mut self, limit: usize, now: Timestamp, lease: Duration) -> Vec<Lease> {
        let mut claimed = Vec::new();
        while claimed.len() < limit {
            let Some(&(at, key)) = self.due.first().filter(|(at, _)| *at <= now) else {
                break;
            };
            if let Some(lease) = self.claim(&key, now, lease) {
                claimed.push(lease);
                continue;
            }
            // It has ended and waits for the sweep; nothing makes it due again.
            self.due.remove(&(at, key));
            if let Some(slot) = self.slots.get_mut(&key) {
                slot.due = None;
            }
        }
        claimed
    }

    pub(super) fn claim(&mut self, key: &SessionKey, now: Timestamp, lease: Duration) -> Option<Lease> {
        let slot = self.alive(key, now)?;
        if slot.held.is_some_and(|held| now < held.until) {
            return None;
        }
        self.leases += 1;
        let number = self.leases;
        // A lease that is over at once would be handed out again by the same call.
        let until = now.saturating_add(lease.max(Duration::from_millis(1)));
        self.schedule(key, |slot| slot.held = Some(Held { number, until }));
        Some(Lease { key: *key, number })
    }

    pub(super) fn renew(&mut self, lease: &Lease, now: Timestamp, duration: Duration) -> bool {
        // A lease that is over but was not taken by anybody else can still be renewed.
        let held = self
            .alive(&lease.key, now)
            .is_some_and(|slot| slot.is_held_by(lease));
        if held {
            let until = now.saturating_add(duration);
            let number = lease.number;
            self.schedule(&lease.key, |slot| slot.held = Some(Held { number, until }));
        }
        held
    }

    pub(super) fn release(&mut self, lease: &Lease) {
        if self
            .slots
            .get(&lease.key)
            .is_some_and(|slot| slot.is_held_by(lease))
        {
            self.schedule(&lease.key, |slot| slot.held = None);
        }
    }

    pub(super) fn reschedule(&mut self, key: &SessionKey, due: Option<Timestamp>, now: Timestamp) {
        if self.alive(key, now).is_some() {
            self.schedule(key, |slot| slot.due = due);
        }
    }

    fn alive(&self, key: &SessionKey, now: Timestamp) -> Option<&Slot> {
        self.slots.get(key).filter(|slot| !self.is_over(slot, now))
    }

    fn is_over(&self, slot: &Slot, now: Timestamp) -> bool {
        self.limits.end_of(&slot.entry.session, slot.entry.last_seen()) <= now
    }

    fn end(&mut self, key: SessionKey) -> Option<Ended> {
        let session = self.remove(&key)?;
        Some(Ended { key, session })
    }

    fn slot(&self, entry: Entry, due: Option<Timestamp>) -> Slot {
        let session = &entry.session;
        Slot {
            person: Person::new(&session.issuer, &session.subject),
            weight: session.weight() + OVERHEAD,
            look_at: self.limits.end_of(session, entry.last_seen()),
            due,
            held: None,
            entry,
        }
    }

    fn link(&mut self, key: SessionKey, slot: Slot) {
        self.weight += slot.weight;
        self.ends.insert((slot.look_at, key));
        self.due.extend(slot.claimable_at().map(|at| (at, key)));
        let created_at = slot.entry.session.created_at;
        self.people
            .entry(slot.person)
            .or_default()
            .insert((created_at, key));
        self.slots.insert(key, slot);
    }

    fn unlink(&mut self, key: &SessionKey) -> Option<Slot> {
        let slot = self.slots.remove(key)?;
        self.weight -= slot.weight;
        self.ends.remove(&(slot.look_at, *key));
        if let Some(at) = slot.claimable_at() {
            self.due.remove(&(at, *key));
        }
        if let Some(theirs) = self.people.get_mut(&slot.person) {
            theirs.remove(&(slot.entry.session.created_at, *key));
            if theirs.is_empty() {
                self.people.remove(&slot.person);
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

    fn is_held_by(&self, lease: &Lease) -> bool {
        self.held.is_some_and(|held| held.number == lease.number)
    }
}

// === impl Person ===

impl Person {
    fn new(issuer: &str, subject: &str) -> Self {
        let mut hash = digest::Context::new(&digest::SHA256);
        // Issuers are URLs and hold no NUL, so the two cannot run into each other.
        hash.update(issuer.as_bytes());
        hash.update(&[0]);
        hash.update(subject.as_bytes());
        let mut person = [0; 32];
        person.copy_from_slice(hash.finish().as_ref());
        Self(person)
    }
}

#[cfg(test)]
impl Index {
    /// Every index tells the same story.
    pub(super) fn assert_consistent(&self) {
        let mut weight = 0;
        for (key, slot) in &self.slots {
            weight += slot.weight;
            assert!(self.ends.contains(&(slot.look_at, *key)));
            assert!(slot.look_at <= self.limits.end_of(&slot.entry.session, slot.entry.last_seen()));
            if let Some(at) = slot.claimable_at() {
                assert!(self.due.contains(&(at, *key)));
            }
            let created_at = slot.entry.session.created_at;
            assert!(self.people[&slot.person].contains(&(created_at, *key)));
        }
        assert_eq!(self.weight, weight);
        assert_eq!(self.ends.len(), self.slots.len());
        let claimable = self.slots.values().filter(|slot| slot.claimable_at().is_some());
        assert_eq!(self.due.len(), claimable.count());
        assert_eq!(
            self.people.values().map(Timeline::len).sum::<usize>(),
            self.slots.len()
        );
        assert!(self.people.values().all(|theirs| !theirs.is_empty()));
    }

    /// Every session with its version.
    pub(super) fn entries(&self) -> Vec<(SessionKey, Version)> {
        self.slots
            .iter()
            .map(|(key, slot)| (*key, slot.entry.version))
            .collect()
    }
}
