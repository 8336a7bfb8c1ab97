//! The replicas that live, and whether they understand each other.
//!
//! Each replica has to open the data that another one seals: the first secret of each must be among those of all. An
//! IdP may check the signature of one replica with the keys that another one publishes: the signing key of each must
//! be published by all. Therefore each writes its facts on a board, as keyed hashes of a constant, which reveal
//! nothing to a reader of the board.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::{
    diagnostic::{Explain, Fix, Knob, fix},
    keys::Keys,
    random::{RandomExt as _, SharedRandom},
    seal::{Purpose, Sealer},
    shared::{Shared, SharedError},
};

/// How often a replica says that it lives.
pub(super) const BEAT: Duration = Duration::from_secs(2);

/// A replica without a note for this long does not live.
const LIVES_FOR: Duration = BEAT.saturating_mul(5);

/// The constant whose hashes distinguish secrets.
const SAME_FOR_ALL: &[u8] = b"replica";

/// Longest name of a replica, in characters.
const MAX_NAME: usize = 80;

/// The board, as this replica sees it. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Peers {
    shared: Arc<dyn Shared>,
    /// No other replica has it.
    id: Arc<str>,
    /// An operator's name for this replica.
    name: Arc<str>,
    secrets: Arc<[String]>,
}

/// A replica's statement about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Peer {
    name: String,
    /// Fingerprints; the first is that of the sealing secret.
    secrets: Vec<String>,
    /// Thumbprint of the key that signs.
    signing: String,
    /// Thumbprints of the keys that are published.
    keys: BTreeSet<String>,
}

/// Why a replica and a peer do not understand each other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Discord {
    #[error(
        "the secret that this replica seals with is not in the list of the replica {peer}, which could not read what this one \
         seals"
    )]
    OwnSecret { peer: String },
    #[error(
        "the secret that the replica {peer} seals with is not in the list of this one, which could not read what that one seals"
    )]
    TheirSecret { peer: String },
    #[error("the replica {peer} does not publish the key {key} that this one signs with")]
    OwnKey { peer: String, key: String },
    #[error("the replica {peer} signs with the key {key}, which this one does not publish")]
    TheirKey { peer: String, key: String },
}

// === impl Discord ===

impl Explain for Discord {
    fn fix(&self) -> Option<Fix> {
        Some(match self {
            Self::OwnSecret { .. } | Self::TheirSecret { .. } => fix!(
                "give both the same list in {}, of which the first one seals; to change it, append the new secret on all replicas \
                 first",
                Knob::SessionSecret
            ),
            Self::OwnKey { .. } => fix!(
                "mount its PEM there too, or here the one that signs there, in {}",
                Knob::KeysFolder
            ),
            Self::TheirKey { .. } => fix!("mount its PEM here too, in {}", Knob::KeysFolder),
        })
    }
}

// === impl Peers ===

impl Peers {
    pub(super) fn new(shared: Arc<dyn Shared>, name: &str, sealer: &Sealer, random: &SharedRandom) -> Self {
        let secrets = sealer.macs(Purpose::Fingerprint, SAME_FOR_ALL);
        Self {
            shared,
            id: random.base64url::<12>().into(),
            name: name.chars().take(MAX_NAME).collect::<String>().into(),
            secrets: secrets.map(|mac| URL_SAFE_NO_PAD.encode(mac)).collect(),
        }
    }

    /// The shared state of the replicas.
    pub(super) fn shared(&self) -> Arc<dyn Shared> {
        Arc::clone(&self.shared)
    }

    /// This replica's statement about itself.
    pub(super) fn own(&self, keys: &Keys) -> Peer {
        Peer {
            name: self.name.to_string(),
            secrets: self.secrets.to_vec(),
            signing: keys.signing_thumbprint(),
            keys: keys.thumbprints(),
        }
    }

    /// Says so.
    pub(super) async fn post(&self, own: &Peer) -> Result<(), SharedError> {
        let note = serde_json::to_vec(own).map_err(|error| SharedError(error.to_string()))?;
        self.shared.post(&self.id, &note, LIVES_FOR).await
    }

    /// Says that it lives no more.
    pub(super) async fn withdraw(&self) -> Result<(), SharedError> {
        self.shared.withdraw(&self.id).await
    }

    /// The other living replicas. Unreadable notes are ignored: they may be of a future version.
    pub(super) async fn living(&self) -> Result<Vec<Peer>, SharedError> {
        let mut board = self.shared.board().await?;
        board.sort();
        let others = board.iter().filter(|(id, _)| **id != *self.id);
        Ok(others
            .filter_map(|(_, note)| serde_json::from_slice::<Peer>(note).ok())
            .map(Peer::printable)
            .collect())
    }
}

// === impl Peer ===

impl Peer {
    /// Whether it publishes the key with this thumbprint.
    pub(super) fn publishes(&self, thumbprint: &str) -> bool {
        self.keys.contains(thumbprint)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether it and each of `peers` understand each other.
    pub(super) fn agrees_with(&self, peers: &[Self]) -> Result<(), Discord> {
        peers.iter().try_for_each(|peer| self.agrees_with_one(peer))
    }

    fn agrees_with_one(&self, other: &Self) -> Result<(), Discord> {
        let peer = || other.name.clone();
        let knows = |one: &Self, other: &Self| match other.secrets.first() {
            Some(first) => one.secrets.contains(first),
            None => false,
        };
        if !knows(other, self) {
            return Err(Discord::OwnSecret { peer: peer() });
        }
        if !knows(self, other) {
            return Err(Discord::TheirSecret { peer: peer() });
        }
        if !other.publishes(&self.signing) {
            let key = self.signing.clone();
            return Err(Discord::OwnKey { peer: peer(), key });
        }
        if !self.publishes(&other.signing) {
            let key = other.signing.clone();
            return Err(Discord::TheirKey { peer: peer(), key });
        }
        Ok(())
    }

    /// Its name and key appear in messages, and anybody who can write to the board may have written them.
    fn printable(mut self) -> Self {
        for text in [&mut self.name, &mut self.signing] {
            text.retain(|character| !character.is_control());
            *text = text.chars().take(MAX_NAME).collect();
        }
        self
    }
}

#[cfg(test)]
mod tests;
