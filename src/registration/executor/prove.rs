//! Asks the IdP whether it still accepts a client whose registration access token it refuses.

use super::super::attempt::Attempt;
use crate::oidc::Standing;

// === impl Attempt ===

impl Attempt<'_> {
    pub(super) async fn prove(&self) -> Standing {
        let (Some(relying_party), Some(known)) = (&self.registration.asks, &self.record.registered) else {
            return Standing::Unclear;
        };
        let Ok(client) = self.registration.authentication(known, self.algorithm) else {
            return Standing::Unclear;
        };
        let redirect_uri = self.registration.options.redirect_uris.first();
        let redirect_uri = redirect_uri.map_or("", String::as_str);
        relying_party.standing(self.metadata, &client, redirect_uri).await
    }
}
