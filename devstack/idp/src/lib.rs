//! A strict OpenID provider for development and for integration tests.
//!
//! It speaks real HTTP and makes real signatures, refuses everything that a good provider would refuse, and lets a test
//! rehearse a bad day through [`Control`]. It knows nothing of the `bff` and verifies with `jsonwebtoken` directly, so
//! that a fault of the one cannot vouch for the other.
//!
//! ```no_run
//! # async fn start() -> Result<(), Box<dyn std::error::Error>> {
//! use devstack_idp::{Idp, Options, serve};
//!
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let issuer = format!("http://{}", listener.local_addr()?);
//! let idp = Idp::new(Options::sample(issuer, "admin-token")?)?;
//! let control = idp.control().clone();
//! serve(listener, idp, std::future::pending::<()>()).await?;
//! # Ok(())
//! # }
//! ```

use std::sync::Arc;

mod atomic_file;
mod authorization_request;
mod back_channel;
mod client;
mod client_auth;
mod clients_file;
mod clock;
mod control;
mod expiring;
mod jws;
mod keys;
mod options;
mod person;
mod provider;
mod random;
mod registration;
mod secret;
mod server;
mod state;
mod tokens;
mod web;

pub use back_channel::Told;
pub use client::AuthMethod;
pub use clients_file::StoreError;
pub use clock::{Clock, system_clock};
pub use control::{
    Control, Endpoint, Fault, IdTokenDraft, Introspection, LogoutTokenError, MintIat, MutateError, Recorded,
    RecordedBody, RegistrationAnswer, Signer,
};
pub use keys::KeyError;
pub use options::{ClientProfile, ConfigError, DcrConfig, Options, OptionsError, Policy, User};
pub use person::{Person, PersonError};
pub use provider::{AssertionAudience, StartError, UpdateMethod};
pub use secret::Secret;
pub use server::serve;
pub use state::StateError;

/// A development OpenID provider. Cheap to clone.
#[derive(Clone)]
pub struct Idp {
    control: Control,
}

// === impl Idp ===

impl Idp {
    /// Reads `clients.yaml` and the state file; without a state file the signing keys are new. Installs the crypto providers of the process where none are yet.
    ///
    /// # Errors
    ///
    /// If the options contradict each other, or `clients.yaml` or the state file is unusable.
    pub fn new(options: Options) -> Result<Self, StartError> {
        install_crypto();
        let provider = Arc::new(provider::Provider::new(options)?);
        Ok(Self {
            control: Control { provider },
        })
    }

    /// All endpoints. Under another server than [`serve`] the faults that close connections answer 500 instead.
    pub fn router(&self) -> axum::Router {
        web::router(&self.control.provider)
    }

    /// The hand of a test inside this IdP.
    #[must_use]
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// The issuer identifier.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.control.provider.issuer()
    }
}

/// Makes aws-lc-rs the crypto provider of rustls and of jsonwebtoken. The first caller wins; calling it again does
/// nothing.
pub fn install_crypto() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
}
