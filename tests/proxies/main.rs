//! The recipes of `docs/proxies.md`, read from there and run with the real nginx, Caddy, HAProxy and Envoy, and
//! with a stand-in for Traefik. Needs them on the `PATH`; `scripts/phases/proxies` installs them first.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub,
    reason = "a test that fails says so by panicking; nobody else sees this crate"
)]

mod asks;
#[expect(
    dead_code,
    unused_imports,
    reason = "shared with the other tests, which use more of it"
)]
#[path = "../it"]
mod it {
    pub mod support;
}
mod harness;
mod passes;
mod proxy;
mod recipe;
mod traefik;

use it::support;
