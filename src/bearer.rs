//! Access tokens that service clients bring (`auth: bearer`): who may issue them, and whether one is good.
//!
//! A JWT is checked with the published keys of its issuer (RFC 9068); an opaque token, and any token of an entry that says
//! so, is a question to the issuer (RFC 7662). A token is good for the entry of `idps.yaml` that names its issuer and
//! one of its audiences. The outcome is kept, but never longer than the token lives.

mod cache;
mod checks;
mod discovery;
mod exchange;
mod idps;
mod issuer;
mod read;
mod schema;
mod subject;

use std::{
    fmt,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::RwLock;

use self::{
    cache::Cache,
    issuer::{Failure, Issuer},
};
use crate::{
    clock::SharedClock,
    diagnostic::Explain as _,
    jose::{self, audiences},
    keys::Keys,
    oidc::RelyingParty,
    outbound::Outbound,
    random::SharedRandom,
    secret::Secret,
    url_policy::HttpPolicy,
};

pub use self::{
    checks::BadToken,
    exchange::Exchanger,
    idps::{Around, ExchangeAt, Idp, Idps, MAX_FILE_SIZE},
    schema::schema,
    subject::{Bearer, account_arn},
};

/// The checks of tokens that callers bring. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct Bearers {
    shared: Arc<Shared>,
}

struct Shared {
    ports: Ports,
    /// Replaced as a whole.
    table: RwLock<Arc<Table>>,
    /// How often the issuers were read.
    readings: AtomicU64,
}

/// The means of the checks.
#[derive(Clone)]
pub struct Ports {
    /// The provider of the logins, with us as its client.
    pub login: RelyingParty,
    /// The client for issuers.
    pub outbound: Outbound,
    /// Our keys, for issuers that know us by them.
    pub keys: Keys,
    /// Hosts for which plain http is accepted.
    pub allow_http: HttpPolicy,
    /// Time.
    pub clock: SharedClock,
    /// Randomness.
    pub random: SharedRandom,
}

/// The issuers of one `idps.yaml`, and what is known about their tokens.
#[derive(Debug)]
struct Table {
    issuers: Vec<Issuer>,
    /// The files that `idps.yaml` names.
    files: Vec<PathBuf>,
    cache: Cache,
}

/// A good token.
#[derive(Clone, Debug)]
pub struct Good {
    /// Who brings it.
    pub bearer: Arc<Bearer>,
    /// Exchanges it at its issuer.
    pub exchanger: Exchanger,
}

/// Why a token opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is not good.
    #[error(transparent)]
    Bad(#[from] BadToken),
    /// Nothing is known about it for the moment. The cause is in the log.
    #[error("the token cannot be checked at the moment")]
    Unavailable,
}

// === impl Bearers ===

impl Bearers {
    /// The checks for the issuers of `idps`.
    #[must_use]
    pub fn new(idps: &Idps, ports: Ports) -> Self {
        let table = RwLock::new(Arc::new(Table::new(idps, 0, &ports)));
        let readings = AtomicU64::new(1);
        Self {
            shared: Arc::new(Shared {
                ports,
                table,
                readings,
            }),
        }
    }

    /// Replaces the issuers. What was known about tokens is forgotten.
    pub fn replace(&self, idps: &Idps) {
        let reading = self.shared.readings.fetch_add(1, Ordering::Relaxed);
        let table = Arc::new(Table::new(idps, reading, &self.shared.ports));
        *self.shared.table.write() = table;
    }

    /// The files that `idps.yaml` names: a change of one changes the checks with the next reload.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        self.table().files.clone()
    }

    /// The issuer identifiers, each once, in the order of the file.
    #[must_use]
    pub fn issuers(&self) -> Vec<String> {
        let table = self.table();
        let mut issuers: Vec<String> = Vec::new();
        for issuer in &table.issuers {
            let issuer = &issuer.idp().issuer;
            if !issuers.contains(issuer) {
                issuers.push(issuer.clone());
            }
        }
        issuers
    }

    /// The provider in the names of the people of `issuer`, by the first entry for it.
    #[must_use]
    pub fn provider_of(&self, issuer: &str) -> Option<String> {
        let table = self.table();
        let mut idps = table.issuers.iter().map(Issuer::idp);
        let idp = idps.find(|idp| idp.issuer == issuer)?;
        Some(idp.provider.clone())
    }

    /// Whether the client of the logins exchanges tokens that callers bring.
    #[must_use]
    pub fn exchange_as_login_client(&self) -> bool {
        let table = self.table();
        let mut idps = table.issuers.iter().map(Issuer::idp);
        idps.any(Idp::exchanges_as_login_client)
    }

    /// The bearer of `token`, if the token is good.
    ///
    /// # Errors
    ///
    /// [`Refusal`].
    pub async fn check(&self, token: &Secret) -> Result<Good, Refusal> {
        let table = self.table();
        let now = self.shared.ports.clock.now();
        if let Some(known) = table.cache.get(token, now) {
            return known.map_err(Refusal::Bad);
        }
        let claims = jose::unproven_claims(token.expose());
        let issuer = match &claims {
            Some(claims) => {
                let issuer = claims.get("iss").and_then(serde_json::Value::as_str);
                let audiences = audiences(claims);
                let mut issuers = table.issuers.iter();
                issuers.find(|entry| entry.takes(issuer.unwrap_or_default(), &audiences))
            }
            None => table.issuers.iter().find(|entry| entry.idp().takes_opaque),
        };
        let Some(issuer) = issuer else {
            return Err(BadToken::Issuer.into());
        };
        match issuer.check(token, claims.is_some(), &self.shared.ports).await {
            Ok(bearer) => {
                let until = issuer.idp().keep_until(&bearer, claims.is_some(), now);
                let good = Good {
                    bearer: Arc::new(bearer),
                    exchanger: issuer.exchanger().clone(),
                };
                table.cache.keep(token, good.clone(), until);
                Ok(good)
            }
            Err(Failure::Bad(bad)) => {
                tracing::debug!(idp = issuer.idp().name, %bad, "a token was refused");
                table.cache.keep_bad(token, bad, now);
                Err(bad.into())
            }
            Err(Failure::Discovery(error)) => Err(issuer.unavailable(&error.told())),
            Err(Failure::Keys(error)) => Err(issuer.unavailable(&error.told())),
            Err(Failure::Answer(error)) => Err(issuer.unavailable(&error.told())),
            Err(Failure::TooSlow) => Err(issuer.unavailable("it took too long")),
        }
    }

    /// Each entry with the number of its keys, or why they are not known.
    pub async fn reach(&self) -> Vec<(Idp, Result<usize, String>)> {
        let table = self.table();
        let mut reached = Vec::new();
        for issuer in &table.issuers {
            let keys = issuer.reach(&self.shared.ports).await;
            reached.push((issuer.idp().clone(), keys.map_err(|error| error.to_string())));
        }
        reached
    }

    fn table(&self) -> Arc<Table> {
        Arc::clone(&self.shared.table.read())
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

// === impl Table ===

impl Table {
    fn new(idps: &Idps, reading: u64, ports: &Ports) -> Self {
        let issuer = |idp| Issuer::new(idp, reading, ports);
        Self {
            issuers: idps.iter().map(issuer).collect(),
            files: idps.files().to_vec(),
            cache: Cache::default(),
        }
    }
}

#[cfg(test)]
mod tests;
