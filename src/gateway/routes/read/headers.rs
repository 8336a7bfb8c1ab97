//! `headers` of a service.

use super::mistakes::{Reader, shown};
use crate::{
    gateway::headers::{Names, Rules, is_withheld, nearest_withheld},
    yaml::Node,
};

const REMOVE_FIX: &str =
    "list names of request fields, with * for all that begin so, as in remove: [X-Tenant, X-Internal-*]";
const ALLOW_FIX: &str =
    "list names of answer fields that are withheld otherwise, as in allow: [Strict-Transport-Security]";

// === impl Reader ===

impl Reader<'_> {
    /// Reads `remove` and `allow`.
    pub(super) fn headers(&mut self, node: &Node, what: &str) -> Option<Rules> {
        let before = self.mistakes.len();
        let what = format!("headers of {what}");
        let fields = self.fields(node, what.clone(), &["remove", "allow"])?;
        let mut rules = Rules::default();
        if let Some(node) = fields.get("remove") {
            let names = self.texts(node, &format!("remove in {what}"), REMOVE_FIX);
            for (at, name) in &names {
                if !is_name(name.strip_suffix('*').unwrap_or(name)) {
                    let problem = format!("{what} removes {}, which is no name of a field", shown(name));
                    self.mistake(*at, problem, REMOVE_FIX);
                }
            }
            rules.remove = Names::new(names.into_iter().map(|(_, name)| name));
        }
        if let Some(node) = fields.get("allow") {
            let names = self.texts(node, &format!("allow in {what}"), ALLOW_FIX);
            for (at, name) in &names {
                if !is_name(name) || !is_withheld(&name.to_ascii_lowercase()) {
                    let problem = format!("{what} allows {}, which is withheld from no answer", shown(name));
                    let meant = nearest_withheld(&name.to_ascii_lowercase())
                        .map_or_else(String::new, |name| format!("did you mean {name}? "));
                    self.mistake(*at, problem, format!("{meant}{ALLOW_FIX}"));
                }
            }
            rules.allow = Names::new(names.into_iter().map(|(_, name)| name));
        }
        (self.mistakes.len() == before).then_some(rules)
    }
}

/// Whether `text` can be, or begin, the name of a field that passes at all.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}
