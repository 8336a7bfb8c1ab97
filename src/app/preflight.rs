//! The needs of a start on this machine, checked without changing anything.

mod folder;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::io::Errno;

pub use self::folder::NoFolder;
use super::{
    BindError, Ports, RunError, StartError,
    listeners::bind,
    session_secret::{self, SessionSecretError},
    settings,
    store::{StoreOpenError, falls_back, in_memory},
};
use crate::{
    access,
    config::{Config, StateStore, StoreKind},
    diagnostic::{Explain, Explained, Fix, Knob, fix},
    keys::{GenerateError, KeyringError, KeysError},
    private_file::{self, Guard, folder_of},
    registration::{CredentialsError, RegistrationError},
    seal::Sealer,
    session::{DiskError, DiskStore, RedisStore},
};

/// A need of the start that is not met.
#[derive(Debug, thiserror::Error)]
pub enum Unmet {
    /// A folder that the start writes to.
    #[error("{}", why.text(path, purpose))]
    Folder {
        /// The knob that names the folder.
        knob: Knob,
        /// The folder.
        path: PathBuf,
        /// The data that the start writes there.
        purpose: &'static str,
        /// The reason.
        why: NoFolder,
    },
    /// The secret of the sessions, in its file.
    #[error(transparent)]
    Secret(#[from] SessionSecretError),
    /// The file of the sessions.
    #[error(transparent)]
    Sessions(#[from] DiskError),
}

/// A folder that the start writes to.
struct Written<'a> {
    knob: Knob,
    folder: &'a Path,
    purpose: &'static str,
}

// === impl Unmet ===

impl Explain for Unmet {
    fn fix(&self) -> Option<Fix> {
        let (knob, path, why) = match self {
            Self::Folder { knob, path, why, .. } => (*knob, path, why),
            Self::Secret(error) => return error.fix(),
            Self::Sessions(error) => return error.fix(),
        };
        Some(match why {
            NoFolder::Kernel(_) => fix!("set {} to a place on a disk or a volume", knob),
            NoFolder::File(_) => fix!("correct {}, or move the file away", knob),
            NoFolder::Missing { .. } => fix!(
                "correct {} if there is a mistake in its path; otherwise make the folder: `mkdir -p {}`, then `chown {} {}`",
                knob,
                access::quoted(path),
                rustix::process::geteuid().as_raw().to_string(),
                access::quoted(path)
            ),
            NoFolder::Refused(refused) => match refused.remedy() {
                None => fix!("correct {}", knob),
                Some(remedy) if refused.is_of_another_user() => {
                    fix!("set {} to a place in a folder of this user; or {}", knob, remedy)
                }
                Some(remedy) => fix!("{}; or set {} to a place in another folder", remedy, knob),
            },
            NoFolder::Exposed(exposed) => {
                fix!(
                    "set {} to a place in another folder; or {}",
                    knob,
                    exposed.remedy()
                )
            }
            NoFolder::ReadOnly => fix!(
                "set {} to a place on a mount that can be written, or mount this one without `ro`",
                knob
            ),
            NoFolder::Full => fix!("free some space, or set {} to a place on another disk", knob),
        })
    }
}

/// The unmet needs of the start for files. Blocks on the file system.
#[must_use]
pub fn unmet(config: &Config) -> Vec<Unmet> {
    let mut unmet: Vec<Unmet> = Vec::new();
    let mut told: Vec<&Path> = Vec::new();
    for written in written(config) {
        // A fault of a folder is one of everything in it.
        if !told.contains(&written.folder)
            && let Some(found) = written.unmet(config.keys.options.guard)
        {
            told.push(written.folder);
            unmet.push(found);
        }
    }
    let state = &config.keys.state_dir;
    unmet.extend(
        session_secret::look(&config.session, state)
            .err()
            .map(Unmet::from),
    );
    let is_chosen = matches!(config.session.store, StoreKind::Disk);
    if is_chosen || matches!(config.session.store, StoreKind::DiskIfPossible) {
        match DiskStore::look(state, config.keys.options.guard) {
            Err(DiskError::File { path, error }) if !is_chosen && falls_back(&path, &error) => {}
            looked => unmet.extend(looked.err().map(Unmet::from)),
        }
    }
    unmet
}

/// The start's warning that it keeps sessions in memory, because it cannot make their file.
#[must_use]
pub fn keeps_in_memory(config: &Config) -> Option<Explained> {
    let folder = &config.keys.state_dir;
    let file = DiskStore::file_in(folder);
    if !matches!(config.session.store, StoreKind::DiskIfPossible) {
        return None;
    }
    let cause = match NoFolder::of(folder)? {
        NoFolder::ReadOnly => Errno::ROFS,
        NoFolder::Refused(_) | NoFolder::Missing { .. } => Errno::ACCESS,
        NoFolder::Kernel(_) => Errno::PERM,
        NoFolder::File(_) | NoFolder::Full | NoFolder::Exposed(_) => return None,
    };
    let cause = io::Error::from(cause);
    falls_back(&file, &cause).then(|| in_memory(&file, &cause))
}

/// A folder that the start would make.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the folder {} does not exist, and the start makes it", .path.display())]
pub struct Made {
    knob: Knob,
    path: PathBuf,
}

impl Explain for Made {
    fn fix(&self) -> Option<Fix> {
        Some(fix!("correct {} if there is a mistake in its path", self.knob))
    }
}

/// The folders that the start would make.
#[must_use]
pub fn made(config: &Config) -> Vec<Made> {
    let mut made: Vec<Made> = Vec::new();
    for Written { knob, folder, .. } in written(config) {
        let is_missing = private_file::missing_folder(folder).is_some();
        if is_missing && made.iter().all(|made| made.path != folder) && NoFolder::of(folder).is_none() {
            made.push(Made {
                knob,
                path: folder.to_owned(),
            });
        }
    }
    made
}

/// The reason for `error`: a file that cannot be written follows from the place where it should be.
pub(super) fn why(config: &Config, error: StartError) -> StartError {
    let is_of_files = match &error {
        StartError::Keys(error) => matches!(
            error,
            KeysError::Exposed { .. }
                | KeysError::Generate(GenerateError::Write { .. })
                | KeysError::Keyring(KeyringError::NotWritable { .. } | KeyringError::Unreadable(_))
        ),
        StartError::SessionSecret(error) => matches!(error, SessionSecretError::File { .. }),
        StartError::Store(error) => matches!(error, StoreOpenError::Disk(DiskError::File { .. })),
        _ => false,
    };
    let unmet = if is_of_files { first_unmet(config) } else { None };
    unmet.map_or(error, StartError::from)
}

/// The same for a server that has begun to serve.
pub(super) fn why_stopped(config: &Config, error: RunError) -> RunError {
    let is_of_files = matches!(
        &error,
        RunError::Registration(RegistrationError::Credentials(
            CredentialsError::NotWritable { .. } | CredentialsError::Lock { .. }
        ))
    );
    let unmet = if is_of_files { first_unmet(config) } else { None };
    unmet.map_or(error, RunError::from)
}

fn first_unmet(config: &Config) -> Option<Unmet> {
    unmet(config).into_iter().next()
}

/// Whether the addresses can be listened on, for a server that does not run yet.
///
/// # Errors
///
/// [`BindError`] as the start would say it.
pub async fn can_listen(config: &Config) -> Result<(), BindError> {
    if let Some(address) = config.server.internal {
        bind(address, Knob::InternalAddress, Knob::InternalAddress).await?;
    }
    bind(config.server.listen, Knob::Port, Knob::Host).await.map(drop)
}

/// Whether the Redis of the sessions answers and can be used. Nothing is asked of other stores.
///
/// # Errors
///
/// [`StartError::Store`] as the start would say it.
pub async fn store_answers(config: &Config, ports: &Ports) -> Result<(), StartError> {
    let StoreKind::Redis(options) = &config.session.store else {
        return Ok(());
    };
    // Nothing is read or written under it.
    let mut secret = [0; 32];
    ports.random.fill(&mut secret);
    let store = RedisStore::connect(
        (**options).clone(),
        settings::limits(config).lifespan,
        Sealer::new(&[secret], Arc::clone(&ports.random))?,
        Arc::clone(&ports.clock),
        Arc::clone(&ports.random),
        &*ports.instruments,
    );
    Box::pin(store).await.map_err(StoreOpenError::from)?;
    Ok(())
}

fn written(config: &Config) -> Vec<Written<'_>> {
    let keys = &config.keys;
    let mut all = Vec::new();
    let mut add = |is_needed, knob, folder, purpose| {
        if is_needed {
            all.push(Written {
                knob,
                folder,
                purpose,
            });
        }
    };
    let key = &keys.options.signing_key;
    // With an identity, a missing key is a mistake of its own.
    let makes_key = !key.exists() && !keys.options.identity_markers.iter().any(|marker| marker.exists());
    add(makes_key, Knob::KeyPlace, folder_of(key), "the signing key");
    add(
        !session_secret::is_there(&config.session, &keys.state_dir),
        Knob::StatePlace,
        &keys.state_dir,
        "the secret of the sessions",
    );
    add(
        matches!(config.session.store, StoreKind::Disk) && !DiskStore::file_in(&keys.state_dir).exists(),
        Knob::StatePlace,
        &keys.state_dir,
        "the sessions",
    );
    let credentials = &keys.credentials;
    add(
        config.registration.enabled && keys.state_store == StateStore::Files && !credentials.exists(),
        Knob::CredentialsPlace,
        folder_of(credentials),
        "the credentials of the client",
    );
    all
}

// === impl Written ===

impl Written<'_> {
    fn unmet(&self, guard: Guard) -> Option<Unmet> {
        let exposed = || guard.folder(self.folder).err().map(NoFolder::Exposed);
        Some(Unmet::Folder {
            knob: self.knob,
            path: self.folder.to_owned(),
            purpose: self.purpose,
            why: NoFolder::of(self.folder).or_else(exposed)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::Environment;

    /// A server with its registration serves from a folder that it cannot write to.
    #[test]
    fn existing_files_need_no_writing() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let environment: Environment = [
            ("OIDC_ISSUER", "https://idp.example".to_owned()),
            ("BFF_BASE_URL", "https://bff.example".to_owned()),
            ("DCR_IAT", "token".to_owned()),
            (
                "DCR_REDIRECT_URIS",
                "https://bff.example/auth/callback".to_owned(),
            ),
            ("BFF_CONFIG_DIR", folder.path().display().to_string()),
            ("BFF_KEYS_DIR", folder.path().display().to_string()),
            ("SESSION_STORE", "memory".to_owned()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        let (config, _) = Config::load(&environment).unwrap();
        let knobs = || -> Vec<Knob> { written(&config).iter().map(|written| written.knob).collect() };
        assert_eq!(
            knobs(),
            [Knob::KeyPlace, Knob::StatePlace, Knob::CredentialsPlace]
        );
        for name in ["bff-signing.pem", "session_secret", "bff_client.json"] {
            fs::write(path(name), "there").unwrap();
        }
        assert_eq!(knobs(), []);
    }
}
