//! The stored facts about the registration, without asking the IdP.

use crate::{app::one_shot::InCommon, config::Config, jose::Algorithm, registration::AuthMethod};

/// The registered algorithm of client assertions, if the stored answer of the IdP names it.
pub(super) async fn algorithm(config: &Config, common: &InCommon) -> Option<Algorithm> {
    if config.client.authentication != AuthMethod::PrivateKeyJwt {
        return None;
    }
    common.registered(config).await?.registered?.signing_algorithm
}
