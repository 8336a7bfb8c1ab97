//! The notes about keys: each change, and each trouble once until it changes.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::super::{
    folder::Troubles,
    keyring::{Keyring, Policy, Step, Upcoming, Why},
    snapshot::KeySnapshot,
};
use crate::{
    clock::Timestamp,
    diagnostic::{Explain as _, Explained, fix},
};

/// A line for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Note {
    /// Something has changed as it should.
    Change(String),
    /// A person has to act.
    Trouble(Explained),
}

/// The last note by subject.
#[derive(Debug, Default)]
pub(super) struct Told {
    files: Troubles,
    others: BTreeMap<PathBuf, Explained>,
}

// === impl Note ===

impl Note {
    pub(super) fn log(&self) {
        match self {
            Self::Change(text) => tracing::info!("{text}"),
            Self::Trouble(trouble) => tracing::warn!("{}", trouble.told()),
        }
    }
}

// === impl Told ===

impl Told {
    /// Takes in how the key files are now.
    pub(super) fn files(&mut self, troubles: Troubles, notes: &mut Vec<Note>) {
        for (path, trouble) in &troubles {
            if self.files.get(path) != Some(trouble) {
                notes.push(Note::Trouble(trouble.clone()));
            }
        }
        self.files = troubles;
    }

    pub(super) fn trouble(&mut self, about: PathBuf, trouble: Explained, notes: &mut Vec<Note>) {
        if self.others.get(&about) != Some(&trouble) {
            notes.push(Note::Trouble(trouble.clone()));
            self.others.insert(about, trouble);
        }
    }

    pub(super) fn resolved(&mut self, about: &Path) {
        self.others.remove(about);
    }
}

/// The note about a step before it is performed.
pub(super) fn of_step(step: &Step, ring: &Keyring, policy: &Policy, now: Timestamp) -> Option<Note> {
    let active = ring.active().map(|key| key.kid.clone()).unwrap_or_default();
    Some(match step {
        Step::TakeOver(key) => Note::Trouble(Explained::from(format!(
            "the private key {active} that signed is lost, so that {} signs at once: an IdP that has not fetched the keys \
             since refuses it until it does",
            key.kid
        ))),
        Step::Adopt(key) => Note::Change(format!(
            "the named key {} is new: it is published now and signs from {}",
            key.kid,
            moment(now.saturating_add(policy.publish_ahead))
        )),
        Step::Correct(kid) => Note::Trouble(Explained::new(
            format_args!("keyring.json has a timestamp in the future for key {kid}; treating it as now"),
            fix!("compare the clocks of the machines that write it"),
        )),
        Step::Retire(kid, Why::Lost) => Note::Trouble(Explained::from(format!(
            "the private key {kid} that was to sign next is lost: it is retired, and {active} goes on signing"
        ))),
        Step::Retire(kid, Why::Age) => Note::Change(format!(
            "the key {kid} is retired: it has not signed for long enough"
        )),
        Step::Retire(kid, Why::Number) => Note::Change(format!(
            "the key {kid} is retired, because no more keys may be published"
        )),
        Step::First(_) | Step::Served | Step::Forget(_) | Step::Make | Step::Activate(_) => return None,
    })
}

/// The note about the present next key.
pub(super) fn of_next(ring: &Keyring, policy: &Policy, how: &str) -> Note {
    let next = ring
        .next()
        .map(|key| (key.kid.as_str(), ring.upcoming(key, policy)));
    match next {
        Some((kid, Some(Upcoming::Signs(at)))) => Note::Change(format!(
            "the key {kid} {how}: it is published now and signs from {}",
            moment(at)
        )),
        _ => Note::Change("no key is next".to_owned()),
    }
}

/// The notes about a change of the keys, by this process or by another one.
pub(super) fn of_change(before: &KeySnapshot, after: &KeySnapshot) -> Vec<Note> {
    let mut notes = Vec::new();
    let (old, new) = (before.signing.kid(), after.signing.kid());
    if old != new {
        notes.push(Note::Change(format!(
            "the key {new} signs now, in the place of {old}"
        )));
    }
    if before.document != after.document {
        let kids: Vec<&str> = after.published.iter().map(|key| key.kid.as_str()).collect();
        notes.push(Note::Change(format!("published keys: {}", kids.join(", "))));
    }
    notes
}

/// A point in time for a person: RFC 3339, UTC.
#[must_use]
pub fn moment(at: Timestamp) -> String {
    let seconds = i64::try_from(at.unix_seconds()).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds)
        .ok()
        .and_then(|at| at.format(&Rfc3339).ok())
        .unwrap_or_else(|| "the end of time".to_owned())
}
