//! The options of registration.

use std::{path::PathBuf, time::Duration};

use url::Url;

use crate::{diagnostic::Knob, jose::Algorithm, private_file::Guard, secret::Secret};

/// The configuration of a [`Registration`](super::Registration).
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent switches of the configuration"
)]
pub struct Options {
    /// The client id to ask for; the IdP may assign another one.
    pub client_id: Option<String>,
    /// The setting that names it.
    pub client_id_knob: Knob,
    /// `client_profile`, an extension that some IdPs know.
    pub client_profile: Option<String>,
    /// The client's description for people.
    pub description: Description,
    /// Exact redirect URIs, unchanged: an IdP compares them byte by byte.
    pub redirect_uris: Vec<String>,
    /// The scopes, in the order in which they were configured.
    pub scopes: Vec<String>,
    /// The grants beside those of logins and refreshes that routes need.
    pub grants: Vec<&'static str>,
    /// `token_endpoint_auth_method`.
    pub auth_method: AuthMethod,
    /// The configured signing algorithm; without one it is negotiated.
    pub signing_algorithm: Option<Algorithm>,
    /// How the IdP gets our public keys.
    pub jwks: Jwks,
    /// The address at which the IdP reports logouts, if the IdP does so.
    pub backchannel_logout_uri: Option<String>,
    /// The address that a page of the IdP loads in a frame to report logouts: at the origin of a redirect URI.
    pub frontchannel_logout_uri: Option<String>,
    /// The address to which other sites may send people for a login (OpenID Connect Core 1.0 section 4), if it is
    /// https.
    pub initiate_login_uri: Option<String>,
    /// Register anew, once for each fresh initial access token.
    pub force_replace: bool,
    /// The initial access token (RFC 7591 section 1.2).
    pub initial_access_token: Option<Secret>,
    /// The IdP registers without an initial access token.
    pub open_registration: bool,
    /// Mints an initial access token when one is needed.
    pub admin_token: Option<Secret>,
    /// The path of the credentials file.
    pub credentials: PathBuf,
    /// The reaction to a credentials file that others can read.
    pub guard: Guard,
    /// Make no call; use the stored or configured client.
    pub skip: bool,
    /// A configured client secret, for [`skip`](Self::skip) without stored credentials.
    pub client_secret: Option<Secret>,
    /// A refused first registration does not stop the server.
    pub allow_failure: bool,
    /// The treatment of redirect URIs that the IdP has and the configuration does not name.
    pub redirect_update: RedirectUpdate,
    /// How a registration is updated.
    pub update_method: UpdateMethod,
    /// How often a running server compares its registration; `None` is only at its start.
    pub check_interval: Option<Duration>,
}

/// The description of a client that an IdP shows to people, on its consent page for example (RFC 7591 section 2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// `client_name`.
    pub name: String,
    /// `client_uri`: a page about the application.
    pub uri: Option<Url>,
    /// `logo_uri`.
    pub logo_uri: Option<Url>,
    /// `policy_uri`: the address of the privacy policy.
    pub policy_uri: Option<Url>,
    /// `tos_uri`: the terms of service.
    pub tos_uri: Option<Url>,
    /// `contacts`: who answers for the client, for the IdP's administrators.
    pub contacts: Vec<String>,
}

/// The treatment of the redirect URIs at the IdP, and of the post-logout ones with them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RedirectUpdate {
    /// The configured ones replace them.
    #[default]
    Replace,
    /// The configured ones are added; none is removed.
    Merge,
    /// They stay unchanged.
    Keep,
}

/// How a registration is updated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UpdateMethod {
    /// By PUT, or by PATCH if the IdP does not support PUT.
    #[default]
    Auto,
    /// Only by PUT (RFC 7592 section 2.2).
    Put,
    /// Only by PATCH, with the fields that differ (RFC 7396).
    Patch,
}

/// How the client authenticates at the token endpoint (`token_endpoint_auth_method`, RFC 7591 section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMethod {
    /// A signed assertion (OpenID Connect Core section 9).
    PrivateKeyJwt,
    /// The secret in an `Authorization: Basic` header.
    ClientSecretBasic,
    /// The secret in the form.
    ClientSecretPost,
}

/// How the IdP gets our public keys: `jwks_uri` or `jwks`, never both (RFC 7591 section 2).
#[derive(Clone, Debug)]
pub enum Jwks {
    /// It fetches them, so that keys rotate without an update.
    Uri(String),
    /// The JWK Set itself is registered; a changed one needs an update.
    Inline,
}

// === impl Description ===

impl Description {
    /// A client with only a name.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            uri: None,
            logo_uri: None,
            policy_uri: None,
            tos_uri: None,
            contacts: Vec::new(),
        }
    }
}

// === impl UpdateMethod ===

impl UpdateMethod {
    /// The methods tried in vain, in words.
    pub(super) const fn in_vain(self) -> &'static str {
        match self {
            Self::Auto => "neither by PUT nor by PATCH",
            Self::Put => "not by PUT",
            Self::Patch => "not by PATCH",
        }
    }

    /// The method left out.
    pub(super) const fn other(self) -> Option<&'static str> {
        match self {
            Self::Auto => None,
            Self::Put => Some("PATCH"),
            Self::Patch => Some("PUT"),
        }
    }
}

// === impl AuthMethod ===

impl AuthMethod {
    /// All of them.
    pub(super) const ALL: [Self; 3] = [
        Self::PrivateKeyJwt,
        Self::ClientSecretBasic,
        Self::ClientSecretPost,
    ];

    /// The registered name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PrivateKeyJwt => "private_key_jwt",
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
        }
    }
}
