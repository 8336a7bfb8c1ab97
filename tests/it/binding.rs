//! What a session is bound to beside its cookie (`SESSION_BINDING`).

mod device;
mod key;
mod offers;
mod traits;
mod world;
