//! The HTTP client itself, built at its first use.
//!
//! Building one reads and parses all certificate authorities of the system. This takes tens of milliseconds: longer
//! than everything else before the listener is bound. The part that can be misconfigured, `IDP_CA_FILE`, is checked
//! at once, without the system's.

use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::OnceCell;

use super::{BuildError, Options, POOL_IDLE, TransportError, USER_AGENT, error::causes_of};
use crate::{
    outage::addresses,
    proxy::{Proxies, Proxy},
    tls::{self, Bundle},
};

/// Protocols that are offered, the better one first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// A client that may not exist yet. Cheap to clone; clones share it.
#[derive(Clone)]
pub(super) struct LazyClient {
    inner: Arc<Inner>,
}

/// Looks names up, so that a failure has a type.
struct Names;

struct Inner {
    options: Options,
    client: OnceCell<reqwest::Client>,
}

// === impl LazyClient ===

impl LazyClient {
    /// Checks `options`; builds nothing yet.
    pub(super) fn new(options: Options) -> Result<Self, BuildError> {
        // Building a client panics without a provider of TLS.
        crate::jose::install_crypto();
        if let Some(bundle) = &options.ca_bundle {
            Bundle::parse(bundle)?;
        }
        Ok(Self {
            inner: Arc::new(Inner {
                options,
                client: OnceCell::new(),
            }),
        })
    }

    /// The client. The first caller builds it, on a thread that may block; others wait for it.
    pub(super) async fn get(&self) -> Result<&reqwest::Client, TransportError> {
        let inner = Arc::clone(&self.inner);
        let build = async move || {
            let built = tokio::task::spawn_blocking(move || build(&inner.options)).await;
            let not_sent = |cause: String| TransportError::NotSent { cause: cause.into() };
            built
                // Not the error's own text, which would quote a panic.
                .map_err(|_| not_sent("the HTTP client could not be built".to_owned()))?
                .map_err(|error| not_sent(error.to_string()))
        };
        self.inner.client.get_or_try_init(build).await
    }
}

fn build(options: &Options) -> Result<reqwest::Client, BuildError> {
    let own = match &options.ca_bundle {
        Some(bundle) => Some(Bundle::parse(bundle)?),
        None => None,
    };
    let mut tls = tls::client_config(&options.roots, own.as_ref(), None)
        .map_err(|error| BuildError::Client(error.to_string()))?;
    tls.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    builder(options)
        .tls_backend_preconfigured(tls)
        .build()
        .map_err(|error| BuildError::Client(causes_of(&error)))
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that builds clients for the IdP"
)]
fn builder(options: &Options) -> reqwest::ClientBuilder {
    let mut builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        // The settings that the library would read from the environment by itself.
        .no_proxy()
        .user_agent(USER_AGENT)
        .connect_timeout(options.connect_timeout)
        // In addition to the timer of our clock, which stands still in many tests.
        .timeout(options.request_timeout)
        .dns_resolver(Names)
        .pool_idle_timeout(POOL_IDLE);
    for proxy in options.proxies.all() {
        builder = builder.proxy(through(proxy, &options.proxies));
    }
    builder
}

/// The sender of calls through `proxy`.
fn through(proxy: &Proxy, proxies: &Proxies) -> reqwest::Proxy {
    let (own, proxies) = (proxy.clone(), proxies.clone());
    let through = reqwest::Proxy::custom(move |url| {
        let proxy = proxies.of_url(url).filter(|proxy| **proxy == own);
        proxy.map(|proxy| proxy.url().clone())
    });
    match proxy.authorization() {
        Some(authorization) => through.custom_http_auth(authorization.clone()),
        None => through,
    }
}

// === impl Names ===

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            // The library puts the port of the URL in its place.
            let found = addresses(name.as_str(), 0).await?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}
