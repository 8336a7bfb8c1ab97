//! Writes the wanted metadata over those at the IdP, by the allowed methods.

use serde_json::{Map, Value};

use super::super::{
    attempt::Attempt,
    calls::{Management, Reply},
    diff::{Difference, listed},
    error::RegistrationError,
    metadata::WantedMetadata,
    options::{AuthMethod, UpdateMethod},
    plan::{Updating, configured_access},
    refusal::{blames_secret, may_blame_secret, shown},
};
use crate::{
    diagnostic::{Knob, fix, told},
    secret::Secret,
};

// === impl Attempt ===

impl Attempt<'_> {
    pub(super) async fn update(&mut self, updating: &Updating) -> Result<(), RegistrationError> {
        let difference = self.facts().difference();
        let Ok(at) = self.management() else {
            return Err(RegistrationError::NeedsToken {
                changes: listed(&difference.changes),
            });
        };
        if !updating.drifted.is_empty() {
            tracing::warn!(
                "the registration of {} was changed at the IdP: {}",
                at.client_id,
                updating.drifted.join("; ")
            );
        }
        // In the place of a new registration, nothing of the former client stays.
        let current = self.facts().current().filter(|_| !updating.in_place).cloned();
        self.write(&at, current.as_ref(), &difference).await?;
        if updating.in_place
            && let Some(access) = configured_access(&self.registration.options)?
        {
            // It has done its work, although it led to no 201: not again at the next start.
            self.spend(&access);
            self.store().await?;
        }
        Ok(())
    }

    async fn write(
        &mut self,
        at: &Management,
        current: Option<&Map<String, Value>>,
        difference: &Difference,
    ) -> Result<(), RegistrationError> {
        let method = self.registration.options.update_method;
        let (mut reply, mut secret_refused) = (Reply::Unsupported, false);
        if method != UpdateMethod::Patch && !difference.blind {
            (reply, secret_refused) = self.put(at, current, &difference.wanted).await?;
        }
        if matches!(reply, Reply::Unsupported) && method != UpdateMethod::Put && difference.can_patch() {
            let calls = &self.registration.calls;
            let patch = difference.patch();
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
            Reply::Unsupported if difference.blind => Err(RegistrationError::RedirectUrisUnknown {
                url: shown(&at.url),
                changes: listed(&difference.changes),
            }),
            Reply::Unsupported => Err(RegistrationError::CannotUpdate {
                url: shown(&at.url),
                tried: method,
                changes: listed(&difference.changes),
            }),
            Reply::Done | Reply::Gone | Reply::Unauthorized => {
                self.agree(&difference.wanted, &Map::new());
                Ok(self.store().await?)
            }
            Reply::Answer(answer) => {
                self.agree(&difference.wanted, &answer.metadata);
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
        wanted: &WantedMetadata,
    ) -> Result<(Reply, bool), RegistrationError> {
        let known = self.record.registered.as_ref();
        let secret = known.and_then(|known| known.client_secret.as_ref());
        let body = |secret: Option<&str>| wanted.update_body(current, &at.client_id, secret);
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

    /// Notes the IdP's `metadata` as agreed, after a request with `wanted`.
    pub(super) fn agree(&mut self, wanted: &WantedMetadata, metadata: &Map<String, Value>) {
        self.note_grants(metadata);
        if let Some(known) = &mut self.record.registered {
            known.agree(wanted, metadata, self.algorithm);
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
}
