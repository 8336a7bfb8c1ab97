//! The IdP over real HTTP: one module per area.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop where it is"
)]

mod api_tokens;
mod assertions;
mod control;
mod login;
mod registration;
mod restart;
mod support;
mod tokens;
