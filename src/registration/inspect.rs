//! A look at the registration that changes nothing at the IdP: what the doctor and a dry run show.
//!
//! One thing may be written: an IdP that gives a new registration access token with every reading (RFC 7592 section 3)
//! ends the old one with it, so that the new one is stored under the lock before anything else happens.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::{
    Registration,
    bootstrap::Attempt,
    calls::with_token,
    credentials::CredentialsError,
    diff::Change,
    error::{RegistrationError, Target},
    metadata::WantedMetadata,
    options::AuthMethod,
    refusal::{blames_token, is_transient, oauth_error, shown, token_refused, unavailable},
    vault::Lock,
};
use crate::{
    clock::{Timestamp, timeout},
    oidc::{Client, Metadata},
    outbound::{Lane, Request},
};

/// A process that registers holds the lock for some calls; longer than this nobody waits who only looks.
const LOCK_WAIT: Duration = Duration::from_secs(10);

/// What a look found.
#[derive(Debug)]
pub enum Inspection {
    /// There is no client yet.
    Unregistered(Box<Prospect>),
    /// There is one.
    Registered(Box<Inspected>),
    /// No call is made (`SKIP_DCR_BOOTSTRAP`) and nothing is stored: what the configuration names, or why that is not
    /// enough.
    Configured(Box<Result<Client, RegistrationError>>),
}

/// What the next start would do where there is no client yet.
#[derive(Debug)]
pub struct Prospect {
    /// What it would ask for.
    pub wanted: WantedMetadata,
    /// With what, or why it could not.
    pub token: Result<TokenSource, RegistrationError>,
}

/// Where the initial access token of a registration comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenSource {
    /// `DCR_IAT`.
    Configured,
    /// Minted with `BOOTSTRAP_ADMIN_TOKEN`.
    Minted,
    /// None is needed (`DCR_IAT=none`).
    Open,
}

/// A registered client, as it is and as it should be.
#[derive(Debug)]
pub struct Inspected {
    /// Its id.
    pub client_id: String,
    /// What it is used as, or why it cannot be.
    pub client: Result<Client, RegistrationError>,
    /// When its secret ends, where it has one that does and is used.
    pub secret_ends: Option<Timestamp>,
    /// What it should be, also where an update may not change it (`DCR_REDIRECT_UPDATE_MODE`).
    pub wanted: WantedMetadata,
    /// What the IdP says that it is.
    pub reading: Reading,
    /// What a start would change.
    pub changes: Vec<Change>,
    /// Why a start would register anew instead, if it would.
    pub replacement: Option<Replacement>,
}

/// Why a start registers a client in the place of one that is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replacement {
    /// `DCR_FORCE_REPLACE` with an initial access token that has not been used.
    Forced,
    /// The registration access token is refused, and there is an initial access token, or one can be minted.
    TokenLost,
}

/// What the IdP says of a client.
#[derive(Debug)]
pub enum Reading {
    /// Its metadata, without secrets and tokens.
    Read(Map<String, Value>),
    /// The IdP lets nobody read it: what was sent last is compared.
    NotOffered,
    /// Its management is at another origin than registration, where the token is not sent.
    Elsewhere {
        /// Where the IdP says that it is, without path.
        origin: String,
    },
    /// It was not asked, as configured (`SKIP_DCR_BOOTSTRAP`).
    Skipped,
    /// It did not say.
    Failed(RegistrationError),
}

/// What an IdP makes of an initial access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenTrial {
    /// It complains of the request and not of the token.
    NotRefused,
    /// Its answer says nothing of the token.
    Unclear(StatusCode),
}

// === impl Registration ===

impl Registration {
    /// Looks at what is stored and at what the IdP has, and compares. Spends nothing.
    ///
    /// # Errors
    ///
    /// [`RegistrationError`] if not even what is stored or wanted is known.
    pub async fn inspect(&self, metadata: &Metadata) -> Result<Inspection, RegistrationError> {
        let stored = self.vault.load().await?;
        let known = stored.as_ref().is_some_and(|record| record.registered.is_some());
        if self.options.skip && !known {
            return Ok(Inspection::Configured(Box::new(self.configured(metadata))));
        }
        let asks = !self.options.skip && known;
        // Held until the end: what reading brings must not cross with another process's update.
        let lock = if asks { Some(self.lock_soon().await) } else { None };
        let attempt = Attempt::start(self, metadata).await?;
        if attempt.record.registered.is_none() {
            let token = attempt.token_source();
            return Ok(Inspection::Unregistered(Box::new(Prospect {
                wanted: attempt.wanted,
                token,
            })));
        }
        attempt.inspected(lock).await
    }

    async fn lock_soon(&self) -> Result<Lock, CredentialsError> {
        timeout(&*self.clock, LOCK_WAIT, self.vault.lock(&*self.clock))
            .await
            .unwrap_or_else(|_| {
                Err(CredentialsError::Held {
                    place: self.vault.place(),
                    seconds: LOCK_WAIT.as_secs(),
                })
            })
    }

    /// Asks the IdP what it makes of the configured initial access token, or of none where registration is open, without
    /// spending it: the request holds no metadata that a client could be made of (every member has a wrong type), so that an IdP that takes the token
    /// complains of the rest. `None` where no token is configured.
    ///
    /// # Errors
    ///
    /// [`RegistrationError`]: the token is refused, or nobody answers.
    pub async fn try_initial_token(
        &self,
        metadata: &Metadata,
    ) -> Result<Option<TokenTrial>, RegistrationError> {
        let Some(access) = self.configured_access()? else {
            return Ok(None);
        };
        let Some(url) = metadata.registration_endpoint.clone() else {
            return Err(RegistrationError::NoEndpoint {
                issuer: metadata.issuer.clone(),
            });
        };
        let nonsense = json!({"redirect_uris": 0, "response_types": 0, "token_endpoint_auth_method": 0});
        let request = with_token(
            Request::json(Method::POST, url.clone(), &nonsense),
            access.token.as_ref(),
        );
        let target = Target::Registration;
        let sent = self.calls.outbound.send(Lane::Registration, request).await;
        let response = sent.map_err(|cause| RegistrationError::Unreachable {
            url: shown(&url),
            target,
            cause,
        })?;
        let (status, error) = (response.status, oauth_error(&response));
        if blames_token(status, error.as_ref()) {
            return Err(token_refused(&response, &url, access.is_open()));
        }
        if is_transient(status) {
            return Err(unavailable(&response, &url, target));
        }
        if status == StatusCode::FORBIDDEN {
            return Err(RegistrationError::Refused {
                url: shown(&url),
                target,
                status,
                error,
            });
        }
        Ok(Some(if status == StatusCode::BAD_REQUEST {
            TokenTrial::NotRefused
        } else {
            TokenTrial::Unclear(status)
        }))
    }
}

// === impl Attempt ===

impl Attempt<'_> {
    fn token_source(&self) -> Result<TokenSource, RegistrationError> {
        let configured = self.usable_access()?;
        self.endpoint()?;
        Ok(match configured {
            None => TokenSource::Minted,
            Some(access) if access.is_open() => TokenSource::Open,
            Some(_) => TokenSource::Configured,
        })
    }

    async fn inspected(
        mut self,
        lock: Option<Result<Lock, CredentialsError>>,
    ) -> Result<Inspection, RegistrationError> {
        let forced = !self.registration.options.skip && self.replacement_token()?.is_some();
        let (reading, _lock) = match lock {
            None => (Reading::Skipped, None),
            // What reading brings could not be stored.
            Some(Err(error)) => (Reading::Failed(error.into()), None),
            Some(Ok(lock)) => (self.reading().await, Some(lock)),
        };
        let plan = self.plan(match &reading {
            Reading::Read(current) => Some(current),
            _ => None,
        });
        let replacement = match &reading {
            _ if forced => Some(Replacement::Forced),
            Reading::Failed(RegistrationError::RegistrationTokenRefused { .. }) if self.can_renew()? => {
                Some(Replacement::TokenLost)
            }
            _ => None,
        };
        let known = self.record.registered.as_ref();
        Ok(Inspection::Registered(Box::new(Inspected {
            client_id: known.map(|known| known.client_id.clone()).unwrap_or_default(),
            client: self.client(),
            secret_ends: known
                .filter(|_| self.registration.options.auth_method != AuthMethod::PrivateKeyJwt)
                .and_then(|known| known.client_secret_expires_at)
                .filter(|at| *at != 0)
                .map(Timestamp::from_unix_seconds),
            wanted: self.wanted,
            reading,
            changes: plan.changes,
            replacement,
        })))
    }

    async fn reading(&mut self) -> Reading {
        match self.read().await {
            Ok(Some((_, Some(current)))) => Reading::Read(current),
            Ok(Some((_, None))) => Reading::NotOffered,
            Ok(None) => self.elsewhere().unwrap_or(Reading::NotOffered),
            Err(error) => Reading::Failed(error),
        }
    }

    /// Where the IdP says that the registration is managed, if it says so.
    fn elsewhere(&self) -> Option<Reading> {
        let known = self.record.registered.as_ref()?;
        known.registration_access_token.as_ref()?;
        let uri = url::Url::parse(known.registration_client_uri.as_deref()?).ok()?;
        let url = self.metadata.url_map().back_channel(uri);
        Some(Reading::Elsewhere {
            origin: url.origin().ascii_serialization(),
        })
    }
}
