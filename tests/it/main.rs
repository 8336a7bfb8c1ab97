//! The server through real HTTP, against the development IdP: one binary, one module per area.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub,
    reason = "a test that fails says so by panicking; nobody else sees this crate"
)]

mod admin;
mod apart_on_redis;
mod binding;
mod connections;
mod doctor;
mod endpoints;
mod gateway;
mod login;
mod logout;
mod on_redis;
mod recipes;
mod refresh;
mod registration;
mod replicas;
mod restarts;
mod rotation;
mod smoke;
mod start;
mod support;
