//! The state that several replicas share through Redis: the registration, the signing key, and whether they
//! understand each other.
//!
//! Replicas without a common folder mount the same PEMs and have the same `SESSION_SECRET`. They write shared data
//! into sealed [records](document::Document), and each keeps a copy. The [board](peers::Peers) is for all replicas,
//! with and without a common folder.

mod announce;
mod document;
mod keyring;
mod peers;
mod time;
mod vault;

use std::{path::Path, sync::Arc};

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use self::{
    announce::KnownByPeers,
    document::Document,
    keyring::SharedKeyring,
    peers::{BEAT, Peer, Peers},
    time::Time,
    vault::SharedVault,
};
use crate::{
    clock::{AgreedClock, SharedClock},
    diagnostic::{Explain as _, Explained},
    health::{Component, Health},
    keys::{Announce, KeyringStore, Keys},
    random::SharedRandom,
    registration::{CredentialsFile, Vault},
    seal::Sealer,
    shared::{Record, Shared, SharedError},
};

/// The number of looks before a known replica counts as changed: each replica notices changes a little later.
const LOOKS_BEFORE_TOLD: u32 = 5;

/// The shared state of this replica and its peers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Replicas {
    peers: Peers,
    records: Option<Records>,
    time: Option<Arc<Time>>,
    clock: SharedClock,
}

/// The shared state of replicas without a common folder.
#[derive(Clone, Debug)]
struct Records {
    client: Document,
    keyring: Document,
}

/// The state at the last look.
#[derive(Debug, Default)]
struct Standing {
    was_ok: bool,
    /// The problem, and the number of looks since it began.
    trouble: Option<(Explained, u32)>,
}

// === impl Replicas ===

impl Replicas {
    /// This replica, which an operator calls `name`, beside the others on the board of `shared`.
    #[must_use]
    pub fn new(
        shared: Arc<dyn Shared>,
        name: &str,
        sealer: &Sealer,
        clock: SharedClock,
        random: &SharedRandom,
    ) -> Self {
        Self {
            peers: Peers::new(shared, name, sealer, random),
            records: None,
            time: None,
            clock,
        }
    }

    /// The same, with `clock` going by the time of the shared storage from now on.
    pub async fn on_one_clock(self, clock: Arc<AgreedClock>) -> Self {
        let time = Time::new(clock);
        time.agree(&*self.peers.shared()).await;
        Self {
            time: Some(Arc::new(time)),
            ..self
        }
    }

    /// The same without a common folder: written data is shared. Copies go into `state_dir`. Blocks on small files.
    #[must_use]
    pub fn with_records(self, sealer: &Sealer, random: &SharedRandom, state_dir: &Path) -> Self {
        let document = |record: Record| {
            Document::new(
                record,
                self.peers.shared(),
                sealer.clone(),
                Arc::clone(&self.clock),
                Arc::clone(random),
                state_dir.join(format!("{}.sealed", record.name())),
            )
        };
        Self {
            records: Some(Records {
                client: document(Record::Client),
                keyring: document(Record::Keyring),
            }),
            ..self
        }
    }

    /// Seals the records under the first secret, if that has changed. A failure here is reported later, at its
    /// effect.
    pub async fn renew_seals(&self) {
        for document in self.records.iter().flat_map(Records::all) {
            if let Err(error) = document.renew_seal().await {
                tracing::debug!("the seal of {document:?} was not renewed: {error}");
            }
        }
    }

    /// The store of the client's credentials; `None` if `file` is in a common folder.
    #[must_use]
    pub fn vault(&self, file: CredentialsFile) -> Option<Arc<dyn Vault>> {
        let records = self.records.as_ref()?;
        Some(Arc::new(SharedVault::new(records.client.clone(), file)))
    }

    /// The store of the keyring; `None` if it is in a common folder. It blocks on the runtime `runtime`.
    #[must_use]
    pub fn keyring(&self, runtime: Handle) -> Option<Box<dyn KeyringStore>> {
        let document = self.records.as_ref()?.keyring.clone();
        let clock = Arc::clone(&self.clock);
        let keyring = SharedKeyring::new(document, self.peers.clone(), clock, runtime);
        Some(Box::new(keyring))
    }

    /// Asks the peers whether they have a key before it signs, and then `then`.
    #[must_use]
    pub fn known_by_peers(&self, then: Arc<dyn Announce>) -> Arc<dyn Announce> {
        Arc::new(KnownByPeers {
            peers: self.peers.clone(),
            then,
        })
    }

    /// Says every few seconds that this replica lives, looks whether its peers understand it, and follows the records, until
    /// `stop`.
    pub async fn run(&self, keys: Keys, health: &Health, stop: CancellationToken) {
        let mut standing = Standing::default();
        loop {
            if let Some(time) = &self.time {
                time.agree(&*self.peers.shared()).await;
            }
            standing.tell(self.look(&keys).await, health);
            for document in self.records.iter().flat_map(Records::all) {
                if let Err(error) = document.read().await {
                    tracing::debug!("{document:?} cannot be read: {error}");
                }
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.clock.sleep(BEAT) => {}
            }
        }
        if let Err(error) = self.peers.withdraw().await {
            tracing::debug!("this replica stays on the board for some seconds: {error}");
        }
    }

    /// The other replicas that live.
    ///
    /// # Errors
    ///
    /// [`SharedError`] if the answer is unknown.
    pub async fn names(&self) -> Result<Vec<String>, SharedError> {
        let peers = self.peers.living().await?;
        Ok(peers.iter().map(|peer| peer.name().to_owned()).collect())
    }

    /// Releases the locks of this process at its end: otherwise another one would wait for the end of a lease.
    pub async fn leave(&self) {
        for document in self.records.iter().flat_map(Records::all) {
            document.given_back().await;
        }
    }

    /// The obstacle between this replica and its peers.
    async fn look(&self, keys: &Keys) -> Result<(), Explained> {
        let own = self.peers.own(keys);
        // First: of two that begin at the same time, one sees the other.
        let peers = self.exchange(&own).await;
        let peers =
            peers.map_err(|error| Explained::from(format!("the other replicas cannot be found: {error}")))?;
        own.agrees_with(&peers).map_err(|discord| Explained::of(&discord))
    }

    async fn exchange(&self, own: &Peer) -> Result<Vec<Peer>, SharedError> {
        self.peers.post(own).await?;
        self.peers.living().await
    }
}

// === impl Records ===

impl Records {
    const fn all(&self) -> [&Document; 2] {
        [&self.client, &self.keyring]
    }
}

// === impl Standing ===

impl Standing {
    fn tell(&mut self, outcome: Result<(), Explained>, health: &Health) {
        let Err(trouble) = outcome else {
            if self.is_told() {
                tracing::info!("this replica and its peers understand each other");
            }
            *self = Self {
                was_ok: true,
                trouble: None,
            };
            return health.ok(Component::Replicas);
        };
        let looks = match &self.trouble {
            Some((_, looks)) => looks.saturating_add(1),
            None => 1,
        };
        let is_news = self.trouble.as_ref().is_none_or(|(before, _)| *before != trouble);
        self.trouble = Some((trouble.clone(), looks));
        if !self.is_told() {
            return;
        }
        let told = trouble.told();
        if is_news || looks == self.patience() {
            tracing::error!("{told}");
        }
        health.failing(Component::Replicas, told);
    }

    fn is_told(&self) -> bool {
        self.trouble
            .as_ref()
            .is_some_and(|(_, looks)| *looks >= self.patience())
    }

    /// A replica that begins is not ready before it is understood.
    const fn patience(&self) -> u32 {
        if self.was_ok { LOOKS_BEFORE_TOLD } else { 1 }
    }
}

#[cfg(test)]
mod tests;
