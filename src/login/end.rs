//! Ends a session at the request of the person.

use url::Url;

use super::{Login, hosts::LoginHost};
use crate::{
    own_paths,
    session::{EndReason, SessionKey, StoreError, Whose},
};

/// The request of the person.
#[derive(Clone, Debug)]
pub struct EndSession {
    /// The session of this browser, if it has one.
    pub key: Option<SessionKey>,
    /// All sessions of the person, not only this one.
    pub everywhere: bool,
}

// === impl Login ===

impl Login {
    /// Ends all sessions of a person or of a login at the IdP, and returns how many those were. A login that is just being
    /// completed, here or in another process, ends too.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store does not answer. Some of the sessions may still be there then.
    pub async fn end_all(&self, whose: Whose<'_>, why: EndReason) -> Result<usize, StoreError> {
        self.inner.logouts.end_all(whose, why).await
    }

    /// Ends all sessions, and returns their number. A login that completes at the same moment, here or in another process, ends
    /// too.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store does not answer. Some of the sessions may remain then.
    pub async fn end_everything(&self, why: EndReason) -> Result<usize, StoreError> {
        self.inner.logouts.end_everything(why).await
    }

    /// Ends the session and returns the next URL for the browser: the IdP's end-session endpoint (OpenID Connect
    /// RP-Initiated Logout 1.0 section 2), or our own page if there is none.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store does not answer. The session may still be there then.
    pub async fn end(&self, host: &LoginHost, request: &EndSession) -> Result<Url, StoreError> {
        let sessions = &self.inner.sessions;
        let why = if request.everywhere {
            EndReason::Everywhere
        } else {
            EndReason::Logout
        };
        let ended = match &request.key {
            Some(key) => sessions.end(key, why).await?,
            None => None,
        };
        if let Some(session) = &ended
            && request.everywhere
        {
            self.end_all(Whose::person(session), why).await?;
        }
        let logged_out = logged_out_url(host);
        let hint = ended.as_ref().map(|session| &session.tokens.id_token);
        let location = self
            .inner
            .relying_party
            .end_session_url(hint, Some(logged_out.as_str()), None);
        Ok(location.unwrap_or(logged_out))
    }
}

/// The registered post-logout redirect URI of a host.
fn logged_out_url(host: &LoginHost) -> Url {
    let mut url = host.origin().clone();
    url.set_path(own_paths::LOGGED_OUT);
    url
}
