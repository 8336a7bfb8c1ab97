//! The master secret of cookies, CSRF tokens and sealed records.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use crate::{
    access::{Need, Refused},
    config::SessionSettings,
    diagnostic::{Explain, Fix, Knob, fix},
    private_file::{self, Exposed, Guard},
    random::{Random, RandomExt as _},
};

/// The file's name in the state folder.
const FILE_NAME: &str = "session_secret";
/// A longer file is not ours, in bytes.
const MAX_SIZE: u64 = 4 * 1024;
/// The length of a made secret, in bytes.
const LENGTH: usize = 32;

/// Why there is no master secret.
#[derive(Debug, thiserror::Error)]
pub enum SessionSecretError {
    /// The file cannot be read or made.
    #[error("{path:?}: {error}; the server stores the session secret there")]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        error: io::Error,
    },
    /// The file has other content.
    #[error("{0:?} does not contain a session secret (base64 of {LENGTH} bytes)")]
    Content(PathBuf),
    /// Others can use the file.
    #[error("{path:?}: {exposed}; the server stores the session secret there")]
    Exposed {
        /// The file.
        path: PathBuf,
        /// The exposure to others.
        exposed: Exposed,
    },
}

// === impl SessionSecretError ===

impl Explain for SessionSecretError {
    fn fix(&self) -> Option<Fix> {
        match self {
            Self::File { path, error } => Some(match Refused::of(path, Need::ReadPrivate, error).remedy() {
                Some(remedy) if path.exists() => {
                    fix!("{}; or set {}", remedy, Knob::SessionSecret)
                }
                _ => fix!(
                    "make its folder ({}) writable for the user that runs bff, or set {}",
                    Knob::StateFolder,
                    Knob::SessionSecret
                ),
            }),
            Self::Content(_) => Some(fix!(
                "restore it from a backup; or remove it to have a new one made, and everybody logs in again"
            )),
            Self::Exposed { exposed, .. } => exposed.fix(),
        }
    }
}

/// The configured secrets; without any, the generated one that is stored in `state_dir`.
pub(super) fn load(
    settings: &SessionSettings,
    state_dir: &Path,
    guard: Guard,
    random: &dyn Random,
) -> Result<Vec<Zeroizing<Vec<u8>>>, SessionSecretError> {
    if settings.secrets.is_empty() {
        return Ok(vec![kept(&state_dir.join(FILE_NAME), guard, random)?]);
    }
    Ok(settings
        .secrets
        .iter()
        .map(|secret| Zeroizing::new(secret.as_ref().to_vec()))
        .collect())
}

/// Looks whether the stored secret can be used, and changes nothing. A missing one is made at a start.
pub(super) fn look(settings: &SessionSettings, state_dir: &Path) -> Result<(), SessionSecretError> {
    let path = state_dir.join(FILE_NAME);
    if !settings.secrets.is_empty() || !path.exists() {
        return Ok(());
    }
    let file = File::open(&path).map_err(|error| SessionSecretError::File {
        path: path.clone(),
        error,
    })?;
    read(file, &path).map(drop)
}

/// Whether there is a secret, or one would be made.
pub(super) fn is_there(settings: &SessionSettings, state_dir: &Path) -> bool {
    !settings.secrets.is_empty() || state_dir.join(FILE_NAME).exists()
}

fn kept(path: &Path, guard: Guard, random: &dyn Random) -> Result<Zeroizing<Vec<u8>>, SessionSecretError> {
    let failed = |error| SessionSecretError::File {
        path: path.to_owned(),
        error,
    };
    if !private_file::exists(path).map_err(failed)? {
        let made = Zeroizing::new(STANDARD.encode(Zeroizing::new(random.bytes::<LENGTH>())) + "\n");
        // If another replica was faster, its secret counts.
        if private_file::create_new(path, made.as_bytes()).map_err(failed)? {
            tracing::info!(?path, "made a new secret for sessions");
        }
    }
    let file = File::open(path).map_err(failed)?;
    private_file::keep_private(&file, path, guard).map_err(|exposed| SessionSecretError::Exposed {
        path: path.to_owned(),
        exposed,
    })?;
    read(file, path)
}

fn read(file: File, path: &Path) -> Result<Zeroizing<Vec<u8>>, SessionSecretError> {
    let mut text = Zeroizing::new(String::new());
    file.take(MAX_SIZE)
        .read_to_string(&mut text)
        .map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => SessionSecretError::Content(path.to_owned()),
            _ => SessionSecretError::File {
                path: path.to_owned(),
                error,
            },
        })?;
    let wrong = || SessionSecretError::Content(path.to_owned());
    let secret = Zeroizing::new(STANDARD.decode(text.trim()).map_err(|_| wrong())?);
    if secret.len() == LENGTH {
        Ok(secret)
    } else {
        Err(wrong())
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;
    use crate::random::SystemRandom;

    #[test]
    fn a_made_secret_is_kept_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/session_secret");
        let made = kept(&path, Guard::Strict, &SystemRandom).unwrap();
        assert_eq!(made.len(), LENGTH);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(kept(&path, Guard::Strict, &SystemRandom).unwrap(), made);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn another_file_is_refused_and_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("session_secret");
        for content in ["", "hunter2", "aHVudGVyMg=="] {
            fs::write(&path, content).unwrap();
            let error = kept(&path, Guard::Strict, &SystemRandom).unwrap_err();
            assert!(matches!(error, SessionSecretError::Content(_)));
            assert!(!error.to_string().contains("hunter2"));
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
    }
}
