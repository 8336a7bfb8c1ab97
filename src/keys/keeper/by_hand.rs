//! Changes the keyring for the commands `bff keys rotate` and `bff keys retire`. A running server follows the file.

use super::{Keeper, notes::moment};
use crate::{
    clock::Timestamp,
    diagnostic::{Explain, Fix, Knob, fix},
    keys::{
        GenerateError, KeyringError, State,
        keyring::{KeyName, Step, Upcoming},
    },
};

/// The performed or possible step, as a line for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done(pub String);

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum ByHandError {
    /// A key is on its way already.
    #[error("the key {kid} is next already and signs from {from}")]
    NextExists {
        /// The key.
        kid: String,
        /// When it signs.
        from: String,
    },
    /// No such key.
    #[error("keyring.json has no key {0}")]
    Unknown(String),
    /// The key signs.
    #[error("the key {0} signs")]
    Active(String),
    /// The key that should sign cannot be read.
    #[error("the private key of {0} cannot be read, so it cannot sign")]
    Unusable(String),
    /// The configured algorithm does not go with the key.
    #[error("the key {0} does not sign with the configured algorithm")]
    Algorithm(String),
    /// Other replicas would not have a key that is made here.
    #[error("the replicas have no folder in common, so a key made here would exist only on this machine")]
    NoCommonFolder,
    /// No key was made.
    #[error(transparent)]
    Generate(#[from] GenerateError),
    /// The keyring was not written.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
}

// === impl ByHandError ===

impl Explain for ByHandError {
    fn fix(&self) -> Option<Fix> {
        Some(match self {
            Self::NextExists { .. } => fix!("retire it first, or let it sign at once with `--now`"),
            Self::Unknown(_) => fix!("name one that `bff keys list` shows"),
            Self::Active(_) => fix!("make another one sign first with `bff keys rotate`"),
            Self::Unusable(_) => fix!("restore its file from a backup"),
            Self::Algorithm(_) => fix!(
                "remove {}, or set {} to a type that does",
                Knob::SigningAlgorithm,
                Knob::KeyType
            ),
            Self::NoCommonFolder => fix!(
                "make one with `bff keys generate --file PATH`, mount it on all replicas, and name it in {} (docs/keys.md); or \
                 let all of them share their folders and set {}",
                Knob::SigningKey,
                Knob::StateStore.to("files")
            ),
            Self::Generate(error) => return error.fix(),
            Self::Keyring(error) => return error.fix(),
        })
    }
}

// === impl Keeper ===

impl Keeper {
    /// Makes a next key; with `at_once` lets it, or the existing next one, sign now.
    ///
    /// # Errors
    ///
    /// [`ByHandError`]; nothing has changed then.
    pub fn rotate(&mut self, now: Timestamp, at_once: bool, dry_run: bool) -> Result<Done, ByHandError> {
        let _lock = if dry_run { None } else { self.lock(true)? };
        self.read_anew()?;
        let next = self
            .ring
            .next()
            .map(|key| (key.name(), self.ring.upcoming(key, &self.rotation.policy)));
        let next = match next {
            Some((name, Some(Upcoming::Signs(from)))) if !at_once => {
                return Err(ByHandError::NextExists {
                    kid: name.kid,
                    from: moment(from),
                });
            }
            Some((name, _)) => Some(name),
            None => None,
        };
        if next.is_none() && !self.store.has_common_folder() {
            return Err(ByHandError::NoCommonFolder);
        }
        if dry_run {
            return Ok(Done(self.would_rotate(next.as_ref(), now, at_once)));
        }
        let (name, made) = if let Some(name) = next {
            (name, None)
        } else {
            let (name, path) = self.make(now)?;
            self.ring.add_next(&name, now);
            (name, Some(path))
        };
        self.look_at_folder();
        let stored = self.let_sign(&name, now, at_once);
        if stored.is_err() {
            self.unmake(made);
        }
        stored?;
        let from = self.rotation.policy.publish_ahead;
        Ok(Done(if at_once {
            format!(
                "the key {} signs now; running servers follow within seconds",
                name.kid
            )
        } else {
            format!(
                "the key {} was made in {}: it is published by running servers within seconds and signs from {}",
                name.kid,
                name.file.display(),
                moment(now.saturating_add(from))
            )
        }))
    }

    /// Retires a key that does not sign.
    ///
    /// # Errors
    ///
    /// [`ByHandError`]; nothing has changed then.
    pub fn retire(&mut self, now: Timestamp, kid: &str, dry_run: bool) -> Result<Done, ByHandError> {
        let _lock = if dry_run { None } else { self.lock(true)? };
        self.read_anew()?;
        let state = self.ring.find(kid).map(|key| key.state);
        match state {
            None => return Err(ByHandError::Unknown(kid.to_owned())),
            Some(State::Active) => return Err(ByHandError::Active(kid.to_owned())),
            Some(State::Retired) => return Ok(Done(format!("the key {kid} is retired already"))),
            Some(State::Next | State::Previous) => {}
        }
        if dry_run {
            return Ok(Done(format!("the key {kid} would be retired")));
        }
        let step = Step::Retire(kid.to_owned(), crate::keys::keyring::Why::Age);
        self.ring.apply(&step, now, &self.rotation.policy);
        self.store()?;
        Ok(Done(format!(
            "the key {kid} is retired; running servers stop publishing it within seconds. Its file was left where it is"
        )))
    }

    fn read_anew(&mut self) -> Result<(), KeyringError> {
        if let Some(ring) = self.store.read()? {
            self.ring = ring;
        }
        self.look_at_folder();
        Ok(())
    }

    fn let_sign(&mut self, name: &KeyName, now: Timestamp, at_once: bool) -> Result<(), ByHandError> {
        let Some(key) = self.folder.key(&name.kid) else {
            return Err(ByHandError::Unusable(name.kid.clone()));
        };
        let algorithm = self.rotation.algorithm;
        if algorithm.is_some_and(|algorithm| !key.algorithms().contains(&algorithm)) {
            return Err(ByHandError::Algorithm(name.kid.clone()));
        }
        if at_once {
            self.ring.activate(&name.kid, now);
        }
        Ok(self.store()?)
    }

    fn would_rotate(&self, next: Option<&KeyName>, now: Timestamp, at_once: bool) -> String {
        let kind = self.folder.options().generate;
        let from = moment(now.saturating_add(self.rotation.policy.publish_ahead));
        match (next, at_once) {
            (Some(next), _) => format!("the key {} would sign at once", next.kid),
            (None, true) => format!("a {kind} key would be made and would sign at once"),
            (None, false) => format!("a {kind} key would be made, be published, and sign from {from}"),
        }
    }
}
