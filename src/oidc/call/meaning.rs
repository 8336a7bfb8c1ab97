//! The meaning of a failed authenticated call (RFC 6749 section 5.2). It is the same for every call.

use super::CallError;

/// The meaning of a failure for the request, the client and the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// `invalid_grant`: the code or the refresh token is not good any more.
    GrantGone,
    /// The provider requires an interaction with the person ([`PERSON_NEEDED`]).
    PersonNeeded,
    /// A definite no to this request ([`REFUSALS`], or a 400 without a body).
    Refused,
    /// `invalid_client`: a matter for the operator.
    UnknownClient,
    /// The provider does not work at the moment, or something else answers in its place.
    Outage,
    /// No request was sent, because one of our own parts is not ready.
    NotSent,
}

/// The codes which say that only the person can help (OpenID Connect Core 1.0 section 3.1.2.6). Providers use them at
/// the token endpoint too.
pub const PERSON_NEEDED: [&str; 4] = [
    "interaction_required",
    "login_required",
    "consent_required",
    "account_selection_required",
];

/// The codes of a definite no (RFC 6749 sections 4.1.2.1 and 5.2, RFC 8707 section 2).
pub const REFUSALS: [&str; 6] = [
    "invalid_request",
    "unauthorized_client",
    "access_denied",
    "invalid_scope",
    "unsupported_grant_type",
    "invalid_target",
];

// === impl CallError ===

impl CallError {
    /// The meaning of the failure. A code without a standard meaning counts as an outage: it may pass.
    #[must_use]
    pub fn meaning(&self) -> Meaning {
        match self {
            Self::NotReady(_) | Self::Signing(_) => Meaning::NotSent,
            Self::InvalidClient(_) => Meaning::UnknownClient,
            Self::NoReason => Meaning::Refused,
            Self::Rejected(error) => match error.error.as_str() {
                "invalid_grant" => Meaning::GrantGone,
                code if PERSON_NEEDED.contains(&code) => Meaning::PersonNeeded,
                code if REFUSALS.contains(&code) => Meaning::Refused,
                _ => Meaning::Outage,
            },
            Self::Transport { .. }
            | Self::Unavailable { .. }
            | Self::Unexpected { .. }
            | Self::Malformed(_) => Meaning::Outage,
        }
    }
}
