//! The time, as a parameter.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

/// The time in seconds since the epoch. Tests bring their own.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// The clock of the machine.
#[must_use]
pub fn system_clock() -> Clock {
    Arc::new(|| {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs())
    })
}
