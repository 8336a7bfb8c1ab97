//! Another party that signs tokens: its metadata and its keys. A [`Provider`] needs no client; [`RelyingParty`] is us as
//! the client of one.
//!
//! [`RelyingParty`]: super::RelyingParty

mod discovery;
mod jwks;
mod metadata;
mod network;
mod options;
mod presence;
mod time;
mod url_map;
mod verify;

use std::{fmt, sync::Arc};

use tokio::sync::watch;

pub(super) use self::time::provider_date;
pub use self::{
    discovery::DiscoveryError,
    jwks::{JwksError, JwksOptions, NoKeys},
    metadata::{ConfusedEndpoint, EndpointError, LogoutSupport, Metadata},
    options::{EndpointOverrides, OptionalEndpoint, ProviderOptions},
    presence::AbsentEndpoint,
    time::ProviderTime,
    url_map::UrlMap,
    verify::SignedError,
};
use crate::{clock::SharedClock, outbound::Outbound, told::Told};

/// The maximum number of different warnings about a provider.
const MAX_WARNINGS: usize = 100;

/// A party that issues tokens, with what it publishes about itself. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Provider {
    shared: Arc<Shared>,
}

struct Shared {
    options: ProviderOptions,
    jwks_options: JwksOptions,
    outbound: Outbound,
    metadata: watch::Sender<Option<Arc<Metadata>>>,
    keys: jwks::JwksCache,
    told: Told,
    clock: SharedClock,
}

/// Discovery has not succeeded yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the IdP's metadata is not known yet")]
pub struct NotDiscovered;

// === impl Provider ===

impl Provider {
    /// A provider whose metadata is not known yet: it comes with [`discover`](Self::discover).
    #[must_use]
    pub fn new(
        options: ProviderOptions,
        jwks_options: JwksOptions,
        outbound: Outbound,
        clock: SharedClock,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                options,
                jwks_options,
                outbound,
                metadata: watch::Sender::new(None),
                keys: jwks::JwksCache::default(),
                told: Told::at_most(MAX_WARNINGS),
                clock,
            }),
        }
    }

    /// The issuer identifier that the configuration names.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.shared.options.issuer
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider")
            .field("issuer", &self.issuer())
            .finish_non_exhaustive()
    }
}
