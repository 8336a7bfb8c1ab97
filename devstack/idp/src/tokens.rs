//! ID tokens (OpenID Connect Core 2), access tokens (RFC 9068) and the claims of people.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Map, Value, json};

use crate::{
    client::Client,
    control::{IdTokenDraft, Signer},
    jws,
    keys::{KeyError, KeyRing, SigningKey},
    options::User,
    provider::Provider,
    random,
    state::grants::Grant,
};

/// How people log in here.
pub(crate) const ACR: &str = "urn:devstack:password";

/// The subject of new tokens.
pub(crate) struct Issue<'a> {
    pub(crate) client: &'a Client,
    pub(crate) user: &'a User,
    pub(crate) grant: &'a Grant,
    /// The scopes of this answer; a refresh may ask for fewer than were granted.
    pub(crate) scope: &'a [String],
    pub(crate) nonce: Option<&'a str>,
    /// `aud` of the access token, if it is not the usual one.
    pub(crate) audience: Option<&'a str>,
    pub(crate) refreshed: bool,
}

/// An access token and how long it lives.
pub(crate) struct AccessToken {
    pub(crate) token: String,
    pub(crate) expires_in: u64,
}

// === impl Issue ===

impl Issue<'_> {
    pub(crate) fn access_token(&self, provider: &Provider) -> Result<AccessToken, KeyError> {
        let now = provider.now();
        let expires_in = provider.switches().access_token_lifetime.as_secs();
        let jti = random::id();
        let claims = object(json!({
            "iss": provider.issuer(),
            "sub": self.user.sub,
            "aud": self.audience.unwrap_or(provider.audience()),
            "client_id": self.client.client_id,
            "exp": now + expires_in,
            "iat": now,
            "jti": jti,
            "scope": self.scope.join(" "),
            "auth_time": self.grant.auth_time,
            "acr": ACR,
            "roles": self.user.roles,
            "name": self.user.name,
        }));
        let key = provider.keys(KeyRing::rsa);
        let token = key.sign(&key.header("at+jwt"), &claims)?;
        provider
            .state()
            .kept
            .grants
            .note_access(&jti, &self.grant.id, now + expires_in, now);
        Ok(AccessToken { token, expires_in })
    }

    pub(crate) fn id_token(&self, provider: &Provider, access_token: &str) -> Result<String, KeyError> {
        let now = provider.now();
        let lifetime = provider.switches().id_token_lifetime.as_secs();
        let mut claims = object(json!({
            "iss": provider.issuer(),
            "aud": self.client.client_id,
            "exp": now + lifetime,
            "iat": now,
            "auth_time": self.grant.auth_time,
            "acr": ACR,
            "sid": self.grant.sid,
            "at_hash": at_hash(access_token),
        }));
        claims.append(&mut person_claims(self.user, self.scope));
        // OpenID Connect Core 12.2: a refreshed ID token has no nonce.
        if let Some(nonce) = self.nonce {
            claims.insert("nonce".to_owned(), json!(nonce));
        }
        let alg = self.client.id_token_signed_response_alg.as_deref();
        let key = provider.keys(|keys| keys.for_algorithm(alg));
        let mut draft = IdTokenDraft {
            header: key.header("JWT"),
            claims,
            signer: Signer::Normal,
            refreshed: self.refreshed,
        };
        provider.hooks.id_token.apply(&mut draft);
        sign(provider, &key, draft)
    }
}

/// The claims that the scopes allow (OpenID Connect Core 5.4); UserInfo returns the same.
pub(crate) fn person_claims(user: &User, scope: &[String]) -> Map<String, Value> {
    let has = |name: &str| scope.iter().any(|scope| scope == name);
    let mut claims = Map::new();
    claims.insert("sub".to_owned(), json!(user.sub));
    claims.insert("roles".to_owned(), json!(user.roles));
    if has("profile") {
        claims.insert("name".to_owned(), json!(user.name));
        claims.insert("preferred_username".to_owned(), json!(user.username));
    }
    if has("email") {
        claims.insert("email".to_owned(), json!(user.email));
        claims.insert("email_verified".to_owned(), json!(true));
    }
    claims
}

/// OpenID Connect Core 3.1.3.6: the left half of the SHA-256, because all our algorithms end in 256.
fn at_hash(access_token: &str) -> String {
    let hash = digest(&SHA256, access_token.as_bytes());
    let left = hash.as_ref().get(..16).unwrap_or_default();
    URL_SAFE_NO_PAD.encode(left)
}

pub(crate) fn sign(
    provider: &Provider,
    key: &Arc<SigningKey>,
    draft: IdTokenDraft,
) -> Result<String, KeyError> {
    let IdTokenDraft {
        mut header,
        claims,
        signer,
        ..
    } = draft;
    match signer {
        Signer::Normal => key.sign(&header, &claims),
        Signer::OtherKeySameKid => provider.other_key()?.sign(&header, &claims),
        Signer::EmbeddedJwk => {
            let other = provider.other_key()?;
            header.insert("jwk".to_owned(), other.public_jwk());
            other.sign(&header, &claims)
        }
        Signer::None => {
            header.insert("alg".to_owned(), json!("none"));
            Ok(format!("{}.", jws::signing_input(&header, &claims)))
        }
        Signer::Hs256WithPublicKey => hs256(header, &claims, key.public_pem().as_bytes()),
        Signer::Hs256WithPublicJwk => hs256(header, &claims, key.public_jwk().to_string().as_bytes()),
        Signer::Hs256WithSecret(secret) => hs256(header, &claims, &secret),
        Signer::BrokenSignature => key.sign(&header, &claims).map(|token| break_signature(&token)),
    }
}

fn hs256(
    mut header: Map<String, Value>,
    claims: &Map<String, Value>,
    secret: &[u8],
) -> Result<String, KeyError> {
    header.insert("alg".to_owned(), json!("HS256"));
    let input = jws::signing_input(&header, claims);
    let key = EncodingKey::from_secret(secret);
    let signature = jsonwebtoken::crypto::sign(input.as_bytes(), &key, Algorithm::HS256)?;
    Ok(format!("{input}.{signature}"))
}

fn break_signature(token: &str) -> String {
    let (input, signature) = token.rsplit_once('.').unwrap_or((token, ""));
    let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
    if let Some(byte) = bytes.last_mut() {
        *byte ^= 1;
    }
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(bytes))
}

/// The object in a value that was written as one.
fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_hash_is_the_left_half() {
        // The example of OpenID Connect Core A.3.
        let token = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";
        assert_eq!(at_hash(token), "77QmUPtjPfzWtF2AnpK9RQ");
    }
}
