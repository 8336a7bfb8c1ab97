//! Changes the keyring: performs due steps, under the lock, with one write.

use std::path::{Path, PathBuf};

use super::{Access, Keeper, notes};
use crate::{
    clock::Timestamp,
    diagnostic::Explained,
    keys::{
        GenerateError, KeyringError, KeyringLock, generate,
        keyring::{Entry, KeyName, Keyring, Step},
        leftovers,
    },
    private_file,
};

/// More steps at once than this are a bug.
const MAX_STEPS: usize = 200;
/// The subject of a trouble with a change.
const CHANGE: &str = "change of the keyring";

// === impl Keeper ===

impl Keeper {
    /// Whether a step is performed now. A key is made by a server that publishes it at once, in a common folder. A
    /// running server never takes over: if this one has lost the signing private key and has another one in memory,
    /// servers with another folder may have the key and would take over again. If each server has its own folder, it
    /// is known whether another one has the key.
    fn allowed(&self, step: &Step, access: Access) -> bool {
        match step {
            Step::Make => access == Access::Serve && self.store.has_common_folder(),
            Step::TakeOver(_) if self.store.has_common_folder() => access != Access::Serve,
            Step::TakeOver(_) => {
                let active = self.ring.active().map(Entry::thumbprint);
                !active.is_some_and(|key| self.store.is_held_elsewhere(key))
            }
            _ => true,
        }
    }

    /// Performs all due steps, except those that wait for the IdP.
    pub(super) fn settle(&mut self, now: Timestamp, access: Access) {
        let idle = |step: &Option<Step>| match step {
            None | Some(Step::Activate(_)) => true,
            Some(step) => !self.allowed(step, access),
        };
        if idle(&self.step(now)) && self.kept {
            return;
        }
        let waits = access != Access::Serve;
        self.locked(waits, |keeper| keeper.steps(now, access));
        if !self.kept {
            // No other process can do it for us.
            self.steps(now, Access::Start);
        } else if access == Access::Start
            && let Some(step @ Step::TakeOver(_)) = self.step(now)
            && self.allowed(&step, access)
        {
            // Only steps without which no server can start.
            self.apply(&step, now);
        }
    }

    pub(super) fn steps(&mut self, now: Timestamp, access: Access) -> Vec<PathBuf> {
        let mut made = Vec::new();
        for _ in 0..MAX_STEPS {
            match self.step(now) {
                None | Some(Step::Activate(_)) => break,
                Some(step) if !self.allowed(&step, access) => break,
                Some(Step::Make) => match self.make(now) {
                    Ok((name, path)) => {
                        self.told.resolved(&self.folder.options().dir);
                        made.push(path);
                        self.add_next(&name, now);
                    }
                    Err(error) => {
                        self.tell(self.folder.options().dir.clone(), Explained::of(&error));
                        break;
                    }
                },
                Some(step) => self.apply(&step, now),
            }
        }
        made
    }

    pub(super) fn apply(&mut self, step: &Step, now: Timestamp) {
        self.notes
            .extend(notes::of_step(step, &self.ring, &self.rotation.policy, now));
        self.ring.apply(step, now, &self.rotation.policy);
        self.look_at_folder();
    }

    pub(super) fn add_next(&mut self, name: &KeyName, now: Timestamp) {
        self.ring.add_next(name, now);
        self.notes
            .push(notes::of_next(&self.ring, &self.rotation.policy, "was made"));
        self.look_at_folder();
    }

    /// Makes a new key in the keys folder. It counts only once the keyring knows it.
    pub(super) fn make(&self, now: Timestamp) -> Result<(KeyName, PathBuf), GenerateError> {
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
    pub(super) fn change(&mut self, change: impl FnOnce(&mut Self) -> Vec<PathBuf>) {
        let unkept = !self.kept;
        let mut change = Some(change);
        self.locked(false, |keeper| {
            change.take().map(|change| change(keeper)).unwrap_or_default()
        });
        if unkept && let Some(change) = change {
            change(self);
        }
    }

    /// Runs `change` under the lock on the present content of the file, and writes the result. If that fails, nothing
    /// has changed, and the new files that `change` has reported are removed.
    pub(super) fn locked(&mut self, waits: bool, change: impl FnOnce(&mut Self) -> Vec<PathBuf>) {
        let _lock = match self.lock(waits) {
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
        if self.keys.is_none() {
            // The start fails. The keyring must not contain the cause for the next start.
            if self.first_snapshot().is_err() {
                return;
            }
        } else if let Err(error) = self.snapshot() {
            self.unmake(made);
            self.back_to(ring, notes);
            return self.tell(PathBuf::from(CHANGE), Explained::of(&error));
        }
        match self.store() {
            Ok(()) => {
                self.kept = true;
                self.stamp = self.store.stamp();
                self.told.resolved(self.store.place());
                self.told.resolved(Path::new(CHANGE));
            }
            Err(error) => {
                self.unmake(made);
                self.back_to(ring, notes);
                self.tell_unwritable(&error);
            }
        }
    }

    /// Writes the keyring.
    pub(super) fn store(&mut self) -> Result<(), KeyringError> {
        let anchored = if self.store.has_common_folder() {
            self.folder.anchored(&self.ring)
        } else {
            // Each server has the files in its own folder.
            let keys_dir = None;
            Keyring {
                keys_dir,
                ..self.ring.clone()
            }
        };
        self.store.write(&anchored)?;
        self.ring = anchored;
        Ok(())
    }

    fn back_to(&mut self, ring: Keyring, notes: usize) {
        self.ring = ring;
        self.notes.truncate(notes);
        self.look_at_folder();
    }

    /// Removes keys that were made for a keyring that could not be written: no process has seen them. A key that the
    /// file names stays, because the failure may have come after the rename.
    pub(super) fn unmake(&self, made: impl IntoIterator<Item = PathBuf>) {
        let Ok(stored) = self.store.read() else { return };
        let stored = stored.unwrap_or_default();
        for path in made {
            if !stored.keys.iter().any(|key| self.folder.path_of(key) == path) {
                private_file::about_to(private_file::Step::Remove, &path);
                let _ = std::fs::remove_file(path);
            }
        }
    }

    /// Takes the lock; `None` if another process has it and `wait` is off. Removes leftovers of earlier holders.
    pub(super) fn lock(&self, waits: bool) -> Result<Option<KeyringLock>, KeyringError> {
        let lock = self.store.lock(waits)?;
        if lock.is_some() && self.store.has_common_folder() {
            leftovers::of_keyring(self.store.place(), &self.folder.options().dir);
        }
        Ok(lock)
    }

    /// Removes leftovers of dead processes. A process without the rights leaves it to others.
    pub(super) fn tidy(&self) {
        if !self.store.has_common_folder() {
            return;
        }
        leftovers::of_named(&self.folder.options().signing_key);
        drop(self.lock(false));
    }

    fn tell_unwritable(&mut self, error: &KeyringError) {
        let trouble = Explained::of(error).saying(|what| format!("keys do not rotate: {what}"));
        self.tell(self.store.place().to_owned(), trouble);
    }
}
