//! Folders that nobody may be shown.

use std::{
    fmt, io,
    path::{Path, PathBuf, absolute},
    sync::Arc,
};

use crate::access::Refused;

/// Secrets that the system keeps in the same places everywhere.
const OF_THE_SYSTEM: [&str; 3] = ["/proc", "/run/secrets", "/var/run/secrets"];

/// Folders and files that nobody may be shown. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Private(Arc<Places>);

#[derive(Debug, Default)]
struct Places {
    /// Neither they nor anything in them.
    folders: Vec<PathBuf>,
    /// They must not be below a folder that is served.
    entries: Vec<PathBuf>,
}

/// Why a folder is not served.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It cannot be read.
    #[error("{}", .0.reason())]
    Refused(#[from] Refused),
    /// The same, later.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// It is a file.
    #[error("is no folder")]
    NotAFolder,
    /// The file for pages without a file is missing.
    #[error("has no such file")]
    NoFallback,
    /// It is, or holds, something with secrets.
    #[error("holds {0}, which nobody may see")]
    Holds(Place),
    /// It is in a folder with secrets.
    #[error("is in {0}, whose files nobody may see")]
    IsIn(Place),
}

/// A path in a message.
#[derive(Debug)]
pub struct Place(PathBuf);

// === impl Private ===

impl Private {
    /// `folders` are private with everything in them: keys and state. Of `entries`, a folder may stand beside them, as the
    /// files of a page may lie in the folder of the configuration.
    #[must_use]
    pub fn new(folders: Vec<PathBuf>, entries: Vec<PathBuf>) -> Self {
        Self(Arc::new(Places { folders, entries }))
    }

    /// Whether everybody may see the files of `folder`.
    pub(super) fn check(&self, folder: &Path) -> Result<(), FolderError> {
        let folder = folder.canonicalize()?;
        let of_the_system = OF_THE_SYSTEM.iter().map(Path::new);
        let folders = self.0.folders.iter().map(PathBuf::as_path).chain(of_the_system);
        for place in folders.clone() {
            if folder.starts_with(real(place)) {
                return Err(FolderError::IsIn(Place(place.to_owned())));
            }
        }
        for place in folders.chain(self.0.entries.iter().map(PathBuf::as_path)) {
            if real(place).starts_with(&folder) {
                return Err(FolderError::Holds(Place(place.to_owned())));
            }
        }
        Ok(())
    }
}

/// The place without links, also if its last parts do not exist yet.
pub(super) fn real(place: &Path) -> PathBuf {
    let whole = absolute(place).unwrap_or_else(|_| place.to_owned());
    let existing = whole
        .ancestors()
        .find_map(|ancestor| Some((ancestor.canonicalize().ok()?, ancestor)));
    match existing {
        Some((real, ancestor)) => match whole.strip_prefix(ancestor) {
            // A path that ends with a slash is another one for some calls.
            Ok(rest) if rest.as_os_str().is_empty() => real,
            Ok(rest) => real.join(rest),
            Err(_) => whole,
        },
        None => whole,
    }
}

// === impl FolderError ===

impl FolderError {
    /// The change that helps.
    #[must_use]
    pub fn fix(&self) -> String {
        match self {
            Self::Refused(refused) => refused.remedy().unwrap_or_else(|| {
                "name a folder that exists; a relative path begins in the folder of routes.yaml".to_owned()
            }),
            Self::Unreadable(_) | Self::NotAFolder => {
                "name a folder that exists; a relative path begins in the folder of routes.yaml".to_owned()
            }
            Self::NoFallback => {
                "name a file in the folder, as in fallback: index.html, or write fallback: false".to_owned()
            }
            Self::Holds(_) | Self::IsIn(_) => {
                "serve a folder of its own, which holds only the files of the page, as in files: ./dist"
                    .to_owned()
            }
        }
    }
}

// === impl Place ===

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.display())
    }
}
