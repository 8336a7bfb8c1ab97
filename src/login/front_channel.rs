//! Ends a session at the request of the IdP in a frame (OpenID Connect Front-Channel Logout 1.0).

use std::collections::BTreeSet;

use url::Url;

use super::Login;
use crate::session::{EndReason, StoreError, Whose};

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
    /// Ends the sessions that `issuer` and `sid` name (section 3), and returns their number. Browsers do not send our
    /// cookie into a frame of another site, so only the `sid` finds them. A foreign page does not know it: it appears
    /// in ID tokens, which a browser sees only on the way to the IdP (`id_token_hint`).
    ///
    /// # Errors
    ///
    /// [`FrontChannelError`]. Some of the sessions may still be there then.
    pub async fn end_by_front_channel(&self, issuer: &str, sid: &str) -> Result<usize, FrontChannelError> {
        let inner = &*self.inner;
        if issuer != inner.relying_party.issuer() {
            return Err(FrontChannelError::Issuer);
        }
        let whose = Whose::Sid { issuer, sid };
        Ok(self.end_all(whose, EndReason::FrontChannel).await?)
    }

    /// The origins of the IdP's pages, which alone may frame the answer: that of its issuer, and the one that
    /// browsers use.
    #[must_use]
    pub fn idp_origins(&self) -> BTreeSet<String> {
        let party = &self.inner.relying_party;
        let issuer = Url::parse(party.issuer()).ok();
        let browsers = party
            .provider()
            .metadata()
            .map(|metadata| metadata.authorization_endpoint.clone());
        issuer
            .into_iter()
            .chain(browsers)
            .map(|url| url.origin().ascii_serialization())
            .collect()
    }
}
