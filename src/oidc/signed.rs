//! The checks common to the tokens that the provider signs for this client.

use serde_json::Value;

use super::{NotReady, RelyingParty, SignedError};
use crate::{
    clock::Timestamp,
    jose::{Audience, Claims, Policy, Typ, Verified},
    secret::Secret,
};

// === impl RelyingParty ===

impl RelyingParty {
    /// Makes the checks of [`Provider::verify`](super::Provider::verify) with this client as the audience.
    pub(super) async fn verify_signed<E>(
        &self,
        token: &Secret,
        typ: Typ,
        now: Timestamp,
    ) -> Result<Verified, E>
    where
        E: From<NotReady> + From<SignedError>,
    {
        let (metadata, client) = self.ready()?;
        let policy = Policy {
            algorithms: &metadata.id_token_algorithms,
            typ,
            issuer: &metadata.issuer,
            audience: Audience::Client {
                id: &client.id,
                trusted: &self.shared.options.trusted_audiences,
            },
        };
        Ok(self.shared.provider.verify(token, &policy, now).await?)
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
