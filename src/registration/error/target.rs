//! The target and purpose of a call, in the words of messages.

use std::fmt;

/// The target of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The registration endpoint (RFC 7591 section 3).
    Registration,
    /// The client's own endpoint (RFC 7592 section 2).
    Client,
    /// The admin API of the IdP.
    AdminApi,
}

/// The requested client id, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestedClientId(pub Option<String>);

/// The change that allows another registration after a lost answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// A new initial access token.
    Token,
    /// No token is needed: a person removes the note.
    NoNote,
}

// === impl Again ===

impl Again {
    pub(in crate::registration) const fn new(open: bool) -> Self {
        if open { Self::NoNote } else { Self::Token }
    }
}

// === impl RequestedClientId ===

impl fmt::Display for RequestedClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(client_id) => write!(f, "the client {client_id}"),
            None => f.write_str("a new client of ours"),
        }
    }
}
