//! Keys of `routes.yaml` that the original system had: which have no effect, which are refused, which are not built yet.

use super::mistakes::Reader;
use crate::yaml::{Key, Node, Value};

/// The treatment of a key.
#[derive(Clone, Copy)]
enum Verdict {
    /// Not built yet; these values match what the server does anyway.
    NotBuilt(&'static [&'static str]),
    /// Refused, with an alternative; these values match what the server does anyway.
    Refused(&'static [&'static str], &'static str),
}

use Verdict::{NotBuilt, Refused};

const OWN_CLIENT: Verdict = Refused(
    &[],
    "remove it: the server's own client asks the IdP for all tokens",
);

const SERVICE: &[(&str, Verdict)] = &[
    ("identity_headers", NotBuilt(&["false"])),
    ("token_url", OWN_CLIENT),
    ("client_id", OWN_CLIENT),
    ("client_secret", OWN_CLIENT),
    ("cache_enabled", OWN_CLIENT),
    ("cache_ttl", OWN_CLIENT),
];

const ROUTE: &[(&str, Verdict)] = &[(
    "internal",
    Refused(
        &["false"],
        "remove the route: there are no such handlers here, and `/auth/*` needs none",
    ),
)];

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
    place.table().iter().map(|(name, verdict)| match verdict {
        NotBuilt(words) | Refused(words, _) => (*name, *words),
    })
}

// === impl Place ===

impl Place {
    const fn table(self) -> &'static [(&'static str, Verdict)] {
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
        let Some((name, verdict)) = place.table().iter().find(|(name, _)| *name == key.name) else {
            return false;
        };
        let says = |words: &[&str]| match &node.value {
            Value::Text(text) => words.contains(&text.as_str()),
            Value::Bool(value) => words.contains(&if *value { "true" } else { "false" }),
            Value::Null | Value::Unquoted | Value::List(_) | Value::Map(_) => false,
        };
        let (problem, fix) = match verdict {
            NotBuilt(words) | Refused(words, _) if says(words) => return true,
            NotBuilt(_) => (
                format!("{name} of {what} is not built yet"),
                "remove it until a later version has it",
            ),
            Refused(_, fix) => (format!("{name} of {what} has no meaning here"), *fix),
        };
        self.mistake(key.at(), problem, fix);
        true
    }
}
