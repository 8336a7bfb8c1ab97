//! Opening the keys folder: for a server, for a person, for a look.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use super::{
    Access, Keeper, Rotation,
    notes::{Note, Told},
};
use crate::{
    clock::Timestamp,
    diagnostic::{Explained, fix},
    keys::{
        GenerateError, KeyProblem, KeyringError, KeyringStore, Keys, KeysError, Options, UnusableKey,
        Warning, folder::Folder, keyring::Seen, keyring_file::KeyringFile, make_first, pem::read_guarded,
        snapshot::KeySnapshot, warning,
    },
};

// === impl Keeper ===

impl Keeper {
    /// Opens the keys folder for a server: makes the first key, reads or begins the keyring, and adopts a new named
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
        let store = file(&options, &rotation);
        Self::open_in(store, options, rotation, now)
    }

    /// The same with the keyring in `store`.
    ///
    /// # Errors
    ///
    /// [`KeysError`], as [`open`](Self::open).
    pub fn open_in(
        store: Box<dyn KeyringStore>,
        options: Options,
        rotation: Rotation,
        now: Timestamp,
    ) -> Result<(Self, Keys, Vec<Warning>), KeysError> {
        let mut keeper = Self::read(store, options, rotation, Access::Start)?;
        keeper.settle(now, Access::Start);
        keeper.tidy();
        let (keys, warnings) = keeper.publish_first()?;
        Ok((keeper, keys, warnings))
    }

    /// Opens the keys folder for a command: makes the first key and begins a missing keyring. Everything else is left
    /// to [`rotate`](Self::rotate), [`retire`](Self::retire) and the servers.
    ///
    /// # Errors
    ///
    /// [`KeysError`], as [`open`](Self::open).
    pub fn open_by_hand(
        options: Options,
        rotation: Rotation,
        now: Timestamp,
    ) -> Result<(Self, Keys, Vec<Warning>), KeysError> {
        let store = file(&options, &rotation);
        Self::open_by_hand_in(store, options, rotation, now)
    }

    /// The same with the keyring in `store`.
    ///
    /// # Errors
    ///
    /// [`KeysError`], as [`open`](Self::open).
    pub fn open_by_hand_in(
        store: Box<dyn KeyringStore>,
        options: Options,
        rotation: Rotation,
        now: Timestamp,
    ) -> Result<(Self, Keys, Vec<Warning>), KeysError> {
        let mut keeper = Self::read(store, options, rotation, Access::ByHand)?;
        if keeper.ring.keys.is_empty() {
            keeper.settle(now, Access::ByHand);
        }
        keeper.tidy();
        let (keys, warnings) = keeper.publish_first()?;
        Ok((keeper, keys, warnings))
    }

    /// The same for a command that only looks: nothing is made or written.
    ///
    /// # Errors
    ///
    /// [`KeysError`], as [`open`](Self::open).
    pub fn inspect(
        options: Options,
        rotation: Rotation,
        now: Timestamp,
    ) -> Result<(Self, Keys, Vec<Warning>), KeysError> {
        let store = file(&options, &rotation);
        Self::inspect_in(store, options, rotation, now)
    }

    /// The same with the keyring in `store`.
    ///
    /// # Errors
    ///
    /// [`KeysError`], as [`open`](Self::open).
    pub fn inspect_in(
        store: Box<dyn KeyringStore>,
        options: Options,
        rotation: Rotation,
        now: Timestamp,
    ) -> Result<(Self, Keys, Vec<Warning>), KeysError> {
        let mut keeper = Self::read(store, options, rotation, Access::Look)?;
        if keeper.ring.keys.is_empty() {
            keeper.steps(now, Access::Look);
        }
        let (keys, warnings) = keeper.publish_first()?;
        Ok((keeper, keys, warnings))
    }

    fn read(
        store: Box<dyn KeyringStore>,
        options: Options,
        rotation: Rotation,
        access: Access,
    ) -> Result<Self, KeysError> {
        let guard = options.guard;
        for folder in [&rotation.state_dir, &options.dir] {
            let exposed = |exposed| KeysError::Exposed {
                path: folder.clone(),
                exposed,
            };
            guard.folder(folder).map_err(exposed)?;
        }
        let mut notes = Vec::new();
        let stamp = store.stamp();
        let (stored, broken) = match store.read() {
            Ok(stored) => (stored, false),
            // It may pass while this server runs; readiness reports it meanwhile.
            Err(error @ (KeyringError::Foreign | KeyringError::Unavailable { .. }))
                if access == Access::Start =>
            {
                notes.push(Note::Trouble(Explained::of(&error)));
                (None, true)
            }
            Err(error) => return Err(error.into()),
        };
        let kept = stored.is_some();
        // The place before BFF_STATE_DIR was set, or before several replicas shared it.
        let former = || {
            let mut folders = [&rotation.state_dir, &options.dir].into_iter();
            folders.find_map(|folder| KeyringFile::new(folder).guarded(guard).read().transpose())
        };
        let stored = match stored {
            None if !broken => former().transpose()?,
            stored => stored,
        };
        if stored.is_none() && !broken {
            notes.extend(lost_keyring(&options, store.place()));
            if access != Access::Look {
                make_first(&options)?;
            }
        }
        let mut keeper = Self {
            keys: None,
            rotation,
            folder: Folder::new(options),
            store,
            stamp,
            ring: stored.unwrap_or_default(),
            seen: Seen::default(),
            kept,
            broken,
            told: Told::default(),
            notes,
        };
        keeper.look_at_folder();
        Ok(keeper)
    }

    /// The keys for signing and publishing, with all notes about them.
    fn publish_first(&mut self) -> Result<(Keys, Vec<Warning>), KeysError> {
        let keys = Keys::new(self.first_snapshot()?);
        let mut warnings: Vec<Warning> = Vec::new();
        let published: Vec<PathBuf> = self
            .ring
            .published()
            .map(|key| self.folder.path_of(key))
            .collect();
        let options = self.folder.options();
        let named: BTreeSet<&PathBuf> = published.iter().chain(&options.extra).collect();
        warnings.extend(named.into_iter().filter_map(|path| warning::exposed(path)));
        let known: Vec<PathBuf> = self
            .ring
            .keys
            .iter()
            .map(|key| self.folder.path_of(key))
            .collect();
        warnings.extend(warning::foreign_files(options, &known));
        for note in self.notes.drain(..) {
            match note {
                Note::Trouble(trouble) => warnings.push(Warning::Other(trouble)),
                Note::Change(text) => tracing::info!("{text}"),
            }
        }
        self.keys = Some(keys.clone());
        Ok((keys, warnings))
    }

    /// The keys with which a process can start.
    pub(super) fn first_snapshot(&self) -> Result<KeySnapshot, KeysError> {
        let snapshot = self.snapshot()?;
        if let Some(algorithm) = self.rotation.algorithm
            && snapshot.signing_with(algorithm).is_none()
        {
            return Err(KeysError::Algorithm {
                key_type: snapshot.signing.key_type(),
                algorithm,
            });
        }
        Ok(snapshot)
    }

    pub(super) fn nothing_signs(&self) -> KeysError {
        let options = self.folder.options();
        let keyring = self.store.place().to_owned();
        let mut markers = options.identity_markers.iter();
        let marker = markers.find(|marker| marker.exists()).cloned();
        let Some(active) = self.ring.active() else {
            return match (read_guarded(&options.signing_key, options.guard), marker) {
                // As a start says it.
                (
                    Err(UnusableKey {
                        problem: KeyProblem::Missing,
                        path,
                    }),
                    Some(marker),
                ) => KeysError::Generate(GenerateError::IdentityWithoutKey { path, marker }),
                (Err(error), _) => KeysError::SigningKey(error),
                (Ok(_), _) => KeysError::Publish,
            };
        };
        let path = self.folder.path_of(active);
        match read_guarded(&path, options.guard) {
            Err(UnusableKey {
                problem: KeyProblem::Missing,
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
                named: self.seen.named.as_ref().map(|named| named.kid.clone()),
            },
        }
    }
}

/// The keyring in the state folder.
fn file(options: &Options, rotation: &Rotation) -> Box<dyn KeyringStore> {
    Box::new(KeyringFile::new(&rotation.state_dir).guarded(options.guard))
}

/// The note if this server is registered and has no keyring. The information which key signed and which one was
/// retired is then lost.
fn lost_keyring(options: &Options, keyring: &Path) -> Option<Note> {
    let marker = options.identity_markers.iter().find(|marker| marker.exists())?;
    let what = format_args!(
        "{} is not there, although {} is: the named key {} signs",
        keyring.display(),
        marker.display(),
        options.signing_key.display()
    );
    let fix = fix!("if another one signed before, restore the keyring from a backup");
    Some(Note::Trouble(Explained::new(what, fix)))
}
