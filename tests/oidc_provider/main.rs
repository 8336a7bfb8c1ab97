//! The server against an independent certified provider: the npm package `oidc-provider`, over real HTTP and with the
//! machine's clock (`rotation` spans days, and moves its own clock for both). Needs Node and the packages of
//! `tests/oidc-provider`, which `scripts/phases/oidc-provider` installs first.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    unreachable_pub,
    reason = "a test that fails says so by panicking; nobody else sees this crate"
)]

mod algorithms;
mod apis;
mod authentication;
mod doctor;
mod journey;
mod methods;
mod registration;
mod rotation;
mod sessions;
mod support;
