//! A registered client.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::secret::Digest;

/// How a client proves who it is at the token endpoint (RFC 7591, section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthMethod {
    /// A signed assertion (RFC 7523, OpenID Connect Core 9).
    PrivateKeyJwt,
    /// The secret in an `Authorization: Basic` header (RFC 6749, section 2.3.1).
    ClientSecretBasic,
    /// The secret in the body (RFC 6749, section 2.3.1).
    ClientSecretPost,
}

/// One entry of `clients.yaml`. The order of the fields is the order in the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_field_names,
    reason = "the names are those of RFC 7591, section 2"
)]
pub(crate) struct Client {
    pub(crate) client_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) client_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) client_profile: Option<String>,
    pub(crate) token_endpoint_auth_method: AuthMethod,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token_endpoint_auth_signing_alg: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) jwks_uri: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) jwks: Option<Value>,
    pub(crate) redirect_uris: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) post_logout_redirect_uris: Vec<String>,
    pub(crate) grant_types: Vec<String>,
    pub(crate) response_types: Vec<String>,
    pub(crate) scope: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) application_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) id_token_signed_response_alg: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) backchannel_logout_uri: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) backchannel_logout_session_required: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) frontchannel_logout_uri: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) frontchannel_logout_session_required: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) initiate_login_uri: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) client_uri: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) logo_uri: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) policy_uri: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tos_uri: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) contacts: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) software_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) software_version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) client_id_issued_at: Option<u64>,
    /// Only the digest is stored: a copy of `clients.yaml` lets nobody in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) client_secret_sha256: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) registration_access_token_sha256: Option<Digest>,
}

// === impl AuthMethod ===

impl AuthMethod {
    /// All that this IdP supports.
    pub const ALL: [Self; 3] = [
        Self::PrivateKeyJwt,
        Self::ClientSecretBasic,
        Self::ClientSecretPost,
    ];

    /// The registered name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PrivateKeyJwt => "private_key_jwt",
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == name)
    }

    pub(crate) fn uses_secret(self) -> bool {
        match self {
            Self::PrivateKeyJwt => false,
            Self::ClientSecretBasic | Self::ClientSecretPost => true,
        }
    }
}

impl fmt::Display for AuthMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl Client ===

impl Client {
    /// The registered metadata as a registration answer carries it (RFC 7591, section 3.2.1), without secrets.
    pub(crate) fn wire(&self) -> Map<String, Value> {
        let Ok(Value::Object(mut map)) = serde_json::to_value(self) else {
            return Map::new();
        };
        map.remove("client_secret_sha256");
        map.remove("registration_access_token_sha256");
        map
    }

    pub(crate) fn allows_grant(&self, grant: &str) -> bool {
        self.grant_types.iter().any(|allowed| allowed == grant)
    }

    pub(crate) fn allows_scope(&self, scope: &str) -> bool {
        self.scope.split(' ').any(|allowed| allowed == scope)
    }

    /// The fields for people.
    pub(crate) fn display_name(&self) -> &str {
        self.client_name.as_deref().unwrap_or(&self.client_id)
    }
}
