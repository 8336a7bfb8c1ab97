//! `headers` of a service.

use http::{HeaderName, HeaderValue};

use super::mistakes::{Reader, shown};
use crate::{
    gateway::headers::{Names, Rules, can_be_set, is_withheld, nearest_withheld},
    yaml::Node,
};

const SET_FIX: &str = "write names of request fields with their values, as in set: { X-Tenant: acme }";

const REMOVE_FIX: &str =
    "list names of request fields, with * for all that begin so, as in remove: [X-Tenant, X-Internal-*]";
const ALLOW_FIX: &str =
    "list names of answer fields that are withheld otherwise, as in allow: [Strict-Transport-Security]";

// === impl Reader ===

impl Reader<'_> {
    /// Reads `set`, `remove` and `allow`.
    pub(super) fn headers(&mut self, node: &Node, what: &str) -> Option<Rules> {
        let before = self.mistakes.len();
        let what = format!("headers of {what}");
        let fields = self.fields(node, what.clone(), &["set", "remove", "allow"])?;
        let mut rules = Rules::default();
        if let Some(node) = fields.get("set") {
            for (key, node) in self.map(node, &format!("set in {what}")) {
                let name = HeaderName::try_from(key.name.as_str()).ok();
                let name = name.filter(|name| is_name(name.as_str()) && can_be_set(name));
                let value = self.text(node, &format!("{} in {what}", shown(&key.name)));
                let parsed = value.and_then(|value| HeaderValue::from_str(value).ok());
                match (name, parsed) {
                    (None, _) => self.mistake(
                        key.at(),
                        format!(
                            "{what} sets {}, which is no field that a service may set",
                            shown(&key.name)
                        ),
                        SET_FIX,
                    ),
                    // The value may be a secret.
                    (Some(_), None) if value.is_some() => self.mistake(
                        node.at(),
                        format!(
                            "{what} sets {} to a value with control characters",
                            shown(&key.name)
                        ),
                        SET_FIX,
                    ),
                    (Some(_), None) => {}
                    (Some(name), Some(mut value)) => {
                        value.set_sensitive(true);
                        rules.set.push((name, value));
                    }
                }
            }
        }
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
