//! The rules of key rotation: which key signs, which one is next and which stay published. Without files and without
//! a clock.
//!
//! A key is `next` (published, not yet signing), `active` (signs), `previous` (published, no longer signing) or
//! `retired` (neither). [`Keyring::next_step`] returns the due step, [`Keyring::apply`] applies it to the record. The
//! keeper performs the effects outside.

mod entry;
mod policy;

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use self::{
    entry::{Entry, KeyName, State},
    policy::Policy,
};
use crate::clock::Timestamp;

/// A key that has just stopped signing stays published at least this long, even beyond the most keys: assertions that
/// it signed are under way, and other replicas may sign with it for some seconds more.
const GRACE: Duration = Duration::from_mins(5);
/// A time that lies further ahead than this was written with a wrong clock.
const SKEW: Duration = Duration::from_mins(5);
/// The maximum number of remembered retired keys.
const MAX_RETIRED: usize = 48;

/// The state of all keys: the content of `keyring.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keyring {
    /// The keys, in the order in which they came.
    pub keys: Vec<Entry>,
    /// When a server was last seen to publish the next key; time in which none did does not count as published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served_at: Option<Timestamp>,
    /// The keys folder of the last writer: a process with another folder finds the keys there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys_dir: Option<PathBuf>,
    /// Unknown members, preserved.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// The content of the folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The key in the named file, if it can be used.
    pub named: Option<KeyName>,
    /// Key ids of entries whose private key is available, in a file or still in memory.
    pub usable: BTreeSet<String>,
    /// Key ids of entries whose private key is lost: their file is missing or has another key.
    pub gone: BTreeSet<String>,
}

/// One thing to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The first key of all: it signs.
    First(KeyName),
    /// The private key that signed is lost: this one signs at once.
    TakeOver(KeyName),
    /// A new key in the named file: it is published, and signs later.
    Adopt(KeyName),
    /// A time was written with a clock that was wrong: it counts from now.
    Correct(String),
    /// The next key has been published until now.
    Served,
    /// Stop publishing a key.
    Retire(String, Why),
    /// A retired key that can be forgotten.
    Forget(String),
    /// The active key gets old: a new one is made, published, and signs later.
    Make,
    /// The next key has been published long enough: it signs.
    Activate(String),
}

/// Why a key is retired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It has not signed for long enough.
    Age,
    /// There would be too many.
    Number,
    /// It was to be next, and its private key is lost.
    Lost,
}

/// An automatic change of a key, and its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upcoming {
    /// It signs.
    Signs(Timestamp),
    /// A key is made that will take its place.
    Replaced(Timestamp),
    /// It is no longer published.
    Retires(Timestamp),
}

// === impl Keyring ===

impl Keyring {
    /// The key that signs.
    #[must_use]
    pub fn active(&self) -> Option<&Entry> {
        self.keys.iter().find(|key| key.state == State::Active)
    }

    /// The key that will sign.
    #[must_use]
    pub fn next(&self) -> Option<&Entry> {
        self.keys.iter().find(|key| key.state == State::Next)
    }

    /// Key id of the key that will sign: the next one, or the new one in the named file.
    #[must_use]
    pub fn coming<'k>(&'k self, seen: &'k Seen) -> Option<&'k str> {
        let named = seen.named.as_ref().filter(|named| self.is_news(named));
        let next = self.next().map(|next| next.kid.as_str());
        named.map(|named| named.kid.as_str()).or(next)
    }

    /// The key with this id.
    #[must_use]
    pub fn find(&self, kid: &str) -> Option<&Entry> {
        self.keys.iter().find(|key| key.kid == kid)
    }

    /// The keys that are published.
    pub fn published(&self) -> impl Iterator<Item = &Entry> {
        self.keys.iter().filter(|key| key.state != State::Retired)
    }

    /// The key id of the key in the named file: `wanted`, or its thumbprint if another key already has that name.
    #[must_use]
    pub fn kid_for(&self, wanted: Option<&str>, thumbprint: &str) -> String {
        let free = |kid: &&str| {
            self.find(kid)
                .is_none_or(|known| known.thumbprint() == thumbprint)
        };
        wanted.filter(free).unwrap_or(thumbprint).to_owned()
    }

    /// The due step at `now`; `None` if nothing is due. [`Step::Activate`] comes last: it may have to wait, and
    /// nothing else waits for it.
    #[must_use]
    pub fn next_step(&self, now: Timestamp, policy: &Policy, seen: &Seen) -> Option<Step> {
        let Some(active) = self.active() else {
            return seen.named.clone().map(Step::First);
        };
        let unknown = seen.named.as_ref().filter(|named| self.is_news(named));
        if seen.gone.contains(&active.kid) {
            // Without an heir nothing is touched: the folder may only be missing, and comes back as it was.
            return self.heir(unknown, seen).map(Step::TakeOver);
        }
        if let Some(named) = unknown {
            return Some(Step::Adopt(named.clone()));
        }
        if let Some(wrong) = self.keys.iter().find(|key| key.since > now.saturating_add(SKEW)) {
            return Some(Step::Correct(wrong.kid.clone()));
        }
        if let Some(next) = self.next() {
            // A server with another folder may have it, and says so as long as it publishes it.
            if seen.gone.contains(&next.kid) && !self.is_served(now, policy) {
                return Some(Step::Retire(next.kid.clone(), Why::Lost));
            }
            let beat = policy.beat();
            let late = |at: Timestamp| now >= at.saturating_add(beat) || at > now.saturating_add(SKEW);
            if seen.usable.contains(&next.kid) && self.served_at.is_none_or(late) {
                return Some(Step::Served);
            }
        } else if policy.rotation_is_due(active, now) {
            return Some(Step::Make);
        }
        self.retirement(now, policy)
            .or_else(|| self.forgettable(now, policy, seen))
            .or_else(|| {
                let next = self.next()?;
                let due = now >= policy.signs_at(next) && seen.usable.contains(&next.kid);
                due.then(|| Step::Activate(next.kid.clone()))
            })
    }

    /// Does `step` at `now`. [`Step::Make`] does nothing here: the key that was made comes with
    /// [`add_next`](Self::add_next).
    pub fn apply(&mut self, step: &Step, now: Timestamp, policy: &Policy) {
        match step {
            Step::First(key) => self.keys.push(Entry::new(key, State::Active, now)),
            Step::TakeOver(key) => {
                if self.find(&key.kid).is_none() {
                    self.keys.push(Entry::new(key, State::Next, now));
                }
                self.activate(&key.kid, now);
            }
            Step::Adopt(key) => self.add_next(key, now),
            Step::Correct(kid) => self.change(kid, |key| key.since = now),
            Step::Served => self.served(now, policy),
            Step::Retire(kid, _) => self.change(kid, |key| key.enter(State::Retired, now)),
            Step::Forget(kid) => self.keys.retain(|key| key.kid != *kid),
            Step::Make => {}
            Step::Activate(kid) => self.activate(kid, now),
        }
    }

    /// Makes `key` the next one, in the place of another that was to be next.
    pub fn add_next(&mut self, key: &KeyName, now: Timestamp) {
        for known in &mut self.keys {
            if known.state == State::Next {
                known.enter(State::Retired, now);
            }
        }
        self.keys.retain(|known| known.kid != key.kid);
        self.keys.push(Entry::new(key, State::Next, now));
        self.served_at = Some(now);
    }

    /// Makes the key with this id the active one, and the active one a previous one.
    pub fn activate(&mut self, kid: &str, now: Timestamp) {
        if self.find(kid).is_none() {
            return;
        }
        for known in &mut self.keys {
            if known.kid == kid {
                known.enter(State::Active, now);
            } else if known.state == State::Active {
                known.enter(State::Previous, now);
            }
        }
    }

    /// The next automatic change of `key`.
    #[must_use]
    pub fn upcoming(&self, key: &Entry, policy: &Policy) -> Option<Upcoming> {
        match key.state {
            State::Next => Some(Upcoming::Signs(policy.signs_at(key))),
            State::Active if self.next().is_none() => policy.replaced_at(key).map(Upcoming::Replaced),
            State::Previous => Some(Upcoming::Retires(key.since.saturating_add(policy.retire_after))),
            State::Active | State::Retired => None,
        }
    }

    /// The fault of a keyring that was read, if any. The file is ours, but anyone may have edited it.
    ///
    /// # Errors
    ///
    /// The rule that it breaks.
    pub fn check(&self) -> Result<(), &'static str> {
        let count = |state| self.keys.iter().filter(|key| key.state == state).count();
        let kids: BTreeSet<&str> = self.keys.iter().map(|key| key.kid.as_str()).collect();
        if kids.len() != self.keys.len() {
            return Err("two keys have the same `kid`");
        }
        if self.keys.iter().any(|key| !key.is_sound()) {
            return Err("a key has a `kid` or `file` that is not valid");
        }
        match (count(State::Active), count(State::Next)) {
            (1, 0 | 1) => Ok(()),
            (1, _) => Err("more than one key is `next`"),
            _ => Err("not exactly one key is `active`"),
        }
    }

    /// Whether the keyring does not know the key in the named file: it is new, or it signs under another name.
    fn is_news(&self, named: &KeyName) -> bool {
        if self.find(&named.kid).is_some() {
            return false;
        }
        let mut same = self
            .keys
            .iter()
            .filter(|key| key.thumbprint() == named.thumbprint);
        let signs_under_another_name = same.clone().any(|key| key.state == State::Active);
        signs_under_another_name || same.next().is_none()
    }

    /// The signing key if the active one is lost: the newly named one, the next one, or the last signing one.
    fn heir(&self, unknown: Option<&KeyName>, seen: &Seen) -> Option<KeyName> {
        let usable = |key: &&Entry| seen.usable.contains(&key.kid);
        let previous = || {
            let keys = self.keys.iter().filter(|key| key.state == State::Previous);
            keys.filter(usable).max_by_key(|key| key.since)
        };
        let known = || self.next().filter(usable).or_else(previous).map(Entry::name);
        unknown.cloned().or_else(known)
    }

    fn retirement(&self, now: Timestamp, policy: &Policy) -> Option<Step> {
        let oldest = self
            .keys
            .iter()
            .filter(|key| key.state == State::Previous)
            .min_by_key(|key| key.since)?;
        let idle = now.duration_since(oldest.since);
        let why = if idle >= policy.retire_after {
            Why::Age
        } else if idle >= GRACE && self.published().count() > policy.max_keys {
            Why::Number
        } else {
            return None;
        };
        Some(Step::Retire(oldest.kid.clone(), why))
    }

    /// A retired key whose file is long gone; of too many the oldest. Never the one in the named file, which would be news;
    /// for another server, whose folder is not ours, it may be the named one for a while.
    fn forgettable(&self, now: Timestamp, policy: &Policy, seen: &Seen) -> Option<Step> {
        let named = seen.named.as_ref().map(|named| named.thumbprint.as_str());
        let retired = || {
            let retired = self.keys.iter().filter(|key| key.state == State::Retired);
            retired.filter(|key| Some(key.thumbprint()) != named)
        };
        let surplus = retired().count() > MAX_RETIRED;
        let gone = retired()
            .find(|key| seen.gone.contains(&key.kid) && now.duration_since(key.since) >= policy.retire_after);
        let key = gone.or_else(|| retired().min_by_key(|key| key.since).filter(|_| surplus))?;
        Some(Step::Forget(key.kid.clone()))
    }

    /// Whether a server has published the next key until now.
    fn is_served(&self, now: Timestamp, policy: &Policy) -> bool {
        self.served_at
            .is_some_and(|at| now.duration_since(at) <= policy.pause())
    }

    fn served(&mut self, now: Timestamp, policy: &Policy) {
        // Without a record, no server is known to have served.
        let gap = self.served_at.map_or(Duration::MAX, |at| now.duration_since(at));
        if gap > policy.pause() {
            for key in self.keys.iter_mut().filter(|key| key.state == State::Next) {
                key.since = key.since.saturating_add(gap).min(now);
            }
        }
        self.served_at = Some(now);
    }

    fn change(&mut self, kid: &str, change: impl FnOnce(&mut Entry)) {
        if let Some(key) = self.keys.iter_mut().find(|key| key.kid == kid) {
            change(key);
        }
    }
}

#[cfg(test)]
mod tests;
