//! The parts of the server for a command that asks the IdP once and does not serve.

use std::sync::Arc;

use tokio::runtime::Handle;

pub use super::static_client::StaticClientError;
use super::{Ports, StartError, registering, replicas, settings, static_client};
use crate::{
    clock::{SharedClock, Timestamp},
    config::Config,
    keys::{Keeper, KeyringStore, Keys, KeysError, Warning},
    oidc::{self, AssertionAudience, AssertionTyp, Client, ClientSlot, Metadata, RelyingParty, RetryOptions},
    outbound::Outbound,
    private_file,
    registration::{Credentials, CredentialsFile, Registration},
    replicas::Replicas,
};

/// Keys, the client for the IdP and the registration, wired as in the server.
#[derive(Debug)]
pub struct OneShot {
    /// The keys.
    pub keys: Keys,
    /// Calls to the IdP.
    pub outbound: Outbound,
    /// The exchanges with the IdP.
    pub relying_party: RelyingParty,
    /// Registration, if enabled.
    pub registration: Option<Registration>,
    config: Config,
    ports: Ports,
}

/// The state that running replicas share with this machine, beyond files; `None` if all of it is in files.
#[derive(Clone, Debug, Default)]
pub struct InCommon(Option<Replicas>);

/// How assertions are made.
#[derive(Clone, Debug)]
pub struct Variant {
    /// Their audience.
    pub audience: AssertionAudience,
    /// Their `typ`.
    pub typ: AssertionTyp,
    /// The clock that dates them.
    pub clock: SharedClock,
    /// The keys that sign them.
    pub keys: Keys,
}

/// Opened keys with the notes about them.
pub type Opened = (Keeper, Keys, Vec<Warning>);

// === impl OneShot ===

impl OneShot {
    /// Puts the parts together. Writes and sends nothing.
    ///
    /// # Errors
    ///
    /// [`StartError`], with the fix.
    pub fn new(config: &Config, keys: Keys, common: &InCommon, ports: Ports) -> Result<Self, StartError> {
        let outbound = Outbound::new(&settings::outbound(config), Arc::clone(&ports.clock))?;
        let registration = registering::registration(config, &outbound, &keys, &ports, common.0.as_ref());
        Ok(Self {
            relying_party: relying_party(settings::relying_party(config), &outbound, &keys, &ports),
            keys,
            outbound,
            registration,
            config: config.clone(),
            ports,
        })
    }

    /// The same client of the IdP with other assertions, for an experiment: it repeats no call. It knows `metadata`, and
    /// no client yet.
    #[must_use]
    pub fn variant(&self, variant: Variant, metadata: &Arc<Metadata>) -> RelyingParty {
        let options = settings::relying_party(&self.config);
        let options = oidc::Options {
            assertion_audience: variant.audience,
            assertion_typ: variant.typ,
            retry: RetryOptions {
                repeats: 0,
                ..options.retry
            },
            ..options
        };
        let ports = Ports {
            clock: variant.clock,
            ..self.ports.clone()
        };
        let relying_party = relying_party(options, &self.outbound, &variant.keys, &ports);
        relying_party.provider().suppose(Arc::clone(metadata));
        relying_party
    }

    /// Assertions as the settings want them.
    #[must_use]
    pub fn configured(&self) -> Variant {
        Variant {
            audience: self.config.client.assertion_audience,
            typ: self.config.client.assertion_typ,
            clock: Arc::clone(&self.ports.clock),
            keys: self.keys.clone(),
        }
    }

    /// The client that the configuration names, where registration is off. Waits for the IdP's metadata.
    ///
    /// # Errors
    ///
    /// [`StaticClientError`], with the fix.
    pub async fn configured_client(&self) -> Result<Client, StaticClientError> {
        static_client::client(&self.config, self.keys.clone(), &self.relying_party).await
    }
}

impl InCommon {
    /// Runs `work` with the state that this machine shares with running replicas, and releases the locks that it
    /// took. Sends nothing if all of that is in files.
    ///
    /// # Errors
    ///
    /// [`StartError`]: Redis does not answer.
    pub async fn with<T>(
        config: &Config,
        ports: &Ports,
        work: impl AsyncFnOnce(&Self) -> T,
    ) -> Result<T, StartError> {
        let common = Self(replicas::visit(config, ports).await?);
        let done = work(&common).await;
        if let Some(replicas) = &common.0 {
            replicas.leave().await;
        }
        Ok(done)
    }

    /// The stored registration, if it is readable.
    pub async fn registered(&self, config: &Config) -> Option<Credentials> {
        if let Some(vault) = replicas::vault(config, self.0.as_ref()) {
            return vault.load().await.ok()?;
        }
        let file = CredentialsFile::new(config.keys.credentials.clone());
        file.guarded(config.keys.options.guard).load().await.ok()?
    }

    /// Opens the keyring for a person who changes it, as [`Keeper::open_by_hand`]. Needs a runtime with several threads.
    ///
    /// # Errors
    ///
    /// [`KeysError`], with the fix.
    pub fn open_by_hand(&self, config: &Config, now: Timestamp) -> Result<Opened, KeysError> {
        let (options, rotation) = (config.keys.options.clone(), config.rotation());
        match self.keyring() {
            None => Keeper::open_by_hand(options, rotation, now),
            Some(store) => {
                tokio::task::block_in_place(|| Keeper::open_by_hand_in(store, options, rotation, now))
            }
        }
    }

    /// Looks at the keyring, as [`Keeper::inspect`]. Needs a runtime with several threads.
    ///
    /// # Errors
    ///
    /// [`KeysError`], with the fix.
    pub fn inspect(&self, config: &Config, now: Timestamp) -> Result<Opened, KeysError> {
        let (options, rotation) = (config.keys.options.clone(), config.rotation());
        match self.keyring() {
            None => Keeper::inspect(options, rotation, now),
            Some(store) => tokio::task::block_in_place(|| Keeper::inspect_in(store, options, rotation, now)),
        }
    }

    fn keyring(&self) -> Option<Box<dyn KeyringStore>> {
        self.0.as_ref()?.keyring(Handle::current())
    }
}

/// The present keys, for a process that changes none: a running server may have another one in memory. Before the
/// first start one is made.
///
/// # Errors
///
/// [`KeysError`], with the fix.
pub fn load_keys(
    config: &Config,
    common: &InCommon,
    now: Timestamp,
) -> Result<(Keys, Vec<Warning>), KeysError> {
    let (_, keys, warnings) = common.open_by_hand(config, now)?;
    Ok((keys, warnings))
}

/// The existing keys; `None` if a first start would make one. Writes nothing.
///
/// # Errors
///
/// [`KeysError`], with the fix.
pub fn look_at_keys(config: &Config, common: &InCommon, now: Timestamp) -> Result<Option<Opened>, KeysError> {
    let options = &config.keys.options;
    let is_there = |path| private_file::exists(path).unwrap_or(true);
    let makes_one =
        !is_there(&options.signing_key) && !options.identity_markers.iter().any(|marker| is_there(marker));
    if makes_one {
        return Ok(None);
    }
    // With an identity and without a key this is an error, never a new key.
    common.inspect(config, now).map(Some)
}

fn relying_party(options: oidc::Options, outbound: &Outbound, keys: &Keys, ports: &Ports) -> RelyingParty {
    RelyingParty::new(
        oidc::Options {
            // A command tells what is wrong with the clock.
            redate: false,
            ..options
        },
        outbound.clone(),
        ClientSlot::new(),
        keys.clone(),
        Arc::clone(&ports.clock),
        Arc::clone(&ports.random),
    )
}
