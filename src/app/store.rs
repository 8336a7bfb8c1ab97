//! Which store keeps the sessions.

use std::{io, path::Path, sync::Arc, time::Duration};

use super::Ports;
use crate::{
    config::{Config, StoreKind},
    diagnostic::{Explain, Explained, Fix, Knob, fix},
    login::Memories,
    seal::Sealer,
    session::{
        Cached, DiskError, DiskStore, Limits, MemoryOnce, MemoryStore, RedisOptions, RedisStartError,
        RedisStore, SessionStore,
    },
    shared::{Meter, Shared},
};

/// A Redis that cannot be reached may be about to start, and is waited for so long.
const PATIENCE: Duration = Duration::from_secs(30);

const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Why the session store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum StoreOpenError {
    /// In a file.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// In Redis.
    #[error(transparent)]
    Redis(#[from] RedisStartError),
}

// === impl StoreOpenError ===

impl Explain for StoreOpenError {
    fn fix(&self) -> Option<Fix> {
        match self {
            Self::Disk(error) => error.fix(),
            Self::Redis(error) => error.fix(),
        }
    }
}

/// The session store, and the memory of one-time events.
pub(super) struct Opened {
    pub(super) sessions: Arc<dyn SessionStore>,
    pub(super) memories: Memories,
    /// The state shared by replicas; `None` if there can be only one.
    pub(super) shared: Option<Arc<dyn Shared>>,
    /// Counts over all replicas, likewise.
    pub(super) meter: Option<Arc<dyn Meter>>,
}

/// The configured store. Without a choice, sessions are kept in a file if possible, so that a restart ends none.
pub(super) async fn open(
    config: &Config,
    limits: &Limits,
    sealer: &Sealer,
    ports: &Ports,
) -> Result<Opened, StoreOpenError> {
    // One-time events of a single process need only its own memory.
    let alone = |sessions| Opened {
        sessions,
        memories: Memories {
            once: Arc::new(MemoryOnce::new(Arc::clone(&ports.clock))),
            passing: None,
        },
        shared: None,
        meter: None,
    };
    match &config.session.store {
        StoreKind::Memory => Ok(alone(memory(limits, ports))),
        StoreKind::Redis(options) => {
            let store = redis(options, limits, sealer, ports).await?;
            Ok(Opened {
                memories: Memories {
                    once: Arc::new(store.clone()),
                    passing: Some(Arc::new(store.clone())),
                },
                shared: Some(Arc::new(store.clone())),
                meter: Some(Arc::new(store.clone())),
                sessions: cached(store, limits, ports),
            })
        }
        StoreKind::Disk => Ok(alone(disk(config, limits, sealer, ports).await?)),
        StoreKind::DiskIfPossible => match disk(config, limits, sealer, ports).await {
            Err(DiskError::File { path, error }) if falls_back(&path, &error) => {
                tracing::warn!("{}", in_memory(&path, &error).told());
                Ok(alone(memory(limits, ports)))
            }
            opened => Ok(alone(opened?)),
        },
    }
}

fn memory(limits: &Limits, ports: &Ports) -> Arc<dyn SessionStore> {
    Arc::new(MemoryStore::new(limits.lifespan, Arc::clone(&ports.clock)))
}

/// The same with the sessions in use cached in memory.
fn cached(store: impl SessionStore, limits: &Limits, ports: &Ports) -> Arc<dyn SessionStore> {
    let clock = Arc::clone(&ports.clock);
    let instruments = &*ports.instruments;
    Arc::new(Cached::new(
        store,
        limits.memory,
        limits.lifespan,
        clock,
        instruments,
    ))
}

async fn disk(
    config: &Config,
    limits: &Limits,
    sealer: &Sealer,
    ports: &Ports,
) -> Result<Arc<dyn SessionStore>, DiskError> {
    let keys = &config.keys;
    let store = DiskStore::open(
        &keys.state_dir,
        keys.options.guard,
        limits.lifespan,
        sealer.clone(),
        Arc::clone(&ports.clock),
    );
    Ok(cached(store.await?, limits, ports))
}

async fn redis(
    options: &RedisOptions,
    limits: &Limits,
    sealer: &Sealer,
    ports: &Ports,
) -> Result<RedisStore, RedisStartError> {
    let deadline = ports.clock.now().saturating_add(PATIENCE);
    let mut told = false;
    loop {
        let store = RedisStore::connect(
            options.clone(),
            limits.lifespan,
            sealer.clone(),
            Arc::clone(&ports.clock),
            Arc::clone(&ports.random),
            &*ports.instruments,
        );
        match store.await {
            Err(error) if error.may_pass() && ports.clock.now() < deadline => {
                if !told {
                    tracing::warn!("{}; trying again for {} s", error.told(), PATIENCE.as_secs());
                    told = true;
                }
                ports.clock.sleep(LOOK_AGAIN).await;
            }
            connected => return connected,
        }
    }
}

/// Whether sessions are kept in memory after this `error` of the file `path`, without a choice of a store. A file that is
/// there and cannot be used is a mistake.
pub(super) fn falls_back(path: &Path, error: &io::Error) -> bool {
    let is_not_writable = matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
    );
    is_not_writable && !path.exists()
}

/// The warning of it.
pub(super) fn in_memory(path: &Path, error: &io::Error) -> Explained {
    Explained::new(
        format_args!(
            "sessions are kept in memory, and a restart ends them: {}: {error}",
            path.display()
        ),
        fix!(
            "make {} writable for the user that runs bff, or set {}",
            Knob::StateFolder,
            Knob::StoreKind.to("memory")
        ),
    )
}
