//! The counters of requests.

use super::{binding::Why, limits::Kind};
use crate::{
    clock::Timestamp,
    instruments::{Counter, Instruments, JWKS_FETCHED, JWKS_FETCHES, Moment, Series},
    login::BackChannelError,
    session::Mismatch,
};

/// The counters of [`Web`](super::Web).
#[derive(Debug)]
pub(super) struct Measures {
    ua: Counter,
    ip: Counter,
    device: Counter,
    logouts: Logouts,
    limited: [(Kind, Counter); Kind::ALL.len()],
    jwks: Counter,
    jwks_last: Moment,
}

/// Logout tokens, by outcome.
#[derive(Debug)]
struct Logouts {
    ended: Counter,
    none: Counter,
    refused: Counter,
    replayed: Counter,
    failed: Counter,
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
            logouts: Logouts::new(instruments),
            limited: Kind::ALL.map(|kind| {
                let name = "bff_rate_limit_violations_total";
                (
                    kind,
                    instruments.counter(Series::labelled(name, "kind", kind.name())),
                )
            }),
            jwks: instruments.counter(JWKS_FETCHES),
            jwks_last: instruments.moment(JWKS_FETCHED),
        }
    }

    /// The outcome of a logout token: the number of ended sessions.
    pub(super) fn logout(&self, outcome: &Result<usize, BackChannelError>) {
        let counter = match outcome {
            Ok(0) => &self.logouts.none,
            Ok(_) => &self.logouts.ended,
            Err(BackChannelError::Token(error)) if error.is_transient() => &self.logouts.failed,
            Err(BackChannelError::Token(_)) => &self.logouts.refused,
            Err(BackChannelError::Replayed) => &self.logouts.replayed,
            Err(BackChannelError::Store(_)) => &self.logouts.failed,
        };
        counter.count();
    }

    /// A rate limit was exceeded.
    pub(super) fn limited(&self, kind: Kind) {
        for (of, counter) in &self.limited {
            if *of == kind {
                counter.count();
            }
        }
    }

    /// Counts a fetch of our JWK Set.
    pub(super) fn jwks_fetched(&self, now: Timestamp) {
        self.jwks.count();
        self.jwks_last.happened(now);
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

// === impl Logouts ===

impl Logouts {
    fn new(instruments: &dyn Instruments) -> Self {
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
}
