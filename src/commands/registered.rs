//! What this machine knows of the registration without asking the IdP.

use crate::{
    config::Config,
    jose::Algorithm,
    registration::{AuthMethod, CredentialsFile},
};

/// The algorithm of client assertions that the client is registered with, where the IdP's answer in `bff_client.json`
/// names it.
pub(super) fn algorithm(config: &Config) -> Option<Algorithm> {
    if config.client.authentication != AuthMethod::PrivateKeyJwt {
        return None;
    }
    let file = CredentialsFile::new(config.keys.credentials.clone()).guarded(config.keys.options.guard);
    file.read().ok()??.registered?.signing_algorithm
}
