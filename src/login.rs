//! Logging a person in and out: the attempt, the order of checks at the callback, the end of a session.
//!
//! A cookie of the browser holds the sealed state of a login, one per attempt ([`attempt`]). Therefore nobody can
//! fill a store without logging in, any replica can answer the callback, and the state of another browser opens
//! nothing.

pub mod attempt;
mod back_channel;
mod callback;
mod device;
mod end;
mod front_channel;
pub mod hosts;
mod logged_out;
pub mod offline_access;
mod once;
mod refused;
mod relay;
pub mod return_to;
mod start;

use std::{
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

pub use self::{
    back_channel::BackChannelError,
    callback::{CallbackError, CallbackQuery, Failed, Failure, LoggedIn},
    device::{Devices, Invitation, ProofError, Registered},
    end::EndSession,
    front_channel::FrontChannelError,
    refused::Instead,
    start::{Initiated, LoginQuery, Start, StartError},
};
use self::{
    back_channel::Logouts, hosts::Hosts, offline_access::OfflineAccess, once::Once, relay::Relay,
    return_to::AllowedTargets,
};
use crate::{
    clock::SharedClock,
    oidc::RelyingParty,
    random::SharedRandom,
    seal::Sealer,
    session::{self, Binding, EmailTrust, LeftOutNotice, Sessions},
    shared::Passing,
};

/// How logins are done.
#[derive(Clone, Debug)]
pub struct Options {
    /// The hosts on which people log in.
    pub hosts: Hosts,
    /// The allowed targets of `return_to`.
    pub targets: AllowedTargets,
    /// `scope` of the authorization request.
    pub scopes: Vec<String>,
    /// `prompt` of logins without their own (`OIDC_PROMPT`).
    pub prompt: DefaultPrompt,
    /// How long a session lives at most.
    pub session_lifetime: Duration,
    /// A token is renewed this long before it expires, at most half of its life.
    pub refresh_threshold: Duration,
    /// Which e-mail addresses the application may know.
    pub email_trust: EmailTrust,
    /// The binding of sessions.
    pub binding: Binding,
}

/// `prompt` of the authorization request, for logins without their own (OpenID Connect Core 1.0 section 3.1.2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DefaultPrompt {
    /// None.
    Never,
    /// This one.
    Always(String),
    /// `consent` where refresh tokens do not come without it (section 11), else none. It is learnt from logins, and kept
    /// in this folder.
    Auto {
        /// `BFF_STATE_DIR`.
        state_dir: PathBuf,
    },
}

/// The memory of logins and logouts, for all processes that share sessions.
#[derive(Clone, Debug)]
pub struct Memories {
    /// One-time events: logout tokens, keys of devices.
    pub once: Arc<dyn session::Once>,
    /// The state that processes share; `None` if there is only one process.
    pub passing: Option<Arc<dyn Passing>>,
}

/// Logs people in and out. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Login {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    options: Options,
    relying_party: RelyingParty,
    sessions: Sessions,
    sealer: Sealer,
    clock: SharedClock,
    random: SharedRandom,
    /// The knowledge about refresh tokens, with `OIDC_PROMPT=auto`.
    offline_access: Option<OfflineAccess>,
    /// The attempts that have come back.
    once: Once<Result<LoggedIn, Arc<CallbackError>>>,
    /// The same for all processes that share sessions.
    relay: Option<Relay>,
    /// The logouts that the IdP reports.
    logouts: Logouts,
    /// The binding of sessions.
    devices: Devices,
    /// Claims that are too large.
    left_out: LeftOutNotice,
    /// Whether the log has said that the IdP gives no refresh token.
    said_no_refresh_token: AtomicBool,
    /// Whether the log has said that the IdP does not say which e-mail addresses are verified.
    said_unstated_email: AtomicBool,
}

// === impl Login ===

impl Login {
    /// Puts the parts together.
    #[must_use]
    pub fn new(
        options: Options,
        relying_party: RelyingParty,
        sessions: Sessions,
        memories: Memories,
        sealer: Sealer,
        clock: SharedClock,
        random: SharedRandom,
    ) -> Self {
        let said_no_refresh_token = AtomicBool::new(false);
        let offline_access = match &options.prompt {
            DefaultPrompt::Auto { state_dir } => {
                Some(OfflineAccess::open(state_dir.join(offline_access::FILE_NAME)))
            }
            DefaultPrompt::Never | DefaultPrompt::Always(_) => None,
        };
        let relay = memories.passing.clone().map(|passing| Relay {
            passing,
            clock: Arc::clone(&clock),
            random: Arc::clone(&random),
        });
        let inner = Inner {
            relay,
            offline_access,
            left_out: LeftOutNotice::default(),
            options,
            relying_party,
            devices: Devices::new(
                sessions.clone(),
                Arc::clone(&memories.once),
                sealer.clone(),
                Arc::clone(&clock),
            ),
            logouts: Logouts::new(sessions.clone(), memories, &sealer, Arc::clone(&clock)),
            sessions,
            sealer,
            once: Once::new(Arc::clone(&clock)),
            clock,
            random,
            said_no_refresh_token,
            said_unstated_email: AtomicBool::new(false),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The hosts on which people log in.
    #[must_use]
    pub fn hosts(&self) -> &Hosts {
        &self.inner.options.hosts
    }

    /// The keys of devices to which sessions are bound.
    #[must_use]
    pub fn devices(&self) -> &Devices {
        &self.inner.devices
    }

    /// The allowed targets of `return_to`.
    #[must_use]
    pub fn targets(&self) -> &AllowedTargets {
        &self.inner.options.targets
    }
}
