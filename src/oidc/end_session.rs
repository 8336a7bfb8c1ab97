//! Logout at the provider (OpenID Connect RP-Initiated Logout 1.0 section 2).

use std::borrow::Cow;

use url::Url;

use super::{RelyingParty, authorize::with_parameters};
use crate::secret::Secret;

/// A longer ID token is left out of the URL, in bytes: servers and proxies refuse long request lines.
const MAX_HINT: usize = 4 * 1024;

// === impl RelyingParty ===

impl RelyingParty {
    /// The URL at which the browser logs out at the provider: with the newest ID token as hint if it is not too long,
    /// and always with our client id. `None` if the provider has no such page, or is not known yet.
    #[must_use]
    pub fn end_session_url(
        &self,
        id_token: Option<&Secret>,
        post_logout_redirect_uri: Option<&str>,
        state: Option<&str>,
    ) -> Option<Url> {
        let (metadata, client) = self.ready().ok()?;
        let endpoint = metadata.end_session_endpoint.as_ref()?;
        let hint = id_token
            .map(Secret::expose)
            .filter(|token| token.len() <= MAX_HINT);
        let mut parameters: Vec<(&'static str, Cow<'_, str>)> = Vec::new();
        let optional = [
            ("id_token_hint", hint),
            ("client_id", Some(client.id.as_str())),
            ("post_logout_redirect_uri", post_logout_redirect_uri),
            ("state", state),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                parameters.push((name, value.into()));
            }
        }
        Some(with_parameters(endpoint, &parameters))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::oidc::testing::{CLIENT_ID, FakeIdp};

    fn query(url: &Url) -> BTreeMap<String, String> {
        url.query_pairs().into_owned().collect()
    }

    #[tokio::test]
    async fn the_url_names_us_and_keeps_the_endpoints_own_query() {
        let provider = FakeIdp::start().await;
        let party = provider.party().await;
        let url = party
            .end_session_url(
                Some(&"a.b.c".into()),
                Some("https://app.example/auth/logged-out"),
                Some("s1"),
            )
            .unwrap();
        assert!(
            url.as_str()
                .starts_with(&format!("{}/logout?", provider.issuer()))
        );
        let query = query(&url);
        assert_eq!(query["theme"], "dark");
        assert_eq!(query["id_token_hint"], "a.b.c");
        assert_eq!(query["client_id"], CLIENT_ID);
        assert_eq!(
            query["post_logout_redirect_uri"],
            "https://app.example/auth/logged-out"
        );
        assert_eq!(query["state"], "s1");
    }

    /// A provider without an end session endpoint gives no URL.
    #[tokio::test]
    async fn a_long_id_token_is_not_sent_as_a_hint() {
        let provider = FakeIdp::start().await;
        let party = provider.party().await;
        let fits = Secret::new("x".repeat(MAX_HINT));
        let long = Secret::new("x".repeat(MAX_HINT + 1));
        let hint = |token| query(&party.end_session_url(Some(token), None, None).unwrap());
        assert!(hint(&fits).contains_key("id_token_hint"));
        assert!(!hint(&long).contains_key("id_token_hint"));
        assert_eq!(hint(&long)["client_id"], CLIENT_ID);

        provider.change_metadata(|document| {
            document.remove("end_session_endpoint");
        });
        assert_eq!(provider.party().await.end_session_url(None, None, None), None);
        assert_eq!(
            provider
                .undiscovered(provider.options())
                .end_session_url(None, None, None),
            None
        );
    }
}
