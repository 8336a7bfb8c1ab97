//! The test support: a whole stack on free ports, with a clock that moves only on demand.

mod api;
mod browser;
mod callers;
mod events;
pub mod http2;
mod idp;
#[path = "../../src/telemetry/testing.rs"]
mod logs;
mod process;
mod redact;
mod redis;
mod stack;
pub mod times;
pub mod web_socket;
mod wire;

/// The servers without answers of the unit tests.
#[path = "../../src/outage/testing.rs"]
pub mod outage;
/// The proxy of the unit tests.
#[path = "../../src/proxy/testing.rs"]
pub mod proxy;

pub(crate) use self::logs::Logs;
pub use self::{
    api::{Api, Call},
    browser::{Browser, Reply, http_client},
    callers::Callers,
    events::Events,
    idp::{IdpServer, Port},
    process::{Ended, Process},
    redact::redacted,
    redis::Redis,
    stack::{Builder, HOSTS, Stack, pause},
    wire::{http2_client, raw, service},
};

/// The text of an error with the names of settings, as the program prints it.
pub fn told(error: &dyn bff::diagnostic::Explain) -> String {
    bff::diagnostic::Diagnostic::of(error, &bff::config::Names::default()).to_string()
}

/// The log lines of a test contain the names of settings, like the program's log.
fn in_words(log: impl tracing::Subscriber + Send + Sync) -> impl tracing::Subscriber + Send + Sync {
    use tracing_subscriber::layer::SubscriberExt as _;

    log.with(bff::diagnostic::LogWords::new(bff::config::Names::default()))
}
