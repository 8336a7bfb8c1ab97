//! Why the server does not start, or stops.

use std::{io, net::SocketAddr, num::NonZeroUsize, path::PathBuf};

use super::{
    preflight::Unmet, session_secret::SessionSecretError, static_client::StaticClientError,
    store::StoreOpenError,
};
use crate::{
    access::Refused,
    admin,
    diagnostic::{Explain, Fix, Knob, fix},
    gateway,
    keys::KeysError,
    login::hosts::HostsError,
    outbound,
    registration::{ErrorKind, RegistrationError},
    seal::SealerError,
    session::CookieOptionsError,
    web::PagesError,
    yaml,
};

/// Why the server cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The keys.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// A need of the start on this machine.
    #[error(transparent)]
    Unmet(#[from] Unmet),
    /// The keys are not there, and each replica has to be given them.
    #[error("{0}")]
    KeyNotMounted(KeysError),
    /// The master secret of sessions.
    #[error(transparent)]
    SessionSecret(#[from] SessionSecretError),
    /// The master secret of sessions is too short.
    #[error("the session secret: {0}")]
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
    #[error(transparent)]
    Cookies(#[from] CookieOptionsError),
    /// No host to log in on.
    #[error(transparent)]
    Hosts(#[from] HostsError),
    /// The routes.
    #[error("{}", of_file(path, error))]
    Routes {
        /// The file.
        path: String,
        /// The mistake.
        error: gateway::RoutesError,
    },
    /// The issuers of tokens that callers bring.
    #[error("{}", of_file(path, error))]
    Idps {
        /// The file.
        path: String,
        /// The mistake.
        error: yaml::Mistakes,
    },
    /// Both files.
    #[error("{routes}\n{idps}")]
    RoutesAndIdps {
        /// The mistakes of the routes.
        routes: Box<Self>,
        /// Those of the issuers.
        idps: Box<Self>,
    },
    /// A route takes tokens, and nothing says whose.
    #[error("a route has auth: bearer, but {path} does not exist and this server has no external URL")]
    NoIdps {
        /// The file.
        path: String,
    },
    /// The file of issuers cannot be read.
    #[error(transparent)]
    IdpsFile(Refused),
    /// Templates or texts of the pages.
    #[error("the templates of pages: {0}")]
    Pages(#[from] PagesError),
    /// The routes cannot be read.
    #[error(transparent)]
    RoutesFile(#[from] Refused),
}

/// The mistakes of a file, one a line, each with the file.
fn of_file(path: &str, error: &gateway::RoutesError) -> String {
    let lines = error
        .mistakes()
        .iter()
        .map(|mistake| format!("{path}: {mistake}"));
    lines.collect::<Vec<_>>().join("\n")
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

    /// The files that files with mistakes name, also with these mistakes.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        match self {
            Self::Routes { error, .. } | Self::Idps { error, .. } => error.files().to_vec(),
            Self::RoutesAndIdps { routes, idps } => [routes.files(), idps.files()].concat(),
            _ => Vec::new(),
        }
    }
}

impl Explain for StartError {
    fn fix(&self) -> Option<Fix> {
        Some(match self {
            Self::Keys(error) => return error.fix(),
            Self::Unmet(error) => return error.fix(),
            Self::KeyNotMounted(_) => fix!(
                "replicas that have no folder in common ({}) each mount the same PEM, which `bff keys generate --file PATH` makes; \
                 where all of them mount {} and {} from one volume, set {}",
                Knob::StateStore.to("redis"),
                Knob::KeysFolder,
                Knob::StateFolder,
                Knob::StateStore.to("files")
            ),
            Self::SessionSecret(error) => return error.fix(),
            Self::Sealer(_) => fix!("put a longer one into {}, or remove it", Knob::SessionSecret),
            Self::Store(error) => return error.fix(),
            Self::Outbound(error) => return error.fix(),
            Self::Gateway(_) => return None,
            Self::Cookies(error) => of_cookies(*error),
            Self::Hosts(_) => fix!(
                "set {}, or {} with one URI per host",
                Knob::BaseUrl,
                Knob::RedirectUris
            ),
            Self::RoutesFile(refused) | Self::IdpsFile(refused) if refused.fix().is_some() => {
                return refused.fix();
            }
            Self::Routes { .. } | Self::RoutesFile(_) => fix!("correct {}", Knob::RoutesFile),
            Self::Idps { .. } | Self::IdpsFile(_) => fix!("correct {}", Knob::IdpsFile),
            Self::RoutesAndIdps { .. } => fix!("correct {} and {}", Knob::RoutesFile, Knob::IdpsFile),
            Self::NoIdps { .. } => fix!(
                "list the issuers in {}, or set {}, so that tokens of the login issuer for it are good",
                Knob::IdpsFile,
                Knob::BaseUrl
            ),
            Self::Pages(_) => fix!("correct the file in {}", Knob::Templates),
        })
    }
}

/// The advice for a name or domain of cookies.
fn of_cookies(error: CookieOptionsError) -> Fix {
    match error {
        CookieOptionsError::Name => fix!("correct {}, or remove it", Knob::CookieName),
        CookieOptionsError::NameTaken => fix!(
            "let {} name another one, other than `bff_login`, `bff_logout`, `bff_latest` and `bff_bound`, or remove it",
            Knob::CookieName
        ),
        CookieOptionsError::Prefix => fix!(
            "remove the prefix from {}, or change {} and {}",
            Knob::CookieName,
            Knob::CookieSecure,
            Knob::CookieDomain
        ),
        CookieOptionsError::Domain => fix!("correct {}, or remove it", Knob::CookieDomain),
    }
}

/// A socket that cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// An address.
    #[error("cannot listen on {address}: {cause}")]
    Address {
        /// The address.
        address: SocketAddr,
        /// The setting of its port.
        port: Knob,
        /// The setting of its host.
        host: Knob,
        /// Why.
        cause: io::Error,
    },
    /// The operator's socket.
    #[error(transparent)]
    Admin(#[from] admin::SocketError),
}

// === impl BindError ===

impl Explain for BindError {
    fn fix(&self) -> Option<Fix> {
        let (port, host, cause) = match self {
            Self::Address {
                port, host, cause, ..
            } => (*port, *host, cause),
            Self::Admin(error) => return error.fix(),
        };
        Some(match cause.kind() {
            io::ErrorKind::AddrInUse => fix!(
                "another process listens there (`ss -ltnp` shows it): end it, or set {} to a port that is free",
                port
            ),
            io::ErrorKind::PermissionDenied => fix!(
                "ports below 1024 need a permission: set {} to a port from 1024",
                port
            ),
            io::ErrorKind::AddrNotAvailable => fix!(
                "this machine has no such address: write one that it has into {}, or `0.0.0.0` for all",
                host
            ),
            _ => fix!("correct {}", port),
        })
    }
}

/// Why a running server had to stop.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// There is no usable registration, and the IdP refuses one.
    #[error(transparent)]
    Registration(#[from] RegistrationError),
    /// A need of the registration on this machine.
    #[error(transparent)]
    Unmet(#[from] Unmet),
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

impl Explain for RunError {
    fn fix(&self) -> Option<Fix> {
        match self {
            Self::Registration(error) => error.fix(),
            Self::Unmet(error) => error.fix(),
            Self::StaticClient(error) => error.fix(),
            Self::CutOff { .. } => None,
        }
    }
}

impl RunError {
    /// Whether the cause is the configuration (exit code 64) rather than a refusal of the IdP (77).
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::Registration(error) => error.kind() == ErrorKind::Configuration,
            Self::StaticClient(_) | Self::Unmet(_) => true,
            Self::CutOff { .. } => false,
        }
    }
}
