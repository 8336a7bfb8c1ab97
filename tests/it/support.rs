//! What the tests stand on: a whole stack on free ports, with a clock that moves only when it is told to.

mod api;
mod browser;
mod idp;
mod logs;
mod process;
mod stack;
mod wire;

/// The proxy of the unit tests.
#[path = "../../src/proxy/testing.rs"]
pub mod proxy;

pub use self::{
    api::{Api, Call},
    browser::{Browser, Reply, http_client},
    idp::Port,
    logs::Logs,
    process::{Ended, Process},
    stack::{Builder, HOSTS, Stack, pause},
    wire::{http2_client, raw, service},
};
