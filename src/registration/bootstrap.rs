//! One attempt to reach the wanted registration: it compares before it writes, and writes before it could lose data.

use serde_json::{Map, Value};
use url::Url;

use super::{
    Registration,
    access::InitialAccess,
    answer::Answer,
    credentials::{Credentials, CredentialsError, Pending, Registered, Superseded},
    diff::Remembered,
    error::{Again, ErrorKind, RegistrationError, RequestedClientId},
    event::{Event, Outcome, tell_left},
    metadata::{Digests, SCOPE, WantedMetadata, named_algorithm},
    refusal::{Asked, shown},
    vault::Place,
};
use crate::{
    diagnostic::Explain as _,
    jose::Algorithm,
    oidc::{Client, Metadata},
};

/// The endpoint's name in the metadata (RFC 8414 section 2).
const REGISTRATION_ENDPOINT: &str = "registration_endpoint";

/// The state of one attempt; lives while the lock is held.
pub(super) struct Attempt<'a> {
    pub(super) registration: &'a Registration,
    pub(super) metadata: &'a Metadata,
    pub(super) record: Credentials,
    pub(super) wanted: WantedMetadata,
    pub(super) algorithm: Option<Algorithm>,
    /// Whether a client with a lost registration access token may be registered anew. This happens only at a start:
    /// people are logged in with the old client, and a short confusion of the IdP must not end their sessions.
    pub(super) renews: bool,
    /// Whether the attempt has requested another registration access token from the admin API.
    pub(super) token_renewed: bool,
}

// === impl Attempt ===

impl<'a> Attempt<'a> {
    pub(super) async fn start(
        registration: &'a Registration,
        metadata: &'a Metadata,
    ) -> Result<Self, RegistrationError> {
        let record = match registration.vault.load().await? {
            Some(record) => registration.ours(record, &metadata.issuer)?,
            None => Credentials::new(metadata.issuer.clone(), registration.options.client_id.clone()),
        };
        let nothing = Digests::new();
        let sent = record
            .registered
            .as_ref()
            .map_or(&nothing, |known| &known.remembered.sent);
        let algorithm = registration.algorithm(metadata, sent)?;
        let wanted = WantedMetadata::new(&registration.options, algorithm, || {
            registration.keys.public_jwks()
        })
        .for_id_tokens(&metadata.id_token_algorithms)
        .for_back_channel(
            registration.options.backchannel_logout_uri.as_deref(),
            metadata.backchannel_logout,
        )
        .for_front_channel(
            registration.options.frontchannel_logout_uri.as_deref(),
            metadata.frontchannel_logout,
        );
        let wanted = match &record.registered {
            Some(known) => wanted.after(&known.remembered),
            None => wanted,
        };
        Ok(Self {
            registration,
            metadata,
            record,
            wanted,
            algorithm,
            renews: true,
            token_renewed: false,
        })
    }

    pub(super) async fn run(mut self) -> Result<Outcome, RegistrationError> {
        let event = if self.record.registered.is_none() {
            self.create_first().await?
        } else {
            self.delete_replaced().await;
            match self.replacement_token()? {
                Some(token) => self.replace(token).await?,
                None => self.bring_up_to_date().await,
            }
        };
        let client = self.client()?;
        Ok(Outcome { client, event })
    }

    /// Compares the registration of a running server. `None` if no registration exists.
    pub(super) async fn check(mut self) -> Result<Option<Outcome>, RegistrationError> {
        if self.record.registered.is_none() {
            return Ok(None);
        }
        self.renews = false;
        self.delete_replaced().await;
        let event = self.bring_up_to_date().await;
        let client = self.client()?;
        Ok(Some(Outcome { client, event }))
    }

    /// The first registration: with the configured initial access token, else with a minted one.
    async fn create_first(&mut self) -> Result<Event, RegistrationError> {
        let fresh = self.usable_access()?;
        let endpoint = self.endpoint()?;
        self.registration.vault.prove_writable().await?;
        let access = self.configured_or_minted(fresh).await?;
        let answer = self.create(&endpoint, &access).await?;
        self.keep(answer, &access, None).await
    }

    /// Sends a registration request with `access`. A note is stored before the request and removed when the outcome
    /// is known. A crash or a lost response therefore leaves the note.
    pub(super) async fn create(
        &mut self,
        endpoint: &Url,
        access: &InitialAccess,
    ) -> Result<Answer, RegistrationError> {
        let before = self.record.pending.replace(Pending {
            initial_access_token: access.note.clone(),
            since: self.registration.clock.now(),
        });
        self.store().await?;
        let created = self.ask_for_client(endpoint, access).await;
        if let Err(error) = &created
            && error.kind() != ErrorKind::OutcomeUnknown
        {
            self.record.pending = before;
            if let Err(error) = self.store_or_remove().await {
                tracing::warn!("{}", error.told());
            }
        }
        created
    }

    /// Makes `answer` the registration and stores it. The replaced client is deleted when nobody uses it any more.
    pub(super) async fn keep(
        &mut self,
        answer: Answer,
        access: &InitialAccess,
        replaced: Option<Registered>,
    ) -> Result<Event, RegistrationError> {
        let requested = self.registration.options.client_id.clone();
        let assigned = answer.client_id.clone();
        self.record.requested_client_id.clone_from(&requested);
        self.record.registered = Some(self.registered(answer));
        self.spend(access);
        // An id that is in use again must not be deleted.
        self.record.superseded.retain(|old| old.client_id != assigned);
        let replaced = replaced.map(|old| {
            (
                old.client_id.clone(),
                Superseded::new(old, self.registration.clock.now()),
            )
        });
        if let Some((_, Some(old))) = &replaced {
            self.record.superseded.push(old.clone());
        }
        if let Err(source) = self.store().await {
            return Err(RegistrationError::NotStored {
                client_id: assigned,
                source,
            });
        }
        let event = Event::Registered { assigned, requested };
        event.log();
        self.tell_replaced();
        match replaced {
            Some((old, Some(_))) => tracing::info!(
                "the replaced client {old} stays until every process on this file has the new one: a running server \
                 deletes it, or the next start does"
            ),
            Some((old, None)) => tell_left(&old),
            None => {}
        }
        Ok(event)
    }

    fn registered(&self, answer: Answer) -> Registered {
        Registered {
            signing_algorithm: self.answered_algorithm(&answer.metadata),
            remembered: Remembered::new(&self.wanted, &answer.metadata),
            client_id: answer.client_id,
            client_secret: answer.client_secret,
            client_secret_expires_at: answer.client_secret_expires_at,
            registration_access_token: answer.registration_access_token,
            registration_client_uri: answer.registration_client_uri,
        }
    }

    /// The algorithm of the answer, or else the requested one.
    pub(super) fn answered_algorithm(&self, metadata: &Map<String, Value>) -> Option<Algorithm> {
        named_algorithm(metadata).or(self.algorithm)
    }

    pub(super) fn remembered(&self) -> Remembered {
        let known = self.record.registered.as_ref();
        known.map(|known| known.remembered.clone()).unwrap_or_default()
    }

    pub(super) fn tell_replaced(&self) {
        let remembered = self.remembered();
        let fields: Vec<&str> = remembered.replaced_fields().collect();
        if !fields.is_empty() {
            tracing::warn!(
                "the IdP registered other values than requested in {}: look at the client there, and at its client profile",
                fields.join(", ")
            );
        }
    }

    pub(super) fn client(&self) -> Result<Client, RegistrationError> {
        match &self.record.registered {
            Some(known) => self.registration.client(known, self.algorithm),
            None => Err(RegistrationError::NoToken {
                place: self.place(),
                spent: false,
            }),
        }
    }

    pub(super) fn endpoint(&self) -> Result<Url, RegistrationError> {
        let endpoint = self.metadata.registration_endpoint.clone();
        endpoint.ok_or_else(|| {
            let mut left_out = self.metadata.left_out.iter();
            match left_out.find(|error| error.member() == REGISTRATION_ENDPOINT) {
                Some(error) => RegistrationError::UnusableEndpoint {
                    reason: error.clone(),
                },
                None => RegistrationError::NoEndpoint {
                    issuer: self.metadata.issuer.clone(),
                },
            }
        })
    }

    pub(super) fn unknown_from_record(&self) -> RegistrationError {
        RegistrationError::OutcomeUnknown {
            url: self
                .metadata
                .registration_endpoint
                .as_ref()
                .map(shown)
                .unwrap_or_default(),
            cause: "its answer never arrived here".to_owned(),
            client: RequestedClientId(self.registration.options.client_id.clone()),
            again: Again::new(self.registration.options.open_registration),
            place: self.place(),
        }
    }

    pub(super) fn asked(&self, client_id: Option<String>) -> Asked {
        let scope = self.wanted.fields().get(SCOPE).and_then(Value::as_str);
        Asked {
            client_id,
            scope: scope.unwrap_or_default().to_owned(),
            redirect_uris: self.registration.options.redirect_uris.clone(),
            open: self.registration.options.open_registration,
            place: self.place(),
        }
    }

    pub(super) fn place(&self) -> Place {
        self.registration.vault.place()
    }

    pub(super) async fn store(&self) -> Result<(), CredentialsError> {
        self.registration.vault.store(&self.record).await
    }

    /// Stores the record. An empty record removes the file, because it would otherwise count as an identity.
    async fn store_or_remove(&self) -> Result<(), CredentialsError> {
        if self.record.is_empty() {
            self.registration.vault.remove().await
        } else {
            self.store().await
        }
    }
}
