//! The claims with roles and permissions.

use super::{super::idps::Source, MAX_IDPS};
use crate::yaml::{Fields, Node, Reader, Value, shown};

const MAPPING_FIX: &str =
    "list claims, as in roles: [{ source: roles }, { source: scope, format: space_delimited }]";

// === impl Reader ===

impl Reader<'_> {
    pub(super) fn mapping(&mut self, fields: &Fields<'_>) -> (Option<Vec<Source>>, Option<Vec<Source>>) {
        let Some(node) = fields.get("claims_mapping") else {
            return (None, None);
        };
        let what = format!("claims_mapping of {}", fields.what);
        let Some(fields) = self.fields(node, what, &["roles", "permissions"]) else {
            return (None, None);
        };
        (
            self.sources(&fields, "roles"),
            self.sources(&fields, "permissions"),
        )
    }

    fn sources(&mut self, fields: &Fields<'_>, key: &str) -> Option<Vec<Source>> {
        let node = fields.get(key)?;
        let what = format!("{key} in {}", fields.what);
        let Value::List(nodes) = &node.value else {
            self.mistake(node.at(), format!("{what} is {}", node.value.kind()), MAPPING_FIX);
            return None;
        };
        if nodes.len() > MAX_IDPS {
            self.mistake(node.at(), format!("{what} has more than 64 entries"), MAPPING_FIX);
        }
        Some(nodes.iter().filter_map(|node| self.source(node, &what)).collect())
    }

    fn source(&mut self, node: &Node, what: &str) -> Option<Source> {
        let fields = self.fields(node, format!("an entry of {what}"), &["source", "format"])?;
        let claim = self
            .required(&fields, "source", "the name of a claim, as in source: roles")
            .and_then(|node| Some((node, self.text(node, &format!("source of {what}"))?)));
        let is_spaced = match fields.get("format") {
            None => false,
            Some(node) => match self.text(node, &format!("format of {what}"))? {
                "list" => false,
                "space_delimited" => true,
                other => {
                    self.mistake(
                        node.at(),
                        format!("format of {what} is {}", shown(other)),
                        "write list (the default) or space_delimited",
                    );
                    false
                }
            },
        };
        let (node, claim) = claim?;
        if claim.is_empty() {
            self.mistake(node.at(), format!("source of {what} is empty"), MAPPING_FIX);
            return None;
        }
        Some(Source {
            claim: claim.to_owned(),
            is_spaced,
        })
    }
}
