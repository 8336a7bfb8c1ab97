//! Logouts: people leave, and logout tokens say so, truthfully or not.

use super::{Control, IdTokenDraft};
use crate::{back_channel::Told, keys::KeyError};

/// Why there is no logout token.
#[derive(Debug, thiserror::Error)]
pub enum LogoutTokenError {
    /// No such client.
    #[error("no client has this id")]
    Unknown,
    /// The key does not sign.
    #[error(transparent)]
    Key(#[from] KeyError),
}

// === impl Control ===

impl Control {
    /// Ends the person's sessions here, like an administrator, and notifies the clients of each. Tokens stay valid.
    pub async fn log_out(&self, sub: &str) -> Vec<Told> {
        let sids = self.sids(sub);
        self.revoke_session(sub);
        let mut told = Vec::new();
        for sid in sids {
            told.extend(self.provider.tell_of_logout(sub, &sid).await);
        }
        told
    }

    /// `sid` of the person's sessions here.
    #[must_use]
    pub fn sids(&self, sub: &str) -> Vec<String> {
        let now = self.provider.now();
        let state = self.provider.state();
        let theirs = state
            .kept
            .sessions
            .values(now)
            .filter(|session| session.sub == sub);
        theirs.map(|session| session.sid.clone()).collect()
    }

    /// An unsent logout token for a client, changed by `change` before it is signed: valid or forged.
    ///
    /// # Errors
    ///
    /// If there is no such client, or the key does not sign.
    pub fn logout_token(
        &self,
        client_id: &str,
        sub: Option<&str>,
        sid: Option<&str>,
        change: impl FnOnce(&mut IdTokenDraft),
    ) -> Result<String, LogoutTokenError> {
        let client = self.provider.client(client_id).ok_or(LogoutTokenError::Unknown)?;
        let mut draft = self.provider.logout_token(&client, sub, sid);
        change(&mut draft);
        Ok(self.provider.sign_for(&client, draft)?)
    }
}
