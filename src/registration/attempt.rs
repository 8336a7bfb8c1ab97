//! One attempt to reach the wanted registration: the stored record, the wanted metadata and the facts learnt so far.

use serde_json::Value;
use url::{Origin, Url};

use super::{
    Registration,
    calls::Management,
    credentials::{Credentials, CredentialsError},
    diff::Remembered,
    error::RegistrationError,
    metadata::{Digests, SCOPE, WantedMetadata},
    plan::{Facts, Learnt, Purpose, Reach},
    refusal::Asked,
    vault::Place,
};
use crate::{
    diagnostic::{Explain as _, Fix, Knob, fix, told},
    jose::Algorithm,
    oidc::{Client, Metadata, Standing},
    secret::Secret,
};

/// The endpoint's name in the metadata (RFC 8414 section 2).
const REGISTRATION_ENDPOINT: &str = "registration_endpoint";

/// The state of one attempt; lives while the lock is held.
pub(super) struct Attempt<'a> {
    pub(super) registration: &'a Registration,
    pub(super) metadata: &'a Metadata,
    pub(super) purpose: Purpose,
    pub(super) record: Credentials,
    pub(super) wanted: WantedMetadata,
    pub(super) algorithm: Option<Algorithm>,
    pub(super) learnt: Learnt,
    /// The grants of the client, if the last answer of the IdP named them.
    pub(super) granted: Option<Vec<String>>,
}

// === impl Attempt ===

impl<'a> Attempt<'a> {
    pub(super) async fn start(
        registration: &'a Registration,
        metadata: &'a Metadata,
        purpose: Purpose,
    ) -> Result<Self, RegistrationError> {
        let record = registration.vault.load().await?;
        Self::with(registration, metadata, purpose, record)
    }

    /// The same with a record that was read already.
    pub(super) fn with(
        registration: &'a Registration,
        metadata: &'a Metadata,
        purpose: Purpose,
        record: Option<Credentials>,
    ) -> Result<Self, RegistrationError> {
        let record = match record {
            Some(record) => registration.ours(record, &metadata.issuer)?,
            None => Credentials::new(metadata.issuer.clone(), registration.options.client_id.clone()),
        };
        let nothing = Digests::new();
        let sent = record
            .registered
            .as_ref()
            .map_or(&nothing, |known| &known.remembered.sent);
        let algorithm = registration.algorithm(metadata, sent)?;
        let wanted = registration.wanted(metadata, algorithm);
        let wanted = match &record.registered {
            Some(known) => wanted.after(&known.remembered),
            None => wanted,
        };
        Ok(Self {
            registration,
            metadata,
            purpose,
            record,
            wanted,
            algorithm,
            learnt: Learnt {
                // Without a relying party nobody can ask.
                standing: registration.asks.is_none().then_some(Standing::Unclear),
                ..Learnt::default()
            },
            granted: None,
        })
    }

    /// Everything that decides about the next steps.
    pub(super) fn facts(&self) -> Facts<'_> {
        Facts {
            purpose: self.purpose,
            options: &self.registration.options,
            record: &self.record,
            wanted: &self.wanted,
            algorithm: self.algorithm,
            issuer: &self.metadata.issuer,
            endpoint: self.endpoint(),
            reach: match self.management() {
                Ok(_) => Reach::Managed,
                Err(reach) => reach,
            },
            place: self.place(),
            now: self.registration.clock.now(),
            learnt: &self.learnt,
        }
    }

    pub(super) fn client(&self) -> Result<Client, RegistrationError> {
        match &self.record.registered {
            Some(known) => self.registration.client(known, self.algorithm),
            None => Err(self.no_token()),
        }
    }

    pub(super) fn no_token(&self) -> RegistrationError {
        RegistrationError::NoToken {
            place: self.place(),
            spent: false,
        }
    }

    pub(super) fn remembered(&self) -> Remembered {
        let known = self.record.registered.as_ref();
        known.map(|known| known.remembered.clone()).unwrap_or_default()
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

    /// The management endpoint of the registration, if the token may be sent there.
    pub(super) fn management(&self) -> Result<Management, Reach> {
        let known = self.record.registered.as_ref().ok_or(Reach::Unmanaged)?;
        match (&known.registration_client_uri, &known.registration_access_token) {
            (Some(uri), Some(token)) => self.managed_at(uri, token, &known.client_id),
            _ => Err(Reach::Unmanaged),
        }
    }

    /// `uri` as this process reaches it. An error if it is not at the origin of the registration endpoint: an attacker
    /// who makes the server store another URI would receive the token.
    pub(super) fn managed_at(&self, uri: &str, token: &Secret, client_id: &str) -> Result<Management, Reach> {
        if self.metadata.registration_endpoint.is_none() {
            return Err(Reach::NoEndpoint);
        }
        let uri = Url::parse(uri).map_err(|_| Reach::Unmanaged)?;
        let url = self.metadata.url_map().back_channel(uri);
        if !self.registers_at(&url.origin()) {
            return Err(Reach::Elsewhere {
                origin: url.origin().ascii_serialization(),
            });
        }
        Ok(Management {
            url,
            token: token.clone(),
            client_id: client_id.to_owned(),
        })
    }

    /// Whether the registration endpoint is at this origin.
    fn registers_at(&self, origin: &Origin) -> bool {
        let endpoint = self.metadata.registration_endpoint.as_ref();
        endpoint.is_some_and(|endpoint| endpoint.origin() == *origin)
    }

    /// Whether the token would be sent to this address of a client.
    pub(super) fn is_at_home(&self, uri: &str) -> bool {
        let url = Url::parse(uri).map(|uri| self.metadata.url_map().back_channel(uri));
        url.is_ok_and(|url| self.registers_at(&url.origin()))
    }

    /// Logs that the token of `client_id` is not sent, if its management endpoint is elsewhere or the IdP names no endpoint
    /// for registration to compare it with.
    pub(super) fn tell_elsewhere(&self, client_id: &str, reach: &Reach) {
        let origin = match reach {
            Reach::Elsewhere { origin } => origin,
            Reach::NoEndpoint => {
                if let Err(error) = self.endpoint() {
                    tracing::warn!("{client_id} cannot be managed: {}", error.told());
                }
                return;
            }
            Reach::Managed | Reach::Unmanaged => return,
        };
        let endpoint = self.metadata.registration_endpoint.as_ref();
        let what = format_args!(
            "the registration_client_uri of {client_id} is at {origin}, but registration is at {}: the registration access \
             token is not sent there",
            endpoint.map_or_else(
                || "no known place".to_owned(),
                |url| url.origin().ascii_serialization()
            ),
        );
        tracing::warn!("{}", told(what, managed_elsewhere()));
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
    pub(super) async fn store_or_remove(&self) -> Result<(), CredentialsError> {
        if self.record.is_empty() {
            self.registration.vault.remove().await
        } else {
            self.store().await
        }
    }
}

// === impl Registration ===

impl Registration {
    /// The metadata that the configuration wants at the IdP with these `metadata`.
    fn wanted(&self, metadata: &Metadata, algorithm: Option<Algorithm>) -> WantedMetadata {
        let options = &*self.options();
        WantedMetadata::new(options, algorithm, || self.keys.public_jwks())
            .for_grants(&options.grants, metadata.grant_types.as_deref())
            .for_id_tokens(&metadata.id_token_algorithms)
            .for_back_channel(
                options.backchannel_logout_uri.as_deref(),
                metadata.backchannel_logout,
            )
            .for_front_channel(
                options.frontchannel_logout_uri.as_deref(),
                metadata.frontchannel_logout,
            )
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
