//! The credential of a call to an API, and the choice of its token.

use std::{fmt, time::Duration};

use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use serde::{Deserialize, Serialize};

/// The credential of a call: a bearer token (RFC 6750 section 2.1).
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    authorization: HeaderValue,
}

/// The API that a token is for, and what it may do there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Target {
    /// The wanted `aud`.
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// The wanted scopes, sorted and each once.
    #[serde(rename = "s", default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
}

/// In whose name a token speaks, and how it is obtained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The grant of the login.
    #[default]
    SessionPassthrough,
    /// This server itself (client credentials, RFC 6749 section 4.4).
    ServiceToken,
    /// The person, by an exchange of the session's access token (RFC 8693).
    OnBehalfOf,
}

/// Which token goes to the service of a route (`token_policy`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenPolicy {
    /// How the token is obtained.
    pub mode: Mode,
    /// The logical name of the service.
    pub service: String,
    /// The API that it is for.
    pub target: Target,
    /// How long it is used at most (`cache_ttl`).
    pub cache_ttl: Option<Duration>,
}

// === impl Credential ===

impl Credential {
    /// The credential with this value of `Authorization`, which is marked as sensitive.
    #[must_use]
    pub const fn bearer(authorization: HeaderValue) -> Self {
        Self { authorization }
    }

    /// Puts it into the head of a call, in place of another one.
    pub fn apply(&self, headers: &mut HeaderMap) {
        headers.insert(AUTHORIZATION, self.authorization.clone());
    }

    /// Whether it carries the token with this value of `Authorization`.
    #[must_use]
    pub fn is(&self, authorization: Option<&HeaderValue>) -> bool {
        authorization == Some(&self.authorization)
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential")
    }
}

// === impl Target ===

impl Target {
    /// The target with the scopes in order, so that two lists of the same scopes are the same target.
    #[must_use]
    pub fn new(audience: Option<String>, mut scopes: Vec<String>) -> Self {
        scopes.sort();
        scopes.dedup();
        Self { audience, scopes }
    }

    /// The value of `scope` in a request (RFC 6749 section 3.3); empty without scopes.
    #[must_use]
    pub fn scope(&self) -> String {
        self.scopes.join(" ")
    }
}

// === impl Mode ===

impl Mode {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::SessionPassthrough, Self::ServiceToken, Self::OnBehalfOf];

    /// Its word in the file.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::SessionPassthrough => "session_passthrough",
            Self::ServiceToken => "service_token",
            Self::OnBehalfOf => "on_behalf_of",
        }
    }
}

// === impl TokenPolicy ===

impl TokenPolicy {
    /// The policy for calls to `service`. Without an audience, the access token of the session goes along with the scope of the
    /// login.
    #[must_use]
    pub fn new(mode: Mode, service: &str, target: Target, cache_ttl: Option<Duration>) -> Self {
        let is_own = mode == Mode::SessionPassthrough && target.audience.is_none();
        Self {
            mode,
            service: service.to_owned(),
            target: if is_own { Target::default() } else { target },
            cache_ttl,
        }
    }

    /// Whether the access token of the session itself goes along.
    #[must_use]
    pub const fn is_own_token(&self) -> bool {
        matches!(self.mode, Mode::SessionPassthrough) && self.target.audience.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_replaces_another_and_is_not_shown() {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer client"));
        let value = HeaderValue::from_static("Bearer ours");
        let credential = Credential::bearer(value.clone());
        credential.apply(&mut headers);
        assert_eq!(
            headers.get_all(AUTHORIZATION).iter().collect::<Vec<_>>(),
            [&value]
        );
        assert!(credential.is(Some(&value)));
        assert!(!credential.is(Some(&HeaderValue::from_static("Bearer other"))));
        assert!(!credential.is(None));
        assert_eq!(format!("{credential:?}"), "Credential");
    }

    #[test]
    fn the_order_of_scopes_makes_no_other_target() {
        let target = |scopes: &[&str]| {
            let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
            Target::new(Some("https://orders.example".to_owned()), scopes)
        };
        assert_eq!(target(&["b", "a", "b"]), target(&["a", "b"]));
        assert_ne!(target(&["a"]), target(&["a", "b"]));
        assert_eq!(target(&["b", "a"]).scope(), "a b");
    }
}
