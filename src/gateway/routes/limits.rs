//! The bounds of services and routes.

use crate::limits::Rate;

/// How often a route may be called (`rate_limit`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateLimits {
    /// From one address.
    pub per_address: Option<Rate>,
    /// In one session.
    pub per_session: Option<Rate>,
    /// Altogether.
    pub per_route: Option<Rate>,
}

/// The longest body of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::gateway) enum MaxBody {
    Bytes(u64),
    Unlimited,
}

// === impl MaxBody ===

impl MaxBody {
    /// The number of bytes, if there is a bound.
    pub(super) const fn bytes(self) -> Option<u64> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Unlimited => None,
        }
    }
}
