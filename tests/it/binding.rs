//! What a session is bound to beside its cookie (`SESSION_BINDING`).

mod device;
mod fixture;
mod key;
mod offers;
mod redis;
mod traits;
