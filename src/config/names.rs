//! The names of knobs, and the places where they were set.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use crate::diagnostic::{Knob, Words};

/// The words of this configuration: names of variables, keys of `settings.yaml` with their lines, names of files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// The place of each variable that is set.
    set: BTreeMap<&'static str, Source>,
}

/// The place of a value, with its name there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// In the environment.
    Environment(String),
    /// In `settings.yaml`.
    Settings {
        /// The key.
        key: String,
        /// The line.
        line: u64,
    },
}

/// The variables from which the path of the signing key follows, the first one that is set.
const KEY: [&str; 3] = ["BFF_JWT_SIGNING_KEY", "DCR_SIGNING_KEY", "BFF_KEYS_DIR"];
/// The same for the state folder.
const STATE: [&str; 4] = [
    "BFF_STATE_DIR",
    "BFF_KEYS_DIR",
    "BFF_JWT_SIGNING_KEY",
    "DCR_SIGNING_KEY",
];
/// The same for the file of the registered client.
const CREDENTIALS: [&str; 5] = [
    "BFF_CLIENT_CRED_PATH",
    "BFF_STATE_DIR",
    "BFF_KEYS_DIR",
    "BFF_JWT_SIGNING_KEY",
    "DCR_SIGNING_KEY",
];

/// The kind of thing that a knob is in this process.
enum Place {
    /// The variable of this name.
    Variable(&'static str),
    /// Something else, by its name.
    Elsewhere(&'static str),
}

// === impl Names ===

impl Names {
    pub(super) fn new(set: impl IntoIterator<Item = (&'static str, Source)>) -> Self {
        Self {
            set: set.into_iter().collect(),
        }
    }

    /// The variable of `knob`, with the place where it was set; `None` if the knob is not a variable.
    #[must_use]
    pub fn variable(&self, knob: Knob) -> Option<(&'static str, Option<&Source>)> {
        match self.place(knob) {
            Place::Variable(name) => Some((name, self.set.get(name))),
            Place::Elsewhere(_) => None,
        }
    }

    /// The place where a person finds `knob` here.
    fn place(&self, knob: Knob) -> Place {
        let (usual, others): (&'static str, &[&'static str]) = match knob {
            Knob::KeyPlace => ("BFF_KEYS_DIR", &KEY),
            Knob::StatePlace => ("BFF_STATE_DIR", &STATE),
            Knob::CredentialsPlace => ("BFF_CLIENT_CRED_PATH", &CREDENTIALS),
            _ => return place(knob),
        };
        let found = others.iter().copied().find(|name| self.set.contains_key(name));
        Place::Variable(found.unwrap_or(usual))
    }
}

impl Words for Names {
    fn name(&self, knob: Knob) -> Cow<'_, str> {
        match self.place(knob) {
            Place::Variable(name) => match self.set.get(name) {
                Some(source) => Cow::Owned(source.to_string()),
                None => Cow::Borrowed(name),
            },
            Place::Elsewhere(name) => Cow::Borrowed(name),
        }
    }

    fn setting(&self, knob: Knob, value: &str) -> String {
        match self.place(knob) {
            Place::Variable(name) => match self.set.get(name) {
                Some(Source::Settings { key, line }) => {
                    format!("{key}: {value} (settings.yaml, line {line})")
                }
                Some(Source::Environment(_)) | None => format!("{name}={value}"),
            },
            Place::Elsewhere(name) => format!("{name} to {value}"),
        }
    }
}

// === impl Source ===

impl Source {
    pub(super) const fn is_settings(&self) -> bool {
        matches!(self, Self::Settings { .. })
    }

    /// The name that stands there.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Environment(name) => name,
            Self::Settings { key, .. } => key,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment(name) => f.write_str(name),
            Self::Settings { key, line } => write!(f, "{key} (settings.yaml, line {line})"),
        }
    }
}

/// The place where a person finds `knob`, whatever is set.
const fn place(knob: Knob) -> Place {
    match knob {
        Knob::Issuer => Place::Variable("OIDC_ISSUER"),
        Knob::ProviderBase => Place::Variable("IDP_BASE_URL"),
        Knob::ProviderCa => Place::Variable("IDP_CA_FILE"),
        Knob::AuthorizationEndpoint => Place::Variable("OIDC_AUTHORIZATION_URL"),
        Knob::TokenEndpoint => Place::Variable("OIDC_TOKEN_URL"),
        Knob::ProviderKeys => Place::Variable("OIDC_JWKS_URL"),
        Knob::ParEndpoint => Place::Variable("OIDC_PAR_URL"),
        Knob::UserinfoEndpoint => Place::Variable("OIDC_USERINFO_URL"),
        Knob::EndSessionEndpoint => Place::Variable("OIDC_END_SESSION_URL"),
        Knob::RevocationEndpoint => Place::Variable("OIDC_REVOCATION_URL"),
        Knob::IntrospectionEndpoint => Place::Variable("OIDC_INTROSPECTION_URL"),
        Knob::RegistrationEndpoint => Place::Variable("DCR_REGISTRATION_URL"),
        Knob::Scopes => Place::Variable("OIDC_SCOPES"),
        Knob::Prompt => Place::Variable("OIDC_PROMPT"),
        Knob::EmailTrusted => Place::Variable("OIDC_EMAIL_TRUSTED"),
        Knob::TrustedAudiences => Place::Variable("OIDC_TRUSTED_AUDIENCES"),
        Knob::HttpsProxy => Place::Variable("HTTPS_PROXY"),
        Knob::HttpProxy => Place::Variable("HTTP_PROXY"),
        Knob::NoProxy => Place::Variable("NO_PROXY"),
        Knob::SystemCa => Place::Variable("SSL_CERT_FILE"),
        Knob::SystemCaFolder => Place::Variable("SSL_CERT_DIR"),
        Knob::ClientId => Place::Variable("AUTH_CLIENT_ID"),
        Knob::ClientSecret => Place::Variable("AUTH_CLIENT_SECRET"),
        Knob::AuthMethod => Place::Variable("MS_BFF_TOKEN_AUTH_METHOD"),
        Knob::SigningAlgorithm => Place::Variable("BFF_JWT_SIGNING_ALG"),
        Knob::AssertionAudience => Place::Variable("BFF_ASSERTION_AUDIENCE"),
        Knob::AssertionTyp => Place::Variable("BFF_ASSERTION_TYP"),
        Knob::Par => Place::Variable("MS_BFF_PAR_ENABLED"),
        Knob::ResourceIndicators => Place::Variable("OIDC_RESOURCE_INDICATORS"),
        Knob::SigningKey => Place::Variable("BFF_JWT_SIGNING_KEY"),
        Knob::KeyId => Place::Variable("BFF_KID"),
        Knob::KeyType => Place::Variable("BFF_KEY_TYPE"),
        Knob::PublishAhead => Place::Variable("BFF_JWK_PUBLISH_AHEAD"),
        Knob::ExtraKeys => Place::Variable("BFF_JWKS_EXTRA_KEYS"),
        Knob::KeysFolder | Knob::KeyPlace => Place::Variable("BFF_KEYS_DIR"),
        Knob::StateFolder | Knob::StatePlace => Place::Variable("BFF_STATE_DIR"),
        Knob::StateStore => Place::Variable("BFF_STATE_STORE"),
        Knob::AllowOpenFiles => Place::Variable("BFF_DANGER_ALLOW_OPEN_FILES"),
        Knob::AllowHttp => Place::Variable("BFF_DANGER_ALLOW_HTTP"),
        Knob::Registration => Place::Variable("DCR_ENABLED"),
        Knob::SkipRegistration => Place::Variable("SKIP_DCR_BOOTSTRAP"),
        Knob::InitialAccessToken => Place::Variable("DCR_IAT"),
        Knob::AdminToken => Place::Variable("BOOTSTRAP_ADMIN_TOKEN"),
        Knob::ForceReplace => Place::Variable("DCR_FORCE_REPLACE"),
        Knob::RequestedClientId => Place::Variable("DCR_CLIENT_ID"),
        Knob::ClientProfile => Place::Variable("DCR_CLIENT_PROFILE"),
        Knob::RedirectUris => Place::Variable("DCR_REDIRECT_URIS"),
        Knob::RedirectUpdate => Place::Variable("DCR_REDIRECT_UPDATE_MODE"),
        Knob::RotationSafe => Place::Variable("DCR_ROTATION_SAFE"),
        Knob::UpdateMethod => Place::Variable("DCR_UPDATE_METHOD"),
        Knob::JwksUri => Place::Variable("DCR_JWKS_URI"),
        Knob::CredentialsPath | Knob::CredentialsPlace => Place::Variable("BFF_CLIENT_CRED_PATH"),
        Knob::BaseUrl => Place::Variable("BFF_BASE_URL"),
        Knob::InternalAddress => Place::Variable("BFF_INTERNAL_ADDR"),
        Knob::AdminSocket => Place::Variable("BFF_ADMIN_SOCKET"),
        Knob::TrustedProxies => Place::Variable("BFF_TRUSTED_PROXIES"),
        Knob::MaxConnections => Place::Variable("MAX_CONNECTIONS"),
        Knob::MaxConnectionsPerAddress => Place::Variable("MAX_CONNECTIONS_PER_ADDRESS"),
        Knob::SessionSecret => Place::Variable("SESSION_SECRET"),
        Knob::StoreKind => Place::Variable("SESSION_STORE"),
        Knob::SessionMax => Place::Variable("SESSION_MAX"),
        Knob::SessionMemory => Place::Variable("SESSION_MEMORY_LIMIT"),
        Knob::Redis => Place::Variable("REDIS_URL"),
        Knob::RedisCa => Place::Variable("REDIS_CA_FILE"),
        Knob::RedisClientCert => Place::Variable("REDIS_CLIENT_CERT_FILE"),
        Knob::RedisClientKey => Place::Variable("REDIS_CLIENT_KEY"),
        Knob::CookieName => Place::Variable("SESSION_COOKIE_NAME"),
        Knob::CookieDomain => Place::Variable("BFF_COOKIE_DOMAIN"),
        Knob::CookieSecure => Place::Variable("BFF_COOKIE_SECURE"),
        Knob::Host => Place::Variable("HOST"),
        Knob::Port => Place::Variable("PORT"),
        Knob::Templates => Place::Variable("BFF_TEMPLATES_DIR"),
        Knob::LogLevel => Place::Variable("LOG_LEVEL"),
        Knob::CredentialsFile => Place::Elsewhere("bff_client.json"),
        Knob::KeyringFile => Place::Elsewhere("keyring.json"),
        Knob::RoutesFile => Place::Elsewhere("routes.yaml"),
        Knob::IdpsFile => Place::Elsewhere("idps.yaml"),
        Knob::ProviderScopes => Place::Elsewhere("policy.allowed_scopes at the IdP (dcr_config.yaml)"),
        Knob::ProviderClient => Place::Elsewhere("the client at the IdP"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::catalogue, diagnostic::fix};

    #[test]
    fn a_knob_is_called_as_it_was_set_here() {
        let names = Names::new([
            ("OIDC_ISSUER", Source::Environment("AUTH_ISSUER".to_owned())),
            (
                "OIDC_SCOPES",
                Source::Settings {
                    key: "oidc_scopes".to_owned(),
                    line: 14,
                },
            ),
            ("DCR_IAT", Source::Environment("DCR_IAT_FILE".to_owned())),
        ]);
        let fix = fix!(
            "correct {}, {} or {}; set {} and {}, and restore {}",
            Knob::Issuer,
            Knob::Scopes,
            Knob::ProviderBase,
            Knob::InitialAccessToken.to("none"),
            Knob::Scopes.to("openid"),
            Knob::CredentialsFile,
        );
        assert_eq!(
            fix.in_words(&names),
            "correct AUTH_ISSUER, oidc_scopes (settings.yaml, line 14) or IDP_BASE_URL; set DCR_IAT=none and oidc_scopes: openid \
             (settings.yaml, line 14), and restore bff_client.json"
        );
    }

    #[test]
    fn a_path_is_named_by_the_variable_that_it_follows_from() {
        let named = |set: &[&'static str], knob| {
            let set = set
                .iter()
                .map(|name| (*name, Source::Environment((*name).to_owned())));
            Names::new(set).name(knob).into_owned()
        };
        let (keys, key) = ("BFF_KEYS_DIR", "BFF_JWT_SIGNING_KEY");
        for (set, names) in [
            (&[][..], [keys, "BFF_STATE_DIR", "BFF_CLIENT_CRED_PATH"]),
            (&[keys], [keys, keys, keys]),
            (&[key], [key, key, key]),
            (&[key, keys], [key, keys, keys]),
            (&[keys, "BFF_STATE_DIR"], [keys, "BFF_STATE_DIR", "BFF_STATE_DIR"]),
            (
                &["BFF_CLIENT_CRED_PATH"],
                [keys, "BFF_STATE_DIR", "BFF_CLIENT_CRED_PATH"],
            ),
        ] {
            let knobs = [Knob::KeyPlace, Knob::StatePlace, Knob::CredentialsPlace];
            assert_eq!(knobs.map(|knob| named(set, knob)), names, "{set:?}");
        }
    }

    #[test]
    fn every_variable_of_a_knob_is_in_the_catalogue() {
        for knob in Knob::ALL {
            if let Some((name, _)) = Names::default().variable(*knob) {
                assert!(
                    catalogue::find(name).is_some_and(|found| found.name == name),
                    "{name}"
                );
            }
        }
    }
}
