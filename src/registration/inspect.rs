//! A look at the registration that changes nothing at the IdP, for the doctor and for a dry run.
//!
//! One thing may be written: an IdP that gives a new registration access token with every reading (RFC 7592 section 3)
//! ends the old one with it, so that the new one is stored under the lock before anything else happens.

use std::{path::PathBuf, time::Duration};

use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::{
    Registration,
    answer::AnswerError,
    attempt::Attempt,
    calls::with_token,
    credentials::CredentialsError,
    diff::Change,
    error::{RegistrationError, Target},
    metadata::WantedMetadata,
    options::AuthMethod,
    plan::{Plan, Purpose, Reach, Step, configured_access, plan},
    refusal::{
        blames_token, is_elsewhere, is_transient, oauth_error, object, page, shown, token_refused,
        unavailable,
    },
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
    /// No client exists yet: the plan of the next start.
    Unregistered(Box<Plan>),
    /// There is one.
    Registered(Box<Inspected>),
    /// The server makes no call (`SKIP_DCR_BOOTSTRAP`) and has stored nothing: the configured client, or the reason
    /// why the configuration is incomplete.
    Configured(Box<Result<Client, RegistrationError>>, Plan),
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
    /// The fields in which it differs from the wanted metadata.
    pub changes: Vec<Change>,
    /// The plan of the next start.
    pub plan: Plan,
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
    /// The IdP was not asked: the next start takes the client over from this file first.
    ToImport(PathBuf),
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

// === impl Inspection ===

impl Inspection {
    /// The plan of the next start.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        match self {
            Self::Unregistered(plan) => plan,
            Self::Configured(_, plan) => plan,
            Self::Registered(client) => &client.plan,
        }
    }
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
        if stored.is_none()
            && !self.options.skip
            && let Some((path, record)) = self.vault.to_import().await?
        {
            // Nothing is asked: a token that a reading replaces could not be stored before the import.
            let attempt = Attempt::with(self, metadata, Purpose::Look, Some(record))?;
            let plan = plan(&attempt.facts()).importing(path);
            return Ok(attempt.seen(plan));
        }
        if self.options.skip && !known {
            let client = Box::new(self.configured(metadata));
            return Ok(Inspection::Configured(client, Plan::of(Step::Skip)));
        }
        let asks = !self.options.skip && known;
        // Held until the end: the result of a reading must not mix with another process's update.
        let lock = if asks { Some(self.lock_soon().await) } else { None };
        let mut attempt = Attempt::start(self, metadata, Purpose::Look).await?;
        let (lock, unlocked) = match lock {
            Some(Ok(lock)) => (Some(lock), None),
            Some(Err(error)) => (None, Some(error)),
            None => (None, None),
        };
        // The result of a reading could not be stored.
        attempt.learnt.reading = unlocked.map(|error| Err(error.into()));
        let plan = attempt.look().await;
        drop(lock);
        Ok(attempt.seen(plan))
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
        let Some(access) = configured_access(&self.options)? else {
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
        let page = page(&response);
        if status.is_redirection() {
            return Err(RegistrationError::Redirected {
                url: shown(&url),
                target,
                status,
            });
        }
        if status.is_success() && object(&response).is_none() {
            return Err(RegistrationError::NotAnAnswer {
                url: shown(&url),
                target,
                status,
                reason: AnswerError::NotAnObject(response.unread()),
            });
        }
        if is_elsewhere(status)
            || status == StatusCode::FORBIDDEN
            || status.is_client_error() && page.is_some()
        {
            return Err(RegistrationError::Refused {
                url: shown(&url),
                target,
                status,
                error,
                page,
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
    fn seen(self, plan: Plan) -> Inspection {
        if self.record.registered.is_none() {
            Inspection::Unregistered(Box::new(plan))
        } else {
            Inspection::Registered(Box::new(self.inspected(plan)))
        }
    }

    fn inspected(self, plan: Plan) -> Inspected {
        let changes = self.facts().difference().changes;
        let client = self.client();
        let (client_id, secret_ends) = match &self.record.registered {
            Some(known) => (known.client_id.clone(), known.client_secret_expires_at),
            None => (String::new(), None),
        };
        Inspected {
            client_id,
            client,
            secret_ends: secret_ends
                .filter(|at| *at != 0 && self.registration.options.auth_method != AuthMethod::PrivateKeyJwt)
                .map(Timestamp::from_unix_seconds),
            changes,
            reading: match plan.imports() {
                Some(path) => Reading::ToImport(path.to_owned()),
                None => self.reading(),
            },
            plan,
            wanted: self.wanted,
        }
    }

    fn reading(&self) -> Reading {
        if self.registration.options.skip {
            return Reading::Skipped;
        }
        match (&self.learnt.reading, self.management()) {
            (Some(Err(error)), _) => Reading::Failed(error.clone().with_standing(self.learnt.standing)),
            (_, Err(Reach::NoEndpoint)) => match self.endpoint() {
                Err(error) => Reading::Failed(error),
                Ok(_) => Reading::NotOffered,
            },
            (_, Err(Reach::Elsewhere { origin })) => Reading::Elsewhere { origin },
            (Some(Ok(Some(current))), _) => Reading::Read(current.clone()),
            (Some(Ok(None)) | None, _) => Reading::NotOffered,
        }
    }
}
