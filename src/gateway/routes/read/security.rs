//! `security_headers` of a route.

use http::HeaderValue;

use super::{
    super::security::{FRAME_ANCESTORS, POLICY, REFERRER},
    mistakes::{Fields, Reader, shown},
};
use crate::{
    protection::{A_YEAR, PERMISSIONS, Protection},
    yaml::{Node, Value},
};

/// The keys of the map.
const KEYS: &[&str] = &[
    "content_security_policy",
    "frame_ancestors",
    "permissions_policy",
    "referrer_policy",
    "strict_transport_security",
];

const FIX: &str = "write the value of the field as one line of ASCII text in quotes, or false for none";

/// The value of one field.
enum Field {
    Usual,
    Text(String),
    Nothing,
}

// === impl Reader ===

impl Reader<'_> {
    /// `true` for the usual fields, or a map of those that are others. `None` for a mistake.
    pub(super) fn security(&mut self, node: &Node, what: &str, of_files: bool) -> Option<Protection> {
        let before = self.mistakes.len();
        if !of_files {
            self.mistake(
                node.at(),
                format!("security_headers of {what} has no effect: its service is no folder"),
                "remove it: a service sends these fields by itself",
            );
        }
        let what = format!("security_headers of {what}");
        let fields = if matches!(node.value, Value::Map(_)) {
            Some(self.fields(node, what.clone(), KEYS)?)
        } else if self.boolean(node, &what)? {
            None
        } else {
            return Some(Protection::default());
        };
        let mut field = |key| self.field(fields.as_ref(), key, &what);
        let policy = field("content_security_policy");
        let ancestors = field("frame_ancestors");
        let permissions = field("permissions_policy");
        let referrer = field("referrer_policy");
        let transport = field("strict_transport_security");
        if let (Field::Text(policy), Some(node)) = (
            &policy,
            fields.as_ref().and_then(|fields| fields.get("frame_ancestors")),
        ) && names_ancestors(policy)
        {
            self.mistake(
                node.at(),
                format!("{what} has frame_ancestors, and content_security_policy has them too"),
                "keep one of them",
            );
        }
        let ancestors = match ancestors {
            Field::Usual => Some(FRAME_ANCESTORS.to_owned()),
            Field::Text(text) => Some(text),
            Field::Nothing => None,
        };
        let policy = match policy {
            Field::Usual => Some(POLICY.to_owned()),
            Field::Text(text) => Some(text),
            Field::Nothing => None,
        };
        let (policy, frame_options) = match (policy, ancestors) {
            (Some(policy), _) if names_ancestors(&policy) => (Some(policy), None),
            (policy, Some(ancestors)) => {
                let ends = policy
                    .as_deref()
                    .map(|policy| policy.trim_end().trim_end_matches(';'));
                let policy = ends.map_or_else(String::new, |policy| format!("{policy}; "));
                let options = match ancestors.as_str() {
                    "'none'" => Some(HeaderValue::from_static("DENY")),
                    "'self'" => Some(HeaderValue::from_static("SAMEORIGIN")),
                    _ => None,
                };
                (Some(format!("{policy}frame-ancestors {ancestors}")), options)
            }
            (policy, None) => (policy, None),
        };
        let value = |field: Field, usual: &'static str| match field {
            Field::Usual => Some(HeaderValue::from_static(usual)),
            // It has been checked.
            Field::Text(text) => HeaderValue::try_from(text).ok(),
            Field::Nothing => None,
        };
        (self.mistakes.len() == before).then(|| Protection {
            policy: policy.and_then(|policy| HeaderValue::try_from(policy).ok()),
            frame_options,
            permissions: value(permissions, PERMISSIONS),
            referrer: value(referrer, REFERRER),
            transport: value(transport, A_YEAR),
        })
    }

    fn field(&mut self, fields: Option<&Fields<'_>>, key: &str, what: &str) -> Field {
        let Some(node) = fields.and_then(|fields| fields.get(key)) else {
            return Field::Usual;
        };
        let problem = match &node.value {
            Value::Bool(false) => return Field::Nothing,
            Value::Bool(true) => return Field::Usual,
            Value::Text(text) if is_line(text) => return Field::Text(text.clone()),
            Value::Text(text) => shown(text),
            other => other.kind().to_owned(),
        };
        self.mistake(node.at(), format!("{key} in {what} is {problem}"), FIX);
        Field::Nothing
    }
}

/// Whether a policy says itself who may show the page in a frame.
fn names_ancestors(policy: &str) -> bool {
    policy.split(';').any(|directive| {
        let name = directive.split_ascii_whitespace().next().unwrap_or_default();
        name.eq_ignore_ascii_case("frame-ancestors")
    })
}

fn is_line(text: &str) -> bool {
    !text.trim().is_empty() && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}
