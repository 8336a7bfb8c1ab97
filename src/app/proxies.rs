//! The line about proxies at the start.

use url::Url;

use crate::{config::Config, gateway::Gateway, proxy::Proxy};

/// Logs which calls use which proxy, if there is one.
pub(super) fn tell(config: &Config, gateway: &Gateway) {
    let proxies = &config.network.proxies;
    if proxies.is_empty() {
        return;
    }
    let provider = &config.provider;
    let base = provider
        .base_url
        .clone()
        .or_else(|| Url::parse(&provider.issuer).ok());
    let idp = way(base.as_ref().and_then(|url| proxies.of_url(url)));
    let table = gateway.table();
    let services = table.routes().services().iter();
    let services: Vec<String> = services
        .map(|service| format!("{} {}", service.id(), way(gateway.proxy_of(service))))
        .collect();
    let direct: Vec<String> = proxies.direct().iter().map(ToString::to_string).collect();
    tracing::info!(
        idp,
        services = services.join(", "),
        no_proxy = direct.join(", "),
        "calls pass a proxy"
    );
}

fn way(proxy: Option<&Proxy>) -> String {
    proxy.map_or_else(|| "directly".to_owned(), |proxy| format!("through {proxy}"))
}
