//! The difference between the wanted metadata and the IdP's, compared by meaning.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    metadata::{AUTH_METHOD, Digests, REDIRECT_URIS, REDIRECTS, WantedMetadata, field_digest, meaning},
    options::RedirectUpdate,
};

/// The greatest length of a value in a log line, in characters: a JWK Set can be long, and an IdP can return
/// anything.
const MAX_SHOWN: usize = 300;

/// One field that has to change.
#[derive(Clone, PartialEq)]
pub struct Change {
    /// Name of the field.
    pub field: String,
    /// The IdP's value; `None` if the IdP has none or does not return it.
    pub from: Option<Value>,
    /// The wanted value; `None` if the field has to be removed.
    pub to: Option<Value>,
}

/// The difference between the wanted metadata and those at the IdP.
#[derive(Clone, Debug)]
pub(super) struct Difference {
    /// The metadata that we want this client to have.
    pub(super) wanted: WantedMetadata,
    /// The fields with other values at the IdP.
    pub(super) changes: Vec<Change>,
    /// Redirect URIs have to be kept that we cannot know: any list that is written over them could take some away.
    pub(super) blind: bool,
}

/// The request and answer of the last registration or update, as digests of fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// The digests of the metadata in the request.
    #[serde(default, rename = "metadata_sent")]
    pub(super) sent: Digests,
    /// The digests of the values with which the IdP replaced ours (RFC 7591 section 3.2.1 allows this).
    #[serde(
        default,
        rename = "metadata_replaced",
        skip_serializing_if = "Digests::is_empty"
    )]
    pub(super) replaced: Digests,
    /// The digests of the extensions that the IdP refused and that were left out for that reason.
    #[serde(
        default,
        rename = "metadata_refused",
        skip_serializing_if = "Digests::is_empty"
    )]
    pub(super) refused: Digests,
}

// === impl Difference ===

impl Difference {
    /// The difference for a client that is registered as `current`, which is `None` if it cannot be read.
    pub(super) fn new(
        wanted: &WantedMetadata,
        mode: RedirectUpdate,
        current: Option<&Map<String, Value>>,
        memory: &Remembered,
    ) -> Self {
        let wanted = wanted.keeping(mode, current.unwrap_or(&Map::new()));
        Self {
            changes: match current {
                Some(current) => compare(&wanted, current, memory),
                None => compare_with_sent(&wanted, memory),
            },
            wanted,
            blind: mode != RedirectUpdate::Replace
                && current
                    .and_then(|current| returned(current, REDIRECT_URIS))
                    .is_none(),
        }
    }

    /// Whether it may be written alone, without the fields that stay.
    pub(super) fn can_patch(&self) -> bool {
        let touches = |change: &Change| REDIRECTS.contains(&change.field.as_str());
        !(self.blind && self.changes.iter().any(touches))
    }

    /// The body of a PATCH (RFC 7396): the fields that differ.
    pub(super) fn patch(&self) -> Value {
        let members = self.changes.iter();
        let members = members.map(|change| (change.field.clone(), change.to.clone().into()));
        Value::Object(members.collect())
    }

    /// The changes that somebody made at the IdP, in words.
    pub(super) fn drifted(&self, memory: &Remembered) -> Vec<String> {
        let drifted = drifted(&self.changes, memory).into_iter();
        drifted.map(Change::drift).collect()
    }
}

// === impl Remembered ===

impl Remembered {
    /// The digests to remember after a request with `wanted` and the IdP's `answer`.
    #[must_use]
    pub fn new(wanted: &WantedMetadata, answer: &Map<String, Value>) -> Self {
        let replaced = wanted.fields().iter().filter_map(|(name, ours)| {
            let theirs = returned(answer, name)?;
            (meaning(name, theirs) != meaning(name, ours)).then(|| (name.clone(), field_digest(name, theirs)))
        });
        // A field that should be removed and still exists is a value of the IdP's own, too.
        let kept = WantedMetadata::removable().filter(|name| wanted.removes(name));
        let kept = kept.filter_map(|name| {
            let digest = field_digest(name, returned(answer, name)?);
            Some((name.to_owned(), digest))
        });
        Self {
            sent: wanted.digests(),
            replaced: replaced.chain(kept).collect(),
            refused: wanted.left_out().clone(),
        }
    }

    /// Adds the fields that have other values in `reading`, after an update whose answer did not show them. The
    /// authentication method is an exception: nobody can log in with a replaced one, and the answer to the update
    /// decides for it.
    pub(super) fn add(&mut self, wanted: &WantedMetadata, reading: &Map<String, Value>) {
        let mut found = Self::new(wanted, reading).replaced;
        found.remove(AUTH_METHOD);
        self.replaced.extend(found);
    }

    /// The fields that the IdP did not set as requested.
    pub fn replaced_fields(&self) -> impl Iterator<Item = &str> {
        self.replaced.keys().map(String::as_str)
    }
}

/// The fields of `current`, as read from the IdP, that differ from `wanted`.
///
/// A field that the IdP does not return counts as equal while the wanted value is the last one sent. A value that the
/// IdP replaced counts as equal while neither value has changed since: a repeated request would change nothing. The
/// same holds for a field that should be removed and stayed. The authentication method is an exception, because the
/// server cannot log in with another one. Fields that the server did not request are the IdP's defaults and no
/// difference.
#[must_use]
pub fn compare(wanted: &WantedMetadata, current: &Map<String, Value>, memory: &Remembered) -> Vec<Change> {
    let differs = |name: &str, ours: &Value| {
        let as_sent = memory.sent.get(name) == Some(&field_digest(name, ours));
        match returned(current, name) {
            None => !as_sent,
            Some(theirs) if meaning(name, theirs) == meaning(name, ours) => false,
            Some(theirs) => {
                let settled = memory.replaced.get(name) == Some(&field_digest(name, theirs));
                !(as_sent && settled && name != AUTH_METHOD)
            }
        }
    };
    let changed = wanted.fields().iter().filter(|(name, ours)| differs(name, ours));
    let changed = changed.map(|(name, ours)| Change {
        field: name.clone(),
        from: returned(current, name).cloned(),
        to: Some(ours.clone()),
    });
    let surplus = WantedMetadata::removable().filter(|name| wanted.removes(name));
    let surplus = surplus.filter_map(|name| {
        let theirs = returned(current, name)?;
        let settled = memory.replaced.get(name) == Some(&field_digest(name, theirs));
        let as_sent = !memory.sent.contains_key(name);
        (!(as_sent && settled)).then(|| Change {
            field: name.to_owned(),
            from: Some(theirs.clone()),
            to: None,
        })
    });
    changed.chain(surplus).collect()
}

/// The fields of `wanted` that differ from the last request, for an IdP that does not let clients be read.
#[must_use]
pub fn compare_with_sent(wanted: &WantedMetadata, memory: &Remembered) -> Vec<Change> {
    let changed = wanted
        .fields()
        .iter()
        .filter(|(name, ours)| memory.sent.get(name.as_str()) != Some(&field_digest(name, ours)));
    let changed = changed.map(|(name, ours)| Change {
        field: name.clone(),
        from: None,
        to: Some(ours.clone()),
    });
    let gone = memory.sent.keys().filter(|name| wanted.removes(name));
    let gone = gone.map(|name| Change {
        field: name.clone(),
        from: None,
        to: None,
    });
    changed.chain(gone).collect()
}

/// The `changes` that nobody requested here: the IdP's value differs from the agreed one.
#[must_use]
pub(super) fn drifted<'c>(changes: &'c [Change], memory: &Remembered) -> Vec<&'c Change> {
    let digest = |change: &Change, value: &Option<Value>| {
        value.as_ref().map(|value| field_digest(&change.field, value))
    };
    let ours_is_old =
        |change: &&Change| memory.sent.get(&change.field) == digest(change, &change.to).as_ref();
    let theirs_is_new = |change: &&Change| {
        let theirs = digest(change, &change.from);
        theirs.is_some() && memory.replaced.get(&change.field) != theirs.as_ref()
    };
    changes.iter().filter(ours_is_old).filter(theirs_is_new).collect()
}

pub(super) fn returned<'a>(metadata: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    metadata.get(name).filter(|value| !value.is_null())
}

// === impl Change ===

impl Change {
    /// The changes made at the IdP, in words: an arrow would seem to show the change that somebody made there.
    pub(super) fn drift(&self) -> String {
        let (from, to) = self.values();
        let none = || "none".to_owned();
        let (from, to) = (from.unwrap_or_else(none), to.unwrap_or_else(none));
        format!("{} is {from}, wanted is {to}", self.field)
    }

    /// Both values for a log line; keys by their names.
    fn values(&self) -> (Option<String>, Option<String>) {
        let text = |value: &Option<Value>| {
            let value = value.as_ref()?;
            let keys = if self.field == "jwks" {
                key_names(value)
            } else {
                None
            };
            Some(bounded(&keys.unwrap_or_else(|| value.to_string())))
        };
        let (from, mut to) = (text(&self.from), text(&self.to));
        if self.field == "jwks"
            && from == to
            && let Some(to) = &mut to
        {
            to.push_str(" (other keys of the same names)");
        }
        (from, to)
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = self.values();
        let from = from.unwrap_or_else(|| "(not returned)".to_owned());
        let to = to.unwrap_or_else(|| "(removed)".to_owned());
        write!(f, "{}: {from} -> {to}", self.field)
    }
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A list of changes for a log line.
pub(super) fn listed<'c>(changes: impl IntoIterator<Item = &'c Change>) -> String {
    let changes: Vec<String> = changes.into_iter().map(ToString::to_string).collect();
    changes.join("; ")
}

/// The keys of a JWK Set, if it is one.
fn key_names(set: &Value) -> Option<String> {
    let keys = set.get("keys")?.as_array()?;
    if keys.is_empty() {
        return Some("no keys".to_owned());
    }
    let name = |key: &Value| {
        let kid = key.get("kid").and_then(Value::as_str);
        kid.map_or_else(|| "(without a kid)".to_owned(), str::to_owned)
    };
    let names: Vec<String> = keys.iter().map(name).collect();
    Some(format!("keys {}", names.join(", ")))
}

/// Short and without control characters, so that a value of the IdP cannot forge a log line.
fn bounded(text: &str) -> String {
    let mut characters = text.chars();
    let mut shown = String::new();
    for character in characters.by_ref().take(MAX_SHOWN) {
        if character.is_control() {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    if characters.next().is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests;
