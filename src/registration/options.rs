//! What registration is started with.

use std::{path::PathBuf, time::Duration};

use url::Url;

use crate::{jose::Algorithm, private_file::Guard, secret::Secret};

/// Everything that [`Registration`](super::Registration) is told by the configuration.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent switches of the configuration"
)]
pub struct Options {
    /// The client id to ask for; the IdP may assign another one.
    pub client_id: Option<String>,
    /// `client_profile`, an extension that some IdPs know.
    pub client_profile: Option<String>,
    /// What people are shown of the client.
    pub description: Description,
    /// Exact redirect URIs, as they stand: an IdP compares them byte by byte.
    pub redirect_uris: Vec<String>,
    /// The scopes, in the order in which they were configured.
    pub scopes: Vec<String>,
    /// `token_endpoint_auth_method`.
    pub auth_method: AuthMethod,
    /// The configured signing algorithm; without one it is negotiated.
    pub signing_algorithm: Option<Algorithm>,
    /// How the IdP gets our public keys.
    pub jwks: Jwks,
    /// Where the IdP tells us of logouts, if it does that.
    pub backchannel_logout_uri: Option<String>,
    /// What a page of the IdP may show in a frame to tell us of logouts: at the origin of a redirect URI.
    pub frontchannel_logout_uri: Option<String>,
    /// Where other sites may send people to log in (OpenID Connect Core 1.0 section 4), if that is https.
    pub initiate_login_uri: Option<String>,
    /// Register anew, once for each fresh initial access token.
    pub force_replace: bool,
    /// The initial access token (RFC 7591 section 1.2).
    pub initial_access_token: Option<Secret>,
    /// The IdP registers without an initial access token.
    pub open_registration: bool,
    /// Lets us mint an initial access token where one is needed.
    pub admin_token: Option<Secret>,
    /// Where the credentials file is.
    pub credentials: PathBuf,
    /// What is done where others can use that file.
    pub guard: Guard,
    /// Make no call; live on what is stored or configured.
    pub skip: bool,
    /// A configured client secret, for [`skip`](Self::skip) without stored credentials.
    pub client_secret: Option<Secret>,
    /// A refused first registration does not stop the server.
    pub allow_failure: bool,
    /// What becomes of redirect URIs that the IdP has and we do not know.
    pub redirect_update: RedirectUpdate,
    /// How a registration is updated.
    pub update_method: UpdateMethod,
    /// How often a running server compares its registration; `None` is only at its start.
    pub check_interval: Option<Duration>,
}

/// What an IdP shows people of a client, on its consent page for example (RFC 7591 section 2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// `client_name`.
    pub name: String,
    /// `client_uri`: a page about the application.
    pub uri: Option<Url>,
    /// `logo_uri`.
    pub logo_uri: Option<Url>,
    /// `policy_uri`: what is done with people's data.
    pub policy_uri: Option<Url>,
    /// `tos_uri`: the terms of service.
    pub tos_uri: Option<Url>,
    /// `contacts`: who answers for the client, for the IdP's administrators.
    pub contacts: Vec<String>,
}

/// What becomes of the redirect URIs at the IdP, and of the post-logout ones with them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RedirectUpdate {
    /// They become what the configuration names.
    #[default]
    Replace,
    /// What the configuration names is added to them; none is taken away.
    Merge,
    /// They stay as they are.
    Keep,
}

/// How a registration is updated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UpdateMethod {
    /// By PUT, and by PATCH where the IdP does no PUT.
    #[default]
    Auto,
    /// By PUT alone (RFC 7592 section 2.2).
    Put,
    /// By PATCH alone, with the fields that differ (RFC 7396).
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
    /// A client that says its name alone.
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
    /// What was tried in vain, in words.
    pub(super) const fn in_vain(self) -> &'static str {
        match self {
            Self::Auto => "neither by PUT nor by PATCH",
            Self::Put => "not by PUT",
            Self::Patch => "not by PATCH",
        }
    }

    /// What it leaves out.
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
