//! What is counted of logouts that the IdP tells of.

use super::BackChannelError;
use crate::instruments::{Counter, Instruments, Series};

/// The counters of [`Login`](super::Login).
#[derive(Debug)]
pub(super) struct Measures {
    ended: Counter,
    none: Counter,
    refused: Counter,
    replayed: Counter,
    failed: Counter,
}

// === impl Measures ===

impl Measures {
    pub(super) fn new(instruments: &dyn Instruments) -> Self {
        let of = |status| {
            instruments.counter(Series::labelled(
                "bff_backchannel_logouts_total",
                "status",
                status,
            ))
        };
        Self {
            ended: of("ended"),
            none: of("none"),
            refused: of("refused"),
            replayed: of("replayed"),
            failed: of("failed"),
        }
    }

    /// What came of a logout token: how many sessions have ended.
    pub(super) fn logout(&self, outcome: &Result<usize, BackChannelError>) {
        let counter = match outcome {
            Ok(0) => &self.none,
            Ok(_) => &self.ended,
            Err(BackChannelError::Token(error)) if error.is_transient() => &self.failed,
            Err(BackChannelError::Token(_)) => &self.refused,
            Err(BackChannelError::Replayed) => &self.replayed,
            Err(BackChannelError::Store(_)) => &self.failed,
        };
        counter.count();
    }
}
