//! An API that refuses a token which has not expired: revoked, or signed with a key that it no longer knows.

use axum::{body::Body, response::Response};
use http::{HeaderMap, StatusCode};

use super::{
    super::{Web, bearer::Bringer, caller::Caller, problem::Problem},
    challenge::Challenge,
};
use crate::{
    credential::{Credential, TokenPolicy},
    gateway::Call,
    tokens::CredentialError,
};

/// Whose token a call had.
pub(super) enum Holder<'a> {
    /// The person with this session.
    Session(&'a Caller),
    /// The caller with this token of its own.
    Bearer(&'a Bringer),
}

/// The answer to `call` after `answer` has refused its token: that of the same call with a renewed token, or `answer`
/// itself if there is no new token or the body cannot be sent again. A call is repeated at most once.
pub(super) async fn again(
    web: &Web,
    holder: Holder<'_>,
    policy: &TokenPolicy,
    refused: &Credential,
    mut call: Call<'_>,
    answer: Response<Body>,
) -> Result<Response<Body>, Problem> {
    let another = match holder {
        Holder::Session(caller) => web.tokens.after_refusal(&caller.key, policy, refused).await,
        // A token of the caller itself is its own matter.
        Holder::Bearer(_) if policy.is_own_token() => return Ok(answer),
        Holder::Bearer(bringer) => {
            let brought = bringer.brought();
            web.tokens.another_of_caller(policy, &brought, refused).await
        }
    };
    match another {
        Ok(Some(credential)) if call.can_be_repeated() => {
            drop(answer);
            Ok(call.send_again(&credential).await?)
        }
        Ok(_) | Err(CredentialError::Pending(_) | CredentialError::Refused(_)) => Ok(answer),
        Err(error @ (CredentialError::Ended | CredentialError::Store(_))) => Err(error.into()),
    }
}

/// Whether an answer says that the token is invalid (RFC 6750 section 3.1).
pub(super) fn is_refusal(answer: &Response<Body>) -> bool {
    answer.status() == StatusCode::UNAUTHORIZED && says_invalid_token(answer.headers())
}

fn says_invalid_token(headers: &HeaderMap) -> bool {
    let challenges = Challenge::all(headers);
    challenges
        .iter()
        .any(|challenge| challenge.is("Bearer") && challenge.parameter("error") == Some("invalid_token"))
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, header::WWW_AUTHENTICATE};

    use super::*;

    fn says(challenges: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for challenge in challenges {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_str(challenge).unwrap());
        }
        says_invalid_token(&headers)
    }

    #[test]
    fn a_challenge_that_says_so_is_a_refusal_of_the_token() {
        for challenge in [
            "Bearer error=\"invalid_token\"",
            "Bearer error=invalid_token",
            "bearer realm=\"a, b\", Error=\"invalid_token\", error_description=\"expired\"",
            "Bearer realm=\"x\",error=\"invalid_token\"",
            "Basic realm=\"x\", Bearer error=\"invalid_token\"",
            "Bearer realm = \"x\" , error = \"invalid_token\"",
            "Bearer realm=\"x\" error=\"invalid_token\"",
        ] {
            assert!(says(&[challenge]), "{challenge}");
        }
        assert!(says(&["Basic realm=\"x\"", "Bearer error=\"invalid_token\""]));
    }

    #[test]
    fn any_other_challenge_is_none() {
        for challenge in [
            "Bearer",
            "Bearer realm=\"x\"",
            "Bearer error=\"insufficient_scope\"",
            "Bearer error_description=\"error=invalid_token\"",
            "Bearer error_description=\"an error=invalid_token here\"",
            "Bearer realm=\"error=\"",
            // A challenge of another scheme.
            "DPoP error=\"invalid_token\"",
            "Bearer realm=\"x\", Basic error=\"invalid_token\"",
            "Bearer realm=\"Bearer error=invalid_token\"",
            "error=\"invalid_token\"",
            "invalid_token",
            "",
        ] {
            assert!(!says(&[challenge]), "{challenge}");
        }
        assert!(!says(&[]));
    }
}
