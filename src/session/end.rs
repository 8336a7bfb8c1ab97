//! Why sessions end. This is the one table of it: the code decides by it, and [`table()`] makes the one in
//! `docs/operating.md` from it.

use std::{fmt::Write as _, sync::Arc};

use super::{Session, SessionKey, Sessions};

/// Why a session has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndReason {
    /// The person logged out in this browser.
    Logout,
    /// The person logged out everywhere.
    Everywhere,
    /// The person ended it from another browser.
    Elsewhere,
    /// An operator ended it.
    Admin,
    /// It was not used for too long.
    Idle,
    /// It reached its longest life.
    Lifetime,
    /// The IdP reported that the person has logged out there (OpenID Connect Back-Channel Logout 1.0).
    BackChannel,
    /// A page of the IdP reported it in a frame (OpenID Connect Front-Channel Logout 1.0).
    FrontChannel,
    /// The browser logged in again.
    Replaced,
    /// The person logged in more often than [`Limits::max_per_user`](super::Limits::max_per_user).
    Crowded,
    /// The refresh token is not good any more.
    InvalidGrant,
    /// The refresh token was used up by a refresh whose answer was lost.
    AnswerLost,
    /// The IdP requires an interaction with the person.
    PersonNeeded,
    /// The IdP keeps refusing.
    Refused,
    /// The IdP sent data of another person.
    Identity,
    /// The IdP keeps sending ID tokens that fail validation.
    IdToken,
}

/// The fate of an ended session's tokens (RFC 7009).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// They are revoked at once.
    Now,
    /// They are revoked unless the person has another session: all logins of a browser may be one grant at the IdP,
    /// which ends as a whole with any of its tokens (RFC 7009 section 2.1).
    Unshared,
    /// The IdP has ended them itself.
    Ended,
    /// They are revoked, together with the other person's tokens that the IdP has sent. The code that refused those
    /// revokes them.
    WithForeign,
}

/// The news about an end for the open pages of the browser (`/auth/events`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageEvent {
    /// `session-ended`, with a word for the reason. The word covers what a page can act on, and nothing that concerns
    /// only the server and the IdP.
    SessionEnded(&'static str),
    /// `user-changed`: there is a new session, possibly of another person.
    UserChanged,
}

/// A session that has ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The store's name for it.
    pub key: SessionKey,
    /// Its last state.
    pub session: Arc<Session>,
    /// Why it ended.
    pub why: EndReason,
}

/// Receives every session that this process ends, exactly once.
pub trait Listener: std::fmt::Debug + Send + Sync + 'static {
    /// Called after the session has left the store. Must not block; start a task for anything slow.
    fn ended(&self, sessions: &Sessions, ended: &Ended);
}

/// The description of every reason, in the order of the table: all that operators and applications learn about it.
#[must_use]
pub fn table() -> String {
    let mut table = String::from(
        "| `reason` | the session ends because | its tokens | its open pages receive |\n\
         | --- | --- | --- | --- |\n",
    );
    for reason in EndReason::ALL {
        // Writing to a string cannot fail.
        let _ = writeln!(
            table,
            "| `{}` | {} | {} | {} |",
            reason.as_str(),
            reason.told(),
            reason.revocation().told(),
            reason.page_event().told()
        );
    }
    table
}

// === impl EndReason ===

impl EndReason {
    /// All reasons, in the order of the documentation.
    pub const ALL: [Self; 16] = [
        Self::Logout,
        Self::Everywhere,
        Self::Elsewhere,
        Self::BackChannel,
        Self::FrontChannel,
        Self::Admin,
        Self::Idle,
        Self::Lifetime,
        Self::Replaced,
        Self::Crowded,
        Self::InvalidGrant,
        Self::AnswerLost,
        Self::PersonNeeded,
        Self::Refused,
        Self::Identity,
        Self::IdToken,
    ];

    /// Its word: `reason` in the log and for the application, and a label of metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::Everywhere => "everywhere",
            Self::Elsewhere => "elsewhere",
            Self::BackChannel => "back_channel",
            Self::FrontChannel => "front_channel",
            Self::Admin => "admin",
            Self::Idle => "idle",
            Self::Lifetime => "lifetime",
            Self::Replaced => "replaced",
            Self::Crowded => "crowded",
            Self::InvalidGrant => "invalid_grant",
            Self::AnswerLost => "answer_lost",
            Self::PersonNeeded => "person_needed",
            Self::Refused => "refused",
            Self::Identity => "identity",
            Self::IdToken => "id_token",
        }
    }

    /// The fate of the tokens.
    #[must_use]
    pub const fn revocation(self) -> Revocation {
        match self {
            // Back-Channel Logout 1.0 section 2.7: refresh tokens without `offline_access` SHOULD be revoked. Those
            // with it SHOULD NOT. But an ended session uses neither, and only we have these tokens. A token that the
            // IdP keeps valid for no user could only be stolen.
            Self::Logout
            | Self::Everywhere
            | Self::Elsewhere
            | Self::BackChannel
            | Self::FrontChannel
            | Self::Admin => Revocation::Now,
            Self::Idle
            | Self::Lifetime
            | Self::Replaced
            | Self::Crowded
            | Self::PersonNeeded
            | Self::Refused
            | Self::IdToken => Revocation::Unshared,
            Self::InvalidGrant | Self::AnswerLost => Revocation::Ended,
            Self::Identity => Revocation::WithForeign,
        }
    }

    /// The news for the open pages of the browser.
    #[must_use]
    pub const fn page_event(self) -> PageEvent {
        match self {
            Self::Logout | Self::Everywhere => PageEvent::SessionEnded("logout"),
            Self::Elsewhere => PageEvent::SessionEnded("elsewhere"),
            Self::BackChannel | Self::FrontChannel => PageEvent::SessionEnded("provider_logout"),
            Self::Admin => PageEvent::SessionEnded("admin"),
            Self::Idle => PageEvent::SessionEnded("idle"),
            Self::Lifetime => PageEvent::SessionEnded("lifetime"),
            Self::Replaced => PageEvent::UserChanged,
            Self::Crowded => PageEvent::SessionEnded("too_many_sessions"),
            Self::InvalidGrant
            | Self::AnswerLost
            | Self::PersonNeeded
            | Self::Refused
            | Self::Identity
            | Self::IdToken => PageEvent::SessionEnded("login_required"),
        }
    }

    /// The reason in a sentence that begins with "the session ends because".
    const fn told(self) -> &'static str {
        match self {
            Self::Logout => "the person logged out",
            Self::Everywhere => "the person logged out everywhere",
            Self::Elsewhere => "the person ended it from another browser (`DELETE /auth/sessions/…`)",
            Self::BackChannel => "the provider reported that the person has logged out there",
            Self::FrontChannel => "a page of the provider reported it in this browser",
            Self::Admin => "an operator ended it (`bff sessions end`)",
            Self::Idle => "it was idle for longer than allowed",
            Self::Lifetime => {
                "it is as old as the settings or the provider (`session_expiry`, the life of the refresh token) allow, or its access token has expired and there is no refresh token"
            }
            Self::Replaced => "the same browser logged in again",
            Self::Crowded => "the person has too many sessions, and this is the oldest",
            Self::InvalidGrant => "the provider no longer accepts its refresh token",
            Self::AnswerLost => "the answer to a refresh was lost, and the refresh token with it",
            Self::PersonNeeded => "the provider requires an interaction with the person",
            Self::Refused => "the provider keeps refusing to renew its tokens",
            Self::Identity => "the provider sent the tokens of another person",
            Self::IdToken => "the provider keeps sending invalid ID tokens",
        }
    }
}

// === impl Revocation ===

impl Revocation {
    const fn told(self) -> &'static str {
        match self {
            Self::Now => "are revoked",
            Self::Unshared => "are revoked, unless the person has another session",
            Self::Ended => "have ended at the provider",
            Self::WithForeign => "are revoked, together with those that the provider sent",
        }
    }
}

// === impl PageEvent ===

impl PageEvent {
    fn told(self) -> String {
        match self {
            Self::SessionEnded(reason) => format!("`session-ended`, `{reason}`"),
            Self::UserChanged => "`user-changed`".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// The table stands in docs/operating.md.
    #[test]
    fn every_reason_has_its_own_word_and_row() {
        let words: HashSet<_> = EndReason::ALL.map(EndReason::as_str).into();
        assert_eq!(words.len(), EndReason::ALL.len());
        let table = table();
        crate::generated::assert_made("docs/operating.md", "src/session/end", &table);
        for reason in EndReason::ALL {
            let row = format!("| `{}` |", reason.as_str());
            assert_eq!(table.matches(&row).count(), 1, "{reason:?}");
        }
    }
}
