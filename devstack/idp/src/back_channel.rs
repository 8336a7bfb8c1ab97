//! Notifies clients of logouts (OpenID Connect Back-Channel Logout 1.0).

use std::{collections::BTreeSet, time::Duration};

use futures_util::future::join_all;
use reqwest::{header, redirect};
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use crate::{
    client::Client,
    control::{IdTokenDraft, Signer},
    keys::KeyError,
    provider::Provider,
    random, tokens,
};

/// The event that makes a JWT a logout token (section 2.4).
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// Section 2.4 recommends at most two minutes.
const LIFE: u64 = 120;
/// A person who logs out waits so long for a client that does not answer.
const TIMEOUT: Duration = Duration::from_secs(3);

/// A client's answer to a logout token, or why there is none.
pub type Told = Result<u16, String>;

/// Sends logout tokens.
pub(crate) struct Sender {
    http: reqwest::Client,
}

// === impl Sender ===

impl Sender {
    pub(crate) fn new() -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            // Section 2.5: no redirect is followed with a token.
            .redirect(redirect::Policy::none())
            .timeout(TIMEOUT)
            .no_proxy()
            .build()?;
        Ok(Self { http })
    }

    async fn post(&self, uri: &str, token: &str) -> Told {
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("logout_token", token)
            .finish();
        let request = self
            .http
            .post(uri)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form);
        match request.send().await {
            Ok(answer) => Ok(answer.status().as_u16()),
            Err(error) => Err(error.to_string()),
        }
    }
}

// === impl Provider ===

impl Provider {
    /// Notifies every client with tokens of this session, if it has registered for that.
    pub(crate) async fn tell_of_logout(&self, sub: &str, sid: &str) -> Vec<Told> {
        let told = self
            .clients_of(sid)
            .into_iter()
            .filter_map(|client| Some((client.backchannel_logout_uri.clone()?, client)))
            .map(async |(uri, client)| {
                let mut draft = self.logout_token(&client, Some(sub), Some(sid));
                self.hooks.logout_token.apply(&mut draft);
                let told = match self.sign_for(&client, draft) {
                    Ok(token) => self.sender().post(&uri, &token).await,
                    Err(error) => Err(error.to_string()),
                };
                match &told {
                    Ok(status) => tracing::info!(client_id = client.client_id, status, "told of a logout"),
                    Err(error) => tracing::warn!(client_id = client.client_id, error, "not told of a logout"),
                }
                told
            });
        join_all(told).await
    }

    /// A logout token that is right.
    pub(crate) fn logout_token(&self, client: &Client, sub: Option<&str>, sid: Option<&str>) -> IdTokenDraft {
        let now = self.now();
        let mut claims = Map::new();
        let mut put = |name: &str, value: Value| claims.insert(name.to_owned(), value);
        put("iss", json!(self.issuer()));
        put("aud", json!(client.client_id));
        put("iat", json!(now));
        put("exp", json!(now + LIFE));
        put("jti", json!(random::id()));
        put("events", json!({ EVENT: {} }));
        if let Some(sub) = sub {
            put("sub", json!(sub));
        }
        if let Some(sid) = sid {
            put("sid", json!(sid));
        }
        let key = self.keys(|keys| keys.for_algorithm(client.id_token_signed_response_alg.as_deref()));
        IdTokenDraft {
            header: key.header("logout+jwt"),
            claims,
            signer: Signer::Normal,
            refreshed: false,
        }
    }

    pub(crate) fn sign_for(&self, client: &Client, draft: IdTokenDraft) -> Result<String, KeyError> {
        let key = self.keys(|keys| keys.for_algorithm(client.id_token_signed_response_alg.as_deref()));
        tokens::sign(self, &key, draft)
    }

    fn clients_of(&self, sid: &str) -> Vec<Client> {
        let state = self.state();
        let ids: BTreeSet<String> = state.kept.grants.clients_of(sid);
        ids.iter()
            .filter_map(|id| state.clients.get(id).cloned())
            .collect()
    }
}
