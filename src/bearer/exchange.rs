//! The exchange of the tokens of one entry (RFC 8693): at the token endpoint of their own issuer, and nowhere else.

use std::{fmt, sync::Arc};

use url::Url;

use super::{Ports, discovery::Discovery, idps::Idp};
use crate::{
    clock::SharedClock,
    credential::Target,
    oidc::{CallError, Exchange, IssueError, Issued, Metadata, NotReady, RelyingParty},
    secret::Secret,
};

/// Exchanges tokens of one entry, if the entry allows that. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Exchanger(Arc<Inner>);

struct Inner {
    /// The name of the entry.
    idp: String,
    /// The reading of `idps.yaml` that it comes from.
    reading: u64,
    means: Option<Means>,
}

struct Means {
    /// We as the client that exchanges.
    party: RelyingParty,
    place: Place,
    clock: SharedClock,
}

/// Where the token endpoint of the issuer is.
enum Place {
    /// The issuer is that of the logins. `token_url` wins over its metadata.
    Logins {
        login: RelyingParty,
        token_url: Option<Url>,
    },
    /// The entry says it (`token_url`).
    Settings(Arc<Metadata>),
    /// The metadata of the issuer say it.
    Issuer(Arc<Discovery>),
}

// === impl Exchanger ===

impl Exchanger {
    /// `party` is the client of `idp`, `discovery` that of its issuer.
    pub(super) fn new(
        idp: &Idp,
        reading: u64,
        party: &RelyingParty,
        discovery: &Arc<Discovery>,
        ports: &Ports,
    ) -> Self {
        let place = || {
            if idp.issuer == ports.login.issuer() {
                return Place::Logins {
                    login: ports.login.clone(),
                    token_url: idp.token_url().cloned(),
                };
            }
            let named = idp.token_url();
            let settings =
                named.and_then(|url| Metadata::of_settings(&idp.provider_options(ports.allow_http), url));
            match settings {
                Some(metadata) => Place::Settings(Arc::new(metadata)),
                None => Place::Issuer(Arc::clone(discovery)),
            }
        };
        let means = idp.exchange.is_some().then(|| Means {
            party: party.clone(),
            place: place(),
            clock: Arc::clone(&ports.clock),
        });
        Self(Arc::new(Inner {
            idp: idp.name.clone(),
            reading,
            means,
        }))
    }
}

#[cfg(test)]
impl Exchanger {
    /// The one of the entry `idp`, which allows no exchange.
    pub(super) fn switched_off(idp: &str) -> Self {
        Self(Arc::new(Inner {
            idp: idp.to_owned(),
            reading: 0,
            means: None,
        }))
    }
}

impl Exchange for Exchanger {
    fn settings(&self) -> u64 {
        self.0.reading
    }

    async fn exchange(&self, subject: &Secret, target: &Target) -> Result<Issued, IssueError> {
        let Some(means) = &self.0.means else {
            return Err(IssueError::NotEnabled(self.0.idp.clone()));
        };
        let metadata = means.metadata().await?;
        means.party.exchange_brought(&metadata, subject, target).await
    }
}

impl fmt::Debug for Exchanger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchanger")
            .field("idp", &self.0.idp)
            .finish_non_exhaustive()
    }
}

// === impl Means ===

impl Means {
    /// Metadata with the token endpoint of the issuer.
    async fn metadata(&self) -> Result<Arc<Metadata>, IssueError> {
        let known = match &self.place {
            Place::Logins { login, token_url } => {
                let metadata = login.provider().metadata();
                metadata.map(|metadata| match token_url {
                    Some(url) => Arc::new(metadata.with_token_endpoint(url.clone())),
                    None => metadata,
                })
            }
            Place::Settings(metadata) => Some(Arc::clone(metadata)),
            Place::Issuer(discovery) => discovery.metadata(self.clock.now()).await?,
        };
        Ok(known.ok_or(NotReady::Metadata).map_err(CallError::from)?)
    }
}
