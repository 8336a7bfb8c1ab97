//! Tokens for one API: client credentials (RFC 6749, section 4.4) and the exchange of tokens (RFC 8693).

use serde_json::{Map, Value, json};

use super::{params::Params, token::TokenError, userinfo::live_access_token};
use crate::{client::Client, jws::Unverified, keys::KeyRing, provider::Provider, random};

pub(crate) const CLIENT_CREDENTIALS: &str = "client_credentials";

pub(crate) const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// RFC 8693, section 3.
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

type Answer = Result<Map<String, Value>, TokenError>;

pub(super) fn client_credentials(provider: &Provider, client: &Client, params: &Params) -> Answer {
    if !client.allows_grant(CLIENT_CREDENTIALS) {
        return Err(TokenError::UnauthorizedClient(CLIENT_CREDENTIALS));
    }
    let audience = target(provider, params)?.unwrap_or_else(|| provider.audience());
    let scope = registered(client, params)?.unwrap_or_default();
    // RFC 6749, section 4.4.3: no refresh token, and there is no person.
    if scope
        .iter()
        .any(|scope| *scope == "openid" || *scope == "offline_access")
    {
        return Err(TokenError::Scope);
    }
    let claims = json!({ "sub": client.client_id });
    signed(provider, client, audience, &scope.join(" "), "", claims)
}

pub(super) fn exchange(provider: &Provider, client: &Client, params: &Params) -> Answer {
    if !client.allows_grant(TOKEN_EXCHANGE) {
        return Err(TokenError::UnauthorizedClient(TOKEN_EXCHANGE));
    }
    match params.get("subject_token_type") {
        None => return Err(TokenError::Missing("subject_token_type")),
        Some(ACCESS_TOKEN) => {}
        Some(_) => {
            return Err(TokenError::Exchange(
                "subject_token_type must be that of an access token",
            ));
        }
    }
    if params
        .get("requested_token_type")
        .is_some_and(|kind| kind != ACCESS_TOKEN)
    {
        return Err(TokenError::Exchange(
            "requested_token_type must be that of an access token",
        ));
    }
    if params.get("actor_token").is_some() || params.get("actor_token_type").is_some() {
        return Err(TokenError::Exchange("actor tokens are not supported"));
    }
    let subject = params
        .get("subject_token")
        .ok_or(TokenError::Missing("subject_token"))?;
    let subject = live_access_token(provider, subject)
        .filter(|subject| may_exchange(provider, client, subject))
        .ok_or(TokenError::Exchange(
            "the subject token is not a live one of this client",
        ))?;
    let audience = target(provider, params)?.ok_or(TokenError::Target("audience is missing"))?;
    let scope = match registered(client, params)? {
        Some(scope) => scope.join(" "),
        None => subject.claim_str("scope").unwrap_or_default().to_owned(),
    };
    let grant = subject
        .claim_str("jti")
        .and_then(|jti| provider.state().kept.grants.grant_of_access(jti))
        .unwrap_or_default();
    let claims = json!({
        "sub": subject.claims.get("sub"),
        "roles": subject.claims.get("roles"),
        "name": subject.claims.get("name"),
        "auth_time": subject.claims.get("auth_time"),
        "act": { "sub": client.client_id },
    });
    let mut answer = signed(provider, client, audience, &scope, &grant, claims)?;
    answer.insert("issued_token_type".to_owned(), json!(ACCESS_TOKEN));
    Ok(answer)
}

/// Whether `subject` is a token of `client` itself, or one for an API that may exchange the tokens of its callers.
fn may_exchange(provider: &Provider, client: &Client, subject: &Unverified<'_>) -> bool {
    let audience = subject.claim_str("aud").unwrap_or_default();
    let is_own = subject.claim_str("client_id") == Some(client.client_id.as_str());
    is_own && audience == provider.audience() || provider.is_exchanged(audience)
}

/// The one value of a parameter that may repeat: an access token is for one API here.
pub(super) fn single<'a>(params: &'a Params, name: &'a str) -> Result<Option<&'a str>, TokenError> {
    let mut all = params.all(name);
    match (all.next(), all.next()) {
        (first, None) => Ok(first),
        (_, Some(_)) => Err(TokenError::Target("there is more than one target")),
    }
}

/// The API that a request names, by `resource` or `audience`.
fn target<'a>(provider: &'a Provider, params: &'a Params) -> Result<Option<&'a str>, TokenError> {
    let asked = match (single(params, "resource")?, params.get("audience")) {
        (Some(_), Some(_)) => return Err(TokenError::Target("there is more than one target")),
        (resource, audience) => resource.or(audience),
    };
    match asked {
        Some(asked) if !provider.resources().iter().any(|known| known == asked) => {
            Err(TokenError::Target("the target is not known"))
        }
        asked => Ok(asked),
    }
}

/// The scopes that a request names, all of which the client has registered.
fn registered<'a>(client: &Client, params: &'a Params) -> Result<Option<Vec<&'a str>>, TokenError> {
    let Some(scope) = params.get("scope") else {
        return Ok(None);
    };
    let scope: Vec<&str> = scope.split(' ').filter(|scope| !scope.is_empty()).collect();
    if scope.iter().all(|scope| client.allows_scope(scope)) {
        Ok(Some(scope))
    } else {
        Err(TokenError::Scope)
    }
}

/// An access token (RFC 9068) that ends with `grant`.
fn signed(
    provider: &Provider,
    client: &Client,
    audience: &str,
    scope: &str,
    grant: &str,
    person: Value,
) -> Answer {
    let now = provider.now();
    let expires_in = provider.switches().access_token_lifetime.as_secs();
    let jti = random::id();
    let claims = json!({
        "iss": provider.issuer(),
        "aud": audience,
        "client_id": client.client_id,
        "exp": now + expires_in,
        "iat": now,
        "jti": jti,
        "scope": scope,
    });
    let (Value::Object(mut claims), Value::Object(mut person)) = (claims, person) else {
        return Ok(Map::new());
    };
    claims.append(&mut person);
    let key = provider.keys(KeyRing::rsa);
    let token = key.sign(&key.header("at+jwt"), &claims)?;
    let mut state = provider.state();
    state.kept.grants.note_access(&jti, grant, now + expires_in, now);
    let answer = json!({
        "access_token": token,
        "token_type": "Bearer",
        "expires_in": expires_in,
        "scope": scope,
    });
    match answer {
        Value::Object(answer) => Ok(answer),
        _ => Ok(Map::new()),
    }
}
