//! The options of the IdP, and their files.

use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, de::DeserializeOwned};
use url::Url;

use crate::{
    client::AuthMethod,
    clock::{Clock, system_clock},
    secret::Secret,
};

const SAMPLE_DCR_CONFIG: &str = include_str!("../sample/dcr_config.yaml");
const SAMPLE_USERS: &str = include_str!("../sample/users.yaml");

/// Everything that [`Idp::new`](crate::Idp::new) needs.
#[derive(Clone)]
pub struct Options {
    /// Issuer identifier without a trailing slash; all endpoints live below it.
    pub issuer: String,
    /// The rules for registrations.
    pub dcr: DcrConfig,
    /// Who can log in.
    pub users: Vec<User>,
    /// `clients.yaml`: read at start if it is there, replaced atomically at every change. `None` keeps clients in memory.
    pub clients_file: Option<PathBuf>,
    /// Signing keys, logins, grants with their tokens, consents and initial access tokens: read at start if it
    /// exists, replaced atomically at every change. It contains unencrypted private keys. `None` keeps all of it in
    /// memory.
    pub state_file: Option<PathBuf>,
    /// Bearer token of the admin API.
    pub admin_token: Secret,
    /// The time.
    pub clock: Clock,
    /// Life of access tokens.
    pub access_token_lifetime: Duration,
    /// Life of a grant: all refresh tokens of one login end this long after it.
    pub refresh_token_lifetime: Duration,
    /// Life of ID tokens.
    pub id_token_lifetime: Duration,
    /// `aud` of access tokens.
    pub audience: String,
    /// Other APIs for which tokens can be asked, by their `aud` (RFC 8693, RFC 8707).
    pub resources: Vec<String>,
    /// `aud` of the access tokens that any client with the grant may exchange, also those of other clients: the APIs that such
    /// clients are. Without it, a client exchanges its own tokens only.
    pub exchanged_audiences: Vec<String>,
}

/// `dcr_config.yaml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DcrConfig {
    /// Rules for every client.
    pub policy: Policy,
    /// Profiles that a client can name as `client_profile`.
    #[serde(default)]
    pub client_profiles: BTreeMap<String, ClientProfile>,
}

/// `policy` of `dcr_config.yaml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Scopes that a client can register.
    pub allowed_scopes: Vec<String>,
    /// Whether a registration needs an initial access token (RFC 7591, section 3).
    #[serde(default = "yes")]
    pub require_initial_access_token: bool,
}

/// One of `client_profiles` of `dcr_config.yaml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientProfile {
    /// Whether new registrations may name it.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// The one authentication method of its clients.
    pub token_endpoint_auth_method: AuthMethod,
    /// Whether an authorization request needs PKCE (RFC 7636).
    #[serde(default = "yes")]
    pub require_pkce: bool,
}

/// A person of `users.yaml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// `sub` of all tokens.
    pub sub: String,
    /// The password.
    pub username: String,
    /// The password, in the clear: this is for development only.
    pub password: Secret,
    /// Full name.
    pub name: String,
    /// Mail address.
    pub email: String,
    /// Roles, as they appear in tokens.
    #[serde(default)]
    pub roles: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UsersFile {
    users: Vec<User>,
}

/// A configuration file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file has invalid content.
    #[error("{name}: {reason}")]
    Invalid {
        /// Which file.
        name: String,
        /// The mistake, with line and column if known. Never the content.
        reason: String,
    },
}

/// A mistake in [`Options`].
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    /// The issuer is not a URL that endpoints could live below.
    #[error(
        "the issuer `{0}` must be an absolute http or https URL without query, fragment and trailing slash"
    )]
    Issuer(String),
    /// Two users share a `sub` or a user name.
    #[error("two users share the sub or user name `{0}`")]
    DuplicateUser(String),
    /// An empty admin token would let everyone in.
    #[error("the admin token must not be empty")]
    AdminToken,
}

fn yes() -> bool {
    true
}

// === impl Options ===

impl Options {
    /// Options with the defaults of a development IdP and the clock of the machine; everything stays in memory.
    #[must_use]
    pub fn new(
        issuer: impl Into<String>,
        dcr: DcrConfig,
        users: Vec<User>,
        admin_token: impl Into<Secret>,
    ) -> Self {
        Self {
            issuer: issuer.into(),
            dcr,
            users,
            clients_file: None,
            state_file: None,
            admin_token: admin_token.into(),
            clock: system_clock(),
            access_token_lifetime: Duration::from_mins(1),
            refresh_token_lifetime: Duration::from_hours(8),
            id_token_lifetime: Duration::from_mins(5),
            audience: "sample-api".to_owned(),
            resources: Vec::new(),
            exchanged_audiences: Vec::new(),
        }
    }

    /// Reads `dcr_config.yaml` and `users.yaml` of a folder; `clients.yaml` of the same folder will hold the clients.
    ///
    /// # Errors
    ///
    /// If a file is unreadable or invalid.
    pub fn from_config_dir(
        dir: &Path,
        issuer: impl Into<String>,
        admin_token: impl Into<Secret>,
    ) -> Result<Self, ConfigError> {
        let dcr = DcrConfig::parse(&read(&dir.join("dcr_config.yaml"))?)?;
        let users = User::parse_file(&read(&dir.join("users.yaml"))?)?;
        let mut options = Self::new(issuer, dcr, users, admin_token);
        options.clients_file = Some(dir.join("clients.yaml"));
        Ok(options)
    }

    /// The sample files that this crate ships: `ada`, `grace` and `edsger`, each with the user name as password.
    ///
    /// # Errors
    ///
    /// Never, as long as the shipped files are right.
    pub fn sample(issuer: impl Into<String>, admin_token: impl Into<Secret>) -> Result<Self, ConfigError> {
        let dcr = DcrConfig::parse(SAMPLE_DCR_CONFIG)?;
        let users = User::parse_file(SAMPLE_USERS)?;
        Ok(Self::new(issuer, dcr, users, admin_token))
    }

    /// The sample `dcr_config.yaml`, for a first start that writes it into an empty folder.
    #[must_use]
    pub fn sample_dcr_config() -> &'static str {
        SAMPLE_DCR_CONFIG
    }

    /// The sample `users.yaml`.
    #[must_use]
    pub fn sample_users() -> &'static str {
        SAMPLE_USERS
    }

    pub(crate) fn check(&self) -> Result<Url, OptionsError> {
        let wrong_issuer = || OptionsError::Issuer(self.issuer.clone());
        let url = Url::parse(&self.issuer).map_err(|_| wrong_issuer())?;
        let usable = matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && !self.issuer.ends_with('/');
        if !usable {
            return Err(wrong_issuer());
        }
        for (index, user) in self.users.iter().enumerate() {
            let earlier = self.users.iter().take(index);
            if let Some(twin) = earlier
                .into_iter()
                .find(|other| other.sub == user.sub || other.username == user.username)
            {
                return Err(OptionsError::DuplicateUser(twin.username.clone()));
            }
        }
        if self.admin_token.expose().is_empty() {
            return Err(OptionsError::AdminToken);
        }
        Ok(url)
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("issuer", &self.issuer)
            .field("clients_file", &self.clients_file)
            .field("state_file", &self.state_file)
            .field("users", &self.users.len())
            .finish_non_exhaustive()
    }
}

// === impl DcrConfig ===

impl DcrConfig {
    /// Parses the text of `dcr_config.yaml`.
    ///
    /// # Errors
    ///
    /// If it is not valid YAML, has an unknown key or an invalid scope.
    pub fn parse(yaml: &str) -> Result<Self, ConfigError> {
        let config: Self = from_yaml("dcr_config.yaml", yaml)?;
        let bad = config
            .policy
            .allowed_scopes
            .iter()
            .find(|scope| !is_scope_token(scope));
        match bad {
            Some(scope) => Err(ConfigError::Invalid {
                name: "dcr_config.yaml".to_owned(),
                reason: format!("policy.allowed_scopes: `{scope}` is not a scope (RFC 6749, section 3.3)"),
            }),
            None => Ok(config),
        }
    }
}

// === impl User ===

impl User {
    /// Parses the text of `users.yaml`.
    ///
    /// # Errors
    ///
    /// If it is not valid YAML or has an unknown key.
    pub fn parse_file(yaml: &str) -> Result<Vec<Self>, ConfigError> {
        from_yaml::<UsersFile>("users.yaml", yaml).map(|file| file.users)
    }
}

/// RFC 6749, section 3.3: printable ASCII without space, quote and backslash.
pub(crate) fn is_scope_token(scope: &str) -> bool {
    !scope.is_empty()
        && scope
            .bytes()
            .all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
        path: path.to_owned(),
        source,
    })
}

/// Parses YAML with messages that never quote the file, because a neighbouring line may be a password.
pub(crate) fn from_yaml<T: DeserializeOwned>(name: &str, yaml: &str) -> Result<T, ConfigError> {
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(yaml, options).map_err(|error| ConfigError::Invalid {
        name: name.to_owned(),
        reason: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_samples_are_right() {
        let options = Options::sample("http://127.0.0.1:4444", "admin").unwrap();
        assert_eq!(options.users.len(), 3);
        assert!(options.dcr.policy.require_initial_access_token);
        assert!(options.dcr.client_profiles["code-flow-secret"].enabled);
        assert!(options.check().is_ok());
    }

    #[test]
    fn an_unknown_key_is_named_and_no_password_is_quoted() {
        let yaml = "users:\n  - sub: a\n    username: a\n    password: hunter2\n    nick: x\n    name: A\n    email: a@b\n";
        let message = User::parse_file(yaml).unwrap_err().to_string();
        assert!(message.contains("nick"), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
    }

    #[test]
    fn an_issuer_with_a_trailing_slash_is_refused() {
        for issuer in [
            "http://127.0.0.1:1/",
            "ftp://x",
            "nonsense",
            "http://a/?q",
            "http://u@a/b",
        ] {
            let options = Options::sample(issuer, "admin").unwrap();
            assert!(
                matches!(options.check(), Err(OptionsError::Issuer(_))),
                "{issuer}"
            );
        }
    }

    #[test]
    fn debug_of_options_says_nothing_secret() {
        let options = Options::sample("http://127.0.0.1:1", "very-secret-admin").unwrap();
        assert!(!format!("{options:?}").contains("very-secret-admin"));
    }
}
