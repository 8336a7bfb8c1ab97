//! The registration, wired for a server or a command.

use std::sync::Arc;

use super::{Ports, idps, replicas, routes, settings};
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
    // A file with mistakes stops the start, and no command registers a client for it.
    let routes = routes::read(config).map(|(routes, _)| routes).unwrap_or_default();
    let idps = idps::read(config, &routes).unwrap_or_default();
    let registration = Registration::new(
        settings::registration(config, &routes, &idps),
        outbound.clone(),
        keys.clone(),
        Arc::clone(&ports.clock),
    );
    Some(match replicas::vault(config, replicas) {
        Some(vault) => registration.in_vault(vault),
        None => registration,
    })
}
