//! The IdP's response to a registration, a reading or an update (RFC 7591 section 3.2.1, RFC 7592 section 3).

use std::fmt;

use serde_json::{Map, Value};

use super::{
    credentials::{Registered, is_client_id, is_client_secret, is_token, is_uri},
    diff::Remembered,
    metadata::{WantedMetadata, named_algorithm, single},
    refusal::object,
};
use crate::{
    jose::Algorithm,
    outbound::{Response, Unread},
    secret::Secret,
};

/// Why a response is not that of a registration, a reading or an update.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// The body is something else.
    #[error("it is not a JSON object, but {0}")]
    NotAnObject(Unread),
    /// A member is missing or invalid.
    #[error("{0}")]
    Member(&'static str),
}

/// A validated answer. Its `Debug` shows only the client id.
pub(super) struct Answer {
    pub(super) client_id: String,
    pub(super) client_secret: Option<Secret>,
    pub(super) client_secret_expires_at: Option<u64>,
    pub(super) registration_access_token: Option<Secret>,
    pub(super) registration_client_uri: Option<String>,
    /// The registered metadata, without secrets and tokens.
    pub(super) metadata: Map<String, Value>,
}

// === impl Answer ===

impl Answer {
    /// Reads a response. The error gives the reason and quotes no value.
    pub(super) fn of(response: &Response) -> Result<Self, AnswerError> {
        let metadata = object(response).ok_or_else(|| AnswerError::NotAnObject(response.unread()))?;
        Self::read(metadata).map_err(AnswerError::Member)
    }

    /// Reads the members of a body.
    ///
    /// An invalid token or URI for the management counts as absent, with a warning: the client works without them.
    pub(super) fn read(mut metadata: Map<String, Value>) -> Result<Self, &'static str> {
        // Some IdPs write a value as a list of one.
        let mut text = |name: &str| match metadata.remove(name).as_ref().map(|value| single(name, value)) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(()),
        };
        let client_id = text("client_id").map_err(|()| "its client_id is not text")?;
        let client_id = client_id.ok_or("it has no client_id")?;
        if !is_client_id(&client_id) {
            return Err("its client_id is not valid (RFC 6749 appendix A.1)");
        }
        let client_secret = match text("client_secret") {
            Ok(None) => None,
            Ok(Some(secret)) if is_client_secret(&secret) => Some(Secret::new(secret)),
            _ => return Err("its client_secret is not valid (RFC 6749 appendix A.2)"),
        };
        let token = usable(
            text("registration_access_token"),
            is_token,
            "registration_access_token",
        );
        let uri = usable(text("registration_client_uri"), is_uri, "registration_client_uri");
        let client_secret_expires_at = metadata.remove("client_secret_expires_at");
        Ok(Self {
            client_id,
            client_secret,
            client_secret_expires_at: client_secret_expires_at
                .and_then(|at| seconds(single("client_secret_expires_at", &at))),
            registration_access_token: token.map(Secret::new),
            registration_client_uri: uri,
            metadata,
        })
    }
}

// === impl Registered ===

impl Registered {
    /// The client of `answer` to a request with `wanted` and this algorithm.
    pub(super) fn of(answer: Answer, wanted: &WantedMetadata, algorithm: Option<Algorithm>) -> Self {
        Self {
            signing_algorithm: named_algorithm(&answer.metadata).or(algorithm),
            remembered: Remembered::new(wanted, &answer.metadata),
            client_id: answer.client_id,
            client_secret: answer.client_secret,
            client_secret_expires_at: answer.client_secret_expires_at,
            registration_access_token: answer.registration_access_token,
            registration_client_uri: answer.registration_client_uri,
        }
    }

    /// Notes the IdP's `metadata` as agreed, after a request with `wanted`. The algorithm is the one of the answer, or
    /// else the requested one.
    pub(super) fn agree(
        &mut self,
        wanted: &WantedMetadata,
        metadata: &Map<String, Value>,
        algorithm: Option<Algorithm>,
    ) {
        self.signing_algorithm = named_algorithm(metadata).or(algorithm);
        self.remembered = Remembered::new(wanted, metadata);
    }
}

/// Seconds since the epoch, also as text, as some IdPs write numbers.
fn seconds(value: &Value) -> Option<u64> {
    match value {
        Value::String(digits) => digits.parse().ok(),
        value => value.as_u64(),
    }
}

fn usable(value: Result<Option<String>, ()>, is_one: fn(&str) -> bool, name: &str) -> Option<String> {
    let Ok(None) = value else {
        let usable = value.ok().flatten().filter(|text| is_one(text));
        if usable.is_none() {
            tracing::warn!("ignoring invalid {name} in the IdP's response");
        }
        return usable;
    };
    None
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_value_may_be_a_list_of_one() {
        let plain = json!({
            "client_id": "bff-server",
            "client_secret": "client-secret",
            "client_secret_expires_at": 7,
            "registration_access_token": "rat-1",
            "registration_client_uri": "https://idp.example/register/bff-server",
        });
        let lists: Map<String, Value> = plain
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| (name.clone(), json!([value])))
            .collect();
        for body in [plain, Value::Object(lists)] {
            let answer = Answer::read(body.as_object().unwrap().clone()).unwrap();
            assert_eq!(answer.client_id, "bff-server");
            assert_eq!(answer.client_secret.unwrap().expose(), "client-secret");
            assert_eq!(answer.client_secret_expires_at, Some(7));
            assert_eq!(answer.registration_access_token.unwrap().expose(), "rat-1");
            assert_eq!(
                answer.registration_client_uri.as_deref(),
                Some("https://idp.example/register/bff-server")
            );
        }
        for id in [json!([]), json!(["a", "b"]), json!([["a"]])] {
            let body = json!({ "client_id": id });
            assert!(Answer::read(body.as_object().unwrap().clone()).is_err(), "{body}");
        }
    }
}
