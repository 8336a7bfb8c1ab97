//! Compact JWS (RFC 7515), taken apart and put together by hand, so that tests can also ask for wrong ones.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

/// No token that this IdP makes or accepts is longer.
pub(crate) const MAX_LENGTH: usize = 16 * 1024;

/// A token with an unchecked signature.
pub(crate) struct Unverified<'a> {
    pub(crate) header: Map<String, Value>,
    pub(crate) claims: Map<String, Value>,
    pub(crate) signing_input: &'a str,
    pub(crate) signature: &'a str,
}

// === impl Unverified ===

impl<'a> Unverified<'a> {
    /// Splits a compact JWS with a JSON object in each of its first two parts; `None` for anything else.
    pub(crate) fn parse(token: &'a str) -> Option<Self> {
        if token.len() > MAX_LENGTH {
            return None;
        }
        let (signing_input, signature) = token.rsplit_once('.')?;
        let (header, claims) = signing_input.split_once('.')?;
        if claims.contains('.') {
            return None;
        }
        Some(Self {
            header: object(header)?,
            claims: object(claims)?,
            signing_input,
            signature,
        })
    }

    pub(crate) fn header_str(&self, name: &str) -> Option<&str> {
        self.header.get(name).and_then(Value::as_str)
    }

    pub(crate) fn claim_str(&self, name: &str) -> Option<&str> {
        self.claims.get(name).and_then(Value::as_str)
    }
}

fn object(part: &str) -> Option<Map<String, Value>> {
    let bytes = URL_SAFE_NO_PAD.decode(part).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// The signed part of a compact JWS: its first two parts.
pub(crate) fn signing_input(header: &Map<String, Value>, claims: &Map<String, Value>) -> String {
    let part = |map: &Map<String, Value>| URL_SAFE_NO_PAD.encode(serde_json::to_vec(map).unwrap_or_default());
    format!("{}.{}", part(header), part(claims))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_three_parts_with_two_objects_are_a_token() {
        let map: Map<String, Value> = serde_json::from_str(r#"{"a":1}"#).unwrap();
        let good = format!("{}.c2ln", signing_input(&map, &map));
        assert!(Unverified::parse(&good).is_some());
        for bad in ["", ".", "..", "a.b.c", &format!("{good}.x"), "W10.W10.c2ln"] {
            assert!(Unverified::parse(bad).is_none(), "{bad}");
        }
        let long = format!("{good}{}", "A".repeat(MAX_LENGTH));
        assert!(Unverified::parse(&long).is_none());
    }
}
