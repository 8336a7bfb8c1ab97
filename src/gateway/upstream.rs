//! How services are reached: the client, its connections and TLS.

use std::sync::Arc;

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};

use super::{BuildError, Connector, Gateway, Options, Routes, connection::Observing};
use crate::{clock::SharedClock, head};

// === impl Gateway ===

impl Gateway {
    /// A gateway for `routes`, which connects to nothing yet.
    ///
    /// # Errors
    ///
    /// [`BuildError`]: TLS towards a service cannot be set up.
    pub fn new(routes: Routes, options: Options, clock: SharedClock) -> Result<Self, BuildError> {
        let connector = connector(&routes, &options)?;
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(options.keep_idle)
            .http1_max_headers(head::READ_FIELDS)
            .http2_max_header_list_size(u32::try_from(head::READ_BYTES).unwrap_or(u32::MAX))
            .build(connector);
        Ok(Self {
            routes,
            options,
            clock,
            client,
        })
    }
}

pub(super) fn connector(routes: &Routes, options: &Options) -> Result<Connector, BuildError> {
    let mut http = HttpConnector::new();
    http.set_nodelay(true);
    http.set_connect_timeout(Some(options.connect_timeout));
    http.enforce_http(false);
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    // A container without certificates is fine as long as all services speak plain HTTP.
    let builder = if routes.services().iter().any(|service| service.is_https()) {
        HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(provider)
            .map_err(BuildError::Roots)?
    } else {
        let config = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .map_err(BuildError::Tls)?
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        HttpsConnectorBuilder::new().with_tls_config(config)
    };
    let connector: HttpsConnector<HttpConnector> =
        builder.https_or_http().enable_all_versions().wrap_connector(http);
    Ok(Observing::new(connector))
}
