//! What is said to the identity provider, one file per exchange.
//!
//! [`RelyingParty`] holds what all exchanges share; each file adds its own `impl` block to it, its result and its
//! errors. Nothing here decides what becomes of a login or a session: that is for the modules above.

mod authorize;
mod call;
mod client;
mod client_auth;
mod discovery;
mod end_session;
mod error;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod id_token;
mod jwks;
mod metadata;
mod par;
mod provider;
mod revocation;
mod time;
mod token;
mod told;
mod userinfo;

use std::{fmt, sync::Arc};

use tokio::sync::watch;

use self::told::Told;
pub use self::{
    authorize::{AuthorizationRequest, ParMode, Pkce, pushed_url},
    call::{CallError, InvalidClient, Meaning, NotReady, PERSON_NEEDED, REFUSALS, RetryOptions},
    client::{Client, ClientAuthentication, ClientSlot},
    client_auth::{AssertionAudience, AssertionFacts, NegotiationError, Proof, negotiate},
    discovery::DiscoveryError,
    error::OAuthError,
    id_token::{Expect, IdTokenClaims, IdTokenError, Identity},
    jwks::{JwksError, JwksOptions},
    metadata::{EndpointError, Metadata},
    par::PushedRequest,
    provider::{EndpointOverrides, HttpPolicy, OptionalEndpoint, ProviderOptions, UrlMap},
    revocation::TokenKind,
    time::ProviderTime,
    token::{TokenError, TokenResponse},
    userinfo::UserInfoError,
};
use crate::{clock::SharedClock, keys::Keys, outbound::Outbound, random::SharedRandom};

/// How the relying party behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// Who the identity provider is and how to reach it.
    pub provider: ProviderOptions,
    /// What client assertions name as their audience (`BFF_ASSERTION_AUDIENCE`).
    pub assertion_audience: AssertionAudience,
    /// When a POST is repeated.
    pub retry: RetryOptions,
    /// How the provider's keys are cached.
    pub jwks: JwksOptions,
    /// Whether authorization requests are pushed.
    pub par: ParMode,
}

/// The client of the identity provider. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct RelyingParty {
    shared: Arc<Shared>,
}

struct Shared {
    options: Options,
    outbound: Outbound,
    metadata: watch::Sender<Option<Arc<Metadata>>>,
    told: Told,
    jwks: jwks::JwksCache,
    client: ClientSlot,
    keys: Keys,
    clock: SharedClock,
    random: SharedRandom,
}

// === impl Options ===

impl Options {
    /// Defaults for everything but the provider.
    #[must_use]
    pub fn new(provider: ProviderOptions) -> Self {
        Self {
            provider,
            assertion_audience: AssertionAudience::default(),
            retry: RetryOptions::default(),
            jwks: JwksOptions::default(),
            par: ParMode::default(),
        }
    }
}

// === impl RelyingParty ===

impl RelyingParty {
    /// A relying party that knows neither the provider's metadata nor its own client yet: the first comes with
    /// [`discover`](Self::discover), the second through `client`.
    #[must_use]
    pub fn new(
        options: Options,
        outbound: Outbound,
        client: ClientSlot,
        keys: Keys,
        clock: SharedClock,
        random: SharedRandom,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                options,
                outbound,
                metadata: watch::Sender::new(None),
                told: Told::default(),
                jwks: jwks::JwksCache::default(),
                client,
                keys,
                clock,
                random,
            }),
        }
    }

    /// The issuer identifier that the configuration names.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.shared.options.provider.issuer
    }

    /// Where registration puts the client.
    #[must_use]
    pub fn client(&self) -> &ClientSlot {
        &self.shared.client
    }

    /// Both things that every exchange needs.
    fn ready(&self) -> Result<(Arc<Metadata>, Arc<Client>), NotReady> {
        let metadata = self.metadata().ok_or(NotReady::Metadata)?;
        let client = self.shared.client.get().ok_or(NotReady::Client)?;
        Ok((metadata, client))
    }
}

impl fmt::Debug for RelyingParty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelyingParty")
            .field("issuer", &self.issuer())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod testing;
