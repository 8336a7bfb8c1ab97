//! The meaning of "the same" for each field.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::SCOPE;

/// Fields whose order means nothing (RFC 7591 section 2).
const SETS: [&str; 5] = [
    "redirect_uris",
    "post_logout_redirect_uris",
    "grant_types",
    "response_types",
    "contacts",
];

/// SHA-256 of the meaning of `value` as field `name`, as base64url.
pub(in super::super) fn field_digest(name: &str, value: &Value) -> String {
    let mut text = String::new();
    write_canonical(&meaning(name, value), &mut text);
    URL_SAFE_NO_PAD.encode(digest(&SHA256, text.as_bytes()))
}

/// `value` in the one form that all values of the same meaning share.
pub(in super::super) fn meaning(name: &str, value: &Value) -> Value {
    let value = single(name, value);
    match value {
        Value::String(words) if name == SCOPE => {
            sorted(words.split_ascii_whitespace().map(|word| json!(word)))
        }
        // Seen from IdPs that keep scopes as a list.
        Value::Array(scopes) if name == SCOPE => sorted(scopes.iter().cloned()),
        Value::Array(items) if SETS.contains(&name) => sorted(items.iter().cloned()),
        // Seen from IdPs that write a list of one as its element.
        Value::String(_) if SETS.contains(&name) => json!([value]),
        Value::Object(set) if name == "jwks" => match set.get("keys") {
            Some(Value::Array(keys)) => sorted(keys.iter().map(public_key)),
            _ => value.clone(),
        },
        _ => value.clone(),
    }
}

/// `value` of the field `name`, taken out of a list of one that some IdPs send instead. Fields that are lists stay
/// lists.
#[must_use]
pub fn single<'v>(name: &str, value: &'v Value) -> &'v Value {
    match value {
        Value::Array(items) if !SETS.contains(&name) => match items.as_slice() {
            [item] => item,
            _ => value,
        },
        _ => value,
    }
}

/// The identity of a public key: the members of its thumbprint (RFC 7638 section 3.2) and its name. An IdP may add or
/// leave out the other members.
fn public_key(key: &Value) -> Value {
    let Value::Object(key) = key else {
        return key.clone();
    };
    let kept = ["kty", "kid", "crv", "x", "y", "n", "e"];
    let kept = kept
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), key.get(name)?.clone())));
    Value::Object(kept.collect())
}

fn sorted(items: impl Iterator<Item = Value>) -> Value {
    let mut items: Vec<(String, Value)> = items
        .map(|item| {
            let mut text = String::new();
            write_canonical(&item, &mut text);
            (text, item)
        })
        .collect();
    items.sort_by(|a, b| a.0.cmp(&b.0));
    items.dedup_by(|a, b| a.0 == b.0);
    Value::Array(items.into_iter().map(|(_, item)| item).collect())
}

/// JSON with sorted members, so that a digest does not hang on how a map is kept.
fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(members) => {
            let members: BTreeMap<_, _> = members.iter().collect();
            out.push('{');
            for (name, value) in members {
                out.push_str(&Value::String(name.clone()).to_string());
                out.push(':');
                write_canonical(value, out);
                out.push(',');
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for item in items {
                write_canonical(item, out);
                out.push(',');
            }
            out.push(']');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}
