//! The OAuth client for browser applications, as a server.
//!
//! Modules by floor; an arrow goes only downwards (`docs/architecture.md` walks through them):
//!
//! | floor | modules |
//! | --- | --- |
//! | 10 | [`commands`] |
//! | 9 | [`app`] |
//! | 8 | [`config`] |
//! | 7 | [`web`], [`admin`] |
//! | 6 | [`gateway`], [`server`], [`replicas`] |
//! | 5 | [`login`], [`tokens`], [`registration`], [`bearer`] |
//! | 4 | [`oidc`] |
//! | 3 | [`session`], [`keys`], [`outbound`], [`limits`] |
//! | 2 | [`credential`], [`instruments`], [`jose`], [`seal`], [`own_paths`], [`proxy`], [`retry`], [`telemetry`], [`yaml`] |
//! | 1 | [`access`], [`clock`], [`duration`], [`size`], [`random`], [`secret`], [`shared`], [`spelling`], [`private_file`], [`protection`], [`quote`], [`expand`], [`tls`], [`head`], [`told`], [`health`], [`url_policy`], [`outage`] |
//! | 0 | [`diagnostic`] |

pub mod access;
pub mod admin;
pub mod app;
pub mod bearer;
pub mod clock;
pub mod commands;
pub mod config;
pub mod credential;
pub mod diagnostic;
pub mod duration;
pub mod expand;
#[cfg(test)]
mod floors;
pub mod gateway;
#[cfg(test)]
mod generated;
pub mod head;
pub mod health;
pub mod instruments;
pub mod jose;
pub mod keys;
pub mod limits;
pub mod login;
pub mod oidc;
pub mod outage;
pub mod outbound;
pub mod own_paths;
pub mod private_file;
pub mod protection;
pub mod proxy;
pub mod quote;
pub mod random;
pub mod registration;
pub mod replicas;
pub mod retry;
pub mod seal;
pub mod secret;
pub mod server;
pub mod session;
pub mod shared;
pub mod size;
pub mod spelling;
pub mod telemetry;
pub mod tls;
pub mod tokens;
pub mod told;
pub mod url_policy;
pub mod web;
#[cfg(test)]
mod wording;
pub mod yaml;
