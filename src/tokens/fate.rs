//! The fate of a session after each kind of answer to a refresh. This is the only table of it: the code decides by
//! it, and [`table()`] makes the one in `docs/operating.md` from it.

mod table;

use std::fmt;

pub use self::table::table;
use crate::{
    clock::Timestamp,
    oidc::{CallError, IdTokenError, Meaning},
    session::{EndReason, Strikes, Tokens},
};

/// The IdP's answer to a refresh, if it is not simply new tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// `invalid_grant`.
    GrantGone,
    /// `invalid_grant` to a refresh token that an earlier refresh, whose answer never came, may have used up.
    GrantUsedUp,
    /// The IdP requires an interaction with the person.
    PersonNeeded,
    /// Another definite no to this refresh token.
    Refused,
    /// `invalid_client`.
    UnknownClient,
    /// No answer, or none of an IdP that works.
    Outage,
    /// No request was sent, because one of our own parts is not ready.
    NotSent,
    /// Tokens of another person, issuer or client.
    Foreign,
    /// Tokens with an ID token that fails a check.
    FaultyIdToken,
    /// Tokens with an ID token whose key the IdP does not publish.
    UnpublishedKey,
    /// Tokens with an uncheckable ID token, because the IdP's keys cannot be read.
    UncheckedIdToken,
}

/// The fate of the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It stays, for as long as this lasts.
    Stays,
    /// It ends.
    Ends(EndReason),
    /// It stays at first, and ends if nothing changes.
    EndsIfItStays(EndReason, Patience),
}

/// How long a fault may stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// While the access token is valid, and for [`TRIES`] beyond that.
    TriesBeyondTheToken,
    /// [`TRIES`] with the same fault, or until one after the access token has expired.
    SameFault,
}

/// The consequence of one answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The session stays, with these strikes against it.
    Stays(Option<Strikes>),
    /// The session ends.
    Ends(EndReason),
}

/// The number of refreshes with the same fault that end the session.
const TRIES: u32 = 3;

// === impl Answer ===

impl Answer {
    /// All of them.
    pub(super) const ALL: [Self; 11] = [
        Self::GrantGone,
        Self::GrantUsedUp,
        Self::PersonNeeded,
        Self::Refused,
        Self::UnknownClient,
        Self::Outage,
        Self::NotSent,
        Self::Foreign,
        Self::FaultyIdToken,
        Self::UnpublishedKey,
        Self::UncheckedIdToken,
    ];

    /// Its word for counters.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::GrantGone => "invalid_grant",
            Self::GrantUsedUp => "answer_lost",
            Self::PersonNeeded => "person_needed",
            Self::Refused => "refused",
            Self::UnknownClient => "invalid_client",
            Self::Outage => "outage",
            Self::NotSent => "not_sent",
            Self::Foreign => "identity",
            Self::FaultyIdToken => "id_token",
            Self::UnpublishedKey => "unpublished_key",
            Self::UncheckedIdToken => "unchecked_id_token",
        }
    }

    /// Classifies the answer to a failed refresh. `was_uncertain` says whether the answer to an earlier one was lost.
    pub(super) fn of_call(error: &CallError, was_uncertain: bool) -> Self {
        match error.meaning() {
            Meaning::GrantGone if was_uncertain => Self::GrantUsedUp,
            Meaning::GrantGone => Self::GrantGone,
            Meaning::PersonNeeded => Self::PersonNeeded,
            Meaning::Refused => Self::Refused,
            Meaning::UnknownClient => Self::UnknownClient,
            Meaning::Outage => Self::Outage,
            Meaning::NotSent => Self::NotSent,
        }
    }

    /// Classifies tokens beside a refreshed ID token with this fault.
    pub(super) fn of_id_token(error: &IdTokenError) -> Self {
        if error.ends_session() {
            Self::Foreign
        } else if *error == IdTokenError::UnpublishedKey {
            Self::UnpublishedKey
        } else if error.is_transient() {
            Self::UncheckedIdToken
        } else {
            Self::FaultyIdToken
        }
    }

    /// The fate of the session.
    pub(super) const fn fate(self) -> Fate {
        match self {
            Self::GrantGone => Fate::Ends(EndReason::InvalidGrant),
            Self::GrantUsedUp => Fate::Ends(EndReason::AnswerLost),
            Self::PersonNeeded => Fate::Ends(EndReason::PersonNeeded),
            Self::Refused => Fate::EndsIfItStays(EndReason::Refused, Patience::TriesBeyondTheToken),
            Self::UnknownClient | Self::Outage | Self::NotSent | Self::UncheckedIdToken => Fate::Stays,
            Self::Foreign => Fate::Ends(EndReason::Identity),
            Self::FaultyIdToken => Fate::EndsIfItStays(EndReason::IdToken, Patience::SameFault),
            Self::UnpublishedKey => Fate::EndsIfItStays(EndReason::IdToken, Patience::TriesBeyondTheToken),
        }
    }

    /// Its statement about the IdP as a whole, for the breaker: `Some(true)` means that it works, even if it refuses
    /// this one.
    pub(super) const fn idp_works(self) -> Option<bool> {
        match self {
            Self::UnknownClient | Self::Outage => Some(false),
            Self::NotSent => None,
            Self::GrantGone
            | Self::GrantUsedUp
            | Self::PersonNeeded
            | Self::Refused
            | Self::Foreign
            | Self::FaultyIdToken
            | Self::UnpublishedKey
            | Self::UncheckedIdToken => Some(true),
        }
    }

    /// The consequence for a session with these `tokens`. `fault` describes the problem, without a token in it.
    pub(super) fn verdict(self, fault: &dyn fmt::Display, tokens: &Tokens, now: Timestamp) -> Verdict {
        let (reason, patience) = match self.fate() {
            Fate::Stays => return Verdict::Stays(tokens.strikes.clone()),
            Fate::Ends(reason) => return Verdict::Ends(reason),
            Fate::EndsIfItStays(reason, patience) => (reason, patience),
        };
        let has_expired = !tokens.access_is_valid(now);
        // An IdP may word its refusals differently each time; of an ID token the very same thing has to be wrong.
        let (fault, counts, is_over) = match patience {
            Patience::TriesBeyondTheToken => (reason.as_str().to_owned(), has_expired, false),
            Patience::SameFault => (fault.to_string(), true, has_expired),
        };
        let before = tokens
            .strikes
            .as_ref()
            .filter(|strikes| strikes.fault == fault)
            .map_or(0, |strikes| strikes.count);
        let count = before.saturating_add(u32::from(counts));
        if is_over || count >= TRIES {
            Verdict::Ends(reason)
        } else {
            Verdict::Stays(Some(Strikes { fault, count }))
        }
    }
}

#[cfg(test)]
mod tests;
