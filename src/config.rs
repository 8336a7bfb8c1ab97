//! The configuration: environment over `settings.yaml`, every mistake reported at once.
//!
//! [`Config::load`] reads, checks and cross-checks everything before anything is bound, and yields plain settings by
//! section, from which the modules' own `Options` are made. Nothing below knows this module, and nothing else reads
//! the environment.

pub mod catalogue;

mod address;
mod binding;
mod client;
mod cookies;
mod damage;
mod environment;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod key_files;
mod legacy;
mod login;
mod names;
mod network;
mod not_built;
mod pages;
mod parse;
mod path;
mod problem;
mod provider;
mod reader;
mod redis_url;

mod reference;
mod registration;
mod schema;
mod server;
mod session;
mod settings_file;
mod sources;
mod telemetry;
mod tokens;
mod unknown;

use std::path::PathBuf;

use url::Url;

use self::reader::Reader;
pub use self::{
    address::Origin,
    client::ClientSettings,
    cookies::CookieSettings,
    environment::Environment,
    key_files::{KeySettings, StateStore},
    login::LoginSettings,
    names::{Names, Source},
    network::NetworkSettings,
    pages::PageSettings,
    path::check_argument,
    problem::{ConfigError, Problem, Severity, Warning},
    provider::{EndpointSettings, PromptSetting, ProviderSettings},
    reference::reference,
    registration::RegistrationSettings,
    schema::schema,
    server::{ForwardedHeaders, ServerSettings},
    session::{MasterSecret, SessionSettings, StoreKind},
    telemetry::TelemetrySettings,
    tokens::TokenSettings,
};
use crate::session::Binding;

/// Everything that can be set, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Listeners, own origin, proxies.
    pub server: ServerSettings,
    /// The identity provider.
    pub provider: ProviderSettings,
    /// The way to other servers.
    pub network: NetworkSettings,
    /// The OAuth client.
    pub client: ClientSettings,
    /// Keys and files.
    pub keys: KeySettings,
    /// Dynamic client registration.
    pub registration: RegistrationSettings,
    /// Sessions.
    pub session: SessionSettings,
    /// The session cookie.
    pub cookies: CookieSettings,
    /// The binding of sessions.
    pub binding: Binding,
    /// Token refresh.
    pub tokens: TokenSettings,
    /// Login and redirects.
    pub login: LoginSettings,
    /// Pages for people.
    pub pages: PageSettings,
    /// Logs.
    pub telemetry: TelemetrySettings,
    /// The values of `${NAME}` in `routes.yaml`.
    pub environment: Environment,
    /// The names of settings in this process, and the places where they were set.
    pub names: Names,
    /// The files that secrets were read from.
    pub secret_files: Vec<PathBuf>,
}

// === impl Config ===

impl Config {
    /// Reads `environment`, its `settings.yaml`, and the files of secrets and certificates. The keys module reads
    /// private keys, except for the comparison of two that must be equal.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with every mistake.
    pub fn load(environment: &Environment) -> Result<(Self, Vec<Warning>), ConfigError> {
        let mut reader = Reader::new(environment);
        let server = server::read(&mut reader);
        let provider = provider::read(&mut reader);
        let mut keys = key_files::read(&mut reader);
        let registration = registration::read(&mut reader, server.base_url.as_ref(), &keys.credentials);
        let client = client::read(&mut reader, registration.enabled);
        let callback =
            login::fallback_callback(&mut reader, server.base_url.as_ref(), &registration.redirect_uris);
        let own_origins = login::own_origins(
            server.base_url.as_ref(),
            &registration.redirect_uris,
            callback.as_ref(),
        );
        let cookies = cookies::read(&mut reader, &own_origins);
        let network = network::read(&mut reader);
        let session = session::read(&mut reader);
        keys.state_store = key_files::read_state_store(&mut reader, &session.store, &keys.policy);
        let config = Self {
            binding: binding::read(&mut reader, &own_origins, &cookies, &server),
            cookies,
            keys,
            network,
            session,
            tokens: tokens::read(&mut reader),
            login: login::read(&mut reader, callback, own_origins),
            pages: pages::read(&mut reader),
            telemetry: telemetry::read(&mut reader),
            environment: environment.clone(),
            names: reader.names(),
            secret_files: reader.secret_files(),
            server,
            provider,
            client,
            registration,
        };
        warn_of_one_origin(&mut reader, &config);
        not_built::check(&mut reader);
        reader.warn_of_plain_http();
        if reader.problems.is_empty() {
            Ok((config, reader.warnings))
        } else {
            Err(ConfigError {
                problems: reader.problems,
                warnings: reader.warnings,
            })
        }
    }
}

/// An IdP without a path and this server can hardly share one origin.
fn warn_of_one_origin(reader: &mut Reader, config: &Config) {
    let issuer = Url::parse(&config.provider.issuer).ok();
    let base = config.server.base_url.as_ref().map(Origin::url);
    if let (Some(issuer), Some(base)) = (issuer, base)
        && issuer.path() == "/"
        && issuer.origin() == base.origin()
    {
        reader.warn(
            "BFF_BASE_URL",
            "is the address of the IdP, too, which would look for our keys at itself: set it to the address at which browsers \
             reach this server",
        );
    }
}

#[cfg(test)]
mod tests;
