//! Refreshing tokens, and tokens for single services.

use std::{collections::BTreeMap, time::Duration};

use super::{problem::Complaint, reader::Reader};
use crate::oidc::ResourceIndicators;

/// When and how many tokens are refreshed, and for what services have tokens of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenSettings {
    /// This long before expiry, at most half the token's life.
    pub refresh_threshold: Duration,
    /// In parallel at most.
    pub refresh_concurrency: usize,
    /// The audiences of services that do not name one in `routes.yaml`.
    pub service_audiences: BTreeMap<String, String>,
    /// The scopes of services that do not name any in `routes.yaml`.
    pub service_scopes: BTreeMap<String, Vec<String>>,
    /// Whether requests for tokens name an API by `resource`.
    pub resource_indicators: ResourceIndicators,
    /// Whether routes may have a token policy.
    pub policies: bool,
    /// Whether one may have the mode `on_behalf_of`.
    pub on_behalf_of: bool,
}

pub(super) fn read(reader: &mut Reader) -> TokenSettings {
    let concurrency = reader.number("TOKEN_REFRESH_CONCURRENCY", 32, 1, 10_000);
    let mut service_audiences = BTreeMap::new();
    for (service, audience) in pairs(reader, "SERVICE_AUDIENCES") {
        if service_audiences.insert(service.clone(), audience).is_some() {
            let complaint = Complaint::new("names a service twice", "leave one audience for each service");
            reader.complain_of_entry("SERVICE_AUDIENCES", &service, complaint);
        }
    }
    let mut service_scopes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (service, scope) in pairs(reader, "SERVICE_SCOPES") {
        service_scopes.entry(service).or_default().push(scope);
    }
    TokenSettings {
        refresh_threshold: reader.duration("TOKEN_REFRESH_THRESHOLD", Duration::from_mins(5)),
        refresh_concurrency: usize::try_from(concurrency).unwrap_or(32),
        service_audiences,
        service_scopes,
        resource_indicators: reader
            .choice(
                "OIDC_RESOURCE_INDICATORS",
                &[
                    ResourceIndicators::Auto,
                    ResourceIndicators::Always,
                    ResourceIndicators::Never,
                ],
            )
            .unwrap_or_default(),
        policies: reader.switch("BFF_TOKEN_POLICY_ENABLED", true),
        on_behalf_of: reader.switch("BFF_OBO_ENABLED", true),
    }
}

/// The entries `service=value` of a map.
fn pairs(reader: &mut Reader, name: &'static str) -> Vec<(String, String)> {
    let pair = |entry: &str| {
        let is_plain = entry.bytes().all(|byte| byte.is_ascii_graphic());
        match entry.split_once('=') {
            Some((service, value)) if is_plain && !service.is_empty() && !value.is_empty() => {
                Ok((service.to_owned(), value.to_owned()))
            }
            _ => Err(Complaint::new(
                "has an entry that is not `service=value`",
                "name a service and its value, as in `orders=https://orders.example`",
            )),
        }
    };
    reader.entries(name, pair).unwrap_or_default()
}
