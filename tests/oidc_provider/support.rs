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
