//! Calls to the identity provider: the one place that builds HTTP clients for it.
//!
//! Every call is bounded in time, in size and in number: a connect and a total timeout, a cap on the body, and a
//! [`Lane`] per kind of call, so that a flood of one kind cannot starve another. Redirects are not followed (such an
//! answer is returned unchanged), nothing is decompressed (a compressed answer is refused), and this module repeats
//! nothing: whether a call may be repeated depends on its content.

mod client;
mod error;
mod lanes;
mod request;
mod unread;
mod wiped;

use std::{fmt, sync::Arc, time::Duration};

use bytes::Buf as _;
use http::{
    HeaderMap, StatusCode,
    header::{CONTENT_ENCODING, VIA},
};

use self::{
    client::LazyClient,
    lanes::{Lanes, Permit},
    wiped::Wiped,
};
pub use self::{
    error::TransportError,
    lanes::{Lane, LaneLimits},
    request::{Request, Response},
    unread::Unread,
};
use crate::{
    clock::{SharedClock, timeout},
    diagnostic::{Explain, Fix, Knob, fix},
    proxy::Proxies,
    tls::{BundleError, SystemRoots},
};

/// Larger answers are refused, in bytes.
const MAX_BODY: usize = 1024 * 1024;

/// The initial buffer for an answer of unknown size, in bytes.
const FIRST_PIECE: usize = 8 * 1024;

/// The shown length of an unrequested `Content-Encoding`, in characters.
const MAX_ENCODING: usize = 40;

/// How long an idle connection is kept. Shorter than the five seconds of common servers, because a POST that meets
/// such a close has an unknown outcome.
const POOL_IDLE: Duration = Duration::from_secs(4);

/// A mark that some servers put before JSON, and that a reader may skip (RFC 8259 section 8.1).
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

const USER_AGENT: &str = concat!("bff/", env!("CARGO_PKG_VERSION"));

/// How calls are made.
#[derive(Clone, Debug)]
pub struct Options {
    /// PEM bundle of certificate authorities that are trusted in addition to the system's (`IDP_CA_FILE`).
    pub ca_bundle: Option<Vec<u8>>,
    /// The certificate authorities of the system.
    pub roots: SystemRoots,
    /// Proxies on the way.
    pub proxies: Proxies,
    /// How long establishing a connection may take, TLS included.
    pub connect_timeout: Duration,
    /// How long a whole call may take, from connecting to the last byte of the answer.
    pub request_timeout: Duration,
    /// How many calls of each kind run at once.
    pub lanes: LaneLimits,
}

/// The client for the identity provider. Cheap to clone; clones share connections and lanes.
#[derive(Clone)]
pub struct Outbound {
    client: LazyClient,
    proxies: Proxies,
    lanes: Arc<Lanes>,
    request_timeout: Duration,
    clock: SharedClock,
}

/// The right to make one call. It lasts until the answer is read, so that slow answers count as well.
pub struct Turn<'a> {
    outbound: &'a Outbound,
    _permit: Permit<'a>,
}

/// Why no client can be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The file of certificate authorities for the IdP holds no certificate or a broken one.
    #[error("the file of certificate authorities for the IdP {0}")]
    CaBundle(#[from] BundleError),
    /// The TLS library refused.
    #[error("cannot set up the HTTP client: {0}")]
    Client(String),
}

// === impl BuildError ===

impl Explain for BuildError {
    fn fix(&self) -> Option<Fix> {
        match self {
            Self::CaBundle(_) => Some(fix!("name a PEM file with certificates in {}", Knob::ProviderCa)),
            Self::Client(_) => None,
        }
    }
}

// === impl Options ===

impl Default for Options {
    fn default() -> Self {
        Self {
            ca_bundle: None,
            roots: SystemRoots::default(),
            proxies: Proxies::default(),
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(15),
            lanes: LaneLimits::default(),
        }
    }
}

// === impl Outbound ===

impl Outbound {
    /// A client. Checks the options; slow steps happen at the first call.
    ///
    /// # Errors
    ///
    /// [`BuildError`], which is a configuration error if it names the CA bundle.
    pub fn new(options: &Options, clock: SharedClock) -> Result<Self, BuildError> {
        Ok(Self {
            client: LazyClient::new(options.clone())?,
            proxies: options.proxies.clone(),
            lanes: Arc::new(Lanes::new(&options.lanes, Arc::clone(&clock))),
            request_timeout: options.request_timeout,
            clock,
        })
    }

    /// Waits for the right to make one call. Ask for it before building a costly request: a flood of calls that
    /// cannot be sent must not sign.
    ///
    /// # Errors
    ///
    /// [`TransportError::Saturated`] if too many wait already, or if it takes too long.
    pub async fn enter(&self, lane: Lane) -> Result<Turn<'_>, TransportError> {
        Ok(Turn {
            outbound: self,
            _permit: self.lanes.enter(lane).await?,
        })
    }

    /// Enters `lane` and sends `request`.
    ///
    /// # Errors
    ///
    /// As [`enter`](Self::enter) and [`Turn::send`].
    pub async fn send(&self, lane: Lane, request: Request) -> Result<Response, TransportError> {
        self.enter(lane).await?.send(request).await
    }
}

// === impl Turn ===

impl Turn<'_> {
    /// Sends `request` once and reads the whole answer with any status; a redirect is an answer like another.
    ///
    /// # Errors
    ///
    /// [`TransportError`]; its [`certainly_not_sent`](TransportError::certainly_not_sent) says whether the server can
    /// have seen anything.
    pub async fn send(self, request: Request) -> Result<Response, TransportError> {
        let outbound = self.outbound;
        // Before the time counts: the first call builds the client.
        let client = outbound.client.get().await?;
        // By our clock, like every timer. It counts from here: waiting for a turn takes nothing from it.
        timeout(
            &*outbound.clock,
            outbound.request_timeout,
            exchange(client, &outbound.proxies, request),
        )
        .await
        .unwrap_or(Err(TransportError::TimedOut))
    }
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound").finish_non_exhaustive()
    }
}

async fn exchange(
    client: &reqwest::Client,
    proxies: &Proxies,
    mut request: Request,
) -> Result<Response, TransportError> {
    let way = request.way(proxies);
    let withheld = request.take_withheld();
    let request = request.into_reqwest(client)?;
    let mut response = client
        .execute(request)
        .await
        .map_err(|error| TransportError::of(&error, &way))?;
    // A proxy that gets a whole request answers in the place of the server.
    if response.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED
        && let Some(proxy) = way.forwarding_proxy()
    {
        return Err(TransportError::Proxy {
            cause: proxy.wants_credentials(),
        });
    }
    check_encoding(response.headers())?;
    let announced = response
        .content_length()
        .and_then(|length| usize::try_from(length).ok());
    if announced.is_some_and(|length| length > MAX_BODY) {
        return Err(TransportError::TooLarge);
    }
    let mut body = Wiped::with_capacity(announced.unwrap_or(FIRST_PIECE));
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| TransportError::of(&error, &way))?
    {
        if body.len() + chunk.len() > MAX_BODY {
            return Err(TransportError::TooLarge);
        }
        body.push(&chunk);
    }
    let mut body = body.into_bytes();
    let unproven = way
        .forwarding_proxy()
        .filter(|_| !response.headers().contains_key(VIA));
    if body.starts_with(BYTE_ORDER_MARK) {
        body.advance(BYTE_ORDER_MARK.len());
    }
    Ok(Response {
        status: response.status(),
        headers: std::mem::take(response.headers_mut()),
        body,
        withheld,
        unproven_proxy: unproven.cloned(),
    })
}

/// None was requested, so an encoded answer is unreadable.
fn check_encoding(headers: &HeaderMap) -> Result<(), TransportError> {
    let encodings = headers.get_all(CONTENT_ENCODING).iter();
    let mut encodings = encodings.map(|encoding| encoding.to_str().unwrap_or("unreadable").trim());
    match encodings.find(|encoding| !encoding.is_empty() && !encoding.eq_ignore_ascii_case("identity")) {
        None => Ok(()),
        Some(encoding) => Err(TransportError::Encoded {
            encoding: encoding.chars().take(MAX_ENCODING).collect(),
        }),
    }
}

#[cfg(test)]
mod tests;
