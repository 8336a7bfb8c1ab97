//! The client according to the stored and configured data.

use serde_json::Value;

use super::{
    Registration,
    attempt::Attempt,
    credentials::{Credentials, CredentialsError, Registered},
    diff::listed,
    error::RegistrationError,
    event::{Event, Outcome},
    metadata::{AUTH_METHOD, Digests, field_digest, sent_algorithm},
    options::AuthMethod,
    plan::{Purpose, configured_access},
};
use crate::{
    clock::Timestamp,
    diagnostic::{Explain as _, Fix, Knob, fix, told},
    jose::Algorithm,
    oidc::{Client, ClientAuthentication, Metadata, negotiate_for},
};

// === impl Registration ===

impl Registration {
    /// The record, if it belongs to this configuration.
    pub(super) fn ours(&self, record: Credentials, issuer: &str) -> Result<Credentials, RegistrationError> {
        if record.issuer != issuer {
            return Err(CredentialsError::OtherIssuer {
                place: self.vault.place(),
                stored: record.issuer,
                configured: issuer.to_owned(),
            }
            .into());
        }
        let assigned = record.registered.as_ref().map(|known| &known.client_id);
        let Some(wish) = self
            .options
            .client_id
            .as_ref()
            .filter(|wish| Some(*wish) != assigned)
        else {
            return Ok(record);
        };
        let stored = record.requested_client_id.as_ref().or(assigned);
        let replaces = self.options.force_replace
            && configured_access(&self.options)?
                .is_some_and(|access| !access.is_open() && !record.is_spent(&access.note));
        match stored {
            Some(stored) if stored != wish && !replaces => match assigned {
                Some(assigned) => Err(CredentialsError::OtherClient {
                    place: self.vault.place(),
                    client: match record.requested_client_id.as_ref() {
                        Some(requested) if requested != assigned => {
                            format!("{assigned} (requested as {requested})")
                        }
                        _ => assigned.clone(),
                    },
                    configured: wish.clone(),
                    knob: self.options.client_id_knob,
                }
                .into()),
                None => Ok(record),
            },
            _ => Ok(record),
        }
    }

    /// The signer of client assertions, as the registration names it. `None` for methods without a signature.
    pub(super) fn algorithm(
        &self,
        metadata: &Metadata,
        sent: &Digests,
    ) -> Result<Option<Algorithm>, RegistrationError> {
        if self.options.auth_method != AuthMethod::PrivateKeyJwt {
            return Ok(None);
        }
        let signing = self.keys.signing();
        let of_key = signing.algorithms();
        let supported = metadata.token_auth_signing_algs.as_deref();
        let configured = self.options.signing_algorithm;
        let kept = configured
            .is_none()
            .then(|| sent_algorithm(sent, of_key, supported))
            .flatten();
        match kept {
            Some(kept) => Ok(Some(kept)),
            None => Ok(Some(negotiate_for(&self.keys, supported, configured)?)),
        }
    }

    /// The client that `known` is, if we can authenticate as it. Logs what is wrong with its credentials.
    pub(super) fn client(
        &self,
        known: &Registered,
        negotiated: Option<Algorithm>,
    ) -> Result<Client, RegistrationError> {
        let method = self.method(known);
        if method != self.options.auth_method {
            tracing::warn!(
                "the client {} is registered with {}, not with {} as configured, and uses the registered method until the \
                 registration is updated",
                known.client_id,
                method.name(),
                self.options.auth_method.name()
            );
        }
        let client = self.authentication(known, negotiated);
        let expires_at = known
            .client_secret_expires_at
            .filter(|at| *at != 0 && method != AuthMethod::PrivateKeyJwt);
        let is_replaced = matches!(client, Err(RegistrationError::MethodReplaced { .. }));
        if !is_replaced && expires_at.is_some_and(|at| Timestamp::from_unix_seconds(at) <= self.clock.wall())
        {
            let what = format_args!("the client secret of {} has expired", known.client_id);
            tracing::warn!("{}", told(what, secret_expired()));
        }
        client
    }

    /// The client that `known` is, if we can authenticate as it.
    pub(super) fn authentication(
        &self,
        known: &Registered,
        negotiated: Option<Algorithm>,
    ) -> Result<Client, RegistrationError> {
        let method = self.method(known);
        if let Some(found) = known.remembered.replaced.get(AUTH_METHOD)
            && *found != field_digest(AUTH_METHOD, &Value::from(method.name()))
        {
            return Err(RegistrationError::MethodReplaced {
                client_id: known.client_id.clone(),
                asked: method.name(),
            });
        }
        let secret = || {
            let secret = known.client_secret.clone();
            secret.ok_or_else(|| RegistrationError::NoSecret {
                client_id: known.client_id.clone(),
                method: method.name(),
            })
        };
        let auth = match method {
            AuthMethod::ClientSecretBasic => ClientAuthentication::ClientSecretBasic(secret()?),
            AuthMethod::ClientSecretPost => ClientAuthentication::ClientSecretPost(secret()?),
            AuthMethod::PrivateKeyJwt => match known.signing_algorithm.or(negotiated) {
                Some(algorithm) if self.keys.signing_with(algorithm).is_some() => {
                    ClientAuthentication::PrivateKeyJwt { algorithm }
                }
                found => {
                    return Err(RegistrationError::AlgorithmReplaced {
                        client_id: known.client_id.clone(),
                        asked: negotiated.map(|asked| asked.to_string()).unwrap_or_default(),
                        found: found.map(|found| found.to_string()).unwrap_or_default(),
                    });
                }
            },
        };
        Ok(Client {
            id: known.client_id.clone(),
            auth,
        })
    }

    /// How `known` authenticates: as configured; while an update to that has not come through, as it was registered last.
    fn method(&self, known: &Registered) -> AuthMethod {
        let wanted = self.options.auth_method;
        let sent = known.remembered.sent.get(AUTH_METHOD);
        let is_sent = |method: &AuthMethod| {
            sent.is_some_and(|sent| *sent == field_digest(AUTH_METHOD, &Value::from(method.name())))
        };
        let registered = AuthMethod::ALL.into_iter().find(is_sent).unwrap_or(wanted);
        // If the IdP replaced the method, the sent one does not show which one works.
        if registered == wanted || known.remembered.replaced.contains_key(AUTH_METHOD) {
            return wanted;
        }
        registered
    }

    /// Logs that `client` uses another secret than the configured one: the operator expects the configured one.
    pub(super) fn tell_unused_secret(&self, client: &Client) {
        let (ClientAuthentication::ClientSecretBasic(used) | ClientAuthentication::ClientSecretPost(used)) =
            &client.auth
        else {
            return;
        };
        let configured = self.options.client_secret.as_ref();
        if configured.is_some_and(|configured| configured != used) {
            let fix = fix!(
                "remove {}; or, for a client that was registered by hand, set {}",
                Knob::ClientSecret,
                Knob::Registration.to("false")
            );
            let what = format_args!(
                "the configured client secret is not used: the client {} was registered by this server, and its secret is the \
                 one in {}",
                client.id,
                self.vault.place()
            );
            tracing::warn!("{}", told(what, fix));
        }
    }

    pub(super) async fn skipped(&self, metadata: &Metadata) -> Result<Outcome, RegistrationError> {
        let client = match self.stored(metadata).await? {
            Some(client) => {
                self.tell_not_written(metadata).await;
                client
            }
            None => self.configured(metadata)?,
        };
        Event::Skipped.log();
        Ok(Outcome {
            client,
            event: Event::Skipped,
        })
    }

    /// Logs that the configuration wants another registration than the stored one.
    async fn tell_not_written(&self, metadata: &Metadata) {
        let Ok(attempt) = Attempt::start(self, metadata, Purpose::Look).await else {
            return;
        };
        let changes = attempt.facts().difference().changes;
        if let Some(known) = &attempt.record.registered
            && !changes.is_empty()
        {
            let error = RegistrationError::NotWritten {
                client_id: known.client_id.clone(),
                changes: listed(&changes),
            };
            tracing::warn!("{}", error.told());
        }
    }

    pub(super) async fn stored(&self, metadata: &Metadata) -> Result<Option<Client>, RegistrationError> {
        let Some(record) = self.vault.load().await? else {
            return Ok(None);
        };
        let Some(known) = self.ours(record, &metadata.issuer)?.registered else {
            return Ok(None);
        };
        let algorithm = self.algorithm(metadata, &known.remembered.sent)?;
        self.client(&known, algorithm).map(Some)
    }

    pub(super) fn configured(&self, metadata: &Metadata) -> Result<Client, RegistrationError> {
        let incomplete = || RegistrationError::NothingToSkipTo {
            place: self.vault.place(),
        };
        let id = self.options.client_id.clone().ok_or_else(incomplete)?;
        let secret = || self.options.client_secret.clone().ok_or_else(incomplete);
        let auth = match self.options.auth_method {
            AuthMethod::ClientSecretBasic => ClientAuthentication::ClientSecretBasic(secret()?),
            AuthMethod::ClientSecretPost => ClientAuthentication::ClientSecretPost(secret()?),
            AuthMethod::PrivateKeyJwt => ClientAuthentication::PrivateKeyJwt {
                algorithm: self
                    .algorithm(metadata, &Digests::new())?
                    .ok_or_else(incomplete)?,
            },
        };
        Ok(Client { id, auth })
    }
}

/// The advice for a client secret that has expired.
pub fn secret_expired() -> Fix {
    fix!(
        "renew it at the IdP, or register anew with {} and a fresh {}",
        Knob::ForceReplace.to("true"),
        Knob::InitialAccessToken
    )
}
