//! Keeps the keys: opens the keyring, looks at the folder, does what is due, and publishes what came of it.
//!
//! Every change of the keyring happens under a file lock on what was read under it, so that replicas on one folder agree:
//! one changes it, the others follow the file. Where it cannot be written, nothing rotates and the keys serve as they are.

mod by_hand;
mod notes;
mod run;

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use self::notes::{Note, Told};
pub use self::{
    by_hand::{ByHandError, Done},
    notes::moment,
};
use super::{
    GenerateError, Keys, KeysError, Options, UnusableKey, Warning,
    document::Published,
    folder::{Folder, Print},
    generate,
    keyring::{KeyName, Keyring, Policy, Seen, State, Step},
    keyring_file::{KeyringError, KeyringFile},
    make_first, read_key,
    set::Set,
    warning,
};
use crate::{
    clock::Timestamp,
    jose::{Algorithm, SigningKey},
};

/// More steps at once than this are a fault of ours.
const MAX_STEPS: usize = 200;

/// How keys are rotated, and where that is remembered.
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
    file: KeyringFile,
    /// What the name of the keyring led to when it was read or written last.
    print: Option<Print>,
    ring: Keyring,
    seen: Seen,
    /// Whether the keyring is in the file, and not in memory alone.
    kept: bool,
    /// Whether what is in the file now cannot be read.
    broken: bool,
    told: Told,
    notes: Vec<Note>,
}

/// What may be done to the files.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    /// Before anything is served: what has to be done so that a key can sign.
    Start,
    /// All of it.
    Serve,
    /// For a person who changes the keyring: it is begun where there is none. What is due is left to the servers, which
    /// may still have in memory what is gone from the folder.
    ByHand,
    /// Nothing.
    Look,
}

// === impl Keeper ===

impl Keeper {
    /// Opens the keys folder for a server: makes the first key, reads the keyring or begins one, and takes up a new named
    /// key. Blocks on small files and on replicas that do the same.
    ///
    /// # Errors
    ///
    /// [`KeysError`]: no key can sign, the keyring cannot be used, or two keys have one id.
    pub fn open(
        options: Options,
        rotation: Rotation,
        now: Timestamp,
    ) -> Result<(Self, Keys, Vec<Warning>), KeysError> {
        let mut keeper = Self::read(options, rotation, Access::Start)?;
        keeper.settle(now, Access::Start);
        let (keys, warnings) = keeper.publish_first()?;
        Ok((keeper, keys, warnings))
    }

    /// Opens the keys folder for a person: makes the first key and begins the keyring where there is none; everything else
    /// is left to [`rotate`](Self::rotate), [`retire`](Self::retire) and the servers.
    ///
    /// # Errors
    ///
    /// [`KeysError`], as [`open`](Self::open).
    pub fn open_by_hand(
        options: Options,
        rotation: Rotation,
        now: Timestamp,
    ) -> Result<(Self, Keys, Vec<Warning>), KeysError> {
        let mut keeper = Self::read(options, rotation, Access::ByHand)?;
        if keeper.ring.keys.is_empty() {
            keeper.settle(now, Access::ByHand);
        }
        let (keys, warnings) = keeper.publish_first()?;
        Ok((keeper, keys, warnings))
    }

    /// The same for whoever only wants to know: nothing is made or written.
    ///
    /// # Errors
    ///
    /// [`KeysError`], as [`open`](Self::open).
    pub fn inspect(
        options: Options,
        rotation: Rotation,
        now: Timestamp,
    ) -> Result<(Self, Keys, Vec<Warning>), KeysError> {
        let mut keeper = Self::read(options, rotation, Access::Look)?;
        if keeper.ring.keys.is_empty() {
            keeper.steps(now, Access::Look);
        }
        let (keys, warnings) = keeper.publish_first()?;
        Ok((keeper, keys, warnings))
    }

    /// The keyring as it is now.
    #[must_use]
    pub const fn keyring(&self) -> &Keyring {
        &self.ring
    }

    /// The rules that it is kept by.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.rotation.policy
    }

    fn read(options: Options, rotation: Rotation, access: Access) -> Result<Self, KeysError> {
        let file = KeyringFile::new(&rotation.state_dir);
        let print = Print::of(file.path());
        let stored = file.read()?;
        let kept = stored.is_some();
        // Where it was before BFF_STATE_DIR was set.
        let stored = match stored {
            None => KeyringFile::new(&options.dir).read()?,
            stored => stored,
        };
        if stored.is_none() && access != Access::Look {
            make_first(&options)?;
        }
        let mut keeper = Self {
            keys: None,
            rotation,
            folder: Folder::new(options),
            file,
            print,
            ring: stored.unwrap_or_default(),
            seen: Seen::default(),
            kept,
            broken: false,
            told: Told::default(),
            notes: Vec::new(),
        };
        keeper.look_at_folder();
        Ok(keeper)
    }

    /// What there is to sign and to publish with, and everything that should be said about it.
    fn publish_first(&mut self) -> Result<(Keys, Vec<Warning>), KeysError> {
        let keys = Keys::new(self.set()?);
        if let Some(algorithm) = self.rotation.algorithm
            && !keys.signing().algorithms().contains(&algorithm)
        {
            return Err(KeysError::Algorithm {
                key_type: keys.signing().key_type(),
                algorithm,
            });
        }
        let mut warnings: Vec<Warning> = Vec::new();
        let published: Vec<PathBuf> = self
            .ring
            .published()
            .map(|key| self.folder.path_of(key))
            .collect();
        let options = self.folder.options();
        let named: BTreeSet<&PathBuf> = published.iter().chain(&options.extra).collect();
        warnings.extend(
            named
                .into_iter()
                .filter_map(|path| warning::readable_by_others(path)),
        );
        let known: Vec<PathBuf> = self
            .ring
            .keys
            .iter()
            .map(|key| self.folder.path_of(key))
            .collect();
        warnings.extend(warning::foreign_files(options, &known));
        for note in self.notes.drain(..) {
            match note {
                Note::Trouble(text) => warnings.push(Warning::Other(text)),
                Note::Change(text) => tracing::info!("{text}"),
            }
        }
        self.keys = Some(keys.clone());
        Ok((keys, warnings))
    }

    /// One look of a running server: follows the file, does what is due, publishes what came of it.
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
            keeper.steps(now, Access::Start);
            if keeper.step(now).as_ref() == Some(&step) {
                keeper.apply(&step, now);
            }
        });
        self.publish();
    }

    /// Takes over the keyring that another process has written. `false` where it cannot be read.
    fn follow(&mut self) -> bool {
        let print = Print::of(self.file.path());
        if print == self.print {
            return !self.broken;
        }
        match self.file.read() {
            Ok(Some(ring)) => {
                self.ring = ring;
                self.kept = true;
                self.broken = false;
                self.print = print;
                self.told.resolved(self.file.path());
                self.look_at_folder();
                true
            }
            // Somebody removed it: what is in memory is written again.
            Ok(None) => {
                self.print = None;
                self.kept = false;
                self.broken = false;
                true
            }
            Err(error) => {
                // Looked at again when it changes.
                self.print = print;
                self.broken = true;
                let text = format!("{error} (until then the keys stay as they are)");
                self.tell(self.file.path().to_owned(), text);
                false
            }
        }
    }

    fn look_at_folder(&mut self) {
        let (seen, troubles) = self.folder.look(&self.ring);
        self.seen = seen;
        self.told.files(troubles, &mut self.notes);
    }

    fn step(&self, now: Timestamp) -> Option<Step> {
        self.ring.next_step(now, &self.rotation.policy, &self.seen)
    }

    /// Does all that is due, but for what waits for the IdP.
    fn settle(&mut self, now: Timestamp, access: Access) {
        let idle = |step: &Option<Step>| match step {
            None | Some(Step::Activate(_)) => true,
            Some(Step::Make) => access != Access::Serve,
            Some(_) => false,
        };
        if idle(&self.step(now)) && self.kept {
            return;
        }
        let waits = access != Access::Serve;
        self.locked(waits, |keeper| keeper.steps(now, access));
        if !self.kept {
            // Nobody else can do it for us.
            self.steps(now, Access::Start);
        } else if matches!(self.step(now), Some(Step::TakeOver(_))) {
            // Only what no server can start without.
            if let Some(step) = self.step(now) {
                self.apply(&step, now);
            }
        }
    }

    fn steps(&mut self, now: Timestamp, access: Access) -> Vec<PathBuf> {
        let mut made = Vec::new();
        for _ in 0..MAX_STEPS {
            match self.step(now) {
                None | Some(Step::Activate(_)) => break,
                Some(Step::Make) if access != Access::Serve => break,
                Some(Step::Make) => match self.make(now) {
                    Ok((name, path)) => {
                        made.push(path);
                        self.add_next(&name, now);
                    }
                    Err(error) => {
                        self.tell(self.folder.options().dir.clone(), error.to_string());
                        break;
                    }
                },
                Some(step) => self.apply(&step, now),
            }
        }
        made
    }

    fn apply(&mut self, step: &Step, now: Timestamp) {
        self.notes
            .extend(notes::of_step(step, &self.ring, &self.rotation.policy, now));
        self.ring.apply(step, now, &self.rotation.policy);
        self.look_at_folder();
    }

    fn add_next(&mut self, name: &KeyName, now: Timestamp) {
        self.ring.add_next(name, now);
        self.notes
            .push(notes::of_next(&self.ring, &self.rotation.policy, "was made"));
        self.look_at_folder();
    }

    /// Makes a new key in the keys folder. It counts only once the keyring knows it.
    fn make(&self, now: Timestamp) -> Result<(KeyName, PathBuf), GenerateError> {
        let options = self.folder.options();
        let (path, thumbprint) = generate::generate_new(&options.dir, options.generate, now)?;
        let name = KeyName {
            file: self.folder.name_of(&path),
            kid: thumbprint.clone(),
            thumbprint,
        };
        Ok((name, path))
    }

    /// Changes the keyring without waiting for another process that is at it.
    fn change(&mut self, change: impl FnOnce(&mut Self)) {
        let unkept = !self.kept;
        let mut change = Some(change);
        self.locked(false, |keeper| {
            if let Some(change) = change.take() {
                change(keeper);
            }
            Vec::new()
        });
        if unkept && let Some(change) = change {
            change(self);
        }
    }

    /// Runs `change` under the lock on what the file holds now, and writes what came of it. Where that fails, nothing has
    /// changed, and the files that `change` says it has made are gone.
    fn locked(&mut self, waits: bool, change: impl FnOnce(&mut Self) -> Vec<PathBuf>) {
        let lock = if waits {
            self.file.lock().map(Some)
        } else {
            self.file.try_lock()
        };
        let _lock = match lock {
            Ok(Some(lock)) => lock,
            Ok(None) => return,
            Err(error) => return self.tell_unwritable(&error),
        };
        if !self.follow() {
            return;
        }
        let (ring, notes) = (self.ring.clone(), self.notes.len());
        let made = change(self);
        if self.ring == ring && self.kept {
            return;
        }
        if self.ring.keys.is_empty() {
            return;
        }
        match self.file.write(&self.ring) {
            Ok(()) => {
                self.kept = true;
                self.print = Print::of(self.file.path());
                self.told.resolved(self.file.path());
            }
            Err(error) => {
                for path in made {
                    // It was never published, so that nobody misses it.
                    let _ = std::fs::remove_file(path);
                }
                self.ring = ring;
                self.notes.truncate(notes);
                self.look_at_folder();
                self.tell_unwritable(&error);
            }
        }
    }

    fn tell_unwritable(&mut self, error: &KeyringError) {
        let text = format!("keys do not rotate: {error}");
        self.tell(self.file.path().to_owned(), text);
    }

    fn tell(&mut self, about: PathBuf, text: String) {
        self.told.trouble(about, text, &mut self.notes);
    }

    /// Lets everybody see the keys as they are now. What cannot be used leaves everything as it was.
    fn publish(&mut self) {
        let Some(keys) = self.keys.clone() else { return };
        match self.set() {
            Ok(set) => {
                let before = keys.current();
                self.notes.extend(notes::of_change(&before, &set));
                if before.document != set.document || before.signing.kid() != set.signing.kid() {
                    keys.put(set);
                }
            }
            Err(error) => self.tell(self.folder.options().dir.clone(), error.to_string()),
        }
    }

    fn set(&self) -> Result<Set, KeysError> {
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
        Set::new(signing, others, algorithm)
    }

    /// The active key; where this process cannot read it, what signed until now, the next one, or the one that signed
    /// last: they are published too.
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
        active.or_else(now).or_else(other)
    }

    fn nothing_signs(&self) -> KeysError {
        let options = self.folder.options();
        let keyring = self.file.path().to_owned();
        let mut markers = options.identity_markers.iter();
        let marker = markers.find(|marker| marker.exists()).cloned();
        let Some(active) = self.ring.active() else {
            return match read_key(&options.signing_key) {
                Err(error) => KeysError::SigningKey(error),
                Ok(_) => KeysError::Publish,
            };
        };
        let path = self.folder.path_of(active);
        match read_key(&path) {
            Err(UnusableKey {
                problem: super::KeyProblem::Missing,
                ..
            }) => KeysError::Generate(GenerateError::IdentityWithoutKey {
                path,
                marker: marker.unwrap_or(keyring),
            }),
            Err(error) => KeysError::SigningKey(error),
            Ok(_) => KeysError::Lost {
                kid: active.kid.clone(),
                path,
                keyring,
            },
        }
    }
}

#[cfg(test)]
mod tests;
