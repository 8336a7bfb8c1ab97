//! Transport failures, classified by what the server can have seen.

use std::error::Error;

use super::{MAX_BODY, request::Way};
use crate::{
    diagnostic::{Explain, Explained, Fix, Knob, fix},
    outage::{Outage, causes},
    proxy::Proxy,
    tls,
};

/// The settings of the identity provider that an operator can change.
fn hints(way: &Way) -> tls::Hints {
    let address = fix!("{} or {}", Knob::Issuer, Knob::ProviderBase);
    tls::Hints {
        // Behind something that is no proxy, there is no TLS.
        address: match &way.proxy {
            Some(proxy) if way.is_tunnelled => {
                fix!("{} (if no proxy answers there), {}", proxy.knob(), address)
            }
            _ => address,
        },
        authorities: fix!("{}", Knob::ProviderCa),
    }
}

/// Why there is no answer. Names hosts and reasons, never a path, a query, a header or a body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// Too many calls of this kind are under way.
    #[error("too many calls of this kind are under way")]
    Saturated,
    /// No byte of the request reached the server: it has no address, refused the connection, or TLS failed.
    #[error("{cause}")]
    NotSent {
        /// For the operator.
        cause: Explained,
    },
    /// The same, because of the proxy that was to pass it on.
    #[error("{cause}")]
    Proxy {
        /// For the operator.
        cause: Explained,
    },
    /// No complete answer in time. The server may have acted.
    #[error("no answer in time")]
    TimedOut,
    /// The connection broke. The server may have acted.
    #[error("{cause}")]
    Interrupted {
        /// For the operator.
        cause: Explained,
    },
    /// The answer is larger than any honest one. The server has acted.
    #[error("the answer is larger than the {MAX_BODY} bytes that are read")]
    TooLarge,
    /// The answer is compressed although we did not request that. The server has acted.
    #[error("the answer is compressed (Content-Encoding: {encoding}) although that was not asked for")]
    Encoded {
        /// The server's text, shortened.
        encoding: String,
    },
}

// === impl TransportError ===

impl TransportError {
    /// Whether the server can have seen nothing of the request, so that repeating it does nothing twice.
    #[must_use]
    pub const fn certainly_not_sent(&self) -> bool {
        match self {
            Self::Saturated | Self::NotSent { .. } | Self::Proxy { .. } => true,
            Self::TimedOut | Self::Interrupted { .. } | Self::TooLarge | Self::Encoded { .. } => false,
        }
    }

    /// Whether a later attempt may succeed without any change.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        !matches!(self, Self::TooLarge | Self::Encoded { .. })
    }

    pub(super) fn of(error: &reqwest::Error, way: &Way) -> Self {
        let origin = way.origin.as_str();
        let proxy = way.proxy.as_ref();
        tracing::debug!(
            origin,
            cause = causes_of(error),
            "the library's error for a failed call"
        );
        if let Some(proxy) = proxy
            && let Some(cause) = proxy.explain(error, origin, way.is_tunnelled, error.is_connect())
        {
            return Self::Proxy { cause };
        }
        let cause = tls::explain(error, &hints(way)).unwrap_or_else(|| outage(error).to_string().into());
        // A connection that could not be established in time is not sent either, so this comes first.
        if error.is_connect() {
            let through = proxy.map_or_else(String::new, |proxy| format!(" through the proxy {proxy}"));
            let cause = cause.saying(|cause| format!("cannot connect to {origin}{through}: {cause}"));
            Self::NotSent {
                cause: Explained {
                    fix: cause.fix.or_else(|| proxy.map(Proxy::leads_nowhere)),
                    ..cause
                },
            }
        } else if error.is_builder() {
            Self::NotSent { cause }
        } else if error.is_timeout() {
            Self::TimedOut
        } else if let Some(proxy) = way.forwarding_proxy() {
            // It may have passed the request on before.
            Self::Interrupted {
                cause: proxy.broke(origin, &cause.what),
            }
        } else {
            Self::Interrupted {
                cause: cause.saying(|cause| format!("the connection to {origin} broke: {cause}")),
            }
        }
    }
}

impl Explain for TransportError {
    fn fix(&self) -> Option<Fix> {
        match self {
            Self::NotSent { cause } | Self::Proxy { cause } | Self::Interrupted { cause } => cause.fix(),
            Self::Encoded { .. } => Some(fix!(
                "switch compression off at the IdP or at the proxy before it"
            )),
            Self::Saturated | Self::TimedOut | Self::TooLarge => None,
        }
    }
}

/// The library has a type of its own for its timers.
fn outage(error: &reqwest::Error) -> Outage {
    match Outage::of(error) {
        Outage::Unknown if error.is_timeout() => Outage::TimedOut,
        outage => outage,
    }
}

/// The causes of `error`. The outermost text of the library contains the URL, so it is omitted.
pub(super) fn causes_of(error: &reqwest::Error) -> String {
    error.source().map_or_else(String::new, causes)
}
