//! Introspection of tokens that others bring (RFC 7662).

use std::time::Duration;

use serde_json::Value;
use url::Url;

use super::{CallError, MemberError, RelyingParty};
use crate::{
    jose::Claims,
    outbound::{Lane, TransportError},
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

// === impl RelyingParty ===

impl RelyingParty {
    /// The statements of the server at `url` about `token` (RFC 7662 section 2.2), with `active`.
    ///
    /// # Errors
    ///
    /// [`CallError`]: nothing is known about the token.
    pub async fn introspect(&self, url: &Url, token: &Secret) -> Result<Claims, CallError> {
        let mut failed = 0;
        loop {
            let error = match self.ask_about(url, token).await {
                Ok(claims) => return Ok(claims),
                Err(error) => error,
            };
            if failed == REPEATS || !passes(&error) {
                return Err(error);
            }
            let pause = PAUSES.jittered(failed, &*self.shared.random);
            self.shared.clock.sleep(pause).await;
            failed += 1;
        }
    }

    async fn ask_about(&self, url: &Url, token: &Secret) -> Result<Claims, CallError> {
        let (metadata, client) = self.ready()?;
        let fields = [("token", token.expose()), ("token_type_hint", "access_token")];
        let response = self
            .post(Lane::Introspection, &metadata, &client, url, &fields)
            .await?;
        let claims: Claims = serde_json::from_slice(&response.body)
            .map_err(|_| CallError::Malformed(MemberError::NotAnObject(response.unread())))?;
        if claims.get("active").is_some_and(Value::is_boolean) {
            Ok(claims)
        } else {
            Err(CallError::Malformed(MemberError::Value {
                name: "active",
                expected: "true or false",
            }))
        }
    }
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
