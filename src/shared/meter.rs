//! Counting over several processes.

use std::{fmt, time::Duration};

use futures_util::future::BoxFuture;

use super::SharedError;

/// The outcome of one use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It counts.
    Allowed,
    /// It does not, and the next one can count after this.
    Refused(Duration),
}

/// Allowances that fill up by themselves. They are forgotten when they are whole.
pub trait Meter: fmt::Debug + Send + Sync + 'static {
    /// One use of the allowance `name`: one in `interval`, and `tolerance` ahead of time at most, both in microseconds.
    ///
    /// # Errors
    ///
    /// [`SharedError`]: it may count.
    fn take<'a>(
        &'a self,
        name: &'a str,
        interval: u64,
        tolerance: u64,
    ) -> BoxFuture<'a, Result<Taken, SharedError>>;
}

/// The algorithm: the new time at which the allowance is whole again, or how long to wait. In microseconds.
pub(crate) fn cell_rate(
    whole_at: Option<u64>,
    now: u64,
    interval: u64,
    tolerance: u64,
) -> Result<u64, Duration> {
    let next = whole_at.unwrap_or(now).max(now).saturating_add(interval);
    match next.saturating_sub(tolerance).checked_sub(now) {
        None | Some(0) => Ok(next),
        Some(wait) => Err(Duration::from_micros(wait)),
    }
}
