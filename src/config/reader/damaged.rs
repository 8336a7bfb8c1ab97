//! Values that were damaged on their way here.

use super::{
    super::{
        catalogue, damage,
        problem::Complaint,
        sources::{Content, Raw},
    },
    Reader,
};

// === impl Reader ===

impl Reader {
    /// Complains of values that were damaged on their way here. What a parser would make of them is not told as well.
    pub(super) fn refuse_damaged(&mut self) {
        let found: Vec<(&'static str, Complaint)> = self
            .values
            .iter()
            .filter_map(|(name, raw)| Some((*name, damage_of(name, raw)?)))
            .collect();
        for (name, complaint) in found {
            self.refuse(name, complaint);
            self.mark_refused(name);
        }
    }
}

/// The damage to a value on its way into the environment.
fn damage_of(name: &str, raw: &Raw) -> Option<Complaint> {
    // Secrets are looked at where they are read, from whatever place.
    let variable = catalogue::find(name).filter(|variable| !variable.is_secret())?;
    let may_refer = raw.expands_references();
    match &raw.content {
        Content::Text(text) => damage::complaint(variable, text, may_refer),
        Content::List(entries) => entries
            .iter()
            .find_map(|entry| damage::complaint(variable, entry, may_refer)),
        Content::SecretFile(_) | Content::Refused => None,
    }
}
