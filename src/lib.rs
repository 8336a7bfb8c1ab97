//! The OAuth client for browser applications, as a server.
//!
//! Modules by floor; an arrow goes only downwards (`docs/architecture.md` walks through them):
//!
//! | floor | modules |
//! | --- | --- |
//! | 2 | [`keys`] |
//! | 1 | [`jose`], [`seal`] |
//! | 0 | [`clock`], [`random`], [`secret`], [`health`], [`telemetry`] |

pub mod clock;
pub mod health;
pub mod jose;
pub mod keys;
pub mod random;
pub mod registration;
pub mod seal;
pub mod secret;
pub mod telemetry;
