//! Counting over several processes.

use std::{fmt, time::Duration};

use futures_util::future::BoxFuture;

use super::SharedError;

/// The outcome of one use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It counts, and the allowance is whole again after this.
    Allowed(Duration),
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

/// The algorithm: the outcome of a use, and the time at which the allowance is whole again. In microseconds.
pub(crate) fn cell_rate(whole_at: Option<u64>, now: u64, interval: u64, tolerance: u64) -> (Taken, u64) {
    let whole_at = whole_at.unwrap_or(now).max(now);
    let next = whole_at.saturating_add(interval);
    match next.saturating_sub(tolerance).checked_sub(now) {
        None | Some(0) => (
            Taken::Allowed(Duration::from_micros(next.saturating_sub(now))),
            next,
        ),
        Some(wait) => (Taken::Refused(Duration::from_micros(wait)), whole_at),
    }
}
