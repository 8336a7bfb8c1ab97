//! A next key signs only when every living replica has it.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::peers::Peers;
use crate::{
    jose::SigningKey,
    keys::{Announce, AnnounceError},
};

/// Asks the peers, and then the [`Announce`] behind it.
#[derive(Debug)]
pub(super) struct KnownByPeers {
    pub(super) peers: Peers,
    pub(super) then: Arc<dyn Announce>,
}

// === impl KnownByPeers ===

impl KnownByPeers {
    async fn ask(&self, candidate: &SigningKey) -> Result<(), AnnounceError> {
        let failed = |cause: String| AnnounceError::Peers {
            kid: candidate.kid().to_owned(),
            cause,
        };
        let thumbprint = candidate
            .thumbprint()
            .map_err(|error| failed(error.to_string()))?;
        let peers = self.peers.living().await;
        let peers = peers.map_err(|error| failed(error.to_string()))?;
        match peers.iter().find(|peer| !peer.publishes(&thumbprint)) {
            Some(peer) => Err(failed(format!("the replica {} does not have it", peer.name()))),
            None => Ok(()),
        }
    }
}

impl Announce for KnownByPeers {
    fn announce<'a>(&'a self, candidate: Option<&'a SigningKey>) -> BoxFuture<'a, Result<(), AnnounceError>> {
        Box::pin(async move {
            if let Some(candidate) = candidate {
                self.ask(candidate).await?;
            }
            self.then.announce(candidate).await
        })
    }
}
