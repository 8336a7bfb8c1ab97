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

/// What an error says, in the names of settings, as the program says it.
pub fn told(error: &dyn bff::diagnostic::Explain) -> String {
    bff::diagnostic::Diagnostic::of(error, &bff::config::Names::default()).to_string()
}

/// What a test logs has the names of settings, as the log of the program has.
fn in_words(log: impl tracing::Subscriber + Send + Sync) -> impl tracing::Subscriber + Send + Sync {
    use tracing_subscriber::layer::SubscriberExt as _;

    log.with(bff::diagnostic::LogWords::new(bff::config::Names::default()))
}
