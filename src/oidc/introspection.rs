//! Introspection of tokens that others bring (RFC 7662), with answers that the issuer signs if the operator wants that
//! (RFC 9701).

use std::time::Duration;

use http::HeaderValue;
use serde_json::Value;
use url::Url;

use super::{CallError, MemberError, Provider, RelyingParty, SignedError};
use crate::{
    diagnostic::{Explain, Fix, Knob, fix},
    jose::{Algorithm, Audience, Claims, Policy, Typ},
    outbound::{Lane, Response, TransportError},
    retry::Backoff,
    secret::Secret,
};

/// How often a question is repeated beyond the repetitions of every call: it changes nothing, so that it may be asked
/// again although its outcome is unknown.
const REPEATS: u32 = 2;

/// The pauses before that.
const PAUSES: Backoff = Backoff {
    first: Duration::from_millis(100),
    longest: Duration::from_secs(1),
};

/// The type of a signed answer (RFC 9701 section 4).
const SIGNED: &str = "application/token-introspection+jwt";

/// The claim of a signed answer with the answer itself (RFC 9701 section 5).
const NESTED: &str = "token_introspection";

/// Why nothing is known about a token.
#[derive(Debug, thiserror::Error)]
pub enum IntrospectionError {
    /// The call failed, or its answer cannot be used.
    #[error(transparent)]
    Call(#[from] CallError),
    /// A signed answer was asked for, and this one is not signed.
    #[error("the answer about the token is not signed, although the entry has signed_introspection: true")]
    Unsigned,
    /// The answer is not signed by the issuer for this client, or is old.
    #[error("the signed answer about the token is not accepted: {0}")]
    Signed(#[from] SignedError),
}

// === impl RelyingParty ===

impl RelyingParty {
    /// The statements of the server at `url` about `token` (RFC 7662 section 2.2), with `active`. With a `signer`, only
    /// those that are signed with its keys for this client count.
    ///
    /// # Errors
    ///
    /// [`IntrospectionError`]: nothing is known about the token.
    pub async fn introspect(
        &self,
        url: &Url,
        token: &Secret,
        signer: Option<&Provider>,
    ) -> Result<Claims, IntrospectionError> {
        let mut failed = 0;
        let response = loop {
            let error = match self.ask_about(url, token, signer.is_some()).await {
                Ok(response) => break response,
                Err(error) => error,
            };
            if failed == REPEATS || !passes(&error) {
                return Err(error.into());
            }
            let pause = PAUSES.jittered(failed, &*self.shared.random);
            self.shared.clock.sleep(pause).await;
            failed += 1;
        };
        let claims = match signer {
            Some(signer) => self.signed(&response, signer).await?,
            None => serde_json::from_slice(&response.body)
                .map_err(|_| malformed(MemberError::NotAnObject(response.unread())))?,
        };
        if claims.get("active").is_some_and(Value::is_boolean) {
            Ok(claims)
        } else {
            Err(malformed(MemberError::Value {
                name: "active",
                expected: "true or false",
            }))
        }
    }

    async fn ask_about(&self, url: &Url, token: &Secret, is_signed: bool) -> Result<Response, CallError> {
        let (metadata, client) = self.ready()?;
        let fields = [("token", token.expose()), ("token_type_hint", "access_token")];
        let accept = HeaderValue::from_static(if is_signed { SIGNED } else { "application/json" });
        self.post_for(&accept, Lane::Introspection, &metadata, &client, url, &fields)
            .await
    }

    /// The answer inside a signed one (RFC 9701 section 5).
    async fn signed(&self, response: &Response, signer: &Provider) -> Result<Claims, IntrospectionError> {
        let (_, client) = self.ready().map_err(CallError::from)?;
        let token = std::str::from_utf8(&response.body).map_err(|_| IntrospectionError::Unsigned)?;
        let token = token.trim_ascii();
        if token.starts_with('{') {
            return Err(IntrospectionError::Unsigned);
        }
        let policy = Policy {
            // Each of them is asymmetric; `none` is not among them.
            algorithms: &Algorithm::ALL,
            typ: Typ::Introspection,
            issuer: signer.issuer(),
            audience: Audience::Client {
                id: &client.id,
                trusted: &[],
            },
        };
        let now = self.shared.clock.now();
        let mut verified = signer.verify(&Secret::from(token), &policy, now).await?;
        match verified.claims.remove(NESTED) {
            Some(Value::Object(claims)) => Ok(claims),
            _ => Err(malformed(MemberError::Value {
                name: NESTED,
                expected: "a JSON object",
            })),
        }
    }
}

fn malformed(error: MemberError) -> IntrospectionError {
    CallError::Malformed(error).into()
}

/// Whether the same question may be answered in a moment. A 429 or 503 has been repeated by the call itself.
fn passes(error: &CallError) -> bool {
    match error {
        CallError::Transport {
            outcome_unknown,
            source,
        } => *outcome_unknown && !matches!(source, TransportError::Saturated),
        CallError::Unavailable { .. } => error.outcome_unknown(),
        _ => false,
    }
}

// === impl IntrospectionError ===

impl Explain for IntrospectionError {
    fn fix(&self) -> Option<Fix> {
        match self {
            Self::Call(error) => error.fix(),
            Self::Unsigned => Some(fix!(
                "let the issuer sign its answers to this client (RFC 9701), or remove signed_introspection from {}",
                Knob::IdpsFile
            )),
            Self::Signed(SignedError::Keys(error)) => error.fix(),
            Self::Signed(SignedError::Token(_) | SignedError::UnpublishedKey) => Some(fix!(
                "compare issuer and client_id in {} with `iss` and `aud` of the answer, and the clocks",
                Knob::IdpsFile
            )),
        }
    }
}

#[cfg(test)]
mod tests;
