//! How we prove who we are: `private_key_jwt` (RFC 7523), `client_secret_basic`, `client_secret_post` (RFC 6749
//! section 2.3.1).

use std::{fmt, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Serialize;
use url::{Url, form_urlencoded};

use super::{Client, ClientAuthentication, Metadata, RelyingParty};
use crate::{
    diagnostic::{Explain, Fix, Knob, fix},
    jose::{Algorithm, SignError},
    keys::Keys,
    outbound::Request,
    random::RandomExt as _,
    secret::Secret,
};

/// RFC 7523 section 2.2.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Parameters whose values an error may show. Any other one counts as secret, so that a new one is safe until it is
/// listed here.
const PUBLIC: [&str; 13] = [
    "acr_values",
    "client_assertion_type",
    "client_id",
    "code_challenge_method",
    "grant_type",
    "max_age",
    "prompt",
    "redirect_uri",
    "resource",
    "response_type",
    "scope",
    "token_type_hint",
    "ui_locales",
];

/// How long an assertion lives.
pub(super) const ASSERTION_LIFETIME: Duration = Duration::from_mins(1);

/// The audience of client assertions (`BFF_ASSERTION_AUDIENCE`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AssertionAudience {
    /// The issuer identifier.
    #[default]
    Issuer,
    /// The token endpoint as the world sees it, for providers that insist.
    TokenEndpoint,
}

/// Whether client assertions have a `typ` (`BFF_ASSERTION_TYP`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AssertionTyp {
    /// A specific `typ` if their audience is the issuer, as in the update of RFC 7523; otherwise `JWT`.
    #[default]
    Auto,
    /// They have no `typ`.
    None,
}

/// How a request was authenticated: the facts that an operator compares with the registration after a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthenticationSummary {
    /// The client id.
    pub client_id: String,
    /// The method's registered name.
    pub method: &'static str,
    /// The assertion's facts, if there was one.
    pub assertion: Option<AssertionFacts>,
    /// Whether the encoding of RFC 6749 section 2.3.1 has changed id or secret, so that a provider which does not decode
    /// them finds others.
    pub encoding_matters: bool,
}

/// The header and audience of an assertion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssertionFacts {
    /// The key.
    pub kid: String,
    /// The algorithm.
    pub algorithm: Algorithm,
    /// The audience.
    pub audience: String,
    /// Its `typ`.
    pub typ: Option<&'static str>,
    /// Whether the key is in the JWK Set that we publish.
    pub published: bool,
}

/// Why no algorithm for client assertions can be chosen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NegotiationError {
    /// The configured algorithm needs another key.
    #[error(
        "the signing key does not sign with {configured}, as configured, only with {}",
        names(key)
    )]
    NotOfThisKey {
        /// The requested algorithm.
        configured: Algorithm,
        /// The algorithms of the key.
        key: Vec<Algorithm>,
    },
    /// The key and the provider have nothing in common.
    #[error("the signing key signs with {}, but the IdP accepts only {}", names(key), supported.join(", "))]
    NothingInCommon {
        /// The algorithms of the key.
        key: Vec<Algorithm>,
        /// The algorithms that the provider lists.
        supported: Vec<String>,
    },
    /// The key signs nothing.
    #[error("the signing key does not sign with any algorithm")]
    Nothing,
}

// === impl NegotiationError ===

impl Explain for NegotiationError {
    fn fix(&self) -> Option<Fix> {
        Some(match self {
            Self::NotOfThisKey { .. } => fix!(
                "remove {}, or name a key that signs with it in {}",
                Knob::SigningAlgorithm,
                Knob::SigningKey
            ),
            Self::NothingInCommon { .. } => fix!(
                "use a key of another type (name one in {}; or set {} and run `bff keys rotate`), or name the algorithm in {} if the \
                 IdP's metadata is incomplete",
                Knob::SigningKey,
                Knob::KeyType,
                Knob::SigningAlgorithm
            ),
            Self::Nothing => fix!("name another key in {}", Knob::SigningKey),
        })
    }
}

#[derive(Serialize)]
struct AssertionClaims {
    iss: String,
    sub: String,
    aud: String,
    jti: String,
    iat: u64,
    exp: u64,
}

/// Chooses the algorithm for client assertions: `configured`, if the key supports it; otherwise the first of `key`
/// that the provider lists (PS256 before RS256). If the provider lists none: RS256 for RSA keys, because every
/// provider has to support it (OpenID Connect Discovery 1.0 section 3), and the key's own algorithm for others.
///
/// A configured algorithm overrides the provider's list, which may be incomplete: registration will show.
///
/// # Errors
///
/// [`NegotiationError`].
pub fn negotiate(
    key: &[Algorithm],
    supported: Option<&[String]>,
    configured: Option<Algorithm>,
) -> Result<Algorithm, NegotiationError> {
    if let Some(configured) = configured {
        return if key.contains(&configured) {
            Ok(configured)
        } else {
            Err(NegotiationError::NotOfThisKey {
                configured,
                key: key.to_vec(),
            })
        };
    }
    match supported.filter(|supported| !supported.is_empty()) {
        None if key.contains(&Algorithm::RS256) => Ok(Algorithm::RS256),
        None => key.first().copied().ok_or(NegotiationError::Nothing),
        Some(supported) => key
            .iter()
            .copied()
            .find(|algorithm| supported.iter().any(|name| name == algorithm.name()))
            .ok_or_else(|| NegotiationError::NothingInCommon {
                key: key.to_vec(),
                supported: supported.to_vec(),
            }),
    }
}

/// As [`negotiate`] for the present key. If that has no algorithm that the provider accepts, for the coming key: an
/// operator who names a key of another type need not wait, because the former key was useless.
///
/// # Errors
///
/// [`NegotiationError`] of the key that signs now.
pub fn negotiate_for(
    keys: &Keys,
    supported: Option<&[String]>,
    configured: Option<Algorithm>,
) -> Result<Algorithm, NegotiationError> {
    negotiate(keys.signing().algorithms(), supported, configured).or_else(|error| {
        let coming = keys.coming().ok_or_else(|| error.clone())?;
        negotiate(coming.algorithms(), supported, configured).map_err(|_| error)
    })
}

fn names(algorithms: &[Algorithm]) -> String {
    algorithms
        .iter()
        .map(|algorithm| algorithm.name())
        .collect::<Vec<_>>()
        .join(", ")
}

// === impl RelyingParty ===

impl RelyingParty {
    /// A POST of `fields` to `url` with client authentication. Build it anew for every attempt: an assertion is valid
    /// for one request.
    pub(super) async fn authenticated(
        &self,
        metadata: &Metadata,
        client: &Client,
        url: &Url,
        fields: &[(&str, &str)],
    ) -> Result<(Request, AuthenticationSummary), SignError> {
        let mut summary = AuthenticationSummary {
            client_id: client.id.clone(),
            method: client.auth.method(),
            assertion: None,
            encoding_matters: false,
        };
        let secrets = fields.iter().filter(|(name, _)| !PUBLIC.contains(name));
        let secrets: Vec<&str> = secrets.map(|(_, value)| *value).collect();
        let mut fields: Vec<(&str, &str)> = fields.to_vec();
        let request = match &client.auth {
            ClientAuthentication::PrivateKeyJwt { algorithm } => {
                let (assertion, facts) = self.assertion(metadata, client, *algorithm).await?;
                summary.assertion = Some(facts);
                add_client_id(&mut fields, &client.id);
                fields.push(("client_assertion_type", ASSERTION_TYPE));
                fields.push(("client_assertion", assertion.expose()));
                Request::form(url.clone(), fields).withholding([assertion.expose()])
            }
            ClientAuthentication::ClientSecretBasic(secret) => {
                let (user, password) = (encoded(&client.id), encoded(secret.expose()));
                summary.encoding_matters = user != client.id || password != secret.expose();
                Request::form(url.clone(), fields)
                    .basic(&user, &password.into())
                    .withholding([secret.expose()])
                    .withholding([basic(client, secret).expose()])
            }
            ClientAuthentication::ClientSecretPost(secret) => {
                add_client_id(&mut fields, &client.id);
                fields.push(("client_secret", secret.expose()));
                Request::form(url.clone(), fields)
                    .withholding([secret.expose()])
                    .withholding([basic(client, secret).expose()])
            }
        };
        Ok((request.withholding(secrets), summary))
    }

    /// A client assertion (RFC 7523 section 3) with a new `jti`.
    async fn assertion(
        &self,
        metadata: &Metadata,
        client: &Client,
        algorithm: Algorithm,
    ) -> Result<(Secret, AssertionFacts), SignError> {
        let shared = &self.shared;
        let audience = match shared.options.assertion_audience {
            AssertionAudience::Issuer => metadata.issuer.clone(),
            AssertionAudience::TokenEndpoint => metadata.token_endpoint_public.clone(),
        };
        let now = shared.dating.date(shared.clock.wall());
        let claims = AssertionClaims {
            iss: client.id.clone(),
            sub: client.id.clone(),
            aud: audience.clone(),
            jti: shared.random.base64url::<16>(),
            iat: now.unix_seconds(),
            exp: now.saturating_add(ASSERTION_LIFETIME).unix_seconds(),
        };
        let keys = &shared.keys;
        let signing = keys.signing_with(algorithm).unwrap_or_else(|| keys.signing());
        let kid = signing.kid().to_owned();
        let typ = shared
            .options
            .assertion_typ
            .with(shared.options.assertion_audience);
        let assertion = shared.keys.sign(algorithm, typ, claims).await?;
        let facts = AssertionFacts {
            published: shared.keys.is_published(&kid),
            kid,
            algorithm,
            audience,
            typ,
        };
        Ok((assertion, facts))
    }
}

fn add_client_id<'a>(fields: &mut Vec<(&'a str, &'a str)>, id: &'a str) {
    if !fields.iter().any(|(name, _)| *name == "client_id") {
        fields.push(("client_id", id));
    }
}

/// The text that some servers quote instead of the received one: id and secret as Basic credentials, without the form
/// encoding.
fn basic(client: &Client, secret: &Secret) -> Secret {
    let pair = Secret::new(format!("{}:{}", client.id, secret.expose()));
    Secret::new(STANDARD.encode(pair.expose()))
}

/// RFC 6749 section 2.3.1: id and secret are form-encoded before they become Basic credentials.
fn encoded(value: &str) -> String {
    form_urlencoded::byte_serialize(value.as_bytes()).collect()
}

// === impl AssertionTyp ===

impl AssertionTyp {
    /// The `typ` of an assertion for this audience.
    const fn with(self, audience: AssertionAudience) -> Option<&'static str> {
        match (self, audience) {
            (Self::Auto, AssertionAudience::Issuer) => Some("client-authentication+jwt"),
            (Self::Auto, AssertionAudience::TokenEndpoint) => Some("JWT"),
            (Self::None, _) => None,
        }
    }
}

// === impl AuthenticationSummary ===

impl fmt::Display for AuthenticationSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client `{}`, method {}", self.client_id, self.method)?;
        match &self.assertion {
            None => Ok(()),
            Some(facts) => write!(
                f,
                ", kid `{}` ({} our JWKS), alg {}, aud `{}`, typ {}",
                facts.kid,
                if facts.published { "in" } else { "NOT in" },
                facts.algorithm,
                facts.audience,
                facts.typ.unwrap_or("none")
            ),
        }
    }
}

#[cfg(test)]
mod tests;
