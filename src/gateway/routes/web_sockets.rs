//! Whether and how a route takes WebSockets.

use std::time::Duration;

use super::{super::websocket::is_token, Route, limits::MaxBody};

/// The settings of a route for WebSockets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebSockets {
    /// The token travels in the subprotocol that begins with this.
    pub(in crate::gateway) token_subprotocol: Option<Box<str>>,
    /// The longest message in either direction; without it, the longest body of a call.
    pub(in crate::gateway) max_message: Option<MaxBody>,
    /// Nothing may pass for so long; the gateway's own time without it.
    pub(in crate::gateway) idle: Option<Duration>,
}

// === impl WebSockets ===

impl WebSockets {
    /// Whether a subprotocol can begin with `text`.
    pub(super) fn is_prefix(text: &str) -> bool {
        is_token(text.as_bytes())
    }
}

// === impl Route ===

impl Route {
    /// Whether it takes WebSockets.
    #[must_use]
    pub const fn takes_web_sockets(&self) -> bool {
        self.web_sockets.is_some()
    }

    /// The longest message of its WebSockets, in bytes.
    pub(in crate::gateway) fn max_message(&self, default: u64) -> Option<u64> {
        match self.web_sockets().and_then(|settings| settings.max_message) {
            Some(max) => max.bytes(),
            None => self.max_body(default),
        }
    }

    pub(in crate::gateway) const fn web_sockets(&self) -> Option<&WebSockets> {
        self.web_sockets.as_ref()
    }
}
