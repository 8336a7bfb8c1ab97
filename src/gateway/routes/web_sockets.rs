//! Whether and how a route takes WebSockets.

use super::{super::websocket::is_token, Route};

/// The settings of a route for WebSockets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebSockets {
    /// The token travels in the subprotocol that begins with this.
    pub(in crate::gateway) token_subprotocol: Option<Box<str>>,
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

    pub(in crate::gateway) const fn web_sockets(&self) -> Option<&WebSockets> {
        self.web_sockets.as_ref()
    }
}
