//! Keeps the keys: opens the keyring, checks the folder, performs due steps, and publishes the result.
//!
//! Every change of the keyring happens under a lock, on its content under that lock, so that replicas agree: one
//! changes it, the others follow. If it is not writable, nothing rotates and the present keys serve.

mod by_hand;
mod change;
mod notes;
mod open;
mod run;

use std::{
    cmp::Reverse,
    path::{Path, PathBuf},
    sync::Arc,
};

use self::notes::{Note, Told};
pub use self::{
    by_hand::{ByHandError, Done},
    notes::moment,
};
use super::{
    AnnounceError, Keys, KeysError,
    document::Published,
    folder::Folder,
    keyring::{Entry, Keyring, Policy, Seen, State, Step},
    keyring_store::{KeyringStore, Stamp},
    may_sign,
    snapshot::KeySnapshot,
};
use crate::{
    clock::Timestamp,
    diagnostic::Explained,
    jose::{Algorithm, SigningKey},
};

/// The subject of a trouble with all keys together.
const DOCUMENT: &str = "JWK Set";

/// How keys are rotated, and where the state is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// The folder of `keyring.json`.
    pub state_dir: PathBuf,
    /// The rules.
    pub policy: Policy,
    /// The algorithm that the configuration names; it is published with the keys that do it.
    pub algorithm: Option<Algorithm>,
}

/// Keeps the keys of one process.
#[derive(Debug)]
pub struct Keeper {
    keys: Option<Keys>,
    rotation: Rotation,
    folder: Folder,
    store: Box<dyn KeyringStore>,
    /// The keyring when it was last read or written.
    stamp: Option<Stamp>,
    ring: Keyring,
    seen: Seen,
    /// Whether the keyring is in the store, and not only in memory.
    kept: bool,
    /// Whether the present content of the store is unreadable.
    broken: bool,
    told: Told,
    notes: Vec<Note>,
}

/// A key that does not sign now.
#[derive(Clone, Debug)]
pub struct OtherKey {
    /// The key, under its key id.
    pub key: Arc<SigningKey>,
    /// Its state; a named key that the keyring does not know yet is next.
    pub state: State,
}

/// The permitted changes to the files.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    /// Before anything is served: the steps without which no key can sign.
    Start,
    /// All of it.
    Serve,
    /// For a command that changes the keyring: it begins a missing one. Due steps are left to the servers, which may
    /// still have lost files in memory.
    ByHand,
    /// Nothing.
    Look,
}

// === impl OtherKey ===

impl OtherKey {
    fn next(key: &Arc<SigningKey>) -> Self {
        Self {
            key: Arc::clone(key),
            state: State::Next,
        }
    }
}

// === impl Keeper ===

impl Keeper {
    /// The present keyring.
    #[must_use]
    pub const fn keyring(&self) -> &Keyring {
        &self.ring
    }

    /// The rules that it is kept by.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.rotation.policy
    }

    /// Whether the private key of an entry is lost: its file is missing or has another key.
    #[must_use]
    pub fn is_lost(&self, kid: &str) -> bool {
        self.seen.gone.contains(kid)
    }

    /// Why the next key `kid` will not sign in its turn: the client is registered with `registered`, which the key that
    /// signs does, and this one does not. Where neither does, the next one signs all the same.
    #[must_use]
    pub fn misfit(&self, kid: &str, registered: Algorithm) -> Option<AnnounceError> {
        self.misfit_of(self.folder.key(kid)?, registered)
    }

    /// The same for a key that is not in the folder.
    #[must_use]
    pub fn misfit_of(&self, key: &SigningKey, registered: Algorithm) -> Option<AnnounceError> {
        let active = self.folder.key(&self.ring.active()?.kid)?;
        may_sign(active, registered).ok()?;
        may_sign(key, registered).err()
    }

    /// The keys that do not sign and whose private halves are at hand: the coming one, the previous ones and the retired
    /// ones, each the latest first.
    #[must_use]
    pub fn others(&self) -> Vec<OtherKey> {
        let named = self
            .seen
            .named
            .as_ref()
            .filter(|named| self.ring.coming(&self.seen) == Some(named.kid.as_str()));
        let named = named.filter(|named| self.ring.find(&named.kid).is_none());
        let named = named.and_then(|named| self.folder.named(&named.kid));
        let mut others: Vec<OtherKey> = named.into_iter().map(OtherKey::next).collect();
        let order = |state| {
            [State::Next, State::Previous, State::Retired]
                .into_iter()
                .position(|one| one == state)
        };
        let mut entries: Vec<&Entry> = self
            .ring
            .keys
            .iter()
            .filter(|key| order(key.state).is_some())
            .collect();
        entries.sort_by_key(|key| (order(key.state), Reverse(key.since)));
        others.extend(entries.into_iter().filter_map(|entry| {
            let key = self.folder.key_of(entry)?;
            Some(OtherKey {
                key,
                state: entry.state,
            })
        }));
        others
    }

    /// The step that a server would perform now.
    #[must_use]
    pub fn step(&self, now: Timestamp) -> Option<Step> {
        self.ring.next_step(now, &self.rotation.policy, &self.seen)
    }

    /// One look of a running server: follows the file, performs due steps, publishes the result.
    fn look(&mut self, now: Timestamp) {
        let readable = self.follow();
        self.look_at_folder();
        if readable {
            self.settle(now, Access::Serve);
        }
        self.publish();
    }

    /// The next key, if it has been published long enough.
    fn due(&self, now: Timestamp) -> Option<Arc<SigningKey>> {
        match self.step(now)? {
            Step::Activate(kid) => self.folder.key(&kid).cloned(),
            _ => None,
        }
    }

    /// Lets the next key sign, which the IdP knows now, unless another process has done something else meanwhile.
    fn activate(&mut self, now: Timestamp, kid: &str) {
        let step = Step::Activate(kid.to_owned());
        self.change(|keeper| {
            let made = keeper.steps(now, Access::Serve);
            if keeper.step(now).as_ref() == Some(&step) {
                keeper.apply(&step, now);
            }
            made
        });
        self.publish();
    }

    /// Adopts the keyring that another process has written. `false` if it is unreadable.
    fn follow(&mut self) -> bool {
        let stamp = self.store.stamp();
        if stamp == self.stamp && !self.broken {
            return true;
        }
        match self.store.read() {
            Ok(Some(ring)) => {
                self.ring = ring;
                self.kept = true;
                self.broken = false;
                self.stamp = stamp;
                self.told.resolved(self.store.place());
                self.look_at_folder();
                true
            }
            // Somebody removed it: the content of the memory is written again.
            Ok(None) => {
                self.stamp = None;
                self.kept = false;
                self.broken = false;
                true
            }
            Err(error) => {
                self.stamp = stamp;
                self.broken = true;
                let trouble = Explained::of(&error)
                    .saying(|what| format!("{what} (until then the keys stay as they are)"));
                self.tell(self.store.place().to_owned(), trouble);
                false
            }
        }
    }

    fn look_at_folder(&mut self) {
        let (seen, troubles) = self.folder.look(&self.ring);
        self.seen = seen;
        self.told.files(troubles, &mut self.notes);
    }

    fn tell(&mut self, about: PathBuf, trouble: Explained) {
        self.told.trouble(about, trouble, &mut self.notes);
    }

    /// Publishes the present keys to all holders. An unusable set changes nothing.
    fn publish(&mut self) {
        let Some(keys) = self.keys.clone() else { return };
        match self.snapshot() {
            Ok(snapshot) => {
                self.told.resolved(Path::new(DOCUMENT));
                let before = keys.current();
                let kid = |key: &Option<Arc<SigningKey>>| key.as_ref().map(|key| key.kid().to_owned());
                self.notes.extend(notes::of_change(&before, &snapshot));
                if before.document != snapshot.document
                    || before.signing.kid() != snapshot.signing.kid()
                    || kid(&before.coming) != kid(&snapshot.coming)
                {
                    keys.put(snapshot);
                }
            }
            Err(error) => self.tell(PathBuf::from(DOCUMENT), Explained::of(&error)),
        }
    }

    fn snapshot(&self) -> Result<KeySnapshot, KeysError> {
        let algorithm = self.rotation.algorithm;
        let signing = self.signing().ok_or_else(|| self.nothing_signs())?;
        let kids = self.ring.published().map(|key| key.kid.as_str());
        let others: Result<Vec<Published>, KeysError> = kids
            .filter(|kid| *kid != signing.kid())
            .filter_map(|kid| self.folder.key(kid))
            .map(|key| Published::new(key, algorithm))
            .collect();
        let mut others = others?;
        others.extend(self.folder.extras(algorithm));
        let coming = self.ring.coming(&self.seen);
        let coming = coming.and_then(|kid| self.folder.key(kid).or_else(|| self.folder.named(kid)));
        KeySnapshot::new(signing, coming.cloned(), others, algorithm)
    }

    /// The active key. If this process cannot read it: the present signing key, the next one, or the last signing
    /// one, because they are published too.
    fn signing(&self) -> Option<Arc<SigningKey>> {
        let at_hand = |kid: &str| self.folder.key(kid).cloned();
        let active = self.ring.active().and_then(|key| at_hand(&key.kid));
        let now = || at_hand(self.keys.as_ref()?.signing().kid());
        let other = || {
            let mut others: Vec<_> = self
                .ring
                .published()
                .filter(|key| key.state != State::Active)
                .collect();
            others.sort_by_key(|key| (key.state == State::Next, key.since));
            others.into_iter().rev().find_map(|key| at_hand(&key.kid))
        };
        // Beside servers that have a key that this one lacks, its own key signs nothing: it is not ready. But it
        // serves.
        let named = || {
            let named = self
                .seen
                .named
                .as_ref()
                .filter(|_| !self.store.has_common_folder());
            self.folder.named(&named?.kid).cloned()
        };
        active.or_else(now).or_else(other).or_else(named)
    }
}

#[cfg(test)]
mod tests;
