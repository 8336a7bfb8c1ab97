//! The values of `settings.yaml`, under the environment.

use super::{
    super::{
        catalogue::{self, Variable},
        environment::Environment,
        legacy::{self, Legacy, Verdict},
        names::Source,
        path::{self, Leads},
        problem::{Complaint, shown_name},
        settings_file::{Node, Setting, Settings},
        unknown,
    },
    Content, FILE, MAY_BE_EMPTY, Raw, Sources,
};
use crate::expand::{ExpandError, expand};

// === impl Sources ===

impl Sources {
    pub(super) fn take_from_settings(&mut self, environment: &Environment, key: &str, mut setting: Setting) {
        let source = Source::Settings {
            key: shown_name(key).to_owned(),
            line: setting.line,
        };
        let is_map = known_key(key).is_some_and(|(variable, _)| variable.is_map());
        let expanded = match expand_all(&mut setting.value, is_map, environment) {
            Ok(expanded) => expanded,
            Err(error) => {
                let complaint =
                    Complaint::new(error.to_string(), "set the variable, or write `${NAME:-default}`");
                return self.problem(&source, None, complaint);
            }
        };
        let (variable, is_file) = match (known_key(key), legacy::key(key), setting.value) {
            (Some(known), _, value) => {
                setting.value = value;
                known
            }
            (None, _, Node::Map(entries)) if legacy::is_section(key) => {
                for (below, setting) in entries {
                    self.take_from_settings(environment, &format!("{key}.{below}"), setting);
                }
                return;
            }
            (None, Some(legacy), value) => match legacy.verdict {
                // As if it had our name.
                Verdict::Means(name) => match catalogue::find(name) {
                    Some(variable) => {
                        setting.value = value;
                        (variable, key.ends_with("_file"))
                    }
                    None => return,
                },
                _ => return self.take_legacy_node(source, legacy, value),
            },
            (None, None, _) => return self.problem(&source, None, unknown::unknown_key(key)),
        };
        match content(key, variable, is_file, expanded, setting.value) {
            Err(complaint) => self.problem(&source, None, complaint),
            Ok(None) => {}
            Ok(Some(content)) => {
                let raw = Raw {
                    source,
                    content,
                    expanded,
                };
                self.take(variable.name, raw);
            }
        }
    }

    /// The same for a key of the original system that is not another name of a variable.
    fn take_legacy_node(&mut self, source: Source, legacy: &Legacy, value: Node) {
        match (value, legacy.verdict) {
            (Node::Null, _) => {}
            (Node::List(entries), Verdict::AddsTo(lists)) => self.add(&source, lists, &entries),
            (Node::Scalar(text), _) => self.take_legacy(source, legacy, text.trim()),
            // Lists and maps have the verdict of a value that says nothing special.
            _ => self.take_legacy(source, legacy, ""),
        }
    }
}

/// The entries `name=value` of a map; a list of values, or several in one text, is several entries.
fn named_values(entries: Settings) -> Result<Vec<String>, Complaint> {
    let mut named = Vec::new();
    for (name, Setting { value, .. }) in entries {
        let values: Vec<String> = match value {
            Node::Null => Vec::new(),
            Node::Scalar(text) => text.split_ascii_whitespace().map(str::to_owned).collect(),
            Node::List(values) => values,
            Node::Unquoted | Node::Map(_) | Node::Nested => {
                return Err(Complaint::new(
                    "has an entry that is neither a value nor a list of values",
                    "write one value or a flat list for each name",
                ));
            }
        };
        named.extend(values.into_iter().map(|value| format!("{name}={value}")));
    }
    Ok(named)
}

/// The same as [`expand_node`], also in the entries of the map of one variable.
fn expand_all(node: &mut Node, is_map: bool, environment: &Environment) -> Result<bool, ExpandError> {
    let Node::Map(entries) = node else {
        return expand_node(node, environment);
    };
    let mut any = false;
    for entry in entries.values_mut().filter(|_| is_map) {
        any |= expand_node(&mut entry.value, environment)?;
    }
    Ok(any)
}

/// Replaces `${NAME}`; returns whether it occurred.
fn expand_node(node: &mut Node, environment: &Environment) -> Result<bool, ExpandError> {
    let texts = match node {
        Node::Scalar(text) => std::slice::from_mut(text),
        Node::List(entries) => entries.as_mut_slice(),
        Node::Null | Node::Unquoted | Node::Map(_) | Node::Nested => &mut [],
    };
    let mut any = false;
    for text in texts {
        if let Some(expanded) = expand(text, |name| environment.text(name))? {
            *text = expanded;
            any = true;
        }
    }
    Ok(any)
}

/// The variable that a key of `settings.yaml` names, and whether it is the `…_file` of a secret.
fn known_key(key: &str) -> Option<(&'static Variable, bool)> {
    if key.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    let name = key.to_ascii_uppercase();
    if let Some(variable) = catalogue::find(&name) {
        // These locate the file, so it cannot contain them.
        return (!["BFF_CONFIG_DIR", "SETTINGS_FILE"].contains(&variable.name)).then_some((variable, false));
    }
    let secret = name.strip_suffix("_FILE").and_then(catalogue::find)?;
    secret.is_secret().then_some((secret, true))
}

/// The value of an entry of `settings.yaml` for `variable`; `None` if it counts as unset.
fn content(
    key: &str,
    variable: &Variable,
    is_file: bool,
    expanded: bool,
    value: Node,
) -> Result<Option<Content>, Complaint> {
    if variable.is_secret()
        && !is_file
        && let Node::Scalar(text) = &value
        && let Some(path) = text.trim().strip_prefix(FILE)
    {
        return path::parse(path, Leads::ToFile).map(|path| Some(Content::SecretFile(path)));
    }
    if variable.is_secret() && !is_file && !expanded {
        return Err(Complaint::new(
            "is a secret, which must not stand in settings.yaml",
            format!(
                "write it to a file with mode 0600 and name that file as `{key}_file`, or set {} in the environment",
                variable.name
            ),
        ));
    }
    match value {
        Node::Null => Ok(None),
        Node::Scalar(text) => {
            let text = text.trim().to_owned();
            if text.is_empty() && variable.name != MAY_BE_EMPTY {
                return Ok(None);
            }
            if is_file {
                return path::parse(&text, Leads::ToFile).map(|path| Some(Content::SecretFile(path)));
            }
            Ok(Some(Content::Text(text)))
        }
        Node::List(entries) if variable.is_list() => Ok(Some(Content::List(entries))),
        Node::Map(entries) if variable.is_map() => {
            named_values(entries).map(|entries| Some(Content::List(entries)))
        }
        Node::List(_) => Err(Complaint::new(
            "is a list, but takes one value",
            "write one value",
        )),
        Node::Unquoted => Err(Complaint::new(
            "looks like a number with a fraction",
            "put the value in quotes",
        )),
        Node::Map(_) | Node::Nested => Err(Complaint::new(
            "is neither a value nor a list of values",
            "write one value, or a flat list",
        )),
    }
}
