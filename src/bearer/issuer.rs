//! One entry of `idps.yaml` at work: where its keys come from, and who asks about its tokens.

use std::{fmt, sync::Arc, time::Duration};

use super::{
    BadToken, Bearer, Ports, Refusal, checks,
    discovery::Discovery,
    exchange::Exchanger,
    idps::{Answers, Idp, IdpClient},
};
use crate::{
    clock::{Timestamp, timeout},
    jose::{Algorithm, Audience, Policy, Typ},
    oidc::{
        Client, ClientAuthentication, ClientSlot, DiscoveryError, IntrospectionError, JwksError, JwksOptions,
        Metadata, NotDiscovered, Options, Provider, ProviderOptions, RelyingParty, SignedError,
    },
    secret::Secret,
    told::Told,
};

/// A caller waits at most this long for the check of its token.
const PATIENCE: Duration = Duration::from_secs(10);

/// The most different causes that are told as a warning.
const MAX_TOLD: usize = 20;

/// One entry at work.
pub(super) struct Issuer {
    idp: Idp,
    /// Its metadata and keys.
    discovery: Arc<Discovery>,
    /// Whether the metadata say where its keys are.
    finds_keys: bool,
    /// Who asks about tokens.
    party: RelyingParty,
    exchanger: Exchanger,
    told: Told,
}

/// Why a token was not found good.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Bad(#[from] BadToken),
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    #[error(transparent)]
    Keys(#[from] JwksError),
    #[error(transparent)]
    Answer(#[from] IntrospectionError),
    #[error("it took too long")]
    TooSlow,
}

// === impl Issuer ===

impl Issuer {
    /// `reading` tells the readings of `idps.yaml` apart.
    pub(super) fn new(idp: &Idp, reading: u64, ports: &Ports) -> Self {
        let is_of_logins = idp.issuer == ports.login.issuer();
        let options = idp.provider_options(ports.allow_http);
        let shares_provider = is_of_logins && idp.jwks_url.is_none();
        let provider = if shares_provider {
            ports.login.provider().clone()
        } else {
            Provider::new(
                options.clone(),
                JwksOptions::default(),
                ports.outbound.clone(),
                ports.clock.clone(),
            )
        };
        let party = match &idp.client {
            Some(client) => party(idp, client, options, ports),
            None => ports.login.clone(),
        };
        let discovery = Arc::new(Discovery::new(provider, !shares_provider));
        Self {
            finds_keys: idp.jwks_url.is_none(),
            exchanger: Exchanger::new(idp, reading, &party, &discovery, ports),
            discovery,
            party,
            told: Told::at_most(MAX_TOLD),
            idp: idp.clone(),
        }
    }

    pub(super) const fn idp(&self) -> &Idp {
        &self.idp
    }

    pub(super) const fn exchanger(&self) -> &Exchanger {
        &self.exchanger
    }

    /// Whether a JWT of `issuer` for `audiences` is for this entry.
    pub(super) fn takes(&self, issuer: &str, audiences: &[&str]) -> bool {
        let is_ours = |audience: &&str| self.idp.audiences.iter().any(|name| name == audience);
        self.idp.issuer == issuer && audiences.iter().any(is_ours)
    }

    /// The bearer of `token`.
    pub(super) async fn check(&self, token: &Secret, is_jwt: bool, ports: &Ports) -> Result<Bearer, Failure> {
        let check = async {
            match &self.idp.introspection_url {
                Some(url) if self.idp.asks_about(is_jwt) => {
                    let signer = (self.idp.answers == Answers::Signed).then_some(self.discovery.provider());
                    if signer.is_some() {
                        self.find_keys(ports.clock.now()).await?;
                    }
                    let answer = self.party.introspect(url, token, signer).await?;
                    Ok(checks::of_answer(&self.idp, answer, ports.clock.now())?)
                }
                _ => self.verify(token, ports).await,
            }
        };
        timeout(&*ports.clock, PATIENCE, check)
            .await
            .unwrap_or(Err(Failure::TooSlow))
    }

    async fn verify(&self, token: &Secret, ports: &Ports) -> Result<Bearer, Failure> {
        self.find_keys(ports.clock.now()).await?;
        let policy = Policy {
            // Not those of ID tokens, which are all that the metadata name: every one here is asymmetric.
            algorithms: &Algorithm::ALL,
            typ: if self.idp.accepts_untyped {
                Typ::UntypedAccessToken
            } else {
                Typ::AccessToken
            },
            issuer: &self.idp.issuer,
            audience: Audience::Resource(&self.idp.audiences),
        };
        match self
            .discovery
            .provider()
            .verify(token, &policy, ports.clock.now())
            .await
        {
            Ok(verified) => Ok(checks::of_jwt(&self.idp, verified.claims)?),
            Err(SignedError::Keys(error)) => Err(error.into()),
            Err(SignedError::Token(_) | SignedError::UnpublishedKey) => Err(BadToken::Signed.into()),
        }
    }

    /// The number of its keys, which are read if they are not known.
    pub(super) async fn reach(&self, ports: &Ports) -> Result<usize, Failure> {
        self.find_metadata(ports.clock.now()).await?;
        Ok(self.discovery.provider().keys().await?.len())
    }

    /// Makes sure that the place of the keys is known.
    async fn find_keys(&self, now: Timestamp) -> Result<(), Failure> {
        self.find_metadata(now).await?;
        if self.finds_keys && self.discovery.provider().metadata().is_none() {
            return Err(JwksError::NotDiscovered(NotDiscovered).into());
        }
        Ok(())
    }

    /// Reads the metadata if they say where the keys are.
    async fn find_metadata(&self, now: Timestamp) -> Result<(), DiscoveryError> {
        if self.finds_keys {
            self.discovery.metadata(now).await?;
        }
        Ok(())
    }

    /// Tells the log of a check that was not possible: each cause once as a warning.
    pub(super) fn unavailable(&self, cause: &str) -> Refusal {
        let idp = self.idp.name.as_str();
        if self.told.first(cause) {
            tracing::warn!(idp, "a token cannot be checked: {cause}");
        } else {
            tracing::debug!(idp, "a token cannot be checked: {cause}");
        }
        Refusal::Unavailable
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer")
            .field("name", &self.idp.name)
            .finish_non_exhaustive()
    }
}

/// The client that the entry names.
fn party(idp: &Idp, client: &IdpClient, provider: ProviderOptions, ports: &Ports) -> RelyingParty {
    let metadata = (idp.introspection_url.as_ref()).and_then(|url| Metadata::of_settings(&provider, url));
    let slot = ClientSlot::new();
    slot.set(Client {
        id: client.id.clone(),
        auth: match &client.secret {
            Some(secret) => ClientAuthentication::ClientSecretBasic(secret.clone()),
            None => ClientAuthentication::PrivateKeyJwt {
                algorithm: algorithm(ports),
            },
        },
    });
    let party = RelyingParty::new(
        Options::new(provider),
        ports.outbound.clone(),
        slot,
        ports.keys.clone(),
        ports.clock.clone(),
        ports.random.clone(),
    );
    if let Some(metadata) = metadata {
        party.provider().suppose(metadata.into());
    }
    party
}

/// The algorithm of our assertions for an issuer that does not say which ones it knows.
fn algorithm(ports: &Ports) -> Algorithm {
    let key = ports.keys.signing();
    crate::oidc::negotiate(key.algorithms(), None, None).unwrap_or(Algorithm::RS256)
}
