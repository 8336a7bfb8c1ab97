//! What is spoken to and asked for, in the words of messages.

use std::fmt;

/// What is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The registration endpoint (RFC 7591 section 3).
    Registration,
    /// The client's own endpoint (RFC 7592 section 2).
    Client,
    /// The admin API of the IdP.
    AdminApi,
}

/// The client id that was asked for, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish(pub Option<String>);

/// What lets a registration be asked for again whose answer was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// A new initial access token.
    Token,
    /// Where none is needed: a person who takes the note away.
    NoNote,
}

// === impl Again ===

impl Again {
    pub(in crate::registration) const fn new(open: bool) -> Self {
        if open { Self::NoNote } else { Self::Token }
    }
}

// === impl Wish ===

impl fmt::Display for Wish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(client_id) => write!(f, "the client {client_id}"),
            None => f.write_str("a new client of ours"),
        }
    }
}
