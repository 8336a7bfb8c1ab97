//! Which store keeps the sessions.

use std::{io, sync::Arc};

use super::Ports;
use crate::{
    config::{Config, StoreKind},
    seal::Sealer,
    session::{Cached, DiskError, DiskStore, Limits, MemoryStore, SessionStore},
};

/// The store that the configuration names. Without a choice, sessions are kept in a file where that is possible, so that
/// a restart ends none.
pub(super) async fn open(
    config: &Config,
    limits: &Limits,
    sealer: &Sealer,
    ports: &Ports,
) -> Result<Arc<dyn SessionStore>, DiskError> {
    match config.session.store {
        StoreKind::Memory => Ok(memory(limits, ports)),
        StoreKind::Disk => disk(config, limits, sealer, ports).await,
        StoreKind::DiskIfPossible => match disk(config, limits, sealer, ports).await {
            Err(DiskError::File { path, error }) if is_not_writable(&error) => {
                tracing::warn!(
                    "sessions are kept in memory, and a restart ends them: {}: {error}; make BFF_STATE_DIR writable for the user \
                     that runs bff, or set SESSION_STORE=memory",
                    path.display()
                );
                Ok(memory(limits, ports))
            }
            opened => opened,
        },
    }
}

fn memory(limits: &Limits, ports: &Ports) -> Arc<dyn SessionStore> {
    Arc::new(MemoryStore::new(limits.lifespan, Arc::clone(&ports.clock)))
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
    Ok(Arc::new(Cached::new(store.await?, limits.memory)))
}

fn is_not_writable(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
    )
}
