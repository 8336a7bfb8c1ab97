//! The target of calls.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use http::{
    HeaderValue, Uri,
    uri::{Authority, Scheme},
};

use super::limits::MaxBody;
use crate::{
    credential::{Mode, Target, TokenPolicy},
    gateway::{files::Folder, headers::Rules},
    retry::BreakerOptions,
    tls::{Bundle, Identity},
};

/// For services that name no `timeout`.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// The origin of a folder. No connection can be opened for this scheme, nor to this host (RFC 6761 section 6.4).
const NO_ORIGIN: (&str, &str) = ("file", "files.invalid");

/// The time that a service may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timeouts {
    /// To accept a connection; the gateway's own without it.
    pub(super) connect: Option<Duration>,
    /// To begin its answer; [`DEFAULT_TIMEOUT`] without it.
    pub(super) first_byte: Option<Duration>,
    /// Between two pieces of a body, in each direction; the gateway's own without it.
    pub(super) idle: Option<Duration>,
    /// From the call to the end of its answer; unlimited without it.
    pub(super) total: Option<Duration>,
}

/// The target of calls.
#[derive(Debug)]
pub struct Service {
    pub(super) id: String,
    pub(super) scheme: Scheme,
    pub(super) authority: Authority,
    pub(super) base_path: String,
    pub(super) timeouts: Timeouts,
    /// Whether it speaks HTTP/2 over plain TCP.
    pub(super) h2c: bool,
    pub(super) rules: Rules,
    pub(super) rewrite: bool,
    pub(super) target: Target,
    /// Whether it gets header fields that say who calls.
    pub(super) names_caller: bool,
    /// Those of its `ca_file`.
    pub(super) own_authorities: Option<Bundle>,
    pub(super) max_body: Option<MaxBody>,
    pub(super) breaker: Option<BreakerOptions>,
    /// Calls at a time.
    pub(super) concurrency: Option<u32>,
    /// That of its `client_cert_path`.
    pub(super) identity: Option<Identity>,
    /// The Unix socket on which it listens.
    pub(super) socket: Option<PathBuf>,
    /// The folder whose files it is, if no calls go to it.
    pub(super) folder: Option<Arc<Folder>>,
}

// === impl Service ===

impl Service {
    /// The files of `folder`.
    pub(super) fn of_folder(id: &str, folder: Folder) -> Option<Self> {
        Some(Self {
            id: id.to_owned(),
            scheme: NO_ORIGIN.0.parse().ok()?,
            authority: Authority::from_static(NO_ORIGIN.1),
            base_path: String::new(),
            timeouts: Timeouts::DEFAULT,
            h2c: false,
            rules: Rules::default(),
            rewrite: false,
            target: Target::default(),
            names_caller: false,
            own_authorities: None,
            max_body: None,
            breaker: None,
            concurrency: None,
            identity: None,
            socket: None,
            folder: Some(Arc::new(folder)),
        })
    }

    /// The folder, if calls are answered with its files.
    #[must_use]
    pub const fn folder(&self) -> Option<&Arc<Folder>> {
        self.folder.as_ref()
    }

    /// Its name in the file, for logs.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The target of tokens for it, unless a route says otherwise.
    #[must_use]
    pub const fn target(&self) -> &Target {
        &self.target
    }

    /// Which token goes to it, unless a route says otherwise.
    #[must_use]
    pub fn token_policy(&self) -> TokenPolicy {
        TokenPolicy::new(Mode::default(), &self.id, self.target.clone(), None)
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

    /// The Unix socket on which it listens, if that is its address.
    #[must_use]
    pub fn socket(&self) -> Option<&Path> {
        self.socket.as_deref()
    }

    /// Scheme, host and port, or the socket, for messages.
    pub(in super::super) fn origin_text(&self) -> String {
        match &self.socket {
            Some(socket) => format!("unix:{}", socket.display()),
            None => format!("{}://{}", self.scheme, self.authority),
        }
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

    /// The value of the field `Host`: host, and port if it is not that of the scheme (RFC 9110 section 7.2).
    pub(in super::super) fn host(&self) -> HeaderValue {
        let port = self.authority.port_u16();
        let usual = if self.is_https() { 443 } else { 80 };
        let host = match port.filter(|port| *port != usual) {
            Some(_) => self.authority.as_str(),
            None => self.authority.host(),
        };
        // All characters of an authority may stand in a field.
        HeaderValue::try_from(host).unwrap_or_else(|_| HeaderValue::from_static(""))
    }

    /// The certificate authorities for this service only.
    pub(in super::super) const fn own_authorities(&self) -> Option<&Bundle> {
        self.own_authorities.as_ref()
    }

    /// The certificate that is shown to it.
    #[must_use]
    pub const fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// How long it may take to begin its answer.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.timeouts.first_byte.unwrap_or(DEFAULT_TIMEOUT)
    }

    /// The times for a whole call and for the beginning of its answer, if the file names both and the whole is less.
    #[must_use]
    pub fn total_before_first_byte(&self) -> Option<(Duration, Duration)> {
        let times = (self.timeouts.total?, self.timeouts.first_byte?);
        (times.0 < times.1).then_some(times)
    }

    /// How long it may take to accept a connection, if that is its own setting.
    pub(in super::super) const fn connect_timeout(&self) -> Option<Duration> {
        self.timeouts.connect
    }

    /// How long a body may stand still, if that is its own setting.
    pub(in super::super) const fn idle_timeout(&self) -> Option<Duration> {
        self.timeouts.idle
    }

    /// How long a call may take altogether.
    pub(in super::super) const fn total_timeout(&self) -> Option<Duration> {
        self.timeouts.total
    }

    /// Whether it speaks HTTP/2 over plain TCP, without a negotiation (RFC 9113 section 3.3).
    pub(in super::super) const fn is_h2c(&self) -> bool {
        self.h2c
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

    /// When its circuit breaker opens, if it has one.
    pub(in super::super) const fn breaker(&self) -> Option<&BreakerOptions> {
        self.breaker.as_ref()
    }

    /// How many calls it takes at a time, if that is bounded.
    pub(in super::super) const fn concurrency(&self) -> Option<u32> {
        self.concurrency
    }

    /// Whether it gets header fields that say who calls (`identity_headers`).
    #[must_use]
    pub const fn wants_identity(&self) -> bool {
        self.names_caller
    }

    /// Its rules for header fields.
    pub(in super::super) const fn rules(&self) -> &Rules {
        &self.rules
    }
}
