//! Transport failures, classified by what the server can have seen.

use std::error::Error;

use super::{MAX_BODY, request::Way};
use crate::{
    diagnostic::{Explain, Explained, Fix, Knob, fix},
    tls,
};

/// Longer causes are cut, in bytes.
const MAX_CAUSE: usize = 300;

/// The settings of the identity provider that an operator can change.
fn hints() -> tls::Hints {
    tls::Hints {
        address: fix!("{} or {}", Knob::Issuer, Knob::ProviderBase),
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
        if let Some(proxy) = proxy
            && let Some(cause) = proxy.explain(error, origin, way.is_tunnelled, error.is_connect())
        {
            tracing::debug!(origin, %proxy, cause = summary(error), "a proxy failed");
            return Self::Proxy { cause };
        }
        let cause = match tls::explain(error, &hints()) {
            None => Explained::from(summary(error)),
            Some(said) => {
                tracing::debug!(origin, cause = summary(error), "TLS failed");
                said
            }
        };
        // A connection that could not be established in time is not sent either, so this comes first.
        if error.is_connect() {
            let through = proxy.map_or_else(String::new, |proxy| format!(" through the proxy {proxy}"));
            Self::NotSent {
                cause: cause.saying(|cause| format!("cannot connect to {origin}{through}: {cause}")),
            }
        } else if error.is_builder() {
            Self::NotSent { cause }
        } else if error.is_timeout() {
            Self::TimedOut
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

/// The causes of `error` in one line. The outermost text of reqwest contains the URL, so it is omitted.
pub(super) fn summary(error: &reqwest::Error) -> String {
    let mut line = String::new();
    let mut last = String::new();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        // Wrappers often repeat the text of the wrapped error.
        if text != last && !line.ends_with(&text) {
            if !line.is_empty() {
                line.push_str(": ");
            }
            line.push_str(&text);
        }
        last = text;
        source = cause.source();
    }
    if line.is_empty() {
        line.push_str("the request could not be made");
    }
    line.retain(|character| !character.is_control());
    line.truncate(line.floor_char_boundary(MAX_CAUSE));
    line
}
