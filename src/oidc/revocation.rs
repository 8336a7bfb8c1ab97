//! Revocation of tokens (RFC 7009).

use super::{CallError, RelyingParty};
use crate::{
    diagnostic::Explain as _,
    {outbound::Lane, secret::Secret},
};

/// The kind of a revoked token (RFC 7009 section 2.1, `token_type_hint`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// An access token.
    Access,
    /// A refresh token.
    Refresh,
}

// === impl RelyingParty ===

impl RelyingParty {
    /// Revokes `token`; revoking a refresh token ends the whole grant (RFC 7009 section 2.1). `false` if the provider
    /// has no revocation endpoint.
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

    /// Revokes the rest of a grant: the refresh token, if there is one, and the access tokens, because not every
    /// provider ends them with the refresh token (RFC 7009 section 2.1). A failure is only logged: the end of a session
    /// does not depend on the provider.
    pub async fn revoke_grant(&self, refresh: Option<&Secret>, access: &Secret, others: &[Secret]) {
        if let Some(refresh) = refresh
            && let Err(error) = self.revoke(refresh, TokenKind::Refresh).await
        {
            tracing::warn!(
                error = error.told(),
                "tokens of an ended session were not revoked"
            );
            // A provider that fails, or refuses us, is not asked twice.
            if !matches!(error, CallError::Rejected(_)) {
                return;
            }
        }
        for access in std::iter::once(access).chain(others) {
            match self.revoke(access, TokenKind::Access).await {
                Ok(_) => {}
                // Nothing can be done: the token lives until its expiry (section 2.2.1).
                Err(CallError::Rejected(error)) if error.is("unsupported_token_type") => {
                    tracing::debug!(%error, "the IdP revokes no access tokens");
                    return;
                }
                Err(error) => {
                    tracing::warn!(
                        error = error.told(),
                        "the access token of an ended session was not revoked"
                    );
                    return;
                }
            }
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
    use crate::{
        oidc::testing::{Answer, FakeIdp, Seen},
        telemetry::testing::Logs,
    };

    #[tokio::test]
    async fn a_refresh_token_is_revoked_with_authentication() {
        let provider = FakeIdp::start().await;
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
    async fn of_a_grant_both_tokens_are_revoked() {
        let provider = FakeIdp::start().await;
        provider.answer("/revoke", StatusCode::OK, &json!({}));
        let party = provider.party().await;
        let revoked = |from: usize| -> Vec<(String, String)> {
            let seen = provider.requests_to("/revoke");
            let field = |seen: &Seen, name| seen.field(name).unwrap().to_owned();
            let seen = seen[from..].iter();
            seen.map(|seen| (field(seen, "token"), field(seen, "token_type_hint")))
                .collect()
        };
        let pair = |token: &str, kind: &str| (token.to_owned(), kind.to_owned());
        party.revoke_grant(Some(&"rt".into()), &"at".into(), &[]).await;
        let both = [pair("rt", "refresh_token"), pair("at", "access_token")];
        assert_eq!(revoked(0), both);
        party.revoke_grant(None, &"at".into(), &[]).await;
        assert_eq!(revoked(2), [pair("at", "access_token")]);

        // An IdP that does not revoke access tokens causes no log line; one that is down is asked once.
        let logs = Logs::capture();
        let refused = json!({"error": "unsupported_token_type"});
        provider.answers(
            "/revoke",
            [
                Answer::json(StatusCode::OK, &json!({})),
                Answer::json(StatusCode::BAD_REQUEST, &refused),
            ],
        );
        party.revoke_grant(Some(&"rt".into()), &"at".into(), &[]).await;
        assert_eq!(revoked(3), both);
        assert_eq!(logs.count("WARN"), 0, "{}", logs.text());
        provider.answers("/revoke", [Answer::html(StatusCode::BAD_GATEWAY)]);
        party.revoke_grant(Some(&"rt".into()), &"at".into(), &[]).await;
        assert_eq!(revoked(5), [pair("rt", "refresh_token")]);
        assert_eq!(logs.count("WARN"), 1, "{}", logs.text());
    }

    /// A provider without the endpoint refuses nothing.
    #[tokio::test]
    async fn a_refused_revocation_is_logged() {
        let provider = FakeIdp::start().await;
        provider.answer(
            "/revoke",
            StatusCode::BAD_REQUEST,
            &json!({"error": "unsupported_token_type"}),
        );
        let party = provider.party().await;
        let error = party.revoke(&"at".into(), TokenKind::Access).await.unwrap_err();
        assert!(matches!(error, CallError::Rejected(error) if error.is("unsupported_token_type")));

        let provider = FakeIdp::start().await;
        provider.change_metadata(|document| {
            document.remove("revocation_endpoint");
        });
        let party = provider.party().await;
        assert!(!party.revoke(&"at".into(), TokenKind::Access).await.unwrap());
        assert!(provider.requests_to("/revoke").is_empty());
    }
}
