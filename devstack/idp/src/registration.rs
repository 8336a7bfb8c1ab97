//! Which client metadata is accepted (RFC 7591, section 2; OpenID Connect Registration 1.0).

use serde::Deserialize;
use serde_json::Value;

use crate::{
    client::{AuthMethod, Client},
    client_auth::{SIGNING_ALGS, keys},
    options::DcrConfig,
    web::api_tokens::{CLIENT_CREDENTIALS, TOKEN_EXCHANGE},
};

mod uris;

/// Algorithms that ID tokens can be signed with.
pub(crate) const ID_TOKEN_ALGS: [&str; 2] = ["RS256", "ES256"];

pub(crate) const GRANT_TYPES: [&str; 4] = [
    "authorization_code",
    "refresh_token",
    CLIENT_CREDENTIALS,
    TOKEN_EXCHANGE,
];
const MAX_TEXT: usize = 1024;

/// Client metadata as received. Unknown members are ignored, as in RFC 7591.
#[derive(Deserialize)]
pub(crate) struct RequestedMetadata {
    pub(crate) client_id: Option<String>,
    pub(crate) client_secret: Option<String>,
    client_name: Option<String>,
    client_profile: Option<String>,
    token_endpoint_auth_method: Option<String>,
    token_endpoint_auth_signing_alg: Option<String>,
    jwks_uri: Option<String>,
    jwks: Option<Value>,
    redirect_uris: Option<Vec<String>>,
    post_logout_redirect_uris: Option<Vec<String>>,
    grant_types: Option<Vec<String>>,
    response_types: Option<Vec<String>>,
    scope: Option<String>,
    application_type: Option<String>,
    subject_type: Option<String>,
    id_token_signed_response_alg: Option<String>,
    backchannel_logout_uri: Option<String>,
    backchannel_logout_session_required: Option<bool>,
    frontchannel_logout_uri: Option<String>,
    frontchannel_logout_session_required: Option<bool>,
    initiate_login_uri: Option<String>,
    client_uri: Option<String>,
    logo_uri: Option<String>,
    policy_uri: Option<String>,
    tos_uri: Option<String>,
    contacts: Option<Vec<String>>,
    software_id: Option<String>,
    software_version: Option<String>,
}

/// Why metadata is refused (RFC 7591, section 3.2.2).
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MetadataError {
    #[error("{0}")]
    RedirectUri(String),
    #[error("{0}")]
    Scope(String),
    #[error("{0}")]
    Metadata(String),
}

type Checked<T> = Result<T, MetadataError>;

// === impl MetadataError ===

impl MetadataError {
    fn metadata(description: impl Into<String>) -> Self {
        Self::Metadata(description.into())
    }
}

// === impl RequestedMetadata ===

impl RequestedMetadata {
    /// Checks everything and fills in the defaults. Id, secret and tokens are the caller's business.
    pub(crate) fn validate(self, config: &DcrConfig, client_id: String) -> Checked<Client> {
        let method = self.method(config)?;
        self.check_keys(method)?;
        self.check_texts()?;
        if let Some(alg) = self.token_endpoint_auth_signing_alg.as_deref() {
            one_of("token_endpoint_auth_signing_alg", alg, &SIGNING_ALGS)?;
        }
        if let Some(alg) = self.id_token_signed_response_alg.as_deref() {
            one_of("id_token_signed_response_alg", alg, &ID_TOKEN_ALGS)?;
        }
        if let Some(kind) = self.application_type.as_deref() {
            one_of("application_type", kind, &["web", "native"])?;
        }
        if let Some(kind) = self.subject_type.as_deref() {
            one_of("subject_type", kind, &["public"])?;
        }
        let (grant_types, response_types) = self.flows()?;
        let scope = self.scope(config)?;
        let redirect_uris = self.redirect_uris.unwrap_or_default();
        uris::check_redirect_uris(&redirect_uris).map_err(MetadataError::RedirectUri)?;
        let post_logout_redirect_uris = self.post_logout_redirect_uris.unwrap_or_default();
        uris::check_list("post_logout_redirect_uris", &post_logout_redirect_uris)
            .map_err(MetadataError::Metadata)?;
        // OpenID Connect Dynamic Client Registration 1.0 section 2.
        if self
            .initiate_login_uri
            .as_ref()
            .is_some_and(|uri| !uri.starts_with("https://"))
        {
            return Err(MetadataError::metadata("initiate_login_uri must use https"));
        }
        for (name, uri) in [
            ("jwks_uri", &self.jwks_uri),
            ("backchannel_logout_uri", &self.backchannel_logout_uri),
            ("frontchannel_logout_uri", &self.frontchannel_logout_uri),
            ("initiate_login_uri", &self.initiate_login_uri),
            ("client_uri", &self.client_uri),
            ("logo_uri", &self.logo_uri),
            ("policy_uri", &self.policy_uri),
            ("tos_uri", &self.tos_uri),
        ] {
            if let Some(uri) = uri {
                uris::check(uri).map_err(|reason| MetadataError::Metadata(format!("{name}: {reason}")))?;
            }
        }
        Ok(Client {
            client_id,
            client_name: self.client_name,
            client_profile: self.client_profile,
            token_endpoint_auth_method: method,
            token_endpoint_auth_signing_alg: self.token_endpoint_auth_signing_alg,
            jwks_uri: self.jwks_uri,
            jwks: self.jwks,
            redirect_uris,
            post_logout_redirect_uris,
            grant_types,
            response_types,
            scope,
            application_type: Some(self.application_type.unwrap_or_else(|| "web".to_owned())),
            id_token_signed_response_alg: Some(
                self.id_token_signed_response_alg
                    .unwrap_or_else(|| "RS256".to_owned()),
            ),
            backchannel_logout_uri: self.backchannel_logout_uri,
            backchannel_logout_session_required: self.backchannel_logout_session_required,
            frontchannel_logout_uri: self.frontchannel_logout_uri,
            frontchannel_logout_session_required: self.frontchannel_logout_session_required,
            initiate_login_uri: self.initiate_login_uri,
            client_uri: self.client_uri,
            logo_uri: self.logo_uri,
            policy_uri: self.policy_uri,
            tos_uri: self.tos_uri,
            contacts: self.contacts.unwrap_or_default(),
            software_id: self.software_id,
            software_version: self.software_version,
            client_id_issued_at: None,
            client_secret_sha256: None,
            registration_access_token_sha256: None,
        })
    }

    fn method(&self, config: &DcrConfig) -> Checked<AuthMethod> {
        let asked = match self.token_endpoint_auth_method.as_deref() {
            None => None,
            Some(name) => Some(AuthMethod::parse(name).ok_or_else(|| {
                let known = AuthMethod::ALL.map(AuthMethod::as_str).join(", ");
                MetadataError::metadata(format!(
                    "token_endpoint_auth_method {name} is not supported, only {known}"
                ))
            })?),
        };
        let Some(name) = self.client_profile.as_deref() else {
            // RFC 7591, section 2: the default value.
            return Ok(asked.unwrap_or(AuthMethod::ClientSecretBasic));
        };
        let profile = config
            .client_profiles
            .get(name)
            .ok_or_else(|| MetadataError::metadata(format!("client_profile {name} is not known")))?;
        if !profile.enabled {
            return Err(MetadataError::metadata(format!(
                "client_profile {name} is not enabled"
            )));
        }
        let required = profile.token_endpoint_auth_method;
        match asked {
            Some(method) if method != required => Err(MetadataError::metadata(format!(
                "client_profile {name} needs token_endpoint_auth_method {required}, not {method}"
            ))),
            _ => Ok(required),
        }
    }

    fn check_keys(&self, method: AuthMethod) -> Checked<()> {
        match (&self.jwks, &self.jwks_uri) {
            (Some(_), Some(_)) => {
                return Err(MetadataError::metadata(
                    "jwks and jwks_uri must not be sent together",
                ));
            }
            (None, None) if method == AuthMethod::PrivateKeyJwt => {
                return Err(MetadataError::metadata("private_key_jwt needs jwks_uri or jwks"));
            }
            _ => {}
        }
        match &self.jwks {
            None => Ok(()),
            Some(jwks) => {
                let usable = keys::check_inline(jwks).map_err(MetadataError::Metadata)?;
                if usable == 0 && method == AuthMethod::PrivateKeyJwt {
                    return Err(MetadataError::metadata(
                        "jwks holds no key that could verify a signature",
                    ));
                }
                Ok(())
            }
        }
    }

    fn check_texts(&self) -> Checked<()> {
        let contacts = self
            .contacts
            .iter()
            .flatten()
            .map(|contact| ("contacts", contact));
        let texts = [
            ("client_name", &self.client_name),
            ("software_id", &self.software_id),
            ("software_version", &self.software_version),
        ];
        let texts = texts
            .into_iter()
            .filter_map(|(name, text)| text.as_ref().map(|text| (name, text)));
        for (name, text) in texts.chain(contacts) {
            if text.len() > MAX_TEXT || text.chars().any(char::is_control) {
                return Err(MetadataError::Metadata(format!(
                    "{name} is too long or has control characters"
                )));
            }
        }
        Ok(())
    }

    fn flows(&self) -> Checked<(Vec<String>, Vec<String>)> {
        let grants = self
            .grant_types
            .clone()
            .unwrap_or_else(|| vec!["authorization_code".to_owned()]);
        for grant in &grants {
            one_of("grant_types", grant, &GRANT_TYPES)?;
        }
        let responses = self
            .response_types
            .clone()
            .unwrap_or_else(|| vec!["code".to_owned()]);
        for response in &responses {
            one_of("response_types", response, &["code"])?;
        }
        // RFC 7591, section 2.1: the two must fit each other.
        let code_grant = grants.iter().any(|grant| grant == "authorization_code");
        if !code_grant || responses.is_empty() {
            return Err(MetadataError::metadata(
                "grant_types must hold authorization_code and response_types code",
            ));
        }
        Ok((grants, responses))
    }

    fn scope(&self, config: &DcrConfig) -> Checked<String> {
        let allowed = &config.policy.allowed_scopes;
        let Some(scope) = self.scope.as_deref() else {
            return Ok(allowed.join(" "));
        };
        let asked: Vec<&str> = scope.split(' ').filter(|scope| !scope.is_empty()).collect();
        let refused: Vec<&str> = asked
            .iter()
            .copied()
            .filter(|scope| !allowed.iter().any(|known| known == scope))
            .collect();
        if refused.is_empty() {
            Ok(asked.join(" "))
        } else {
            Err(MetadataError::Scope(format!(
                "policy.allowed_scopes does not allow: {}",
                refused.join(" ")
            )))
        }
    }
}

/// Whether a client may have this id.
pub(crate) fn check_client_id(client_id: &str) -> Result<(), MetadataError> {
    let good = (1..=128).contains(&client_id.len())
        && client_id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b));
    if good {
        Ok(())
    } else {
        Err(MetadataError::metadata(
            "client_id must be 1 to 128 characters of A-Z a-z 0-9 - . _ ~",
        ))
    }
}

fn one_of(name: &str, value: &str, known: &[&str]) -> Checked<()> {
    if known.contains(&value) {
        return Ok(());
    }
    Err(MetadataError::Metadata(format!(
        "{name} {value} is not supported, only {}",
        known.join(", ")
    )))
}

#[cfg(test)]
mod tests;
