//! The binding of a session to more than its cookie (`SESSION_BINDING`).

mod device;
mod fixture;
mod key;
mod offers;
mod redis;
mod traits;
