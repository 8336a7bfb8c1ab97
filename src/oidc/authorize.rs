//! The authorization request (OpenID Connect Core 1.0 section 3.1.2.1) with PKCE (RFC 7636).

use std::{borrow::Cow, fmt};

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use url::Url;

use super::{CallError, Client, Metadata, NotReady, RelyingParty};
use crate::{
    random::{Random, RandomExt as _},
    secret::Secret,
};

/// Whether authorization requests are pushed (`MS_BFF_PAR_ENABLED`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ParMode {
    /// If the provider offers it.
    #[default]
    Auto,
    /// Always; a provider without it cannot be used.
    Always,
    /// Never.
    Never,
}

/// A code verifier and its challenge, method `S256` (RFC 7636 section 4).
#[derive(Clone, Debug)]
pub struct Pkce {
    /// Stays here until the code is exchanged.
    pub verifier: Secret,
    /// Goes to the provider at once.
    pub challenge: String,
}

/// The parameters of an authorization request. Its `Debug` omits `state` and `nonce`.
#[derive(Clone)]
pub struct AuthorizationRequest {
    /// Scopes, separated by spaces.
    pub scope: String,
    /// Ties the answer to the browser (RFC 6749 section 10.12).
    pub state: String,
    /// Ties the ID token to the attempt.
    pub nonce: String,
    /// One of the registered ones, exactly.
    pub redirect_uri: String,
    /// [`Pkce::challenge`].
    pub code_challenge: String,
    /// `prompt`
    pub prompt: Option<String>,
    /// `login_hint`
    pub login_hint: Option<String>,
    /// `ui_locales`
    pub ui_locales: Option<String>,
    /// `acr_values`
    pub acr_values: Option<String>,
    /// `domain_hint` (OpenID Connect Enterprise Extensions)
    pub domain_hint: Option<String>,
    /// `tenant` (the same)
    pub tenant: Option<String>,
    /// `max_age`, in seconds.
    pub max_age: Option<u64>,
}

// === impl Pkce ===

impl Pkce {
    /// A verifier of 32 random bytes (RFC 7636 section 4.1).
    #[must_use]
    pub fn generate(random: &dyn Random) -> Self {
        Self::from_verifier(Secret::new(random.base64url::<32>()))
    }

    /// With the challenge of a given verifier (RFC 7636 section 4.2).
    #[must_use]
    pub fn from_verifier(verifier: Secret) -> Self {
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.expose().as_bytes()));
        Self { verifier, challenge }
    }
}

// === impl AuthorizationRequest ===

impl AuthorizationRequest {
    /// The parameters, each once except for `resource`, empty ones left out.
    pub(super) fn parameters<'a>(
        &'a self,
        client: &'a Client,
        resources: &'a [String],
    ) -> Vec<(&'static str, Cow<'a, str>)> {
        let optional = |value: &'a Option<String>| value.as_deref().unwrap_or_default().into();
        let max_age = self
            .max_age
            .map(|seconds| seconds.to_string())
            .unwrap_or_default();
        let mut parameters: Vec<(&'static str, Cow<'a, str>)> = vec![
            ("response_type", "code".into()),
            ("client_id", client.id.as_str().into()),
            ("redirect_uri", self.redirect_uri.as_str().into()),
            ("scope", self.scope.as_str().into()),
            ("state", self.state.as_str().into()),
            ("nonce", self.nonce.as_str().into()),
            ("code_challenge", self.code_challenge.as_str().into()),
            ("code_challenge_method", "S256".into()),
            ("prompt", optional(&self.prompt)),
            ("login_hint", optional(&self.login_hint)),
            ("ui_locales", optional(&self.ui_locales)),
            ("acr_values", optional(&self.acr_values)),
            ("domain_hint", optional(&self.domain_hint)),
            ("tenant", optional(&self.tenant)),
            ("max_age", max_age.into()),
        ];
        parameters.retain(|(_, value)| !value.is_empty());
        parameters.extend(
            resources
                .iter()
                .map(|resource| ("resource", resource.as_str().into())),
        );
        parameters
    }

    /// The URL for the browser, with everything in the query. `resources` are the APIs for which the grant will be asked for
    /// tokens (RFC 8707 section 2.1).
    #[must_use]
    pub fn url(&self, metadata: &Metadata, client: &Client, resources: &[String]) -> Url {
        with_parameters(
            &metadata.authorization_endpoint,
            &self.parameters(client, resources),
        )
    }
}

impl fmt::Debug for AuthorizationRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizationRequest")
            .field("redirect_uri", &self.redirect_uri)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

/// The URL for the browser after a pushed request (RFC 9126 section 4).
#[must_use]
pub fn pushed_url(metadata: &Metadata, client: &Client, request_uri: &str) -> Url {
    with_parameters(
        &metadata.authorization_endpoint,
        &[
            ("client_id", client.id.as_str().into()),
            ("request_uri", request_uri.into()),
        ],
    )
}

/// `endpoint` with `parameters`. The endpoint's own query stays (RFC 6749 section 3.1), but no parameter may appear
/// twice, so that ours replaces one of the same name.
pub(super) fn with_parameters(endpoint: &Url, parameters: &[(&'static str, Cow<'_, str>)]) -> Url {
    let own: Vec<(String, String)> = endpoint
        .query_pairs()
        .filter(|(name, _)| !parameters.iter().any(|(ours, _)| ours == name))
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    let mut url = endpoint.clone();
    url.query_pairs_mut()
        .clear()
        .extend_pairs(own)
        .extend_pairs(parameters);
    url
}

// === impl RelyingParty ===

impl RelyingParty {
    /// The URL for the browser for `request`, which is pushed first if that is possible and wanted.
    ///
    /// # Errors
    ///
    /// [`CallError`], only of the push.
    pub async fn authorization_url(&self, request: &AuthorizationRequest) -> Result<Url, CallError> {
        let (metadata, client) = self.ready()?;
        let resources = self.resources(&metadata);
        match (self.shared.options.par, &metadata.par_endpoint) {
            (ParMode::Never, _) | (ParMode::Auto, None) => Ok(request.url(&metadata, &client, &resources)),
            (ParMode::Always, None) => Err(NotReady::ParEndpoint.into()),
            (ParMode::Auto | ParMode::Always, Some(endpoint)) => {
                let pushed = self
                    .push(&metadata, &client, endpoint, request, &resources)
                    .await?;
                Ok(pushed_url(&metadata, &client, &pushed.request_uri))
            }
        }
    }
}

#[cfg(test)]
mod tests;
