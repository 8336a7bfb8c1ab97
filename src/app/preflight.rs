//! The needs of a start on this machine, checked without changing anything.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::fs::{Access, AtFlags, CWD, accessat, statvfs};

use super::{
    BindError, Ports, StartError,
    listeners::bind,
    session_secret::{self, SessionSecretError},
    settings,
    store::StoreOpenError,
};
use crate::{
    config::{Config, StateStore, StoreKind},
    diagnostic::{Explain, Fix, Knob, fix},
    private_file::folder_of,
    seal::Sealer,
    session::{DiskError, DiskStore, RedisStore},
};

/// The start writes a few kilobytes; a disk with less than this is full, in bytes.
const LEAST_SPACE: u64 = 1 << 20;

/// A need of the start that is not met.
#[derive(Debug, thiserror::Error)]
pub enum Unmet {
    /// A folder that the start writes to.
    #[error(
        "{} cannot be written by the user that runs this ({cause}), and the start writes {purpose} there",
        .path.display()
    )]
    Folder {
        /// The knob that names the folder.
        knob: Knob,
        /// The folder, or the nearest one above it that exists.
        path: PathBuf,
        /// The data that the start writes there.
        purpose: &'static str,
        /// The refusal of the operating system.
        cause: io::Error,
    },
    /// The disk of a folder that the start writes to.
    #[error("the disk of {} is full, and the start writes {purpose} there", .path.display())]
    Space {
        /// The knob that names the folder.
        knob: Knob,
        /// The folder.
        path: PathBuf,
        /// The data that the start writes there.
        purpose: &'static str,
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
        Some(match self {
            Self::Folder { knob, .. } => fix!(
                "make the folder writable for the user that runs bff, or set {} to a place in one that is",
                *knob
            ),
            Self::Space { knob, .. } => fix!("free some space, or set {} to a place on another disk", *knob),
            Self::Secret(error) => return error.fix(),
            Self::Sessions(error) => return error.fix(),
        })
    }
}

/// The unmet needs of the start for files. Blocks on the file system.
#[must_use]
pub fn unmet(config: &Config) -> Vec<Unmet> {
    let mut unmet: Vec<Unmet> = written(config).iter().filter_map(Written::unmet).collect();
    let state = &config.keys.state_dir;
    unmet.extend(
        session_secret::look(&config.session, state)
            .err()
            .map(Unmet::from),
    );
    if matches!(config.session.store, StoreKind::Disk) {
        let looked = DiskStore::look(state, config.keys.options.guard);
        unmet.extend(looked.err().map(Unmet::from));
    }
    unmet
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
    add(!key.exists(), Knob::KeysFolder, folder_of(key), "the signing key");
    add(
        !session_secret::is_there(&config.session, &keys.state_dir),
        Knob::StateFolder,
        &keys.state_dir,
        "the secret of the sessions",
    );
    add(
        matches!(config.session.store, StoreKind::Disk),
        Knob::StateFolder,
        &keys.state_dir,
        "the sessions",
    );
    let credentials = &keys.credentials;
    add(
        config.registration.enabled && keys.state_store == StateStore::Files && !credentials.exists(),
        Knob::CredentialsPath,
        folder_of(credentials),
        "the credentials of the client",
    );
    all
}

// === impl Written ===

impl Written<'_> {
    fn unmet(&self) -> Option<Unmet> {
        // A folder that is missing is made.
        let path = self.folder.ancestors().find(|folder| folder.exists())?;
        let rights = Access::WRITE_OK | Access::EXEC_OK;
        if let Err(cause) = accessat(CWD, path, rights, AtFlags::EACCESS) {
            return Some(Unmet::Folder {
                knob: self.knob,
                path: path.to_owned(),
                purpose: self.purpose,
                cause: cause.into(),
            });
        }
        let disk = statvfs(path).ok()?;
        (disk.f_bavail.saturating_mul(disk.f_frsize) < LEAST_SPACE).then(|| Unmet::Space {
            knob: self.knob,
            path: path.to_owned(),
            purpose: self.purpose,
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
            [Knob::KeysFolder, Knob::StateFolder, Knob::CredentialsPath]
        );
        for name in ["bff-signing.pem", "session_secret", "bff_client.json"] {
            fs::write(path(name), "there").unwrap();
        }
        assert_eq!(knobs(), []);
    }
}
