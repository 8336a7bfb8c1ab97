//! The registration, wired for a server or a command.

use std::sync::Arc;

use super::{Ports, replicas, settings};
use crate::{config::Config, keys::Keys, outbound::Outbound, registration::Registration, replicas::Replicas};

/// The registration, if it is enabled.
pub(super) fn registration(
    config: &Config,
    outbound: &Outbound,
    keys: &Keys,
    ports: &Ports,
    replicas: Option<&Replicas>,
) -> Option<Registration> {
    if !config.registration.enabled {
        return None;
    }
    let registration = Registration::new(
        settings::registration(config),
        outbound.clone(),
        keys.clone(),
        Arc::clone(&ports.clock),
    );
    Some(match replicas::vault(config, replicas) {
        Some(vault) => registration.in_vault(vault),
        None => registration,
    })
}
