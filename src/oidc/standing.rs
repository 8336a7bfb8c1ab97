//! Whether the provider still accepts a client, without a person.

use super::{CallError, Client, Metadata, Pkce, RelyingParty};
use crate::{outbound::Lane, random::RandomExt as _};

/// The provider's reaction to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It accepts the client.
    Accepted,
    /// `invalid_client` (RFC 6749 section 5.2).
    Refused,
    /// Its answer says nothing of the client, or it does not answer.
    Unclear,
}

// === impl RelyingParty ===

impl RelyingParty {
    /// Asks the token endpoint with a code that the provider never issued: a provider that accepts `client` complains
    /// about the code.
    pub async fn standing(&self, metadata: &Metadata, client: &Client, redirect_uri: &str) -> Standing {
        let random = &*self.shared.random;
        let code = random.base64url::<32>();
        let pkce = Pkce::generate(random);
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", redirect_uri),
            ("code_verifier", pkce.verifier.expose()),
        ];
        let url = &metadata.token_endpoint;
        match self
            .post(Lane::Registration, metadata, client, url, &fields)
            .await
        {
            Ok(_) | Err(CallError::Rejected(_)) => Standing::Accepted,
            Err(CallError::InvalidClient(_)) => Standing::Refused,
            Err(_) => Standing::Unclear,
        }
    }
}
