//! Client assertions (RFC 7523, section 3; OpenID Connect Core 9).

use serde_json::Value;

use super::{ClientAuthError, keys};
use crate::{
    client::Client,
    jws::Unverified,
    provider::{AssertionAudience, Provider},
};

/// The maximum lifetime of an assertion.
const MAX_LIFE: u64 = 300;
/// Tolerance between two clocks.
const LEEWAY: u64 = 5;
const MAX_JTI: usize = 256;

/// The client that an assertion claims to come from; nothing is verified yet.
pub(super) fn claimed_client(token: &str) -> Result<String, ClientAuthError> {
    let token = parse(token)?;
    let subject = token
        .claim_str("sub")
        .ok_or_else(|| failed("the assertion has no sub"))?;
    Ok(subject.to_owned())
}

/// Verifies the assertion fully and uses up its `jti`.
pub(super) async fn verify(
    provider: &Provider,
    client: &Client,
    token: &str,
    endpoint: &str,
) -> Result<(), ClientAuthError> {
    let token = parse(token)?;
    verify_signature(provider, client, &token).await?;
    let now = provider.now();
    let claims = Claims { token: &token };
    claims.check_parties(provider, client, endpoint)?;
    let expires_at = claims.check_times(now)?;
    let jti = token
        .claim_str("jti")
        .ok_or_else(|| failed("the assertion has no jti"))?;
    if jti.is_empty() || jti.len() > MAX_JTI {
        return Err(failed("the jti of the assertion is empty or too long"));
    }
    // Last, so that only an assertion that is right in everything else can use up a jti.
    let fresh = provider.state().jtis.insert_new(
        format!("{}\n{jti}", client.client_id),
        (),
        expires_at + LEEWAY + 1,
        now,
    );
    if fresh {
        Ok(())
    } else {
        Err(failed("the jti of the assertion was used before"))
    }
}

async fn verify_signature(
    provider: &Provider,
    client: &Client,
    token: &Unverified<'_>,
) -> Result<(), ClientAuthError> {
    if token.header.contains_key("crit") {
        return Err(failed("the assertion has a crit header"));
    }
    match token.header.get("typ") {
        None => {}
        Some(Value::String(typ))
            if typ.eq_ignore_ascii_case("JWT")
                || typ.eq_ignore_ascii_case("client-authentication+jwt")
                    && !provider.refuses_assertion_typ() => {}
        Some(_) => return Err(failed("the typ of the assertion is not JWT")),
    }
    let name = token
        .header_str("alg")
        .ok_or_else(|| failed("the assertion has no alg"))?;
    let alg = keys::algorithm(name)
        .ok_or_else(|| failed(format!("the alg {name} of the assertion is not supported")))?;
    if let Some(registered) = client.token_endpoint_auth_signing_alg.as_deref()
        && registered != name
    {
        return Err(failed(format!(
            "the alg of the assertion is {name}, registered is {registered}"
        )));
    }
    let kid = token.header_str("kid");
    let verified = |jwks: &Value| {
        keys::candidates(jwks, alg, kid).iter().any(|key| {
            jsonwebtoken::crypto::verify(token.signature, token.signing_input.as_bytes(), key, alg)
                .unwrap_or(false)
        })
    };
    let source = provider.key_source();
    let jwks = source
        .current(client)
        .await
        .map_err(|error| failed(format!("the keys of the client could not be read: {error}")))?;
    if verified(&jwks) {
        return Ok(());
    }
    let rotated = kid.is_none() || keys::candidates(&jwks, alg, kid).is_empty();
    if rotated
        && let Some(again) = source.refreshed(client).await
        && verified(&again)
    {
        return Ok(());
    }
    Err(failed(match kid {
        Some(kid) if keys::candidates(&jwks, alg, Some(kid)).is_empty() => {
            format!("no key of the client has kid {kid} and fits {name}")
        }
        _ => "the signature of the assertion is wrong".to_owned(),
    }))
}

struct Claims<'a> {
    token: &'a Unverified<'a>,
}

// === impl Claims ===

impl Claims<'_> {
    fn check_parties(
        &self,
        provider: &Provider,
        client: &Client,
        endpoint: &str,
    ) -> Result<(), ClientAuthError> {
        for claim in ["iss", "sub"] {
            if self.token.claim_str(claim) != Some(client.client_id.as_str()) {
                return Err(failed(format!(
                    "the {claim} of the assertion is not the client_id"
                )));
            }
        }
        // One string: an assertion for several audiences could be passed on by one of them.
        let Some(audience) = self.token.claim_str("aud") else {
            return Err(failed("the aud of the assertion must be one string"));
        };
        let token_endpoint = provider.url("/token");
        let issuer = provider.issuer();
        let accepted: &[&str] = match provider.assertion_audience() {
            AssertionAudience::Any => &[issuer, &token_endpoint, endpoint],
            AssertionAudience::Issuer => &[issuer],
            AssertionAudience::TokenEndpoint => &[&token_endpoint],
        };
        if accepted.contains(&audience) {
            Ok(())
        } else {
            Err(failed(format!(
                "the aud of the assertion must be {}",
                accepted.join(" or ")
            )))
        }
    }

    fn check_times(&self, now: u64) -> Result<u64, ClientAuthError> {
        let expires_at = self
            .time("exp")?
            .ok_or_else(|| failed("the assertion has no exp"))?;
        if expires_at + LEEWAY <= now {
            return Err(failed("the assertion has expired"));
        }
        if expires_at > now + MAX_LIFE + LEEWAY {
            return Err(failed("the exp of the assertion is more than 5 minutes ahead"));
        }
        if let Some(issued_at) = self.time("iat")?
            && (issued_at > now + LEEWAY || issued_at + MAX_LIFE + LEEWAY < now)
        {
            return Err(failed(
                "the iat of the assertion is in the future or too long ago",
            ));
        }
        if self
            .time("nbf")?
            .is_some_and(|not_before| not_before > now + LEEWAY)
        {
            return Err(failed("the assertion is not valid yet"));
        }
        Ok(expires_at)
    }

    /// A time claim: whole seconds that a date can have.
    fn time(&self, claim: &str) -> Result<Option<u64>, ClientAuthError> {
        match self.token.claims.get(claim) {
            None => Ok(None),
            Some(value) => match value.as_u64() {
                Some(seconds) if seconds < 1 << 40 => Ok(Some(seconds)),
                _ => Err(failed(format!("the {claim} of the assertion is not a time"))),
            },
        }
    }
}

fn parse(token: &str) -> Result<Unverified<'_>, ClientAuthError> {
    Unverified::parse(token).ok_or_else(|| failed("the assertion is not a signed JWT"))
}

fn failed(reason: impl Into<String>) -> ClientAuthError {
    ClientAuthError::failed(reason)
}
