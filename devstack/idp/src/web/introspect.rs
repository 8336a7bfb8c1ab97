//! `POST /introspect` (RFC 7662), with signed answers for those who ask for them (RFC 9701).

use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};

use super::{
    Shared,
    error::{OauthError, json_response},
    params::{Params, ParamsError},
    userinfo::live_access_token,
};
use crate::{
    client::Client,
    client_auth::{self, ClientAuthError},
    control::{IdTokenDraft, Introspection, Signer},
    keys::{KeyError, KeyRing},
    provider::Provider,
    tokens,
};

/// The type of signed answers (RFC 9701, section 4).
const SIGNED: &str = "application/token-introspection+jwt";

#[derive(Debug, thiserror::Error)]
pub(crate) enum IntrospectError {
    #[error(transparent)]
    Params(#[from] ParamsError),
    #[error(transparent)]
    Client(#[from] ClientAuthError),
    #[error("token is missing")]
    Missing,
    #[error(transparent)]
    Key(#[from] KeyError),
}

// === impl IntrospectError ===

impl IntoResponse for IntrospectError {
    fn into_response(self) -> Response {
        let text = self.to_string();
        match self {
            Self::Client(error) => OauthError::from(error),
            Self::Key(_) => OauthError::internal(),
            Self::Params(_) | Self::Missing => OauthError::bad_request("invalid_request", text),
        }
        .into_response()
    }
}

/// Section 2.1: only a client may ask. Section 2.2: an unknown token is not an error.
pub(crate) async fn post(
    State(provider): Shared,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, IntrospectError> {
    let params = Params::unique_form(&headers, &body)?;
    let client =
        client_auth::authenticate(&provider, &headers, &params, &provider.url("/introspect")).await?;
    let token = params.get("token").ok_or(IntrospectError::Missing)?;
    let answer = match live_access_token(&provider, token) {
        Some(live) => {
            let mut claims: Map<String, Value> = live.claims;
            claims.insert("active".to_owned(), json!(true));
            claims.insert("token_type".to_owned(), json!("Bearer"));
            Value::Object(claims)
        }
        None => json!({"active": false}),
    };
    let mut introspection = Introspection {
        token: token.to_owned(),
        answer,
    };
    provider.hooks.introspection.apply(&mut introspection);
    if headers.get(header::ACCEPT).is_some_and(|accept| accept == SIGNED) {
        let token = signed(&provider, &client, introspection.answer)?;
        return Ok(([(header::CONTENT_TYPE, SIGNED)], token).into_response());
    }
    Ok(json_response(StatusCode::OK, &introspection.answer))
}

/// RFC 9701, section 5.
fn signed(provider: &Provider, client: &Client, answer: Value) -> Result<String, KeyError> {
    let key = provider.keys(KeyRing::rsa);
    let mut claims = Map::new();
    claims.insert("iss".to_owned(), json!(provider.issuer()));
    claims.insert("aud".to_owned(), json!(client.client_id));
    claims.insert("iat".to_owned(), json!(provider.now()));
    claims.insert("token_introspection".to_owned(), answer);
    let mut draft = IdTokenDraft {
        header: key.header("token-introspection+jwt"),
        claims,
        signer: Signer::Normal,
        refreshed: false,
    };
    provider.hooks.signed_introspection.apply(&mut draft);
    tokens::sign(provider, &key, draft)
}
