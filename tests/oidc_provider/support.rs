//! The test support: the provider as a process, the server in this one, an API, and people with browsers.

#[expect(dead_code, reason = "shared with the other tests, which use more of it")]
#[path = "../it/support/api.rs"]
mod api;
#[expect(dead_code, reason = "shared with the other tests, which use more of it")]
#[path = "../it/support/browser.rs"]
mod browser;
mod command;
#[expect(dead_code, reason = "shared with the other tests, which use more of it")]
#[path = "../../src/telemetry/testing.rs"]
mod logs;
mod person;
mod provider;
mod stack;

pub use self::{
    browser::{Browser, Reply},
    person::Person,
    provider::Provider,
    stack::{HOSTS, Stack, until},
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
