//! Discovery (OpenID Connect Discovery 1.0 section 4, RFC 8414 section 3).

use std::{borrow::Cow, sync::Arc};

use http::StatusCode;
use serde_json::{Map, Value};
use url::Url;

use super::{EndpointError, Metadata, Provider, ProviderOptions, UrlMap};
use crate::{
    diagnostic::{Explain, Fix, Knob, fix},
    outbound::{Lane, Request, TransportError, Unread},
};

/// Values of a document are shown up to this length, in characters.
const MAX_SHOWN: usize = 300;

/// Why the provider's metadata is unknown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiscoveryError {
    /// The issuer, or the address for reaching it, is not a usable URL.
    #[error("the issuer `{issuer}` is not a URL without query and fragment")]
    InvalidIssuer {
        /// As configured.
        issuer: String,
        /// The setting that names it.
        knob: Knob,
    },
    /// No answer.
    #[error("cannot read the IdP's metadata at {url}: {source}")]
    Unreachable {
        /// Where.
        url: String,
        /// The setting that contains the address.
        knob: Knob,
        /// Why.
        source: TransportError,
    },
    /// An answer other than 200; redirects are not followed.
    #[error(
        "the IdP answered {status} instead of its metadata at {url}{}",
        if status.is_redirection() { " (redirects are not followed)" } else { "" }
    )]
    Status {
        /// Where.
        url: String,
        /// The setting that contains the address.
        knob: Knob,
        /// The answer.
        status: StatusCode,
    },
    /// A page instead of a document.
    #[error("the answer at {url} is not a JSON object, but {found}")]
    NotJson {
        /// Where.
        url: String,
        /// The setting that contains the address.
        knob: Knob,
        /// The form of its body.
        found: Unread,
    },
    /// The document is of another issuer, or of none.
    #[error("{}", mismatch(url, expected, found.as_deref(), *base))]
    IssuerMismatch {
        /// Where.
        url: String,
        /// As configured.
        expected: String,
        /// As the document says.
        found: Option<String>,
        /// The address that is configured beside the issuer.
        base: Base,
    },
    /// The document has no single issuer, but all tenants of a provider.
    #[error(
        "the metadata at {url} name the issuer as a template, `{template}`: they are those of all tenants"
    )]
    IssuerTemplate {
        /// Where.
        url: String,
        /// As the document says.
        template: String,
    },
    /// A required endpoint, or one that the configuration names, is missing or unusable.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The configuration names plain http beyond the local network.
    #[error("the issuer is to be reached at {url}, which is neither https nor a local name")]
    Insecure {
        /// As configured.
        url: String,
        /// The setting that names it.
        knob: Knob,
    },
}

/// The address of the IdP in the configuration, beside the issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// There is none.
    None,
    /// It stands for the issuer, because none is configured.
    IsIssuer,
    /// This process reaches the issuer there, and the document names it as the issuer.
    Echoed,
    /// This process reaches the issuer there.
    Beside,
}

// === impl Base ===

impl Base {
    fn of(options: &ProviderOptions, found: Option<&str>) -> Self {
        let found = found.and_then(|found| Url::parse(found).ok());
        if options.issuer_is_base_url() {
            Self::IsIssuer
        } else {
            match (&options.base_url, found) {
                (None, _) => Self::None,
                (Some(base), Some(found)) if base.origin() == found.origin() => Self::Echoed,
                (Some(_), _) => Self::Beside,
            }
        }
    }
}

// === impl DiscoveryError ===

impl DiscoveryError {
    /// Whether it may pass without any change: no answer, an answer that says so, a proxy's page.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { source, .. } => source.is_transient(),
            Self::Status { status, .. } => may_pass(*status),
            Self::NotJson { .. } => true,
            Self::InvalidIssuer { .. }
            | Self::IssuerMismatch { .. }
            | Self::IssuerTemplate { .. }
            | Self::Endpoint(_)
            | Self::Insecure { .. } => false,
        }
    }
}

impl Explain for DiscoveryError {
    fn fix(&self) -> Option<Fix> {
        Some(match self {
            Self::InvalidIssuer { knob, .. } => fix!("correct {}", *knob),
            Self::Unreachable { knob, source, .. } => source
                .fix()
                .unwrap_or_else(|| fix!("start the IdP, or correct {}, which points there", *knob)),
            Self::NotJson { found, .. } if found.fix().is_some() => return found.fix(),
            Self::Status { knob, status, .. } if may_pass(*status) => fix!(
                "try again later, and see in the log of the IdP why it fails; {} points there",
                *knob
            ),
            Self::Status { knob, .. } | Self::NotJson { knob, .. } => fix!(
                "correct {}, which points there; it must be the IdP itself, not a page before it",
                *knob
            ),
            Self::IssuerMismatch {
                found: Some(found),
                base: Base::Beside,
                expected,
                ..
            } if !is_spelling(expected, found) => fix!(
                "let {} be the address of {}; or set {} if that is your IdP",
                Knob::ProviderBase,
                displayable(expected),
                Knob::Issuer.to(found.clone())
            ),
            Self::IssuerMismatch {
                found: Some(found),
                base: Base::Echoed,
                expected,
                ..
            } => fix!(
                "give the IdP the fixed name {} in its own settings; or set {} if browsers reach it there",
                displayable(expected),
                Knob::Issuer.to(found.clone())
            ),
            Self::IssuerMismatch {
                found: Some(found), ..
            } => fix!(
                "set {} if that is your IdP (to the letter, also a slash at the end)",
                Knob::Issuer.to(found.clone())
            ),
            Self::IssuerMismatch { found: None, .. } => fix!("let {} name an OpenID provider", Knob::Issuer),
            Self::IssuerTemplate { .. } => fix!(
                "let {} name that of one tenant, with its id in the place of the braces",
                Knob::Issuer
            ),
            Self::Endpoint(error) => return error.fix(),
            Self::Insecure { knob, .. } => fix!(
                "correct {}, or accept the risk with {}",
                *knob,
                Knob::AllowHttp.to("true")
            ),
        })
    }
}

fn mismatch(url: &str, expected: &str, found: Option<&str>, base: Base) -> String {
    match (found, base) {
        (None, _) => format!("the metadata at {url} names no issuer, but `{expected}` was expected"),
        (Some(found), Base::IsIssuer) => format!(
            "the metadata at {url} is that of the issuer `{found}`, but no issuer is configured, and the address of the IdP \
             stands for the issuer `{expected}`"
        ),
        (Some(found), Base::Beside) if !is_spelling(expected, found) => format!(
            "the metadata at {url} is that of the issuer `{found}`, but `{expected}` is configured: the address at which this \
             server reaches the IdP is that of another one"
        ),
        (Some(found), Base::Echoed) => format!(
            "the IdP names itself after the address at which this server asks it, `{found}`, but the issuer `{expected}` is \
             configured"
        ),
        (Some(found), _) => format!(
            "the metadata at {url} is that of the issuer `{found}`, but `{expected}` is configured; they must be equal to the \
             letter"
        ),
    }
}

/// Whether both name one IdP in two spellings.
fn is_spelling(one: &str, other: &str) -> bool {
    let (one, other) = (Url::parse(one), Url::parse(other));
    let same = |one: &Url, other: &Url| {
        let path = |url: &Url| url.path().trim_end_matches('/').to_ascii_lowercase();
        one.host() == other.host() && one.port() == other.port() && path(one) == path(other)
    };
    matches!((one, other), (Ok(one), Ok(other)) if same(&one, &other))
}

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
            if !matches!(
                outcome,
                Err(DiscoveryError::Status {
                    status: StatusCode::NOT_FOUND,
                    ..
                })
            ) {
                break;
            }
        }
        match outcome {
            // Settings that name every endpoint that is needed work with a provider without discovery.
            Err(DiscoveryError::Status {
                status: StatusCode::NOT_FOUND,
                ..
            }) if options.overrides.authorization.is_some()
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
        if response.status != StatusCode::OK {
            return Err(DiscoveryError::Status {
                url: shown,
                knob,
                status: response.status,
            });
        }
        let Ok(document) = serde_json::from_slice::<Map<String, Value>>(&response.body) else {
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
