//! The state that this replica shares with others.

use std::{fs, sync::Arc};

use tokio::runtime::Handle;

use super::{Ports, StartError, session_secret, settings, store::StoreOpenError};
use crate::{
    clock::{AgreedClock, SharedClock},
    config::{Config, StateStore, StoreKind},
    diagnostic::Explain as _,
    keys::{Keeper, Keys, KeysError, Warning},
    registration::{CredentialsFile, Vault},
    replicas::Replicas,
    seal::Sealer,
    session::RedisStore,
    shared::Shared,
};

/// The files with the name of this machine or its container.
const HOST_NAME: &str = "/proc/sys/kernel/hostname";

/// The same ports with a clock that replicas can agree on; `None` if there can be no others.
pub(super) fn one_clock(config: &Config, ports: Ports) -> (Ports, Option<Arc<AgreedClock>>) {
    if !matches!(config.session.store, StoreKind::Redis(_)) {
        return (ports, None);
    }
    let agreed = Arc::new(AgreedClock::new(ports.clock));
    let clock = Arc::clone(&agreed) as SharedClock;
    (Ports { clock, ..ports }, Some(agreed))
}

/// This replica beside the others of `shared`; `None` if there can be no others. Blocks on small files.
pub(super) async fn join(
    config: &Config,
    shared: Option<Arc<dyn Shared>>,
    sealer: &Sealer,
    ports: &Ports,
    agreed: Option<Arc<AgreedClock>>,
) -> Option<Replicas> {
    let clock = Arc::clone(&ports.clock);
    let mut replicas = Replicas::new(shared?, &name(config), sealer, clock, &ports.random);
    if let Some(agreed) = agreed {
        replicas = replicas.on_one_clock(agreed).await;
    }
    if config.keys.state_store == StateStore::Files {
        return Some(replicas);
    }
    let replicas = replicas.with_records(sealer, &ports.random, &config.keys.state_dir);
    replicas.renew_seals().await;
    Some(replicas)
}

/// The same for a command, which is not a replica and reads the shared state. `None` if the state is in files, or if
/// this machine has no secret yet to read it with.
pub(super) async fn visit(config: &Config, ports: &Ports) -> Result<Option<Replicas>, StartError> {
    let keys = &config.keys;
    let StoreKind::Redis(options) = &config.session.store else {
        return Ok(None);
    };
    if keys.state_store == StateStore::Files || !session_secret::is_there(&config.session, &keys.state_dir) {
        return Ok(None);
    }
    let guard = keys.options.guard;
    let secrets = session_secret::load(&config.session, &keys.state_dir, guard, &*ports.random)?;
    let sealer = Sealer::new(&secrets, Arc::clone(&ports.random))?;
    let (clock, random) = (Arc::clone(&ports.clock), Arc::clone(&ports.random));
    let lifespan = settings::limits(config).lifespan;
    let store = RedisStore::connect(
        (**options).clone(),
        lifespan,
        sealer.clone(),
        clock,
        random,
        &*ports.instruments,
    );
    let store = Box::pin(store).await.map_err(StoreOpenError::from)?;
    let clock = Arc::clone(&ports.clock);
    let replicas = Replicas::new(Arc::new(store), &name(config), &sealer, clock, &ports.random);
    Ok(Some(replicas.with_records(
        &sealer,
        &ports.random,
        &keys.state_dir,
    )))
}

/// The place of the client's credentials, if not in the file that the configuration names.
pub(super) fn vault(config: &Config, replicas: Option<&Replicas>) -> Option<Arc<dyn Vault>> {
    let file = CredentialsFile::new(config.keys.credentials.clone()).guarded(config.keys.options.guard);
    replicas?.vault(file)
}

/// Opens the keys for a server whose keyring is in a file; `None` for any other.
pub(super) fn open_keys_in_files(
    config: &Config,
    ports: &Ports,
) -> Result<Option<(Keeper, Keys)>, StartError> {
    if config.keys.state_store == StateStore::Redis {
        return Ok(None);
    }
    let (options, rotation) = (config.keys.options.clone(), config.rotation());
    let opened = Keeper::open(options, rotation, ports.clock.wall())?;
    Ok(Some(told(opened)))
}

/// Opens the keys for a server whose keyring replicas share.
pub(super) async fn open_shared_keys(
    config: &Config,
    replicas: Option<&Replicas>,
    ports: &Ports,
) -> Result<(Keeper, Keys), StartError> {
    let (options, rotation) = (config.keys.options.clone(), config.rotation());
    let now = ports.clock.wall();
    let Some(store) = replicas.and_then(|replicas| replicas.keyring(Handle::current())) else {
        return Ok(told(Keeper::open(options, rotation, now)?));
    };
    // It waits for Redis.
    let opened = tokio::task::spawn_blocking(move || Keeper::open_in(store, options, rotation, now)).await;
    match opened {
        Ok(opened) => Ok(told(opened.map_err(|error| explained(config, error))?)),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Cancelled: the runtime is shutting down.
            Err(_) => std::future::pending().await,
        },
    }
}

fn told((keeper, keys, warnings): (Keeper, Keys, Vec<Warning>)) -> (Keeper, Keys) {
    for warning in warnings {
        tracing::warn!("{}", warning.told());
    }
    (keeper, keys)
}

/// A key that is not there is another mistake where each replica has to be given it.
fn explained(config: &Config, error: KeysError) -> StartError {
    if config.keys.options.signing_key.exists() {
        return StartError::Keys(error);
    }
    StartError::KeyNotMounted(error)
}

/// An operator's name for this replica: host and port.
fn name(config: &Config) -> String {
    let host = fs::read_to_string(HOST_NAME).unwrap_or_default();
    let host = host.trim();
    let host = if host.is_empty() { "localhost" } else { host };
    format!("{host}:{}", config.server.listen.port())
}
