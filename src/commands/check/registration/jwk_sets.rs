//! The keys in the IdP's record of the client.

use serde_json::Value;

use super::super::finding::Report;
use crate::registration::{Inspected, Reading, single};

/// The keys that the IdP itself contains. An empty set beside `jwks_uri` counts as none.
pub(super) fn registered_keys(client: &Inspected) -> Option<&[Value]> {
    let Reading::Read(current) = &client.reading else {
        return None;
    };
    let set = single("jwks", current.get("jwks")?);
    if is_empty_set(set) && current.get("jwks_uri").is_some_and(Value::is_string) {
        return None;
    }
    let keys = set.get("keys")?.as_array()?;
    Some(keys)
}

/// Whether `set` is a JWK Set without keys.
pub(super) fn is_empty_set(set: &Value) -> bool {
    let keys = set
        .as_object()
        .map(|set| set.get("keys").and_then(Value::as_array));
    keys.is_some_and(|keys| keys.is_none_or(Vec::is_empty))
}

/// The IdP shows an empty `jwks` beside `jwks_uri`, and the two exclude each other.
pub(super) fn tell_empty_set(client: &Inspected, report: &mut Report) {
    let Reading::Read(current) = &client.reading else {
        return;
    };
    let is_empty = current
        .get("jwks")
        .is_some_and(|set| is_empty_set(single("jwks", set)));
    if is_empty && current.get("jwks_uri").is_some_and(Value::is_string) {
        report.note(format!(
            "the IdP shows an empty jwks beside the jwks_uri of {}, which counts as none (RFC 7591 section 2 allows one of both): if \
             the IdP refuses the client, remove jwks there",
            client.client_id
        ));
    }
}
