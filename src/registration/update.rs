//! Bringing a registration up to date: read, compare, write only where something differs.

use serde_json::{Map, Value};
use url::Url;

use super::{
    answer::Answer,
    bootstrap::Attempt,
    calls::{Management, Reply},
    credentials::CredentialsError,
    diff::{Change, Remembered, compare, compare_with_sent, drifted, listed, returned},
    error::RegistrationError,
    event::{Event, logged},
    metadata::{REDIRECT_URIS, REDIRECTS, WantedMetadata, named_algorithm},
    options::{AuthMethod, RedirectUpdate, UpdateMethod},
    refusal::{blames_secret, may_blame_secret, shown},
};
use crate::{
    diagnostic::{Explain as _, Fix, Knob, fix, told},
    jose::Algorithm,
    secret::Secret,
};

/// The message for a registered client.
pub(super) struct Plan {
    /// The metadata that we want this client to have.
    pub(super) wanted: WantedMetadata,
    /// The fields with other values at the IdP.
    pub(super) changes: Vec<Change>,
    /// Redirect URIs have to be kept that we cannot know: any list that is written over them could take some away.
    blind: bool,
}

// === impl Plan ===

impl Plan {
    fn can_patch(&self) -> bool {
        let touches = |change: &Change| REDIRECTS.contains(&change.field.as_str());
        !(self.blind && self.changes.iter().any(touches))
    }
}

// === impl Attempt ===

impl Attempt<'_> {
    /// Compares with the IdP's client and updates it if it differs. If this fails, the stored client stays in use.
    pub(super) async fn bring_up_to_date(&mut self) -> Event {
        let mut outcome = self.compare_and_update().await;
        if let Err(refusal) = &outcome {
            match self.renew_token(refusal).await {
                Ok(false) => {}
                Ok(true) => {
                    // Another client would not help if a new token does not work either.
                    self.renews = false;
                    outcome = self.compare_and_update().await;
                }
                Err(error) => outcome = Err(error),
            }
        }
        let event = match outcome {
            Ok(changes) if changes.is_empty() => Event::Unchanged,
            Ok(changes) => Event::Updated(changes),
            Err(refusal @ RegistrationError::RegistrationTokenRefused { .. }) if self.renews => {
                return self.renew(refusal).await;
            }
            Err(error) => Event::of_failure(error),
        };
        logged(event)
    }

    async fn compare_and_update(&mut self) -> Result<Vec<Change>, RegistrationError> {
        let Some((at, current)) = self.read().await? else {
            let plan = self.plan(None);
            return if plan.changes.is_empty() {
                Ok(plan.changes)
            } else {
                Err(RegistrationError::NeedsToken {
                    changes: listed(&plan.changes),
                })
            };
        };
        let plan = self.plan(current.as_ref());
        if !plan.changes.is_empty() {
            let drifted = drifted(&plan.changes, &self.remembered());
            let has_drifted = !drifted.is_empty();
            if has_drifted {
                let drifted: Vec<String> = drifted.into_iter().map(Change::drift).collect();
                tracing::warn!(
                    "the registration of {} was changed at the IdP: {}",
                    at.client_id,
                    drifted.join("; ")
                );
            }
            self.update(&at, current.as_ref(), &plan).await?;
            if has_drifted {
                self.look_again(&plan).await;
            }
        } else if let Some(current) = current {
            // Somebody may have given the client the wanted values: they count as agreed from now on.
            let before = self.record.registered.clone();
            self.settle(
                self.answered_algorithm(&current),
                Remembered::new(&plan.wanted, &current),
            );
            if self.record.registered != before {
                self.store().await?;
            }
        }
        Ok(plan.changes)
    }

    /// Whether an accepted update reverted a change that nobody requested here. An IdP may normalise values and show
    /// the result only in readings. Without this check, every comparison would find a change.
    async fn look_again(&mut self, plan: &Plan) {
        let read = match self.read().await {
            Ok(Some((_, Some(current)))) => current,
            Ok(_) => return,
            Err(error) => return tracing::debug!("the update could not be read back: {}", error.told()),
        };
        let before = self.record.registered.clone();
        if let Some(known) = &mut self.record.registered {
            known.signing_algorithm = named_algorithm(&read).or(known.signing_algorithm);
            known.remembered.add(&plan.wanted, &read);
        }
        if self.record.registered != before {
            self.tell_replaced();
            if let Err(error) = self.store().await {
                tracing::warn!("{}", error.told());
            }
        }
    }

    /// The message for a client that is registered as `current`, which is `None` if it cannot be read.
    pub(super) fn plan(&self, current: Option<&Map<String, Value>>) -> Plan {
        let mode = self.registration.options.redirect_update;
        let wanted = self.wanted.keeping(mode, current.unwrap_or(&Map::new()));
        let memory = self.remembered();
        Plan {
            changes: match current {
                Some(current) => compare(&wanted, current, &memory),
                None => compare_with_sent(&wanted, &memory),
            },
            wanted,
            blind: mode != RedirectUpdate::Replace
                && current
                    .and_then(|current| returned(current, REDIRECT_URIS))
                    .is_none(),
        }
    }

    /// Reads the registration. `None` if it cannot be managed, and no metadata if it cannot be read.
    pub(super) async fn read(
        &mut self,
    ) -> Result<Option<(Management, Option<Map<String, Value>>)>, RegistrationError> {
        let Some(at) = self.management() else {
            return Ok(None);
        };
        // The answer to a reading or an update may contain another token, which ends the old one (RFC 7592 section
        // 3).
        self.registration.vault.prove_writable().await?;
        let Reply::Answer(answer) = self.registration.calls.read(&at, &self.asked(None)).await? else {
            return Ok(Some((at, None)));
        };
        let metadata = self.absorb(*answer).await?;
        // The answer may have contained another token or URI.
        Ok(self.management().map(|at| (at, Some(metadata))))
    }

    /// Like [`Self::read`]; if the IdP refuses the token, once more with a token from the admin API.
    pub(super) async fn read_with_another_token(
        &mut self,
    ) -> Result<Option<(Management, Option<Map<String, Value>>)>, RegistrationError> {
        match self.read().await {
            Err(refusal) if self.renew_token(&refusal).await? => self.read().await,
            outcome => outcome,
        }
    }

    /// Writes the wanted metadata of `plan` over `current`, by the allowed methods.
    pub(super) async fn update(
        &mut self,
        at: &Management,
        current: Option<&Map<String, Value>>,
        plan: &Plan,
    ) -> Result<(), RegistrationError> {
        let method = self.registration.options.update_method;
        let (mut reply, mut secret_refused) = (Reply::Unsupported, false);
        if method != UpdateMethod::Patch && !plan.blind {
            (reply, secret_refused) = self.put(at, current, plan).await?;
        }
        if matches!(reply, Reply::Unsupported) && method != UpdateMethod::Put && plan.can_patch() {
            let patch = plan
                .changes
                .iter()
                .map(|change| (change.field.clone(), change.to.clone().into()));
            let patch = Value::Object(patch.collect());
            let calls = &self.registration.calls;
            reply = calls
                .update(at, http::Method::PATCH, &patch, &self.asked(None))
                .await?;
        }
        let names_secret = matches!(&reply, Reply::Answer(answer) if answer.client_secret.is_some());
        if secret_refused && !names_secret {
            self.tell_secret_unknown(&at.client_id);
        }
        if !matches!(reply, Reply::Unsupported)
            && self.registration.options.auth_method == AuthMethod::PrivateKeyJwt
        {
            // The secret of a method that this update ends: a former secret must not be sent with a later update (RFC
            // 7592 section 2.2).
            self.forget_secret();
        }
        match reply {
            Reply::Unsupported if plan.blind => Err(RegistrationError::RedirectUrisUnknown {
                url: shown(&at.url),
                changes: listed(&plan.changes),
            }),
            Reply::Unsupported => Err(RegistrationError::CannotUpdate {
                url: shown(&at.url),
                tried: method,
                changes: listed(&plan.changes),
            }),
            Reply::Done | Reply::Gone | Reply::Unauthorized => {
                self.settle(self.algorithm, Remembered::new(&plan.wanted, &Map::new()));
                Ok(self.store().await?)
            }
            Reply::Answer(answer) => {
                let remembered = Remembered::new(&plan.wanted, &answer.metadata);
                self.settle(self.answered_algorithm(&answer.metadata), remembered);
                self.absorb(*answer).await?;
                self.tell_replaced();
                Ok(self.store().await?)
            }
        }
    }

    /// Writes the whole client, and tells whether the request had no secret. RFC 7592 section 2.2 requires the right
    /// secret if one is sent, but lets the client send none. If the stored secret may be the reason for a refusal, an
    /// update without it can return the right one.
    async fn put(
        &self,
        at: &Management,
        current: Option<&Map<String, Value>>,
        plan: &Plan,
    ) -> Result<(Reply, bool), RegistrationError> {
        let known = self.record.registered.as_ref();
        let secret = known.and_then(|known| known.client_secret.as_ref());
        let body = |secret: Option<&str>| plan.wanted.update_body(current, &at.client_id, secret);
        let calls = &self.registration.calls;
        let asked = self.asked(None);
        let whole = body(secret.map(Secret::expose));
        match calls.update(at, http::Method::PUT, &whole, &asked).await {
            Err(refusal) if secret.is_some() && may_blame_secret(&refusal) => {
                match calls.update(at, http::Method::PUT, &body(None), &asked).await {
                    Ok(reply) => Ok((reply, true)),
                    // The secret was one reason, and this is another.
                    Err(error) if blames_secret(&refusal) => Err(error),
                    Err(_) => Err(refusal),
                }
            }
            reply => reply.map(|reply| (reply, false)),
        }
    }

    fn tell_secret_unknown(&self, client_id: &str) {
        // A client with a key does not need the secret.
        if self.registration.options.auth_method != AuthMethod::PrivateKeyJwt {
            let fix = fix!(
                "if logins fail with invalid_client, switch {} to private_key_jwt and back, or have the client removed at \
                 the IdP and start with {} and a fresh {}",
                Knob::AuthMethod,
                Knob::ForceReplace.to("true"),
                Knob::InitialAccessToken
            );
            let what = format_args!(
                "the IdP took the update of {client_id} only without the client secret of bff_client.json, and does not name \
                 the right one"
            );
            tracing::warn!("{}", told(what, fix));
        }
    }

    fn forget_secret(&mut self) {
        if let Some(known) = &mut self.record.registered {
            known.client_secret = None;
            known.client_secret_expires_at = None;
        }
    }

    fn settle(&mut self, algorithm: Option<Algorithm>, remembered: Remembered) {
        if let Some(known) = &mut self.record.registered {
            known.signing_algorithm = algorithm;
            known.remembered = remembered;
        }
    }

    /// Adopts secret, token and URI of an answer, and stores them before it uses any of them.
    async fn absorb(&mut self, answer: Answer) -> Result<Map<String, Value>, CredentialsError> {
        let Some(known) = &mut self.record.registered else {
            return Ok(answer.metadata);
        };
        let before = known.clone();
        if answer.client_secret.is_some() {
            known.client_secret = answer.client_secret;
            known.client_secret_expires_at = answer.client_secret_expires_at;
        }
        if answer.registration_access_token.is_some() {
            known.registration_access_token = answer.registration_access_token;
        }
        if answer.registration_client_uri.is_some() {
            known.registration_client_uri = answer.registration_client_uri;
        }
        let changed = *known != before;
        // The token has worked: if it is lost one day, the client may be registered anew again.
        if std::mem::take(&mut self.record.renewed) || changed {
            self.store().await?;
        }
        Ok(answer.metadata)
    }

    /// The management endpoint of the registration, if the token may be sent there.
    pub(super) fn management(&self) -> Option<Management> {
        let known = self.record.registered.as_ref()?;
        self.managed_at(
            known.registration_client_uri.as_deref()?,
            known.registration_access_token.as_ref()?,
            &known.client_id,
        )
    }

    /// `uri` as this process reaches it. `None` if it is not at the origin of the registration endpoint: an attacker
    /// who makes the server store another URI would receive the token.
    pub(super) fn managed_at(&self, uri: &str, token: &Secret, client_id: &str) -> Option<Management> {
        let url = self.metadata.url_map().back_channel(Url::parse(uri).ok()?);
        let endpoint = self.metadata.registration_endpoint.as_ref();
        if endpoint.is_none_or(|endpoint| endpoint.origin() != url.origin()) {
            let what = format_args!(
                "the registration_client_uri of {client_id} is at {}, but registration is at {}: the registration access token \
                 is not sent there",
                url.origin().ascii_serialization(),
                endpoint.map_or_else(
                    || "no known place".to_owned(),
                    |url| url.origin().ascii_serialization()
                ),
            );
            tracing::warn!("{}", told(what, managed_elsewhere()));
            return None;
        }
        Some(Management {
            url,
            token: token.clone(),
            client_id: client_id.to_owned(),
        })
    }
}

/// The advice for a client that is managed at another origin than the one of registration.
pub fn managed_elsewhere() -> Fix {
    fix!(
        "correct {} or {}, or the public URL that the IdP is configured with",
        Knob::ProviderBase,
        Knob::RegistrationEndpoint
    )
}
