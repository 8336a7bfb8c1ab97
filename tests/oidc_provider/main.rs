//! The server against a certified provider that none of us wrote: the npm package `oidc-provider`, over real HTTP and
//! on the machine's clock (`rotation` has days to go, and moves a clock of its own for both). Needs Node and the packages of `tests/oidc-provider`, which `scripts/phases/oidc-provider`
//! sees to before it runs this.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    unreachable_pub,
    reason = "a test that fails says so by panicking; nobody else sees this crate"
)]

mod algorithms;
mod authentication;
mod doctor;
mod journey;
mod methods;
mod registration;
mod rotation;
mod sessions;
mod support;
