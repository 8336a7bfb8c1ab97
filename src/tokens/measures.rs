//! The counters of refreshes.

use super::fate::Answer;
use crate::{
    clock::Timestamp,
    instruments::{Counter, Instruments, Moment, REFRESHED, Series},
};

/// The counters of [`Tokens`](super::Tokens).
#[derive(Debug)]
pub(super) struct Measures {
    /// Sessions that got new tokens.
    refreshed: Counter,
    refreshed_last: Moment,
    /// Requests that waited for a refresh that another caller had started.
    pub(super) joined: Counter,
    failed: [Counter; Answer::ALL.len()],
    /// The store failed meanwhile.
    pub(super) store_failed: Counter,
}

// === impl Measures ===

impl Measures {
    pub(super) fn new(instruments: &dyn Instruments) -> Self {
        let failed = |reason| {
            instruments.counter(Series::labelled(
                "bff_token_refresh_failed_total",
                "reason",
                reason,
            ))
        };
        Self {
            refreshed: instruments.counter(Series::of("bff_token_refresh_success_total")),
            refreshed_last: instruments.moment(REFRESHED),
            joined: instruments.counter(Series::of("bff_token_refresh_joined_total")),
            failed: Answer::ALL.map(|answer| failed(answer.as_str())),
            store_failed: failed("store"),
        }
    }

    /// The IdP gave no tokens that can be used.
    pub(super) fn failed(&self, answer: Answer) {
        let known = Answer::ALL.iter().position(|known| *known == answer);
        if let Some(counter) = known.and_then(|index| self.failed.get(index)) {
            counter.count();
        }
    }

    /// A session got new tokens.
    pub(super) fn renewed(&self, now: Timestamp) {
        self.refreshed.count();
        self.refreshed_last.happened(now);
    }
}
