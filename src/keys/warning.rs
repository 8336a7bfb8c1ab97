//! Warnings for the operator about working keys.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::Options;
use crate::{
    diagnostic::{Explain, Explained, Fix, Knob, fix},
    private_file::{Exposed, Guard, folder_of},
};

/// At most this many foreign files are named.
const MAX_NAMED_FILES: usize = 10;

/// Something an operator should know, although the keys work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// PEM files in the folder that are not published.
    #[error("not published: {}, in the keys folder {dir:?} but not named", list(.files))]
    ForeignFiles {
        /// The keys folder.
        dir: PathBuf,
        /// The names of the files, sorted.
        files: Vec<String>,
    },
    /// A private key that others can use, which was accepted: on a read-only mount or in memory, or because nothing is
    /// refused.
    #[error("the private key {path:?}: {exposed}")]
    Exposed {
        /// The key file.
        path: PathBuf,
        /// The exposure to others.
        exposed: Exposed,
    },
    /// A change of the keys, or a trouble with them.
    #[error("{0}")]
    Other(Explained),
}

// === impl Warning ===

impl Explain for Warning {
    fn fix(&self) -> Option<Fix> {
        match self {
            Self::ForeignFiles { .. } => Some(fix!(
                "list them in {} if they shall be, or remove them",
                Knob::ExtraKeys
            )),
            Self::Exposed { exposed, .. } => Some(Fix::from(exposed.remedy())),
            Self::Other(trouble) => trouble.fix(),
        }
    }
}

fn list(files: &[String]) -> String {
    let named: Vec<String> = files
        .iter()
        .take(MAX_NAMED_FILES)
        .map(|name| format!("{name:?}"))
        .collect();
    let more = files.len() - named.len();
    let named = named.join(", ");
    if more == 0 {
        named
    } else {
        format!("{named} and {more} more")
    }
}

pub(super) fn exposed(path: &Path) -> Option<Warning> {
    let file = Guard::Off.file(&fs::File::open(path).ok()?);
    let folder = Guard::Off.folder(folder_of(path));
    let exposed = [file, folder]
        .into_iter()
        .find_map(|looked| looked.ok().flatten())?;
    Some(Warning::Exposed {
        path: path.to_owned(),
        exposed,
    })
}

/// PEM files that lie in the keys folder but are neither named nor in the keyring (`known`). They are never opened.
pub(super) fn foreign_files(options: &Options, known: &[PathBuf]) -> Option<Warning> {
    let canonical = |path: &PathBuf| path.canonicalize().ok();
    let named: Vec<PathBuf> = std::iter::once(&options.signing_key)
        .chain(&options.extra)
        .chain(known)
        .filter_map(canonical)
        .collect();
    let mut files: Vec<String> = fs::read_dir(&options.dir)
        .ok()?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| looks_like_a_key(path))
        .filter(|path| !canonical(path).is_some_and(|path| named.contains(&path)))
        .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
        .collect();
    files.sort_unstable();
    (!files.is_empty()).then(|| Warning::ForeignFiles {
        dir: options.dir.clone(),
        files,
    })
}

fn looks_like_a_key(path: &Path) -> bool {
    path.extension().is_some_and(|extension| {
        ["pem", "key"]
            .iter()
            .any(|known| extension.eq_ignore_ascii_case(known))
    })
}
