//! What is known of the registration without asking the IdP.

use crate::{app::one_shot::InCommon, config::Config, jose::Algorithm, registration::AuthMethod};

/// The algorithm of client assertions that the client is registered with, where the IdP's answer names it, as it is stored.
pub(super) async fn algorithm(config: &Config, common: &InCommon) -> Option<Algorithm> {
    if config.client.authentication != AuthMethod::PrivateKeyJwt {
        return None;
    }
    common.registered(config).await?.registered?.signing_algorithm
}
