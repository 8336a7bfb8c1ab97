//! The checks common to all tokens that a provider signs: its keys, issuer and audience, and times.

use std::sync::Arc;

use super::{JwksError, Provider};
use crate::{
    clock::Timestamp,
    jose::{KeySet, Policy, Verified, VerifyError, verify},
    secret::Secret,
};

/// Why a token was not signed by the provider for us.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignedError {
    /// There are no keys for the check.
    #[error(transparent)]
    Keys(#[from] JwksError),
    /// Fails a check common to all JWTs (signature, `iss`, `aud`, times).
    #[error(transparent)]
    Token(#[from] VerifyError),
    /// It names a key that is not among the provider's, which were read a moment ago.
    #[error("the IdP does not publish the key that it names")]
    UnpublishedKey,
}

// === impl Provider ===

impl Provider {
    /// Makes the checks of [`verify`] with the provider's keys. For an unknown key, they are read
    /// again.
    ///
    /// # Errors
    ///
    /// [`SignedError`]: the keys are not known, or the token is not acceptable.
    pub async fn verify(
        &self,
        token: &Secret,
        policy: &Policy<'_>,
        now: Timestamp,
    ) -> Result<Verified, SignedError> {
        let check = |keys: &Arc<KeySet>| verify(token.expose(), keys, policy, now);
        let keys = self.keys().await?;
        match check(&keys) {
            // The provider may have rotated its keys.
            Err(VerifyError::UnknownKey) => match check(&self.keys_after(&keys).await) {
                Err(VerifyError::UnknownKey) if self.keys_are_current() => Err(SignedError::UnpublishedKey),
                outcome => Ok(outcome?),
            },
            outcome => Ok(outcome?),
        }
    }
}
