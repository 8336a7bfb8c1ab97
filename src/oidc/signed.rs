//! The checks common to all tokens that the provider signs: its keys, issuer and audience, and times.

use std::sync::Arc;

use serde_json::Value;

use super::{JwksError, NotReady, RelyingParty};
use crate::{
    clock::Timestamp,
    jose::{Claims, KeySet, Policy, Typ, Verified, VerifyError, verify},
    secret::Secret,
};

/// Why a token was not signed by the provider for us.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SignedError {
    /// There is nothing to check it against.
    #[error(transparent)]
    NotReady(#[from] NotReady),
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

// === impl RelyingParty ===

impl RelyingParty {
    /// Makes the checks of [`verify`] with the provider's keys. For an unknown key, they are read again.
    pub(super) async fn verify_signed(
        &self,
        token: &Secret,
        typ: Typ,
        now: Timestamp,
    ) -> Result<Verified, SignedError> {
        let (metadata, client) = self.ready()?;
        let policy = Policy {
            algorithms: &metadata.id_token_algorithms,
            typ,
            issuer: &metadata.issuer,
            audience: &client.id,
            trusted: &self.shared.options.trusted_audiences,
        };
        let check = |keys: &Arc<KeySet>| verify(token.expose(), keys, &policy, now);
        let keys = self.provider_keys().await?;
        match check(&keys) {
            // The provider may have rotated its keys.
            Err(VerifyError::UnknownKey) => match check(&self.provider_keys_after(&keys).await) {
                Err(VerifyError::UnknownKey) if self.provider_keys_are_current() => {
                    Err(SignedError::UnpublishedKey)
                }
                outcome => Ok(outcome?),
            },
            outcome => Ok(outcome?),
        }
    }
}

/// A claim that is text, if it is there.
pub(super) fn text_of(claims: &Claims, name: &str) -> Result<Option<String>, ()> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(()),
    }
}

/// ASCII without control characters, neither empty nor too long.
pub(super) fn is_identifier(text: &str, longest: usize) -> bool {
    !text.is_empty() && text.len() <= longest && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}
