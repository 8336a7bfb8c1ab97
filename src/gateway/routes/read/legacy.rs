//! Keys of `routes.yaml` that the original system had and that have no meaning here.

use super::mistakes::Reader;
use crate::yaml::{Key, Node, Value};

/// A key that is refused.
struct Legacy {
    name: &'static str,
    /// The values that match what the server does anyway. They are accepted.
    words: &'static [&'static str],
    fix: &'static str,
}

const SERVICE: &[Legacy] = &[
    of_a_client("token_url"),
    of_a_client("client_id"),
    of_a_client("client_secret"),
    of_a_client("cache_enabled"),
    of_a_client("cache_ttl"),
];

const ROUTE: &[Legacy] = &[Legacy {
    name: "internal",
    words: &["false"],
    fix: "remove the route: there are no such handlers here, and `/api/metrics` and `/auth/*` need none",
}];

const fn of_a_client(name: &'static str) -> Legacy {
    Legacy {
        name,
        words: &[],
        fix: "remove it: the server's own client asks the IdP for all tokens; set token_audience",
    }
}

/// The meaning of a map of the file.
#[derive(Clone, Copy)]
pub(in crate::gateway::routes) enum Place {
    Service,
    Route,
}

/// The keys of the original system in such a map, each with the values that are accepted.
pub(in crate::gateway::routes) fn words_of_legacy(
    place: Place,
) -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
    place.table().iter().map(|legacy| (legacy.name, legacy.words))
}

// === impl Place ===

impl Place {
    const fn table(self) -> &'static [Legacy] {
        match self {
            Self::Service => SERVICE,
            Self::Route => ROUTE,
        }
    }
}

// === impl Reader ===

impl Reader<'_> {
    /// Whether `key` belongs to the original system. If so, its problem has been noted.
    pub(super) fn is_legacy(&mut self, place: Place, key: &Key, node: &Node, what: &str) -> bool {
        let Some(legacy) = place.table().iter().find(|legacy| legacy.name == key.name) else {
            return false;
        };
        let is_accepted = match &node.value {
            Value::Text(text) => legacy.words.contains(&text.as_str()),
            Value::Bool(value) => legacy.words.contains(&if *value { "true" } else { "false" }),
            Value::Null | Value::Unquoted | Value::List(_) | Value::Map(_) => false,
        };
        if !is_accepted {
            let problem = format!("{} of {what} has no meaning here", legacy.name);
            self.mistake(key.at(), problem, legacy.fix);
        }
        true
    }
}
