//! Ends sessions at the request of the IdP (OpenID Connect Back-Channel Logout 1.0).

use std::{sync::Arc, time::Duration};

use super::{
    Login, Memories,
    logged_out::{Course, LoggedOut},
};
use crate::{
    clock::SharedClock,
    diagnostic::{Explain, Fix},
    oidc::{LogoutToken, LogoutTokenError},
    seal::Sealer,
    secret::Secret,
    session::{
        Due, EndReason, Once, OpenError, Opened, Part, Session, SessionKey, Sessions, StoreError, Whose,
    },
};

/// The clocks of replicas are no further apart.
const CLOCKS_APART: Duration = Duration::from_mins(1);

/// Why a logout token ended nothing.
#[derive(Debug, thiserror::Error)]
pub enum BackChannelError {
    /// It is not one of our IdP, for us, of now.
    #[error(transparent)]
    Token(#[from] LogoutTokenError),
    /// It is a repetition. The specification leaves this check to us (section 2.6, step 8), and treats a token that
    /// fails any check like every other refused one.
    #[error("logout token refused: it came before")]
    Replayed,
    /// The store does not answer. Some of the sessions may still exist; the IdP may send the same token again.
    #[error(transparent)]
    Store(#[from] StoreError),
}

// === impl BackChannelError ===

impl Explain for BackChannelError {
    fn fix(&self) -> Option<Fix> {
        match self {
            Self::Token(error) => error.fix(),
            Self::Replayed | Self::Store(_) => None,
        }
    }
}

/// The received logout tokens and their effect.
#[derive(Debug)]
pub(super) struct Logouts {
    sessions: Sessions,
    /// Which tokens have come.
    once: Arc<dyn Once>,
    /// The persons and sessions that they have named recently.
    logged_out: LoggedOut,
    clock: SharedClock,
}

// === impl Login ===

impl Login {
    /// Ends the sessions that a logout token names, and returns their number. A token with a `sid` names the sessions
    /// of that session at the IdP; with a `sub` too, only those of that person; with only a `sub`, all sessions of
    /// the person (section 2.4). A token that names no session of ours is valid. A login under way fails.
    ///
    /// # Errors
    ///
    /// [`BackChannelError`].
    pub async fn end_by_logout_token(&self, token: &Secret) -> Result<usize, BackChannelError> {
        let token = self.inner.relying_party.verify_logout_token(token).await?;
        self.inner.logouts.end(&token).await
    }
}

// === impl Logouts ===

impl Logouts {
    pub(super) fn new(sessions: Sessions, memories: Memories, sealer: &Sealer, clock: SharedClock) -> Self {
        let logged_out = LoggedOut::new();
        Self {
            sessions,
            once: memories.once,
            logged_out: match memories.passing {
                Some(passing) => logged_out.shared(passing, sealer.clone()),
                None => logged_out,
            },
            clock,
        }
    }

    /// Opens the session of a login. `None` if the IdP has logged the person out meanwhile: the session has then
    /// ended, and its tokens are revoked.
    ///
    /// First the session is stored, then the notes are read: a logout from here on finds the session.
    pub(super) async fn open(
        &self,
        session: Session,
        due: Due,
        replaces: Option<SessionKey>,
        course: &Course,
    ) -> Result<Option<Opened>, OpenError> {
        let opened = self.sessions.open(session, due, replaces).await?;
        if self.logged_out.covers(course).await {
            self.sessions.end(&opened.key, EndReason::BackChannel).await?;
            return Ok(None);
        }
        Ok(Some(opened))
    }

    /// Ends all sessions of a person or of a login at the IdP, and with them a login that is just being completed.
    pub(super) async fn end_all(&self, whose: Whose<'_>, why: EndReason) -> Result<usize, StoreError> {
        let noted = self.logged_out.note_end(whose, self.clock.now()).await;
        noted.map_err(StoreError::unavailable)?;
        self.sessions.end_all(whose, why).await
    }

    /// Ends all sessions there are, and with them all logins that are just being completed.
    pub(super) async fn end_everything(&self, why: EndReason) -> Result<usize, StoreError> {
        let noted = self.logged_out.note_end_of_all(self.clock.now()).await;
        noted.map_err(StoreError::unavailable)?;
        let mut ended = 0;
        for part in Part::all() {
            for found in self.sessions.all_in(part).await? {
                ended += usize::from(self.sessions.end(&found.key, why).await?.is_some());
            }
        }
        Ok(ended)
    }

    async fn end(&self, token: &LogoutToken) -> Result<usize, BackChannelError> {
        let id = once_id(token);
        // By the clock of another machine it may be good for longer.
        let keep = token.refused_from.duration_since(self.clock.wall());
        let keep = keep.saturating_add(CLOCKS_APART);
        if !self.once.first(&id, keep).await? {
            return Err(BackChannelError::Replayed);
        }
        match self.note_and_end(token).await {
            Ok(ended) => Ok(ended),
            Err(error) => {
                // The IdP may send it again, and it must count then.
                self.once.forget(&id).await?;
                Err(error.into())
            }
        }
    }

    /// First the logout is noted, then the sessions are looked up; a login does it the other way round.
    async fn note_and_end(&self, token: &LogoutToken) -> Result<usize, StoreError> {
        let noted = self.logged_out.note(token, self.clock.now()).await;
        noted.map_err(StoreError::unavailable)?;
        self.end_named(token).await
    }

    async fn end_named(&self, token: &LogoutToken) -> Result<usize, StoreError> {
        let sessions = &self.sessions;
        let why = EndReason::BackChannel;
        let issuer = &*token.issuer;
        match (&token.sid, &token.subject) {
            (Some(sid), None) => sessions.end_all(Whose::Sid { issuer, sid }, why).await,
            (Some(sid), Some(subject)) => {
                let whose = Whose::Sid { issuer, sid };
                sessions
                    .end_those(whose, why, |session| session.subject == *subject)
                    .await
            }
            (None, Some(subject)) => sessions.end_all(Whose::Subject { issuer, subject }, why).await,
            (None, None) => Ok(0),
        }
    }
}

/// The key that identifies a token: `jti` is unique only per issuer (RFC 7519 section 4.1.7).
fn once_id(token: &LogoutToken) -> Vec<u8> {
    // An issuer is a URL and contains no NUL.
    ["logout-token", &token.issuer, &token.id].join("\0").into_bytes()
}

#[cfg(test)]
mod tests;
