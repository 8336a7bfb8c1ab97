//! An access token in its stored form and in its wire form.

use std::{fmt, ops::Deref};

use bytes::Bytes;
use http::HeaderValue;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use super::memo::Memo;
use crate::secret::Secret;

/// An access token. Serialises to its value, like a [`Secret`].
///
/// Every call to an API carries it, so that the header field is made once and shared from then on.
#[derive(Clone)]
pub struct AccessToken {
    token: Secret,
    authorization: Memo<Option<HeaderValue>>,
}

// === impl AccessToken ===

impl AccessToken {
    /// The value of `Authorization` (RFC 6750 section 2.1), marked as sensitive; wiped from memory with the token.
    /// `None` for a token that no header can carry.
    #[must_use]
    pub fn authorization(&self) -> Option<&HeaderValue> {
        let make = || {
            let value = ["Bearer ", self.token.expose()].concat().into_bytes();
            let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(Zeroizing::new(value))).ok()?;
            value.set_sensitive(true);
            Some(value)
        };
        self.authorization.get_or_init(make).as_ref()
    }
}

impl From<Secret> for AccessToken {
    fn from(token: Secret) -> Self {
        Self {
            token,
            authorization: Memo::default(),
        }
    }
}

impl From<&str> for AccessToken {
    fn from(token: &str) -> Self {
        Secret::from(token).into()
    }
}

impl Deref for AccessToken {
    type Target = Secret;

    fn deref(&self) -> &Secret {
        &self.token
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.token.fmt(f)
    }
}

impl Serialize for AccessToken {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.token.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for AccessToken {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Secret::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_sent_as_a_bearer_token_and_never_shown() {
        let token = AccessToken::from("abc");
        let value = token.authorization().unwrap();
        assert_eq!(value.as_bytes(), b"Bearer abc");
        assert!(value.is_sensitive());
        assert_eq!(format!("{token:?} {value:?}"), "[secret] Sensitive");
        assert_eq!(serde_json::to_string(&token).unwrap(), "\"abc\"");
    }

    #[test]
    fn one_that_no_header_can_carry_is_not_sent() {
        assert_eq!(AccessToken::from("a\nb").authorization(), None);
    }
}
