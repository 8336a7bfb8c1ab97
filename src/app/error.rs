//! Why the server does not start, or stops.

use std::{io, net::SocketAddr, num::NonZeroUsize};

use super::{session_secret::SessionSecretError, static_client::StaticClientError, store::StoreOpenError};
use crate::{
    admin, gateway,
    keys::KeysError,
    login::hosts::HostsError,
    outbound,
    registration::{ErrorKind, RegistrationError},
    seal::SealerError,
    session::CookieOptionsError,
    web::PagesError,
};

/// Why the server cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The keys.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The keys are not there, and each replica has to be given them.
    #[error(
        "{0}. Replicas that have no folder in common (BFF_STATE_STORE=redis) each mount the same PEM, which `bff keys generate \
         --file PATH` makes; where all of them mount BFF_KEYS_DIR and BFF_STATE_DIR from one volume, set BFF_STATE_STORE=files"
    )]
    KeyNotMounted(KeysError),
    /// The master secret of sessions.
    #[error(transparent)]
    SessionSecret(#[from] SessionSecretError),
    /// The master secret of sessions is too short.
    #[error("SESSION_SECRET: {0}")]
    Sealer(#[from] SealerError),
    /// The store of sessions.
    #[error(transparent)]
    Store(#[from] StoreOpenError),
    /// The client for the IdP.
    #[error(transparent)]
    Outbound(#[from] outbound::BuildError),
    /// The client for the APIs.
    #[error(transparent)]
    Gateway(#[from] gateway::BuildError),
    /// Cookie names and attributes.
    #[error("{0}; {fix}", fix = cookie_fix(*.0))]
    Cookies(#[from] CookieOptionsError),
    /// No host to log in on.
    #[error("{0}: set BFF_BASE_URL, or DCR_REDIRECT_URIS with one URI per host")]
    Hosts(#[from] HostsError),
    /// The routes.
    #[error("{path}: {error}")]
    Routes {
        /// The file.
        path: String,
        /// The mistake.
        error: gateway::RoutesError,
    },
    /// Templates or texts of the pages.
    #[error("BFF_TEMPLATES_DIR: {0}")]
    Pages(#[from] PagesError),
    /// The routes cannot be read.
    #[error("{path} cannot be read: {error}")]
    RoutesFile {
        /// The file.
        path: String,
        /// The cause.
        error: io::Error,
    },
}

impl StartError {
    /// Whether the cause is the configuration (exit code 64) rather than a Redis that did not answer (69).
    #[must_use]
    pub const fn is_configuration(&self) -> bool {
        match self {
            Self::Store(StoreOpenError::Redis(error)) => !error.may_pass(),
            _ => true,
        }
    }
}

/// The fix for a name or domain of cookies.
const fn cookie_fix(error: CookieOptionsError) -> &'static str {
    match error {
        CookieOptionsError::Name => "correct SESSION_COOKIE_NAME, or remove it",
        CookieOptionsError::NameTaken => {
            "let SESSION_COOKIE_NAME name another one, other than `bff_login`, `bff_logout`, `bff_latest` and `bff_bound`, or remove it"
        }
        CookieOptionsError::Prefix => {
            "remove the prefix from SESSION_COOKIE_NAME, or change BFF_COOKIE_SECURE and BFF_COOKIE_DOMAIN"
        }
        CookieOptionsError::Domain => "correct BFF_COOKIE_DOMAIN, or remove it",
    }
}

/// A socket that cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// An address.
    #[error("cannot listen on {address} ({variable}): {cause}; {}", way_out(.cause, .variable))]
    Address {
        /// The address.
        address: SocketAddr,
        /// The variables that name it.
        variable: &'static str,
        /// Why.
        cause: io::Error,
    },
    /// The operator's socket.
    #[error(transparent)]
    Admin(#[from] admin::SocketError),
}

/// The fix for a socket that cannot be opened.
fn way_out(cause: &io::Error, variable: &str) -> String {
    let variable = variable.rsplit(", ").next().unwrap_or(variable);
    match cause.kind() {
        io::ErrorKind::AddrInUse => format!(
            "another process listens there (`ss -ltnp` shows it): end it, or set {variable} to a port that is free"
        ),
        io::ErrorKind::PermissionDenied => {
            format!("ports below 1024 need a permission: set {variable} to a port from 1024")
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address: write one that it has, or `0.0.0.0` for all".to_owned()
        }
        _ => format!("correct {variable}"),
    }
}

/// Why a running server had to stop.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// There is no usable registration, and the IdP refuses one.
    #[error(transparent)]
    Registration(#[from] RegistrationError),
    /// The signing key and the IdP have no algorithm in common.
    #[error(transparent)]
    StaticClient(#[from] StaticClientError),
    /// It was told to stop, and not everything finished in time.
    #[error("stopped; requests that did not finish in time were cut off: {requests}")]
    CutOff {
        /// How many.
        requests: NonZeroUsize,
    },
}

// === impl RunError ===

impl RunError {
    /// Whether the cause is the configuration (exit code 64) rather than a refusal of the IdP (77).
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::Registration(error) => error.kind() == ErrorKind::Configuration,
            Self::StaticClient(_) => true,
            Self::CutOff { .. } => false,
        }
    }
}
