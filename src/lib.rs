//! The OAuth client for browser applications, as a server.
//!
//! Modules by floor; an arrow goes only downwards (`docs/architecture.md` walks through them):
//!
//! | floor | modules |
//! | --- | --- |
//! | 3 | [`oidc`] |
//! | 2 | [`session`], [`keys`], [`outbound`] |
//! | 1 | [`jose`], [`seal`] |
//! | 0 | [`clock`], [`random`], [`secret`], [`health`], [`telemetry`] |

pub mod clock;
pub mod health;
pub mod jose;
pub mod keys;
pub mod oidc;
pub mod outbound;
pub mod random;
pub mod registration;
pub mod seal;
pub mod secret;
pub mod session;
pub mod telemetry;
