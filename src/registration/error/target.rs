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

/// What lets a registration be asked for again whose answer was lost, in words.
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

impl fmt::Display for Again {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Token => "start with a fresh DCR_IAT",
            Self::NoNote => "take the member `pending` out of the file and start again",
        })
    }
}

// === impl Target ===

impl Target {
    /// Which setting points there.
    pub(super) const fn pointer(self) -> &'static str {
        match self {
            Self::Registration => {
                "DCR_REGISTRATION_URL points there, else registration_endpoint in the IdP's metadata, moved by IDP_BASE_URL; \
                 check that address, and IDP_CA_FILE for a private certificate authority"
            }
            Self::Client => {
                "the IdP gave this address as registration_client_uri, and IDP_BASE_URL moves it; check that it is the IdP's, \
                 and IDP_CA_FILE for a private certificate authority"
            }
            Self::AdminApi => {
                "IDP_BASE_URL (else OIDC_ISSUER) points there; check that address, and IDP_CA_FILE for a private certificate \
                 authority, or mint an initial access token by hand and set DCR_IAT"
            }
        }
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
