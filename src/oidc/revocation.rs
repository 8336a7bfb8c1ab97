//! Revocation of tokens (RFC 7009).

use super::{CallError, RelyingParty};
use crate::{outbound::Lane, secret::Secret};

/// What kind of token is revoked (RFC 7009 section 2.1, `token_type_hint`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// An access token.
    Access,
    /// A refresh token.
    Refresh,
}

// === impl RelyingParty ===

impl RelyingParty {
    /// Revokes `token`; revoking a refresh token ends the whole grant (RFC 7009 section 2.1). `false` where the
    /// provider has no revocation endpoint.
    ///
    /// # Errors
    ///
    /// [`CallError`], for a log line: no logout fails because of it.
    pub async fn revoke(&self, token: &Secret, kind: TokenKind) -> Result<bool, CallError> {
        let (metadata, client) = self.ready()?;
        let Some(url) = &metadata.revocation_endpoint else {
            return Ok(false);
        };
        let fields = [("token", token.expose()), ("token_type_hint", kind.hint())];
        self.post(Lane::Revocation, &metadata, &client, url, &fields)
            .await?;
        Ok(true)
    }

    /// Revokes what is left of a grant: the refresh token, or without one the access token. A failure is logged and
    /// nothing else: whoever ends a session does not depend on the provider.
    pub async fn revoke_grant(&self, refresh: Option<&Secret>, access: &Secret) {
        let revoked = match refresh {
            Some(refresh) => self.revoke(refresh, TokenKind::Refresh).await,
            None => self.revoke(access, TokenKind::Access).await,
        };
        if let Err(error) = revoked {
            tracing::warn!(%error, "tokens of a session that ended were not revoked");
        }
    }
}

// === impl TokenKind ===

impl TokenKind {
    const fn hint(self) -> &'static str {
        match self {
            Self::Access => "access_token",
            Self::Refresh => "refresh_token",
        }
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use serde_json::json;

    use super::*;
    use crate::oidc::testing::Provider;

    #[tokio::test]
    async fn a_refresh_token_is_revoked_with_authentication() {
        let provider = Provider::start().await;
        provider.answer("/revoke", StatusCode::OK, &json!({}));
        let party = provider.party().await;
        assert!(party.revoke(&"rt".into(), TokenKind::Refresh).await.unwrap());
        let seen = provider.requests_to("/revoke");
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].field("token"), Some("rt"));
        assert_eq!(seen[0].field("token_type_hint"), Some("refresh_token"));
        assert!(seen[0].field("client_assertion").is_some());
    }

    #[tokio::test]
    async fn refusals_are_told_and_a_provider_without_the_endpoint_is_none() {
        let provider = Provider::start().await;
        provider.answer(
            "/revoke",
            StatusCode::BAD_REQUEST,
            &json!({"error": "unsupported_token_type"}),
        );
        let party = provider.party().await;
        let error = party.revoke(&"at".into(), TokenKind::Access).await.unwrap_err();
        assert!(matches!(error, CallError::Rejected(error) if error.is("unsupported_token_type")));

        let provider = Provider::start().await;
        provider.change_metadata(|document| {
            document.remove("revocation_endpoint");
        });
        let party = provider.party().await;
        assert!(!party.revoke(&"at".into(), TokenKind::Access).await.unwrap());
        assert!(provider.requests_to("/revoke").is_empty());
    }
}
