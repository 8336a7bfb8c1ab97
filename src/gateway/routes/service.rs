//! The target of calls.

use std::time::Duration;

use http::{
    Uri,
    uri::{Authority, Scheme},
};

use crate::{gateway::headers::Rules, tls::Bundle};

/// The target of calls.
#[derive(Debug)]
pub struct Service {
    pub(super) id: String,
    pub(super) scheme: Scheme,
    pub(super) authority: Authority,
    pub(super) base_path: String,
    pub(super) timeout: Duration,
    pub(super) rules: Rules,
    pub(super) rewrite: bool,
    /// Those of its `ca_file`.
    pub(super) own_authorities: Option<Bundle>,
}

// === impl Service ===

impl Service {
    /// Its name in the file, for logs.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Host and port.
    #[must_use]
    pub const fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Whether calls go over TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// Scheme, host and port, for messages.
    pub(in super::super) fn origin_text(&self) -> String {
        format!("{}://{}", self.scheme, self.authority)
    }

    /// The same as a URI.
    pub(in super::super) fn origin(&self) -> Option<Uri> {
        let builder = Uri::builder().scheme(self.scheme.clone());
        builder
            .authority(self.authority.clone())
            .path_and_query("/")
            .build()
            .ok()
    }

    /// The certificate authorities for this service only.
    pub(in super::super) const fn own_authorities(&self) -> Option<&Bundle> {
        self.own_authorities.as_ref()
    }

    /// How long it may take to begin its answer.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(in super::super) const fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    /// The path of its `base_url`, without a slash at the end.
    pub(in super::super) fn base_path(&self) -> &str {
        &self.base_path
    }

    /// Whether its own URLs in an answer are mapped to public ones.
    pub(in super::super) const fn rewrites(&self) -> bool {
        self.rewrite
    }

    /// Its rules for header fields.
    pub(in super::super) const fn rules(&self) -> &Rules {
        &self.rules
    }
}
