//! The end of a session that the IdP asks for in a frame (OpenID Connect Front-Channel Logout 1.0).

use std::collections::BTreeSet;

use url::Url;

use super::Login;
use crate::session::{EndReason, Session, SessionKey, StoreError};

/// Why a front-channel logout ended nothing.
#[derive(Debug, thiserror::Error)]
pub enum FrontChannelError {
    /// `iss` is not our IdP.
    #[error("`iss` is not the identity provider of this application")]
    Issuer,
    /// The store does not answer. The session may still be there.
    #[error(transparent)]
    Store(#[from] StoreError),
}

// === impl Login ===

impl Login {
    /// Ends the session of the browser, `key`, if `issuer` and `sid` name it (section 3). Whether it did. The `sid` is what
    /// a page of somebody else does not know, so that it logs nobody out.
    ///
    /// # Errors
    ///
    /// [`FrontChannelError`].
    pub async fn end_by_front_channel(
        &self,
        issuer: &str,
        sid: &str,
        session: Option<(&SessionKey, &Session)>,
    ) -> Result<bool, FrontChannelError> {
        let inner = &*self.inner;
        if issuer != inner.relying_party.issuer() {
            return Err(FrontChannelError::Issuer);
        }
        match session {
            Some((key, session)) if session.issuer == issuer && session.sid.as_deref() == Some(sid) => {
                let ended = inner.sessions.end(key, EndReason::FrontChannel).await?;
                Ok(ended.is_some())
            }
            Some(_) | None => Ok(false),
        }
    }

    /// The origins of the IdP's pages, which alone may frame the answer: the one of its issuer, and the one at which
    /// browsers reach it.
    #[must_use]
    pub fn idp_origins(&self) -> BTreeSet<String> {
        let party = &self.inner.relying_party;
        let issuer = Url::parse(party.issuer()).ok();
        let browsers = party
            .metadata()
            .map(|metadata| metadata.authorization_endpoint.clone());
        issuer
            .into_iter()
            .chain(browsers)
            .map(|url| url.origin().ascii_serialization())
            .collect()
    }
}
