//! What is counted of requests.

use super::binding::Why;
use crate::{
    instruments::{Counter, Instruments, Series},
    session::Mismatch,
};

/// The counters of [`Web`](super::Web).
#[derive(Debug)]
pub(super) struct Measures {
    ua: Counter,
    ip: Counter,
    device: Counter,
}

// === impl Measures ===

impl Measures {
    pub(super) fn new(instruments: &dyn Instruments) -> Self {
        let of = |reason| {
            instruments.counter(Series::labelled(
                "bff_session_binding_failures_total",
                "reason",
                reason,
            ))
        };
        Self {
            ua: of("ua"),
            ip: of("ip"),
            device: of("device"),
        }
    }

    /// A request did not prove that it belongs to its session.
    pub(super) fn unproven(&self, why: Why) {
        let counter = match why {
            Why::Mismatch(Mismatch::UserAgent) => &self.ua,
            Why::Mismatch(Mismatch::Network) => &self.ip,
            Why::NoProof | Why::NoKey => &self.device,
        };
        counter.count();
    }
}
