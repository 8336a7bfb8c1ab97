//! The exchanges with the identity provider, one file each.
//!
//! A [`Provider`] is known by what it publishes: its metadata and its keys. [`RelyingParty`] is us as its client, and
//! holds the state that all exchanges share; each file adds its own `impl` block to it, its result and its errors. This
//! module decides nothing about a login or a session: that is for the modules above.

mod authorize;
mod call;
mod client;
mod client_auth;
mod dating;
mod end_session;
mod error;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod id_token;
mod introspection;
mod issuing;
mod logout_token;
mod member;
mod par;
mod provider;
mod revocation;
mod signed;
mod standing;
mod token;
mod userinfo;

use std::{fmt, sync::Arc};

use parking_lot::Mutex;

use self::client_auth::ASSERTION_LIFETIME;
pub use self::{
    authorize::{AuthorizationRequest, ParMode, Pkce, pushed_url},
    call::{CallError, InvalidClient, KeyThere, Meaning, NotReady, PERSON_NEEDED, REFUSALS, RetryOptions},
    client::{Client, ClientAuthentication, ClientSlot},
    client_auth::{
        AssertionAudience, AssertionFacts, AssertionTyp, AuthenticationSummary, NegotiationError, negotiate,
        negotiate_for,
    },
    error::{Blames, OAuthError},
    id_token::{Expect, IdTokenClaims, IdTokenError, Identity, LoginFacts},
    introspection::IntrospectionError,
    issuing::{
        CLIENT_CREDENTIALS, Exchange, IssueError, Issued, ResourceIndicators, TOKEN_EXCHANGE, Way,
        is_resource,
    },
    logout_token::{LogoutToken, LogoutTokenError},
    member::MemberError,
    par::PushedRequest,
    provider::{
        AbsentEndpoint, ConfusedEndpoint, DiscoveryError, EndpointError, EndpointOverrides, JwksError,
        JwksOptions, LogoutSupport, Metadata, NoKeys, NotDiscovered, OptionalEndpoint, Provider,
        ProviderOptions, ProviderTime, SignedError, UrlMap,
    },
    revocation::TokenKind,
    standing::Standing,
    token::{TokenError, TokenResponse},
    userinfo::UserInfoError,
};
use crate::{clock::SharedClock, keys::Keys, outbound::Outbound, random::SharedRandom, told::Told};

/// How the relying party behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// Who the identity provider is and how to reach it.
    pub provider: ProviderOptions,
    /// The audience of client assertions (`BFF_ASSERTION_AUDIENCE`).
    pub assertion_audience: AssertionAudience,
    /// The `typ` of client assertions (`BFF_ASSERTION_TYP`).
    pub assertion_typ: AssertionTyp,
    /// When a POST is repeated.
    pub retry: RetryOptions,
    /// How the provider's keys are cached.
    pub jwks: JwksOptions,
    /// Whether an assertion that is refused is dated by the provider's clock and sent again, where ours shows another time.
    pub redate: bool,
    /// Whether authorization requests are pushed.
    pub par: ParMode,
    /// Audiences that an ID token may list beside us (`OIDC_TRUSTED_AUDIENCES`); then `azp` has to name us.
    pub trusted_audiences: Vec<String>,
    /// Whether requests for tokens name the API by a resource indicator.
    pub resource_indicators: ResourceIndicators,
}

/// The maximum number of different warnings about the provider.
const MAX_WARNINGS: usize = 100;

/// The client of the identity provider. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct RelyingParty {
    shared: Arc<Shared>,
}

struct Shared {
    options: Options,
    outbound: Outbound,
    provider: Provider,
    told: Told,
    user_info_failure: Mutex<Option<String>>,
    dating: dating::Dating,
    /// Those of [`RelyingParty::ask_for`].
    audiences: Mutex<Vec<String>>,
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
            assertion_typ: AssertionTyp::default(),
            retry: RetryOptions::default(),
            jwks: JwksOptions::default(),
            redate: true,
            par: ParMode::default(),
            trusted_audiences: Vec::new(),
            resource_indicators: ResourceIndicators::default(),
        }
    }
}

// === impl RelyingParty ===

impl RelyingParty {
    /// A relying party that knows neither the provider's metadata nor its own client yet: the first comes with
    /// [`Provider::discover`], the second through `client`.
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
                provider: Provider::new(
                    options.provider.clone(),
                    options.jwks,
                    outbound.clone(),
                    clock.clone(),
                ),
                options,
                outbound,
                told: Told::at_most(MAX_WARNINGS),
                user_info_failure: Mutex::default(),
                audiences: Mutex::default(),
                dating: dating::Dating::default(),
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

    /// The identity provider.
    #[must_use]
    pub fn provider(&self) -> &Provider {
        &self.shared.provider
    }

    /// The slot for the registered client.
    #[must_use]
    pub fn client(&self) -> &ClientSlot {
        &self.shared.client
    }

    /// Both things that every exchange needs.
    fn ready(&self) -> Result<(Arc<Metadata>, Arc<Client>), NotReady> {
        let metadata = self.shared.provider.metadata().ok_or(NotReady::Metadata)?;
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
pub(crate) mod testing;
