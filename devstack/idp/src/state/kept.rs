//! The state that survives a restart, and its file.
//!
//! The file contains unencrypted private signing keys: this IdP is only for development. Of tokens and cookies it
//! stores only digests. Authorization codes, pushed requests, open login pages and used `jti` end with the process,
//! because a browser or a client that loses one starts again within a minute.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    ops::{Deref, DerefMut},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{Session, grants::Grants, iats::InitialAccessTokens};
use crate::{
    atomic_file,
    expiring::Expiring,
    keys::{KeyError, KeyRing},
    secret::Digest,
};

/// The persistent state, and whether the file is outdated. Code that changes it need not care about the file.
pub(crate) struct Kept {
    file: Option<PathBuf>,
    contents: Contents,
    changed: bool,
}

/// The stored state, in the form of the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contents {
    format: Format,
    pub(crate) keys: KeyRing,
    pub(crate) iats: InitialAccessTokens,
    pub(crate) grants: Grants,
    /// Sessions of browsers by the digest of their cookie.
    pub(crate) sessions: Expiring<Digest, Session>,
    /// Scopes that a person (`sub`) has allowed a client.
    pub(crate) consents: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
}

/// Tells this file from others, and from those of later versions.
#[derive(Serialize, Deserialize)]
enum Format {
    #[serde(rename = "devstack-idp state 1")]
    One,
}

/// Why there is no state to start with.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// No signing key could be made.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The state file is there, and can neither be read nor be moved aside.
    #[error("cannot use the state file {}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

// === impl Kept ===

impl Kept {
    /// The content of the file; only new signing keys if there is none.
    pub(crate) fn load(file: Option<PathBuf>) -> Result<Self, StateError> {
        let found = match &file {
            None => None,
            Some(path) => read(path).map_err(|source| StateError::File {
                path: path.clone(),
                source,
            })?,
        };
        let contents = match found {
            Some(contents) => contents,
            None => Contents::new(KeyRing::generate()?),
        };
        let mut kept = Self {
            file,
            contents,
            changed: true,
        };
        // At once: the next start must have the same new keys, and an unusable folder is noticed here.
        kept.write_changes();
        Ok(kept)
    }

    /// Updates the file. If it fails, the IdP continues, and only the next start loses data.
    pub(super) fn write_changes(&mut self) {
        let changed = std::mem::take(&mut self.changed);
        let Some(path) = self.file.as_ref().filter(|_| changed) else {
            return;
        };
        let written = serde_json::to_vec(&self.contents)
            .map_err(io::Error::from)
            .and_then(|json| atomic_file::write(path, &json));
        if let Err(error) = written {
            tracing::error!(%error, path = %path.display(), "the state file could not be written");
        }
    }
}

impl Deref for Kept {
    type Target = Contents;

    fn deref(&self) -> &Contents {
        &self.contents
    }
}

impl DerefMut for Kept {
    fn deref_mut(&mut self) -> &mut Contents {
        self.changed = true;
        &mut self.contents
    }
}

// === impl Contents ===

impl Contents {
    fn new(keys: KeyRing) -> Self {
        Self {
            format: Format::One,
            keys,
            iats: InitialAccessTokens::default(),
            grants: Grants::default(),
            sessions: Expiring::default(),
            consents: BTreeMap::new(),
        }
    }
}

/// The content of the file; `None` if it does not exist, or was not ours and was moved aside.
fn read(path: &Path) -> io::Result<Option<Contents>> {
    let json = match fs::read(path) {
        Ok(json) => json,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match serde_json::from_slice(&json) {
        Ok(contents) => Ok(Some(contents)),
        Err(error) => {
            let aside = atomic_file::beside(path, ".damaged");
            fs::rename(path, &aside)?;
            // Not the error itself, which may quote the file.
            tracing::warn!(
                path = %path.display(),
                moved_to = %aside.display(),
                line = error.line(),
                column = error.column(),
                "the state file is damaged or of another format: it was moved aside, and everybody has to log in again"
            );
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests;
