//! A look at the registration that changes nothing at the IdP, for the doctor and for a dry run.
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

/// How long a read-only command waits for the registration lock.
const LOCK_WAIT: Duration = Duration::from_secs(10);

/// The result of a look.
#[derive(Debug)]
pub enum Inspection {
    /// No client exists yet.
    Unregistered(Box<Prospect>),
    /// There is one.
    Registered(Box<Inspected>),
    /// The server makes no call (`SKIP_DCR_BOOTSTRAP`) and has stored nothing: the configured client, or the reason
    /// why the configuration is incomplete.
    Configured(Box<Result<Client, RegistrationError>>),
}

/// The next start's action if no client exists yet.
#[derive(Debug)]
pub struct Prospect {
    /// The metadata that it would request.
    pub wanted: WantedMetadata,
    /// The authentication, or the reason why it is impossible.
    pub token: Result<TokenSource, RegistrationError>,
}

/// The source of the initial access token for a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenSource {
    /// `DCR_IAT`.
    Configured,
    /// Minted with `BOOTSTRAP_ADMIN_TOKEN`.
    Minted,
    /// None is needed (`DCR_IAT=none`).
    Open,
}

/// A registered client, with its present and its wanted state.
#[derive(Debug)]
pub struct Inspected {
    /// Its id.
    pub client_id: String,
    /// The client in use, or the reason why it cannot be used.
    pub client: Result<Client, RegistrationError>,
    /// The expiry of its secret, if the secret expires and is used.
    pub secret_ends: Option<Timestamp>,
    /// The wanted metadata, including fields that an update may not change (`DCR_REDIRECT_UPDATE_MODE`).
    pub wanted: WantedMetadata,
    /// The IdP's metadata of the client.
    pub reading: Reading,
    /// The changes that a start would make.
    pub changes: Vec<Change>,
    /// The reason why a start would register the client anew instead, if it would.
    pub replacement: Option<Replacement>,
}

/// The reason why a start replaces a stored client with a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replacement {
    /// `DCR_FORCE_REPLACE` with an initial access token that has not been used.
    Forced,
    /// The registration access token is refused, and there is an initial access token, or one can be minted.
    TokenLost,
}

/// The IdP's answer about a client.
#[derive(Debug)]
pub enum Reading {
    /// Its metadata, without secrets and tokens.
    Read(Map<String, Value>),
    /// The IdP does not let clients be read: the comparison uses the last request.
    NotOffered,
    /// Its management endpoint is at another origin than registration, so the token is not sent there.
    Elsewhere {
        /// The origin of the client's management endpoint at the IdP.
        origin: String,
    },
    /// The IdP was not asked, as configured (`SKIP_DCR_BOOTSTRAP`).
    Skipped,
    /// It did not say.
    Failed(RegistrationError),
}

/// The IdP's verdict on an initial access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenTrial {
    /// It complains of the request and not of the token.
    NotRefused,
    /// Its answer says nothing of the token.
    Unclear(StatusCode),
}

// === impl Registration ===

impl Registration {
    /// Reads the stored client and the IdP's, and compares them. Spends no token.
    ///
    /// # Errors
    ///
    /// [`RegistrationError`] if the stored or the wanted client is unknown.
    pub async fn inspect(&self, metadata: &Metadata) -> Result<Inspection, RegistrationError> {
        let stored = self.vault.load().await?;
        let known = stored.as_ref().is_some_and(|record| record.registered.is_some());
        if self.options.skip && !known {
            return Ok(Inspection::Configured(Box::new(self.configured(metadata))));
        }
        let asks = !self.options.skip && known;
        // Held until the end: the result of a reading must not mix with another process's update.
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

    /// Asks the IdP about the configured initial access token, or about none if registration is open, without
    /// spending it. Every member of the request has a wrong type, so no client can be made of it: an IdP that accepts
    /// the token complains about the members. `None` if no token is configured.
    ///
    /// # Errors
    ///
    /// [`RegistrationError`]: the IdP refuses the token or does not answer.
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
            // The result of the reading could not be stored.
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

    /// The management endpoint of the registration, if the IdP gave one.
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
