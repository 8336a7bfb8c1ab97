//! The end of a session that a person asks for.

use url::Url;

use super::{Login, hosts::LoginHost};
use crate::session::{Ended, SessionKey, StoreError};

/// What a person asks for.
#[derive(Clone, Debug)]
pub struct EndSession {
    /// The session of this browser, if it has one.
    pub key: Option<SessionKey>,
    /// All sessions of the person, not only this one.
    pub everywhere: bool,
}

/// What came of it.
#[derive(Debug)]
pub struct LoggedOut {
    /// The sessions that have ended; their tokens want to be revoked.
    pub ended: Vec<Ended>,
    /// Where the browser goes: the IdP's end-session endpoint, or without one our own page.
    pub location: Url,
}

// === impl Login ===

impl Login {
    /// Ends the session and says where the browser goes from there (OpenID Connect RP-Initiated Logout 1.0 section 2).
    ///
    /// # Errors
    ///
    /// [`StoreError`] where the store does not answer. The session may still be there then.
    pub async fn end(&self, host: &LoginHost, request: &EndSession) -> Result<LoggedOut, StoreError> {
        let store = &self.inner.store;
        let mut ended = Vec::new();
        if let Some(key) = request.key
            && let Some(session) = store.remove(&key).await?
        {
            if request.everywhere {
                ended = store.remove_by_subject(&session.issuer, &session.subject).await?;
            }
            // First in the list: the session of this browser, whose ID token is the hint.
            ended.insert(0, Ended { key, session });
        }
        let logged_out = logged_out_url(host);
        let hint = ended.first().map(|ended| &ended.session.tokens.id_token);
        let location = self
            .inner
            .relying_party
            .end_session_url(hint, Some(logged_out.as_str()), None);
        Ok(LoggedOut {
            ended,
            location: location.unwrap_or(logged_out),
        })
    }
}

/// The registered post-logout redirect URI of a host.
fn logged_out_url(host: &LoginHost) -> Url {
    let mut url = host.origin().clone();
    url.set_path("/auth/logged-out");
    url
}
