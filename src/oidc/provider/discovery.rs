//! Discovery (OpenID Connect Discovery 1.0 section 4, RFC 8414 section 3).

mod error;

use std::{borrow::Cow, sync::Arc};

use http::StatusCode;
use serde_json::{Map, Value};
use tokio::sync::watch;
use url::Url;

use self::error::Base;
pub use self::error::DiscoveryError;
use super::{Metadata, Provider, ProviderOptions, UrlMap};
use crate::{
    diagnostic::{Explain as _, Knob},
    outbound::{Lane, Request},
};

/// Values of a document are shown up to this length, in characters.
const MAX_SHOWN: usize = 300;

// === impl Provider ===

impl Provider {
    /// Reads the provider's metadata and keeps it. What was known before stays known where this fails.
    ///
    /// # Errors
    ///
    /// [`DiscoveryError`].
    pub async fn discover(&self) -> Result<Arc<Metadata>, DiscoveryError> {
        let options = &self.shared.options;
        let document = self.document(options, &url_map(options)?).await?;
        let found = document.get("issuer").and_then(Value::as_str);
        let named = options.for_issuer(found).unwrap_or(Cow::Borrowed(options));
        let options = named.as_ref();
        let map = url_map(options)?.with_browsers_at(options.public_base.clone());
        let metadata = Arc::new(Metadata::read(&document, options, map)?);
        self.tell(&metadata, options);
        self.shared.metadata.send_replace(Some(Arc::clone(&metadata)));
        Ok(metadata)
    }

    /// Takes `metadata` for the provider's without asking.
    pub fn suppose(&self, metadata: Arc<Metadata>) {
        self.shared.metadata.send_replace(Some(metadata));
    }

    /// The result of the last successful discovery.
    #[must_use]
    pub fn metadata(&self) -> Option<Arc<Metadata>> {
        self.shared.metadata.borrow().clone()
    }

    /// Changes with each discovery.
    #[must_use]
    pub fn watch_metadata(&self) -> watch::Receiver<Option<Arc<Metadata>>> {
        self.shared.metadata.subscribe()
    }

    /// Waits for the first successful discovery.
    pub async fn wait_for_metadata(&self) -> Arc<Metadata> {
        let mut metadata = self.shared.metadata.subscribe();
        loop {
            if let Some(known) = metadata.borrow_and_update().clone() {
                return known;
            }
            if metadata.changed().await.is_err() {
                // Impossible, because we hold the sender. The metadata will never be known then.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Warns of tolerable oddities of the document: once each, although it is read every hour.
    fn tell(&self, metadata: &Metadata, options: &ProviderOptions) {
        for error in &metadata.left_out {
            if self.shared.told.first(error) {
                tracing::warn!(
                    error = error.told(),
                    "an unusable endpoint of the IdP's metadata is ignored; logins work without it"
                );
            }
        }
        for error in &metadata.confused {
            if self.shared.told.first(error) {
                tracing::warn!("{}", error.told());
            }
        }
        // The configuration has already warned of endpoints in the settings.
        let plain = metadata.plain_http_elsewhere(options).join(" ");
        if !plain.is_empty() && self.shared.told.first(&plain) {
            tracing::warn!(
                urls = plain,
                "the IdP's metadata has plain http URLs that the configuration does not have: for development and \
                 container networks only"
            );
        }
    }

    async fn document(
        &self,
        options: &ProviderOptions,
        map: &UrlMap,
    ) -> Result<Map<String, Value>, DiscoveryError> {
        let mut outcome = Err(DiscoveryError::InvalidIssuer {
            issuer: options.issuer.clone(),
            knob: Knob::Issuer,
        });
        for url in locations(options, map) {
            outcome = self.fetch_document(options, url).await;
            // The next place is tried only if nothing exists at this one.
            if !outcome.as_ref().is_err_and(DiscoveryError::is_absence) {
                break;
            }
        }
        match outcome {
            // Settings that name every endpoint that is needed work with a provider without discovery.
            Err(error)
                if error.is_absence()
                    && options.overrides.authorization.is_some()
                    && options.overrides.token.is_some()
                    && options.overrides.jwks.is_some() =>
            {
                Ok(Map::new())
            }
            outcome => outcome,
        }
    }

    async fn fetch_document(
        &self,
        options: &ProviderOptions,
        url: Url,
    ) -> Result<Map<String, Value>, DiscoveryError> {
        let knob = options.location();
        let shown = url.to_string();
        let host = url.host_str().unwrap_or_default().to_owned();
        let response = match self.shared.outbound.send(Lane::Metadata, Request::get(url)).await {
            Ok(response) => response,
            Err(source) => {
                return Err(DiscoveryError::Unreachable {
                    url: shown,
                    knob,
                    source,
                });
            }
        };
        let document = serde_json::from_slice::<Map<String, Value>>(&response.body);
        if let (Some(proxy), Err(_)) = (&response.unproven_proxy, &document) {
            return Err(DiscoveryError::Proxy {
                cause: proxy.answers_itself(response.status, &host),
                url: shown,
                status: response.status,
            });
        }
        if response.status != StatusCode::OK {
            return Err(DiscoveryError::Status {
                url: shown,
                knob,
                status: response.status,
            });
        }
        let Ok(document) = document else {
            let found = response.unread();
            return Err(DiscoveryError::NotJson {
                url: shown,
                knob,
                found,
            });
        };
        let found = document.get("issuer").and_then(Value::as_str);
        if options.for_issuer(found).is_none() {
            if let Some(template) = found.filter(|found| is_template(found)) {
                return Err(DiscoveryError::IssuerTemplate {
                    url: shown,
                    template: displayable(template),
                });
            }
            return Err(DiscoveryError::IssuerMismatch {
                url: shown,
                expected: options.issuer.clone(),
                found: found.map(displayable),
                base: Base::of(options, found),
            });
        }
        Ok(document)
    }
}

/// Whether the answer speaks of trouble that passes.
pub(super) fn may_pass(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
}

/// URLs contain no braces, except in documents of providers that serve all tenants.
fn is_template(issuer: &str) -> bool {
    issuer.split_once('{').is_some_and(|(_, rest)| rest.contains('}'))
}

/// Text of the document, fit for a log line.
pub(super) fn displayable(text: &str) -> String {
    text.chars()
        .filter(|character| !character.is_control())
        .take(MAX_SHOWN)
        .collect()
}

/// The map between the issuer and the address for reaching it, if both are URLs that the policy allows.
fn url_map(options: &ProviderOptions) -> Result<UrlMap, DiscoveryError> {
    let knob = if options.issuer_is_base_url() {
        Knob::ProviderBase
    } else {
        Knob::Issuer
    };
    let issuer = Url::parse(&options.issuer)
        .ok()
        .filter(is_identifier)
        .ok_or_else(|| DiscoveryError::InvalidIssuer {
            issuer: options.issuer.clone(),
            knob,
        })?;
    if let Some(base) = options.base_url.as_ref().filter(|base| !is_identifier(base)) {
        return Err(DiscoveryError::InvalidIssuer {
            issuer: base.to_string(),
            knob: Knob::ProviderBase,
        });
    }
    let used = [
        (Some(&issuer), knob),
        (options.base_url.as_ref(), Knob::ProviderBase),
    ];
    for (url, knob) in used {
        if let Some(url) = url.filter(|url| !options.allow_http.permits(url)) {
            return Err(DiscoveryError::Insecure {
                url: url.to_string(),
                knob,
            });
        }
    }
    Ok(UrlMap::new(issuer, options.base_url.clone()))
}

/// RFC 8414 section 2: an issuer has neither query nor fragment.
fn is_identifier(url: &Url) -> bool {
    url.has_host()
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none()
}

/// Below the issuer as this process reaches it; failing that directly below `IDP_BASE_URL`.
fn locations(options: &ProviderOptions, map: &UrlMap) -> Vec<Url> {
    let below = |base: &str| {
        Url::parse(&format!(
            "{}/.well-known/openid-configuration",
            base.trim_end_matches('/')
        ))
    };
    let mut locations = Vec::new();
    if let Ok(url) = below(&options.issuer) {
        locations.push(map.back_channel(url));
    }
    if let Some(Ok(url)) = options.base_url.as_ref().map(|base| below(base.as_str()))
        && !locations.contains(&url)
    {
        locations.push(url);
    }
    locations
}

#[cfg(test)]
mod tests;
