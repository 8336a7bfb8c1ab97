//! Who brings a token: names, roles and permissions.

use std::{collections::HashSet, fmt::Write as _};

use serde_json::{Map, Value};

use super::idps::Source;
use crate::{clock::Timestamp, jose::Claims};

/// At most this many roles or permissions of a token are read.
const MAX_MAPPED: usize = 1_000;

/// Who brings a good token.
#[derive(Clone)]
pub struct Bearer {
    /// The name over all providers: `auth:account:{provider}:{sub}`, or `auth:service:{provider}:{client_id}` for a
    /// client on its own behalf.
    pub name: String,
    /// `iss`
    pub issuer: String,
    /// The scope of the token.
    pub scope: String,
    /// `acr`
    pub acr: Option<String>,
    /// The roles, by `claims_mapping`.
    pub roles: Vec<String>,
    /// The permissions, by `claims_mapping`.
    pub permissions: Vec<String>,
    /// The end of the token, if it is stated.
    pub expires_at: Option<Timestamp>,
    /// All claims.
    pub claims: Claims,
}

/// The name of a person of `provider` over all providers.
#[must_use]
pub fn account_arn(provider: &str, subject: &str) -> String {
    arn("account", provider, subject)
}

/// The name of the bearer: a person, or the client itself if the token names no other subject.
pub(super) fn name_of(provider: &str, subject: &str, client: Option<&str>) -> String {
    match client {
        Some(client) if client == subject => arn("service", provider, client),
        _ => account_arn(provider, subject),
    }
}

/// The last part is verbatim: it may hold colons, the others do not.
fn arn(kind: &str, provider: &str, name: &str) -> String {
    let mut text = format!("auth:{kind}:");
    for byte in provider.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-') {
            text.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text.push(':');
    text.push_str(name);
    text
}

/// The values of the sources in their order, each once. A claim of another form counts as absent.
pub(super) fn mapped(claims: &Claims, sources: &[Source]) -> Vec<String> {
    let mut seen = HashSet::new();
    let mut values = Vec::new();
    for source in sources {
        let found: Vec<&str> = match find(claims, &source.claim) {
            Some(Value::String(text)) if source.is_spaced => text.split(' ').collect(),
            Some(Value::Array(list)) if !source.is_spaced => list.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let new = found.into_iter().filter(|value| !value.is_empty());
        values.extend(
            new.filter(|value| seen.insert((*value).to_owned()))
                .map(str::to_owned),
        );
    }
    values.truncate(MAX_MAPPED);
    values
}

/// A claim with this name, or below the names between its dots.
fn find<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(name) {
        return Some(value);
    }
    let (first, rest) = name.split_once('.')?;
    find(claims.get(first)?.as_object()?, rest)
}

// === impl Bearer ===

impl std::fmt::Debug for Bearer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bearer")
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn source(claim: &str, is_spaced: bool) -> Source {
        Source {
            claim: claim.to_owned(),
            is_spaced,
        }
    }

    #[test]
    fn a_name_holds_provider_and_subject() {
        assert_eq!(account_arn("corp", "u:1/ä"), "auth:account:corp:u:1/ä");
        assert_eq!(account_arn("a b:c%", "x"), "auth:account:a%20b%3Ac%25:x");
        assert_eq!(name_of("corp", "app", Some("app")), "auth:service:corp:app");
        assert_eq!(name_of("corp", "ada", Some("app")), "auth:account:corp:ada");
        assert_eq!(name_of("corp", "ada", None), "auth:account:corp:ada");
    }

    #[test]
    fn roles_are_the_union_of_their_claims_in_order() {
        let claims = json!({
            "roles": ["b", "a", "b", 7, ""],
            "realm_access": {"roles": ["c", "a"]},
            "scope": "read  write read",
            "a.b": ["dotted"],
        });
        let claims = claims.as_object().unwrap();
        let roles = [source("roles", false), source("realm_access.roles", false)];
        assert_eq!(mapped(claims, &roles), ["b", "a", "c"]);
        assert_eq!(mapped(claims, &[source("scope", true)]), ["read", "write"]);
        assert_eq!(mapped(claims, &[source("a.b", false)]), ["dotted"]);
        for absent in [
            source("scope", false),
            source("roles", true),
            source("none.x", false),
        ] {
            assert!(mapped(claims, &[absent]).is_empty());
        }
    }
}
